//! Installing the functions, over older ones too, and removing them.

use std::time::Duration;

use futures_util::future::join_all;
use socketio_pg_tests::time_limit;
use socketio_pg_tokio_postgres::{CatchUp, Options, Outbox, SqlFunctions};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::{Functions, connect};

#[tokio::test]
async fn functions_are_installed_at_once_and_over_each_other_and_keep_their_grants() {
    let Some(mut functions) = Functions::install().await else { return };
    let url = functions.database.url();
    let install = SqlFunctions::new(&Options::default()).unwrap();
    let at_once = join_all((0..10).map(|_| async {
        let client = connect(&url).await;
        client.batch_execute(&install.install_sql()).await
    }));
    for installed in timeout(time_limit(), at_once).await.unwrap() {
        installed.unwrap();
    }
    let role = format!("caller_{}", functions.database.name());
    let setup = format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA socketio TO \"{role}\";
         GRANT EXECUTE ON FUNCTION socketio.emit TO \"{role}\"; {}",
        install.install_sql()
    );
    functions.client.batch_execute(&setup).await.unwrap();
    let as_role = format!("SET ROLE \"{role}\"");
    functions.client.batch_execute(&as_role).await.unwrap();
    // It has no right on the tables, and needs none.
    functions.client.batch_execute("SELECT socketio.emit('e', attachments => ARRAY['\\x00']::bytea[])").await.unwrap();
    for (call, denied) in [
        ("disconnect_sockets()", "disconnect_sockets"),
        ("internal_notify('c', 'p')", "internal_notify"),
        ("internal_notify_attachment('c', 'p', '\\x00', 'p')", "internal_notify_attachment"),
    ] {
        let (state, text) = functions.error(&format!("SELECT socketio.{call}")).await;
        assert!(state == SqlState::INSUFFICIENT_PRIVILEGE && text.contains(denied), "{state:?} {text}");
    }
    functions
        .client
        .batch_execute(&format!("RESET ROLE; DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""))
        .await
        .unwrap();
    // Also those of every role.
    let grant = format!("GRANT EXECUTE ON FUNCTION socketio.emit TO PUBLIC; {}", install.install_sql());
    functions.client.batch_execute(&grant).await.unwrap();
    let granted = "SELECT array_to_string(proacl, ' ') FROM pg_proc WHERE proname = 'emit'";
    let granted = functions.database.execute(granted).unwrap().unwrap();
    assert!(granted.starts_with("=X/") || granted.contains(" =X/"), "{granted}");
    let version = functions.client.query_one("SELECT socketio.version()", &[]).await.unwrap();
    assert_eq!(version.get::<_, i32>(0), i32::try_from(SqlFunctions::VERSION).unwrap());
    functions.next().await;
}

/// A function of an older version may have other parameters, and so is another function.
#[tokio::test]
async fn what_was_granted_on_a_function_with_other_parameters_is_granted_on_the_one_that_replaces_it() {
    let Some(functions) = Functions::install().await else { return };
    let role = format!("Caller {}", functions.database.name());
    let install = SqlFunctions::new(&Options::default()).unwrap().install_sql();
    let older = format!(
        "CREATE ROLE \"{role}\"; DROP FUNCTION socketio.emit; DROP FUNCTION socketio.sockets_join;
         CREATE FUNCTION socketio.emit(text) RETURNS void LANGUAGE sql AS 'SELECT';
         CREATE FUNCTION socketio.sockets_join(text) RETURNS void LANGUAGE sql AS 'SELECT';
         COMMENT ON FUNCTION socketio.emit(text) IS 'socketio-pg 0';
         COMMENT ON FUNCTION socketio.sockets_join(text) IS 'socketio-pg 0';
         REVOKE ALL ON ALL FUNCTIONS IN SCHEMA socketio FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION socketio.emit TO \"{role}\" WITH GRANT OPTION;
         GRANT EXECUTE ON FUNCTION socketio.sockets_join TO PUBLIC; {install} {install}"
    );
    functions.client.batch_execute(&older).await.unwrap_or_else(|error| panic!("{error:?}"));
    let granted = |name: &str| {
        let granted = "SELECT string_agg(array_to_string(proacl, ' '), ', ') FROM pg_proc WHERE proname = ";
        functions.database.execute(&format!("{granted}'{name}'")).unwrap().unwrap()
    };
    let on_emit = granted("emit");
    assert!(on_emit.contains(&format!("\"{role}\"=X*/")) && !on_emit.contains(", "), "{on_emit}");
    let on_join = granted("sockets_join");
    assert!(on_join.split(' ').any(|right| right.starts_with("=X/")) && !on_join.contains(", "), "{on_join}");
    assert!(!granted("sockets_leave").split(' ').any(|right| right.starts_with("=X/")));
    functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
}

#[tokio::test]
async fn functions_are_not_installed_where_others_could_plant_some() {
    let Some(functions) = Functions::install().await else { return };
    let role = format!("planter_{}", functions.database.name());
    let setup = format!("CREATE ROLE \"{role}\"; CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO \"{role}\";
        CREATE SCHEMA foreign_one AUTHORIZATION \"{role}\"; CREATE SCHEMA public_one; GRANT CREATE ON SCHEMA public_one TO PUBLIC");
    functions.client.batch_execute(&setup).await.unwrap();
    for schema in ["open", "foreign_one", "public_one"] {
        let install = SqlFunctions::new(&Options::default()).unwrap().schema(schema).install_sql();
        let (state, text) = functions.error(&install).await;
        assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(text.contains(schema) && text.contains("in which no other role may create"), "{text}");
    }
    functions.client.batch_execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).await.unwrap();
    // What else is in the schema is left alone.
    let own = "CREATE SCHEMA mine; CREATE FUNCTION mine.internal_audit() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE mine.internal_job() LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION mine.version(text) RETURNS text LANGUAGE sql AS 'SELECT $1'";
    functions.client.batch_execute(own).await.unwrap();
    let mine = SqlFunctions::new(&Options::default()).unwrap().schema("mine");
    let install_and_remove = format!("{} {}", mine.install_sql(), mine.remove_sql());
    functions.client.batch_execute(&install_and_remove).await.unwrap();
    let left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'mine'::regnamespace AND proacl IS NULL";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("3"));
}

