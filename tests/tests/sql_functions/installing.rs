//! Installing the functions, over older ones too, and removing them.

use futures_util::future::join_all;
use socketio_pg_tests::DEADLINE;
use socketio_pg_tokio_postgres::{Options, SqlFunctions};
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
    for installed in timeout(DEADLINE, at_once).await.unwrap() {
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
