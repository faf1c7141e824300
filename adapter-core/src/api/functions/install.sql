-- Emits Socket.IO events from SQL. Version @version@; running it again, or over an older version,
-- leaves this one.
--
-- It is one statement: also a client that commits each statement by itself, as psql does, installs all
-- functions with their rights, or none. Nothing is looked up in the search path but tables.
DO $@tag@_install$
DECLARE
@names@
    search_path pg_catalog.text := pg_catalog.current_setting('search_path');
    conforming_strings pg_catalog.text := pg_catalog.current_setting('standard_conforming_strings');
    function pg_catalog.regprocedure;
    installed pg_catalog.regprocedure[] := '{}';
    grants pg_catalog.jsonb := '[]';
    granted pg_catalog.text;
    everyone pg_catalog.text;
    numbered pg_catalog.text;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('socketio-pg functions', 0));
    -- A schema before pg_catalog may have a type of the name text. Both are set back at the end.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    -- The text of the statements is read the same way whatever the session's setting is. In the
    -- functions, a text with a backslash is an E'' for that reason.
    PERFORM pg_catalog.set_config('standard_conforming_strings', 'on', true);
@tables@
    IF pg_catalog.to_regnamespace(@schema_literal@) IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS @schema@;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace
        WHERE oid OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace(@schema_literal@)::pg_catalog.oid
    ) THEN
        RAISE EXCEPTION 'another transaction created the schema % after this one began', @schema_literal@
            USING ERRCODE = 'serialization_failure', HINT = 'Run this again, or in READ COMMITTED.';
    END IF;
    -- A role that may create in the schema could plant functions that these would call, or has done so
    -- while it could.
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace
        WHERE oid OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace(@schema_literal@)::pg_catalog.oid
            AND pg_catalog.pg_get_userbyid(nspowner) OPERATOR(pg_catalog.=) current_user
            AND NOT EXISTS (
                SELECT FROM pg_catalog.aclexplode(nspacl) AS rights
                WHERE rights.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                    AND rights.grantee OPERATOR(pg_catalog.<>) nspowner
            )
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_proc
                WHERE pronamespace OPERATOR(pg_catalog.=) pg_namespace.oid
                    AND proowner OPERATOR(pg_catalog.<>) nspowner
            )
    ) THEN
        RAISE EXCEPTION 'the schema % is not safe for functions that run with the rights of their owner', @schema_literal@
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Install them as the role that owns the schema, in a schema in which no other role may create or owns a function.';
    END IF;
    -- Functions of other versions go. Where something depends on one, this fails.
    FOR function IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace(@schema_literal@)::pg_catalog.oid
            AND pg_catalog.starts_with(pg_catalog.obj_description(oid, 'pg_proc'), 'socketio-pg ')
    LOOP
        IF function::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (ARRAY[@signatures@]::pg_catalog.oid[]) THEN
            -- Without any rights of its own, as a dump without rights leaves it, it is like a new one.
            IF EXISTS (
                SELECT FROM pg_catalog.pg_proc
                WHERE oid OPERATOR(pg_catalog.=) function::pg_catalog.oid AND proacl IS NOT NULL
            ) THEN
                installed := pg_catalog.array_append(installed, function);
            END IF;
        ELSE
            -- The function of that name which replaces it is granted to the same roles.
            grants := grants OPERATOR(pg_catalog.||) coalesce((
                SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                    'name', proname, 'grantee', rights.grantee::pg_catalog.int8, 'is_grantable', rights.is_grantable
                ))
                FROM pg_catalog.pg_proc, pg_catalog.aclexplode(proacl) AS rights
                WHERE pg_proc.oid OPERATOR(pg_catalog.=) function::pg_catalog.oid
                    AND rights.grantee OPERATOR(pg_catalog.<>) proowner
            ), '[]');
            EXECUTE pg_catalog.format('DROP FUNCTION %s', function);
        END IF;
    END LOOP;
    -- What stands for all clients is a text that no client can know. It stays the same: a function may
    -- be replaced between two that call each other.
    everyone := coalesce(
        (
            SELECT pg_catalog.substring(prosrc, 'every client [0-9a-f]{32}') FROM pg_catalog.pg_proc
            WHERE oid OPERATOR(pg_catalog.=) @selection@::pg_catalog.oid
        ),
        pg_catalog.concat('every client ', pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', ''))
    );
    -- What the name of a room begins with that is named by a number. It does not tell the other one.
    numbered := pg_catalog.concat(
        'numbered room ',
        pg_catalog.substr(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(everyone, 'UTF8')), 'hex'), 1, 32), ':'
    );

@definitions@
    -- Who may emit is a matter of GRANT. Only new functions lose the rights that every role has on a
    -- function.
    FOREACH function IN ARRAY ARRAY[@signatures@] LOOP
        IF function::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL (installed::pg_catalog.oid[])
            AND function::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL (ARRAY[@for_everybody@]::pg_catalog.oid[])
        THEN
            EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
        END IF;
        EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', function, 'socketio-pg @version@');
        FOR granted IN
            SELECT pg_catalog.format(
                'GRANT EXECUTE ON FUNCTION %s TO %s %s', function, coalesce(pg_catalog.quote_ident(rolname), 'PUBLIC'),
                CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END
            )
            FROM pg_catalog.jsonb_to_recordset(grants)
                    AS replaced(name pg_catalog.text, grantee pg_catalog.int8, is_grantable pg_catalog.bool)
                JOIN pg_catalog.pg_proc ON pg_proc.oid OPERATOR(pg_catalog.=) function::pg_catalog.oid
                    AND proname::pg_catalog.text OPERATOR(pg_catalog.=) name
                LEFT JOIN pg_catalog.pg_roles ON pg_roles.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) grantee
            WHERE function::pg_catalog.oid OPERATOR(pg_catalog.<>) ALL (installed::pg_catalog.oid[])
                AND (grantee OPERATOR(pg_catalog.=) 0::pg_catalog.int8 OR rolname IS NOT NULL)
        LOOP
            EXECUTE granted;
        END LOOP;
    END LOOP;
    PERFORM pg_catalog.set_config('standard_conforming_strings', conforming_strings, true);
    PERFORM pg_catalog.set_config('search_path', search_path, true);
END $@tag@_install$;