/// A role that could create in the schema once, and can no longer.
#[tokio::test]
async fn functions_are_not_installed_where_others_have_planted_some() {
    let Some(functions) = Functions::install().await else { return };
    let role = format!("planter_{}", functions.database.name());
    let setup = format!(
        "CREATE ROLE \"{role}\"; CREATE SCHEMA planted; GRANT ALL ON SCHEMA planted TO \"{role}\"; SET ROLE \"{role}\";
         CREATE FUNCTION planted.internal_publish(int, text, text, bytea[], jsonb, text) RETURNS void
         LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted code runs''; END';
         RESET ROLE; REVOKE ALL ON SCHEMA planted FROM \"{role}\""
    );
    functions.client.batch_execute(&setup).await.unwrap();
    let install = SqlFunctions::new(&Options::default()).unwrap().schema("planted").install_sql();
    let (state, text) = functions.error(&install).await;
    assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE);
    assert!(text.contains("planted") && text.contains("or owns a function"), "{text}");
    // One of the owner is his own matter. Its parameters do not fit better than those of the function.
    let owned = format!("REASSIGN OWNED BY \"{role}\" TO CURRENT_USER; DROP ROLE \"{role}\"; {install}");
    functions.client.batch_execute(&owned).await.unwrap_or_else(|error| panic!("{error:?}"));
    functions.client.batch_execute("SELECT planted.server_side_emit('e', '1')").await.unwrap();
}

/// As a client that commits each statement by itself runs them, for one psql.
#[tokio::test]
async fn the_installation_is_one_statement_that_does_all_or_nothing() {
    let Some(functions) = Functions::install().await else { return };
    let other = |options: &Options| SqlFunctions::new(options).unwrap().schema("other").install_sql();
    let exists = "SELECT count(*) FROM pg_namespace WHERE nspname = 'other'";
    let without_table =
        functions.client.execute(other(&Options::default().table("gone")).as_str(), &[]).await.unwrap_err();
    assert_eq!(without_table.code(), Some(&SqlState::UNDEFINED_TABLE), "{without_table:?}");
    assert_eq!(functions.database.execute(exists).unwrap().as_deref(), Some("0"));
    let log = CatchUp::last(Duration::from_secs(3600));
    for options in [Options::default(), Options::default().catch_up(log), Options::default().outbox(Outbox::default())]
    {
        functions.client.execute(other(&options).as_str(), &[]).await.unwrap_or_else(|error| panic!("{error:?}"));
        functions.client.batch_execute("SELECT other.emit('e', '1'), other.emit('e')").await.unwrap();
    }
    let open = "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
        WHERE pronamespace = 'other'::regnamespace AND proacl IS NULL";
    assert_eq!(functions.database.execute(open).unwrap().as_deref(), Some("emit_change number_room version"));
    let remove = SqlFunctions::new(&Options::default()).unwrap().schema("other").remove_sql();
    functions.client.execute(remove.as_str(), &[]).await.unwrap();
    assert_eq!(functions.database.execute(exists).unwrap().as_deref(), Some("0"));
}

