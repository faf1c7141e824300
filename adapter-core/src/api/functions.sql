-- The functions but those that write into tables. install.sql runs each statement.
--
-- The functions that others may call have a search path without any schema that others can write
-- to: an object of the same name cannot take the place of one of PostgreSQL's. emit has none, and
-- names every schema instead. The functions whose name begins with internal_ are only called by
-- these, and so run with their search path; internal_emit has its own, as emit calls it.

-- [event, ...arguments], as JSON.
CREATE OR REPLACE FUNCTION @schema@.internal_event(
    event text, data jsonb, args jsonb[], attachments bytea[], reserved text[]
)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    packet jsonb;
BEGIN
    IF event IS NULL THEN
        RAISE EXCEPTION 'an event needs a name, and this is null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF event = ANY (reserved COLLATE "C") THEN
        RAISE EXCEPTION 'the event name "%" is reserved by Socket.IO', event
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the event another name.';
    END IF;
    packet := jsonb_build_array(event);
    IF data IS NOT NULL THEN
        packet := packet || jsonb_build_array(data);
    END IF;
    IF args IS NOT NULL THEN
        packet := packet || to_jsonb(args);
    ELSIF data IS NULL AND attachments IS NOT NULL THEN
        packet := packet || coalesce((
            SELECT jsonb_agg(jsonb_build_object('_placeholder', true, 'num', num) ORDER BY num)
            FROM generate_series(0, cardinality(attachments) - 1) AS nums(num)
        ), '[]');
    END IF;
    IF attachments IS NOT NULL AND cardinality(attachments) > (
        SELECT count(DISTINCT num)
        FROM jsonb_path_query(packet, 'strict $.** ? (@.type() == "object" && @._placeholder == true).num') AS nums(num)
    ) THEN
        RAISE EXCEPTION 'an attachment of the event "%" has no placeholder in its arguments', event
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Write {"_placeholder": true, "num": 0} where the first of them belongs, and so on.';
    END IF;
    -- The packet itself is at level 0.
    IF jsonb_path_exists(packet, 'strict $.**{120} ? (@.type() == "array" || @.type() == "object")') THEN
        RAISE EXCEPTION 'the arguments of the event "%" are nested too deep', event
            USING ERRCODE = 'program_limit_exceeded',
                HINT = 'Not all servers read more than 120 levels of arrays and objects in each other.';
    END IF;
    RETURN packet;
END $@tag@_body$;

