-- MessagePack. A part of functions.sql.

-- A value as MessagePack, in the shortest form, as Node.js's encoder writes it. An object
-- {"_placeholder": true, "num": n} is the attachment with this number, counted from 0.
--
-- One query packs a list of objects with what these hold but lists and objects: PostgreSQL takes
-- longer to call a function, and to begin a query, than to pack a value. Functions in SQL that are
-- not IMMUTABLE become a part of the query. For a few values a query with fewer expressions is
-- begun faster.
CREATE OR REPLACE FUNCTION @schema@.internal_msgpack(value jsonb, attachments bytea[])
RETURNS bytea LANGUAGE plpgsql STABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    kind text := jsonb_typeof(value);
    content bytea;
    number numeric;
    packed bytea;
    length int;
BEGIN
    IF kind = 'string' THEN
        content := convert_to(value #>> '{}', 'UTF8');
        RETURN @schema@.internal_msgpack_utf8(content);
    ELSIF kind = 'number' THEN
        number := value;
    ELSIF kind = 'object' AND attachments IS NOT NULL AND value -> '_placeholder' = 'true' THEN
        RETURN @schema@.internal_msgpack_attachment(value, attachments);
    END IF;
    IF kind NOT IN ('array', 'object') THEN
        RETURN @schema@.internal_msgpack_part(value, kind, content, number, attachments);
    END IF;
    IF kind = 'object' AND pg_column_size(value) < 150 THEN
        SELECT string_agg(@schema@.internal_msgpack_text(key) || @schema@.internal_msgpack(entry, attachments), ''), count(*)
        INTO packed, length
        FROM jsonb_each(value) AS entries(key, entry);
        RETURN @schema@.internal_msgpack_length(length, 128, E'\\xde'::bytea, E'\\xdf'::bytea) || coalesce(packed, '');
    ELSIF kind = 'object' THEN
        SELECT @object@ INTO packed FROM (SELECT value AS element) AS this;
        RETURN packed;
    ELSIF pg_column_size(value) < 150 THEN
        SELECT string_agg(@schema@.internal_msgpack(element, attachments), ''), count(*)
        INTO packed, length
        FROM jsonb_array_elements(value) AS list(element);
    ELSIF jsonb_typeof(value -> 0) = 'object' THEN
        SELECT
            string_agg(CASE
                WHEN typed.kind = 'object' AND (attachments IS NULL OR (element -> '_placeholder' = 'true') IS NOT TRUE)
                    THEN @object@
                ELSE @schema@.internal_msgpack(element, attachments)
            END, ''),
            count(*)
        INTO packed, length
        FROM (
            SELECT element, jsonb_typeof(element) AS kind FROM jsonb_array_elements(value) AS list(element) OFFSET 0
        ) AS typed;
    ELSE
        SELECT
            string_agg(@schema@.internal_msgpack_part(
                element, elements.kind, elements.content, elements.number, attachments
            ), ''),
            count(*)
        INTO packed, length
        FROM (
            SELECT
                element, typed.kind,
                CASE WHEN typed.kind = 'string' THEN convert_to(element #>> '{}', 'UTF8') END AS content,
                CASE WHEN typed.kind = 'number' THEN element::numeric END AS number
            FROM (
                SELECT element, jsonb_typeof(element) AS kind FROM jsonb_array_elements(value) AS list(element) OFFSET 0
            ) AS typed OFFSET 0
        ) AS elements;
    END IF;
    RETURN @schema@.internal_msgpack_length(length, 144, E'\\xdc'::bytea, E'\\xdd'::bytea) || coalesce(packed, '');
END $@tag@_body$;

-- What begins a list or a map: short is that of an empty one.
CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_length(length int, short int, middle bytea, long bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
    SELECT CASE
        WHEN length < 16 THEN set_byte(E'\\x00'::bytea, 0, short + length)
        WHEN length < 65536 THEN middle || substring(int4send(length) FROM 3)
        ELSE long || int4send(length)
    END
$@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_number(number numeric)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
BEGIN
    IF number = trunc(number) AND number BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
        RETURN @schema@.internal_msgpack_integer(number);
    END IF;
    -- A double has no larger numbers, and none that are nearer to 0: JavaScript reads them so, and
    -- PostgreSQL fails. These are 2^1024 - 2^970 and 2^-1075, rounded to where PostgreSQL does not fail.
    RETURN E'\\xcb'::bytea || float8send(CASE
        WHEN abs(number) >= 179769313486231580793728971405303415079934e267 THEN
            CASE WHEN number > 0 THEN 'Infinity' ELSE '-Infinity' END::float8
        WHEN abs(number) < 247032822920623272088284396434110686182530e-365 THEN 0
        ELSE number::float8
    END);
END $@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_integer(number numeric)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
    SELECT CASE
        WHEN number BETWEEN 0 AND 127 THEN substring(int4send(number::int) FROM 4)
        WHEN number BETWEEN -32 AND -1 THEN substring(int4send(number::int) FROM 4)
        WHEN number > 4294967295 THEN E'\\xcf'::bytea || int8send(
            CASE WHEN number > 9223372036854775807 THEN number - 18446744073709551616 ELSE number END::int8
        )
        WHEN number > 65535 THEN E'\\xce'::bytea || substring(int8send(number::int8) FROM 5)
        WHEN number > 255 THEN E'\\xcd'::bytea || substring(int4send(number::int) FROM 3)
        WHEN number > 127 THEN E'\\xcc'::bytea || substring(int4send(number::int) FROM 4)
        WHEN number >= -128 THEN E'\\xd0'::bytea || substring(int4send(number::int) FROM 4)
        WHEN number >= -32768 THEN E'\\xd1'::bytea || substring(int4send(number::int) FROM 3)
        WHEN number >= -2147483648 THEN E'\\xd2'::bytea || int4send(number::int)
        ELSE E'\\xd3'::bytea || int8send(number::int8)
    END
$@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_text(value text)
RETURNS bytea LANGUAGE plpgsql STABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    content bytea := convert_to(value, 'UTF8');
BEGIN
    RETURN @schema@.internal_msgpack_utf8(content);
END $@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_utf8(content bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
    SELECT CASE
        WHEN octet_length(content) < 32 THEN set_byte(E'\\x00'::bytea, 0, 160 + octet_length(content))
        WHEN octet_length(content) < 256 THEN set_byte(E'\\xd900'::bytea, 1, octet_length(content))
        WHEN octet_length(content) < 65536 THEN E'\\xda'::bytea || substring(int4send(octet_length(content)) FROM 3)
        ELSE E'\\xdb'::bytea || int4send(octet_length(content))
    END || content
$@tag@_body$;

-- What is no object, or not packed by the same query: content is a text's, as UTF-8.
CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_part(
    value jsonb, kind text, content bytea, number numeric, attachments bytea[]
)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $@tag@_body$
    SELECT CASE kind
        WHEN 'string' THEN @schema@.internal_msgpack_utf8(content)
        WHEN 'number' THEN CASE
            -- Most numbers. The function for all others is called.
            WHEN number BETWEEN 0 AND 65535 AND scale(number) = 0 THEN CASE
                WHEN number < 128 THEN set_byte(E'\\x00'::bytea, 0, number::int)
                WHEN number < 256 THEN set_byte(E'\\xcc00'::bytea, 1, number::int)
                ELSE E'\\xcd'::bytea || substring(int4send(number::int) FROM 3)
            END
            ELSE @schema@.internal_msgpack_number(number)
        END
        WHEN 'boolean' THEN CASE WHEN value = 'true' THEN E'\\xc3' ELSE E'\\xc2' END::bytea
        WHEN 'null' THEN E'\\xc0'::bytea
        ELSE @schema@.internal_msgpack(value, attachments)
    END
$@tag@_body$;

-- The attachment that a placeholder stands for.
CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_attachment(placeholder jsonb, attachments bytea[])
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    number numeric;
    content bytea;
BEGIN
    IF jsonb_typeof(placeholder -> 'num') = 'number' THEN
        number := placeholder ->> 'num';
    END IF;
    IF number BETWEEN 0 AND cardinality(attachments) - 1 AND number = trunc(number) THEN
        content := attachments[number::int + 1];
    END IF;
    IF content IS NULL THEN
        RAISE EXCEPTION 'the placeholder % has no attachment', placeholder
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Attachments are counted from 0. None of them may be null.';
    END IF;
    RETURN @schema@.internal_msgpack_binary(content);
END $@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_binary(content bytea)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    bytes int := octet_length(content);
BEGIN
    RETURN CASE
        WHEN bytes < 256 THEN E'\\xc4'::bytea || substring(int4send(bytes) FROM 4)
        WHEN bytes < 65536 THEN E'\\xc5'::bytea || substring(int4send(bytes) FROM 3)
        ELSE E'\\xc6'::bytea || int4send(bytes)
    END || content;
END $@tag@_body$;

-- The data of a message as MessagePack, its keys in the order of Node.js's emitter.
CREATE OR REPLACE FUNCTION @schema@.internal_msgpack_data(
    kind int, namespace text, packet jsonb, rest jsonb, attachments bytea[]
)
RETURNS bytea LANGUAGE plpgsql STABLE PARALLEL SAFE AS $@tag@_body$
BEGIN
    RETURN CASE kind
        WHEN 3 THEN -- packet: type, data, nsp; opts: rooms, flags, except
            E'\\x82a67061636b6574'::bytea || E'\\x83a47479706502a464617461'::bytea
            || @schema@.internal_msgpack(packet, attachments)
            || E'\\xa36e7370'::bytea || @schema@.internal_msgpack_text(namespace)
            || E'\\xa46f707473'::bytea || E'\\x83a5726f6f6d73'::bytea || @schema@.internal_msgpack(rest -> 'rooms', NULL::bytea[])
            || E'\\xa5666c616773'::bytea || @schema@.internal_msgpack(rest -> 'flags', NULL::bytea[])
            || E'\\xa6657863657074'::bytea || @schema@.internal_msgpack(rest -> 'except', NULL::bytea[])
        WHEN 6 THEN -- opts: rooms, except; close
            E'\\x82a46f707473'::bytea || E'\\x82a5726f6f6d73'::bytea || @schema@.internal_msgpack(rest -> 'rooms', NULL::bytea[])
            || E'\\xa6657863657074'::bytea || @schema@.internal_msgpack(rest -> 'except', NULL::bytea[])
            || E'\\xa5636c6f7365'::bytea || @schema@.internal_msgpack(rest -> 'close', NULL::bytea[])
        WHEN 9 THEN -- packet
            E'\\x81a67061636b6574'::bytea || @schema@.internal_msgpack(packet, attachments)
        ELSE -- opts: rooms, except; rooms
            E'\\x82a46f707473'::bytea || E'\\x82a5726f6f6d73'::bytea || @schema@.internal_msgpack(rest -> 'rooms', NULL::bytea[])
            || E'\\xa6657863657074'::bytea || @schema@.internal_msgpack(rest -> 'except', NULL::bytea[])
            || E'\\xa5726f6f6d73'::bytea || @schema@.internal_msgpack(rest -> 'targets', NULL::bytea[])
    END;
END $@tag@_body$;