/// As `pg_dump --no-acl --no-comments` brings them back: every role may call them.
#[tokio::test]
async fn functions_that_have_lost_rights_and_comments_get_them_when_they_are_installed_again() {
    let Some(functions) = Functions::install().await else { return };
    let install = SqlFunctions::new(&Options::default()).unwrap();
    let restored = |comment: &str| {
        format!(
            "DO $$ DECLARE one regprocedure; definition text; BEGIN
                 FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace LOOP
                     definition := pg_get_functiondef(one);
                     EXECUTE format('DROP FUNCTION %s', one);
                     EXECUTE definition;
                 END LOOP;
                 FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace LOOP
                     EXECUTE format('COMMENT ON FUNCTION %s IS %L', one, {comment});
                 END LOOP;
             END $$"
        )
    };
    let open = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace AND proacl IS NULL";
    let all = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace";
    let count = functions.database.execute(all).unwrap();
    for comment in [format!("'socketio-pg {}'", SqlFunctions::VERSION), "NULL".to_owned()] {
        functions.client.batch_execute(&restored(&comment)).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(functions.database.execute(open).unwrap(), count);
        if comment == "NULL" {
            // Nothing says whose they are.
            functions.client.batch_execute(&install.remove_sql()).await.unwrap();
            assert_eq!(functions.database.execute(all).unwrap(), count);
        }
        functions.client.batch_execute(&install.install_sql()).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(
            functions.database.execute(open).unwrap().as_deref(),
            Some("3"),
            "emit_change, number_room and version"
        );
    }
    functions.client.batch_execute(&install.remove_sql()).await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'socketio'";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
}

#[tokio::test]
async fn who_cannot_see_yet_what_another_installed_is_told_to_try_again() {
    let Some(functions) = Functions::install().await else { return };
    let install = SqlFunctions::new(&Options::default()).unwrap().schema("late").install_sql();
    let other = connect(&functions.database.url()).await;
    other.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    functions.client.batch_execute(&install).await.unwrap();
    let error = other.batch_execute(&install).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::T_R_SERIALIZATION_FAILURE, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("Run this again")), "{error:?}");
    other.batch_execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    other.batch_execute(&format!("{install} COMMIT")).await.unwrap_or_else(|error| panic!("{error:?}"));
}

#[tokio::test]
async fn functions_are_removed_unless_a_trigger_needs_them() {
    let Some(mut functions) = Functions::install().await else { return };
    let remove = SqlFunctions::new(&Options::default()).unwrap().remove_sql();
    let trigger = "CREATE TABLE t (id int);
        CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION socketio.emit_change('t')";
    functions.client.batch_execute(trigger).await.unwrap();
    let (state, _) = functions.error(&remove).await;
    assert_eq!(state, SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    functions.emitted("INSERT INTO t VALUES (1)").await;
    // Something of others in the schema stays.
    functions.client.batch_execute("DROP TABLE t; CREATE TABLE socketio.mine (id int)").await.unwrap();
    functions.client.batch_execute(&remove).await.unwrap();
    let left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'socketio'::regnamespace";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
    functions.client.batch_execute(&format!("DROP TABLE socketio.mine; {remove} {remove}")).await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'socketio'";
    assert_eq!(functions.database.execute(left).unwrap().as_deref(), Some("0"));
    // Without the attachments table there is nothing to install.
    functions.client.batch_execute("DROP TABLE socket_io_attachments").await.unwrap();
    let (_, text) = functions.error(&SqlFunctions::new(&Options::default()).unwrap().install_sql()).await;
    assert!(text.contains("there is no table") && text.contains("schema_sql"), "{text}");
}