-- Sends a message: inline where it fits and has no binary, else as an attachment.
CREATE OR REPLACE FUNCTION @schema@.internal_publish(
    kind int, namespace text, data text, attachments bytea[], packet jsonb, rest jsonb
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
DECLARE
    -- Without it PostgreSQL would fold equal events of one transaction into one. A UUID would take longer
    -- than all else that a small event needs.
    nonce text := concat((random() * 9007199254740992)::int8, '-', (date_part('epoch', clock_timestamp()) * 1000000)::int8);
    channel text := @prefix@ || '#' || namespace;
    payload text;
BEGIN
    IF namespace IS NULL OR namespace COLLATE "C" NOT LIKE '/%' THEN
        RAISE EXCEPTION 'the namespace % does not begin with a slash', coalesce(quote_literal(namespace), 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write it as servers do: /, /admin.';
    END IF;
    -- Counted from 1 inside, whatever bounds the caller's array has. Without any, there is no binary.
    attachments := CASE WHEN cardinality(attachments) > 0 THEN ARRAY(SELECT unnest(attachments)) END;
    channel := left(channel, 63);
    WHILE octet_length(channel) > 63 LOOP
        channel := left(channel, -1);
    END LOOP;
    IF attachments IS NULL THEN
        payload := concat(
            '{"type":', kind, ',"data":', data, ',"uid":"emitter","nsp":', to_json(namespace),
            ',"source":"_sio_adapter","nonce":"', nonce, '"}'
        );
    END IF;
    IF payload IS NULL OR octet_length(payload) >= @threshold@ THEN
        PERFORM @schema@.internal_notify_attachment(
            channel,
            concat(
                '{"uid":"emitter","type":', kind,
                CASE WHEN octet_length(namespace) <= 999 THEN concat(',"nsp":', to_json(namespace)) END,
                ',"attachmentId":"'
            ),
            E'\\x86a474797065'::bytea || @schema@.internal_msgpack_integer(kind::numeric)
            || E'\\xa464617461'::bytea || @schema@.internal_msgpack_data(kind, namespace, packet, rest, attachments)
            || E'\\xa3756964a7656d6974746572a36e7370'::bytea || @schema@.internal_msgpack_text(namespace)
            || E'\\xa6736f75726365ac5f73696f5f61646170746572a56e6f6e6365'::bytea
            || @schema@.internal_msgpack_text(nonce),
            '"}'
        );
        RETURN;
    END IF;
    PERFORM @notify@(channel, payload);
END $@tag@_body$;

-- Rooms as JSON. A room that is null is an error: a name that was put together with something that
-- is null would otherwise mean all clients. So is a list that is null, as array_agg makes it of no rows.
CREATE OR REPLACE FUNCTION @schema@.internal_rooms(rooms text[])
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
BEGIN
    IF rooms IS NULL THEN
        RAISE EXCEPTION 'the list of rooms is null'
            USING ERRCODE = 'null_value_not_allowed',
                HINT = 'Leave the parameter out to select all sockets. An empty list selects none: ARRAY(SELECT ...) returns it where array_agg returns null.';
    END IF;
    IF array_ndims(rooms) > 1 THEN
        RAISE EXCEPTION 'the list of rooms has % dimensions', array_ndims(rooms)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write ARRAY[''a'', ''b''], or ARRAY(SELECT unnest(rooms)).';
    END IF;
    IF array_position(rooms, NULL::text) IS NOT NULL THEN
        RAISE EXCEPTION 'a room is null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave the parameter out to select all sockets.';
    END IF;
    RETURN coalesce((
        SELECT jsonb_agg(CASE
            WHEN starts_with(room COLLATE "C", '@numbered@') THEN to_jsonb(substr(room, length('@numbered@') + 1)::int8)
            ELSE to_jsonb(room)
        END ORDER BY place)
        FROM unnest(rooms) WITH ORDINALITY AS all_rooms(room, place)
    ), '[]');
END $@tag@_body$;

-- The room that applications on Node.js name by a number: it is another room than that of the digits.
-- Its name here begins with a text that no client can know.
CREATE OR REPLACE FUNCTION @schema@.number_room(number int8)
RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $@tag@_body$
BEGIN
    IF number NOT BETWEEN -9007199254740991 AND 9007199254740991 THEN
        RAISE EXCEPTION 'the number % cannot name a room', number
            USING ERRCODE = 'numeric_value_out_of_range',
                HINT = 'JavaScript has no integers beyond 2^53 - 1, and would take another number for the same. Name the room by a text.';
    END IF;
    RETURN '@numbered@' || number::text;
END $@tag@_body$;

-- The rooms whose sockets are selected: [] for all, where neither parameter is given. Null for none:
-- an empty list, as a query may return it, selects no socket.
CREATE OR REPLACE FUNCTION @schema@.internal_selection(room text, rooms text[])
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $@tag@_body$
DECLARE
    -- Checked by itself: joined with others, a list that is null disappears.
    more jsonb := @schema@.internal_rooms(rooms);
    selected jsonb := @schema@.internal_rooms(array_remove((ARRAY[room] || rooms) COLLATE "C", '@everyone@'));
BEGIN
    RETURN CASE WHEN selected = '[]' AND more = '[]' THEN NULL ELSE selected END;
END $@tag@_body$;

-- Emits an event as emit() does, whatever its parameters are.
CREATE OR REPLACE FUNCTION @schema@.internal_emit(
    event text, data jsonb, room text, namespace text, rooms text[], except_rooms text[], args jsonb[],
    attachments bytea[], volatile boolean, compress boolean
)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $@tag@_body$
DECLARE
    selected jsonb := @schema@.internal_selection(room, rooms);
    excepted jsonb := @schema@.internal_rooms(except_rooms);
    flags jsonb := jsonb_strip_nulls(jsonb_build_object('volatile', nullif(volatile, false), 'compress', compress));
    packet jsonb := @schema@.internal_event(event, data, args, attachments, ARRAY[
        'connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'
    ]);
BEGIN
    IF selected IS NULL THEN
        RETURN;
    END IF;
    PERFORM @schema@.internal_publish(
        3,
        namespace,
        concat(
            '{"packet":{"type":2,"data":', packet, ',"nsp":', to_json(namespace), '},"opts":{"rooms":', selected,
            ',"flags":', flags, ',"except":', excepted, '}}'
        ),
        attachments,
        packet,
        jsonb_build_object('rooms', selected, 'flags', flags, 'except', excepted)
    );
END $@tag@_body$;

-- Emits an event to the servers of a namespace. They cannot respond.
CREATE OR REPLACE FUNCTION @schema@.server_side_emit(
    event text,
    data jsonb DEFAULT NULL,
    namespace text DEFAULT '/',
    args jsonb[] DEFAULT NULL,
    attachments bytea[] DEFAULT NULL
)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $@tag@_body$
DECLARE
    packet jsonb := @schema@.internal_event(
        event, data, args, attachments, ARRAY['connect', 'connection', 'new_namespace']
    );
BEGIN
    PERFORM @schema@.internal_publish(9, namespace, concat('{"packet":', packet, '}'), attachments, packet, NULL::jsonb);
END $@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.internal_move(
    kind int, targets text[], room text, namespace text, rooms text[], except_rooms text[]
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $@tag@_body$
DECLARE
    selected jsonb := @schema@.internal_selection(room, rooms);
    excepted jsonb := @schema@.internal_rooms(except_rooms);
    moved jsonb := @schema@.internal_rooms(targets);
BEGIN
    IF selected IS NULL THEN
        RETURN;
    END IF;
    PERFORM @schema@.internal_publish(
        kind,
        namespace,
        concat('{"opts":{"rooms":', selected, ',"except":', excepted, '},"rooms":', moved, '}'),
        NULL::bytea[],
        NULL::jsonb,
        jsonb_build_object('rooms', selected, 'except', excepted, 'targets', moved)
    );
END $@tag@_body$;

-- Lets the selected sockets join rooms.
CREATE OR REPLACE FUNCTION @schema@.sockets_join(
    join_rooms text[],
    room text DEFAULT '@everyone@',
    namespace text DEFAULT '/',
    rooms text[] DEFAULT '{"@everyone@"}',
    except_rooms text[] DEFAULT '{}'
)
RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $@tag@_body$
    SELECT @schema@.internal_move(4, join_rooms, room, namespace, rooms, except_rooms)
$@tag@_body$;

-- Lets the selected sockets leave rooms.
CREATE OR REPLACE FUNCTION @schema@.sockets_leave(
    leave_rooms text[],
    room text DEFAULT '@everyone@',
    namespace text DEFAULT '/',
    rooms text[] DEFAULT '{"@everyone@"}',
    except_rooms text[] DEFAULT '{}'
)
RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $@tag@_body$
    SELECT @schema@.internal_move(5, leave_rooms, room, namespace, rooms, except_rooms)
$@tag@_body$;

-- Disconnects the selected sockets: from the namespace, or, with close, from their servers.
CREATE OR REPLACE FUNCTION @schema@.disconnect_sockets(
    room text DEFAULT '@everyone@',
    namespace text DEFAULT '/',
    close boolean DEFAULT false,
    rooms text[] DEFAULT '{"@everyone@"}',
    except_rooms text[] DEFAULT '{}'
)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $@tag@_body$
DECLARE
    selected jsonb := @schema@.internal_selection(room, rooms);
    excepted jsonb := @schema@.internal_rooms(except_rooms);
    closed jsonb := to_jsonb(coalesce(close, false));
BEGIN
    IF selected IS NULL THEN
        RETURN;
    END IF;
    PERFORM @schema@.internal_publish(
        6,
        namespace,
        concat('{"opts":{"rooms":', selected, ',"except":', excepted, '},"close":', closed, '}'),
        NULL::bytea[],
        NULL::jsonb,
        jsonb_build_object('rooms', selected, 'except', excepted, 'close', closed)
    );
END $@tag@_body$;

-- A trigger that emits each change of a row: FOR EACH ROW, AFTER INSERT OR UPDATE OR DELETE.
-- Its arguments: the name of the event, the room, the namespace; the last two may be left out.
-- {column} in the room is the value of a column; an UPDATE that changes it is emitted to both
-- rooms. The event's argument has operation, schema, table, new, old, and changed, which lists the
-- columns that an UPDATE has changed.
--
-- It runs with the rights of the role that changes the row, which needs EXECUTE on emit: a row may
-- hold types whose conversion to JSON is code of others.
CREATE OR REPLACE FUNCTION @schema@.emit_change()
RETURNS trigger LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
SET bytea_output = 'hex' SET IntervalStyle = 'postgres' SET DateStyle = 'ISO' SET TimeZone = 'UTC' SET lc_monetary = 'C' AS $@tag@_body$
DECLARE
    new_row jsonb;
    old_row jsonb;
    template text := nullif(TG_ARGV[1], '');
    rooms text[] := '{}';
    side jsonb;
    room text;
    rest text;
    place text[];
BEGIN
    IF TG_LEVEL <> 'ROW' OR TG_WHEN <> 'AFTER' OR TG_NARGS NOT BETWEEN 1 AND 3 THEN
        RAISE EXCEPTION 'the trigger "%" cannot emit changes', TG_NAME
            USING ERRCODE = 'invalid_object_definition',
                HINT = 'Create it AFTER ... FOR EACH ROW EXECUTE FUNCTION emit_change(''event'', ''room'', ''/namespace'').';
    END IF;
    IF TG_OP <> 'DELETE' THEN
        new_row := to_jsonb(NEW);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        old_row := to_jsonb(OLD);
    END IF;
    FOREACH side IN ARRAY ARRAY[new_row, old_row] LOOP
        CONTINUE WHEN side IS NULL OR template IS NULL;
        room := '';
        rest := template;
        LOOP
            place := regexp_match(rest, E'^([^{}]*)\\{([^{}]*)\\}(.*)$');
            EXIT WHEN place IS NULL;
            IF NOT side ? place[2] THEN
                RAISE EXCEPTION 'the room of the trigger "%" names the column "%", which % does not have',
                    TG_NAME, place[2], TG_RELID::regclass USING ERRCODE = 'undefined_column';
            END IF;
            room := room || place[1] || (side ->> place[2]);
            rest := place[3];
        END LOOP;
        IF rest ~ '[{}]' THEN
            RAISE EXCEPTION 'the room of the trigger "%" cannot be read: %', TG_NAME, template
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Write {column} for the value of a column.';
        END IF;
        rooms := rooms || (room || rest);
    END LOOP;
    -- A row without a value there has no room, and its change is emitted to no client.
    rooms := ARRAY(SELECT DISTINCT one FROM unnest(rooms) AS all_rooms(one) WHERE one IS NOT NULL ORDER BY one);
    -- A value of a column never selects all clients.
    rooms := array_remove(rooms, '@everyone@');
    IF template IS NOT NULL AND rooms = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM @schema@.emit(
        TG_ARGV[0],
        jsonb_build_object(
            'operation', TG_OP,
            'schema', TG_TABLE_SCHEMA,
            'table', TG_TABLE_NAME,
            'new', new_row,
            'old', old_row,
            'changed', CASE WHEN TG_OP = 'UPDATE' THEN coalesce((
                SELECT jsonb_agg(key ORDER BY key) FROM jsonb_each(new_row) AS entries(key, entry)
                WHERE entry IS DISTINCT FROM old_row -> key
            ), '[]') END
        ),
        room => CASE WHEN cardinality(rooms) = 1 THEN rooms[1] ELSE '@everyone@' END,
        rooms => CASE WHEN cardinality(rooms) > 1 THEN rooms ELSE '{"@everyone@"}' END,
        namespace => coalesce(TG_ARGV[2], '/')
    );
    RETURN NULL;
END $@tag@_body$;

CREATE OR REPLACE FUNCTION @schema@.version()
RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $@tag@_body$ SELECT @version@ $@tag@_body$;
