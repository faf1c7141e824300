//! What others plant in the search path of a caller is not run.

use socketio_pg_tokio_postgres::{Options, Outbox, SqlFunctions};

use crate::Functions;

/// Functions and operators with the names and parameters of PostgreSQL's own.
const PLANTED_AS_OWN: &str = "
    CREATE FUNCTION planted.refuse(result text) RETURNS text LANGUAGE sql
        AS $$ SELECT format('RETURNS %s LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION ''''planted code runs''''; END''', result) $$;
    DO $$ DECLARE one record; BEGIN
        FOR one IN
            SELECT proname, pg_get_function_identity_arguments(oid) AS parameters, prorettype::regtype::text AS result
            FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND provariadic = 0 AND proname IN (
                'abs', 'clock_timestamp', 'date_part', 'hashfloat8extended', 'jsonb_path_exists',
                'pg_sequence_last_value', 'random'
            )
        LOOP
            EXECUTE format('CREATE FUNCTION planted.%I(%s) %s', one.proname, one.parameters, planted.refuse(one.result));
        END LOOP;
        FOR one IN
            SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype::text AS result, oid
            FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
                AND oprname IN ('=', '<>', '<', '<=', '-', '*', '~~')
                AND oprleft::regtype::text IN ('text', 'integer', 'bigint', 'double precision', 'anyarray')
                AND oprright::regtype::text IN ('text', 'integer', 'bigint', 'double precision', 'anyarray')
        LOOP
            EXECUTE format('CREATE FUNCTION planted.operator_%s(%s, %s) %s', one.oid, one.l, one.r, planted.refuse(one.result));
            EXECUTE format('CREATE OPERATOR planted.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = planted.operator_%s)',
                one.oprname, one.l, one.r, one.oid);
        END LOOP;
    END $$";

#[tokio::test]
async fn what_is_planted_in_the_search_path_is_not_run() {
    let Some(mut functions) = Functions::install().await else { return };
    let planted = "
        CREATE SCHEMA planted;
        CREATE FUNCTION planted.run(a anyelement, b anyelement) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.to_json(text) RETURNS json LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.concat(text, text, text) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE FUNCTION planted.octet_length(text) RETURNS int LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE OPERATOR planted.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.concat2);
        ";
    let planted = planted.replace(
        "CREATE OPERATOR",
        "CREATE FUNCTION planted.concat2(text, text) RETURNS text LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
        CREATE OPERATOR",
    );
    functions.client.batch_execute(&planted).await.unwrap();
    functions.client.batch_execute(PLANTED_AS_OWN).await.unwrap_or_else(|error| panic!("{error:?}"));
    functions.client.batch_execute("SET search_path = planted, pg_catalog, public").await.unwrap();
    // The plants work.
    for planted in ["'a'::text || 'b'::text", "'{}'::text[] = '{}'::text[]", "random()", "1::int8 - 1::int8"] {
        let (_, text) = functions.error(&format!("SELECT {planted}")).await;
        assert!(text.contains("planted code runs"), "{planted}: {text}");
    }
    let install = SqlFunctions::new(&Options::default()).unwrap().install_sql();
    let install = functions.client.batch_execute(&install).await;
    install.unwrap_or_else(|error| panic!("{error:?}"));
    let outbox = SqlFunctions::new(&Options::default().outbox(Outbox::default())).unwrap().schema("socketio_outbox");
    let install = functions.client.batch_execute(&outbox.install_sql()).await;
    install.unwrap_or_else(|error| panic!("{error:?}"));
    let calls = [
        "emit('e', '1', room => 'r')",
        r#"emit('e', args => ARRAY['1','{"_placeholder":true,"num":0}']::jsonb[], rooms => ARRAY['a'], attachments => ARRAY['\x00']::bytea[])"#,
        "sockets_join(ARRAY['a'])",
        "sockets_leave(ARRAY['a'])",
        "disconnect_sockets()",
        "server_side_emit('e', '[1]')",
    ];
    for schema in ["socketio", "socketio_outbox"] {
        for call in calls {
            let called = functions.client.batch_execute(&format!("SELECT {schema}.{call}")).await;
            called.unwrap_or_else(|error| panic!("{schema}.{call}: {error:?}"));
        }
    }
    let rows = functions.database.execute("SELECT count(*) FROM socket_io_outbox").unwrap();
    assert_eq!(rows, Some(calls.len().to_string()));
    functions.client.batch_execute("RESET search_path").await.unwrap();
    for _ in 0..6 {
        functions.next().await;
    }
}

/// A schema before `pg_catalog` may have types with the names of PostgreSQL's own.
#[tokio::test]
async fn the_types_of_the_functions_are_those_of_postgresql() {
    let Some(mut functions) = Functions::install().await else { return };
    let types = "CREATE SCHEMA planted; CREATE DOMAIN planted.text AS pg_catalog.text;
        CREATE DOMAIN planted.jsonb AS pg_catalog.jsonb; CREATE DOMAIN planted.bytea AS pg_catalog.bytea;
        CREATE DOMAIN planted.void AS pg_catalog.text; CREATE DOMAIN planted.trigger AS pg_catalog.text";
    functions.client.batch_execute(types).await.unwrap();
    let again = SqlFunctions::new(&Options::default()).unwrap();
    let outbox = SqlFunctions::new(&Options::default().outbox(Outbox::default())).unwrap().schema("socketio_outbox");
    let install = format!("{} {}", again.install_sql(), outbox.install_sql());
    functions.client.batch_execute("SET search_path = planted, pg_catalog, public; BEGIN").await.unwrap();
    functions.client.batch_execute(&install).await.unwrap_or_else(|error| panic!("{error:?}"));
    // The transaction goes on as it was.
    for transaction in ["in the transaction", "after it"] {
        let path = functions.client.query_one("SELECT current_setting('search_path')", &[]).await.unwrap();
        assert_eq!(path.get::<_, String>(0), "planted, pg_catalog, public", "{transaction}");
        functions.client.batch_execute("COMMIT").await.unwrap();
    }
    functions.client.batch_execute("RESET search_path").await.unwrap();
    let foreign =
        "SELECT count(*) FROM pg_depend WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_type'::regclass";
    assert_eq!(functions.database.execute(foreign).unwrap().as_deref(), Some("0"));
    functions.emitted("SELECT socketio.emit('e', attachments => ARRAY['\\x00'::bytea])").await;
    functions.client.batch_execute("SELECT socketio_outbox.emit('e', '1')").await.unwrap();
}
