DO $@tag@$
DECLARE
    function pg_catalog.regprocedure;
    unmarked pg_catalog.text;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('socketio-pg functions', 0));
    FOR function IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace(@schema_literal@)::pg_catalog.oid
            AND pg_catalog.starts_with(pg_catalog.obj_description(oid, 'pg_proc'), 'socketio-pg ')
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', function);
    END LOOP;
    -- A dump without comments, for one, loses what tells them from those of others.
    SELECT pg_catalog.string_agg(oid::pg_catalog.regprocedure::pg_catalog.text, ', ') INTO unmarked
    FROM pg_catalog.pg_proc WHERE oid OPERATOR(pg_catalog.=) ANY (ARRAY[@signatures@]::pg_catalog.oid[]);
    IF unmarked IS NOT NULL THEN
        RAISE NOTICE 'these functions lack the comment that tells whose they are, and stay: %', unmarked
            USING HINT = 'If they are functions that emit, install these again, then remove them.';
    END IF;
    BEGIN
        DROP SCHEMA IF EXISTS @schema@;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL; -- Something else is in it.
    END;
END $@tag@$;
