//! Settings that cannot work: each is a typed error when a node connects, and its text says what to
//! do.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{net::TcpListener, time::Duration};

use socketio_pg_core::backend::Backend;
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::database;
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::{
    CatchUp, Cluster, ConnectError, Event, Options, Outbox, PostgresAdapter, TokioPostgresBackend, log_schema_sql,
    schema_sql,
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio_postgres::{Config, NoTls, config::SslMode};

/// The settings of a working connection, for tests to change.
fn config(database: &Database) -> Config {
    database.url().parse().unwrap()
}

/// The error of a node that connects with these settings.
async fn refusal(config: Config, options: Options) -> ConnectError {
    match Cluster::connect(TokioPostgresBackend::new(config, NoTls), options).await {
        Err(error) => error,
        Ok(_) => panic!("it connected"),
    }
}

/// A role with the password `right`, which is dropped with this.
struct Role<'a> {
    database: &'a Database,
    name: String,
}

impl<'a> Role<'a> {
    fn create(database: &'a Database, what: &str) -> Self {
        let name = format!("{}_{what}", database.name());
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'")).unwrap();
        // Up to PostgreSQL 14 every role may create tables.
        database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").unwrap();
        Self { database, name }
    }

    fn config(&self) -> Config {
        let mut config = config(self.database);
        config.user(&self.name).password("right");
        config
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let Self { database, name } = self;
        let statements = format!("DROP OWNED BY {name}; DROP ROLE {name}");
        if let Err(error) = database.execute(&statements) {
            eprintln!("the role {name} is left behind: {error:?}");
        }
    }
}

/// Checks that the text contains each of these.
fn says(error: &ConnectError, phrases: &[&str]) {
    let text = error.to_string();
    for phrase in phrases {
        assert!(text.contains(phrase), "not {phrase:?} in: {text}");
    }
}

#[tokio::test]
async fn an_invalid_url_says_what_is_wrong_with_it() {
    for (url, phrase) in [
        ("", "it is empty"),
        ("no url", "postgres://user:password@host"),
        ("http://localhost/database", "`http`"),
        ("postgres://localhost:port/database", "port"),
        ("postgres://localhost:99999/database", "port"),
        ("postgres://user:pass@word@localhost/database", "more than one `@`"),
        ("postgres://localhost/database?unknown_key=1", "`unknown_key`"),
    ] {
        let error = Cluster::connect(url, Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Url(_)), "{url:?}: {error:?}");
        says(&error, &["the database URL cannot be used", phrase]);
    }
}

#[tokio::test]
async fn a_wrong_password_user_or_database_says_to_check_them() {
    let Some(database) = database() else { return };
    let role = Role::create(&database, "login");
    let changed = |spoil: fn(&mut Config) -> &mut Config| {
        let mut config = role.config();
        spoil(&mut config);
        config
    };
    let check = "check user, password and database";
    for (config, reason, remedy) in [
        (changed(|config| config.password("wrong")), "password authentication failed", check),
        (changed(|config| config.user("nobody_of_this_name")), "nobody_of_this_name", check),
        (
            changed(|config| config.dbname("no_such_database")),
            r#"database "no_such_database" does not exist"#,
            "check the name of the database",
        ),
    ] {
        let error = refusal(config, Options::default()).await;
        assert!(matches!(error, ConnectError::Login(_)), "{error:?}");
        says(&error, &[reason, remedy]);
    }
}

#[tokio::test]
async fn tls_that_is_not_available_says_how_to_get_it() {
    let Some(database) = database() else { return };
    let mut config = config(&database);
    config.ssl_mode(SslMode::Require);
    let error = refusal(config, Options::default()).await;
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    says(&error, &["TLS", "`ssl = on`"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let free_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://postgres@127.0.0.1:{free_port}/postgres");
    let error = Cluster::connect(url.as_str(), Options::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    says(&error, &["refused", "is it running at this address"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@{}/postgres", silent.local_addr().unwrap());
    let options = Options::default().connect_timeout(Duration::from_millis(200));
    let error = Cluster::connect(url.as_str(), options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout(limit) if limit == Duration::from_millis(200)), "{error:?}");
    says(&error, &["200ms", "raise `Options::connect_timeout`"]);
}

#[tokio::test]
async fn a_role_without_a_connection_to_spare_is_unreachable() {
    let Some(database) = database() else { return };
    let role = Role::create(&database, "limited");
    database.execute(&format!("ALTER ROLE {} CONNECTION LIMIT 1", role.name)).unwrap();
    database.execute(&schema_sql("socket_io_attachments").unwrap()).unwrap();
    database
        .execute(&format!("GRANT ALL ON socket_io_attachments, socket_io_attachments_id_seq TO {}", role.name))
        .unwrap();
    let error = refusal(role.config(), Options::default()).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    says(&error, &["too many connections for role", "does it take more connections?"]);
}

/// A session in another database of the server hears nothing of this one, as behind a pooler in
/// transaction mode.
#[tokio::test]
async fn a_connection_that_hears_nothing_is_reported_as_not_listening() {
    let (Some(publishing), Some(listening)) = (database(), database()) else { return };
    let backend = TokioPostgresBackend::with_listen_config(config(&publishing), config(&listening), NoTls);
    let options = Options::default().connect_timeout(Duration::from_secs(8));
    let error = Cluster::connect(backend, options).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::NotListening { waited } if waited >= Duration::from_millis(3900)),
        "{error:?}"
    );
    says(&error, &["notifications do not arrive", "transaction pooler", "direct connection", "`with_listen_url`"]);

    let backend = TokioPostgresBackend::with_listen_config(config(&publishing), config(&publishing), NoTls);
    Cluster::connect(backend, Options::default()).await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_missing_and_not_to_be_created_says_how_to_create_it() {
    let Some(database) = database() else { return };
    let options = Options::default().table("chat_attachments").create_table(false);
    let error = refusal(config(&database), options.clone()).await;
    assert!(matches!(&error, ConnectError::MissingTable { table } if table == "chat_attachments"), "{error:?}");
    says(&error, &["`chat_attachments` is missing", "`schema_sql`", "`Options::create_table(true)`"]);

    database.execute(&schema_sql("chat_attachments").unwrap()).unwrap();
    Cluster::connect(database.url(), options).await.unwrap();
}

#[tokio::test]
async fn a_table_that_the_role_may_not_create_says_what_to_grant() {
    let Some(database) = database() else { return };
    let role = Role::create(&database, "guest");
    let error = refusal(role.config(), Options::default()).await;
    let ConnectError::MayNotCreateTable { table, statement, .. } = &error else { panic!("{error:?}") };
    assert_eq!(table, "socket_io_attachments");
    says(&error, &["may not create it", "permission denied for schema public", "`schema_sql`", statement]);
    assert!(!error.to_string().contains('\n'), "{error}");

    database.execute(&schema_sql("socket_io_attachments").unwrap()).unwrap();
    let error = refusal(role.config(), Options::default()).await;
    let ConnectError::MissingRights { statement, .. } = &error else { panic!("{error:?}") };
    says(&error, &["SELECT on the table", "USAGE on the sequence", statement]);

    // The statements in the error are sufficient.
    database.execute(statement).unwrap();
    let backend = TokioPostgresBackend::new(role.config(), NoTls);
    Cluster::connect(backend, Options::default()).await.unwrap().close().await;
}

#[tokio::test]
async fn rights_that_are_missing_say_what_to_grant_until_all_are_there() {
    let Some(database) = database() else { return };
    let role = Role::create(&database, "guest");
    database.execute(&schema_sql("socket_io_attachments").unwrap()).unwrap();
    database.execute(&log_schema_sql("socket_io_log").unwrap()).unwrap();
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(60)));
    for on in ["socket_io_attachments", "socket_io_log"] {
        let error = refusal(role.config(), options.clone()).await;
        let ConnectError::MissingRights { table, statement, .. } = &error else { panic!("{error:?}") };
        assert_eq!(table, on);
        says(&error, &["lacks SELECT on the table", "DELETE on the table", "USAGE on the sequence", "its owner"]);
        database.execute(statement).unwrap();
    }
    let backend = TokioPostgresBackend::new(role.config(), NoTls);
    Cluster::connect(backend, options).await.unwrap().close().await;
}

#[tokio::test]
async fn a_table_with_another_column_says_how_to_repair_it() {
    let Some(database) = database() else { return };
    database.execute("CREATE TABLE socket_io_attachments (id bigserial, payload bytea)").unwrap();
    let error = refusal(config(&database), Options::default()).await;
    let ConnectError::UnsuitableTable { statement, .. } = &error else { panic!("{error:?}") };
    says(&error, &[r#"no column "created_at""#, "`Options::table`"]);
    database.execute(statement).unwrap();
    Cluster::connect(database.url(), Options::default()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_table_that_another_session_locks_says_how_to_find_it() {
    let Some(database) = database() else { return };
    let options = Options::default().outbox(Outbox::default()).query_timeout(Duration::from_secs(1));
    Cluster::connect(database.url(), options.clone()).await.unwrap().close().await;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE socket_io_outbox").await.unwrap();
    let phrases =
        ["`socket_io_outbox` could not be read in time", "an ACCESS EXCLUSIVE lock", "pg_terminate_backend(pid)"];
    // The role waits for a lock for ever, and then only for a while.
    check_locked(&TokioPostgresBackend::try_from(database.url()).unwrap(), &options, &phrases).await;
    check_locked(&DieselBackend::try_from(database.url()).unwrap(), &options, &phrases).await;
    let hasty = format!("{}?options=-c%20lock_timeout%3D100", database.url());
    let error = refusal(hasty.parse().unwrap(), options.clone()).await;
    says(&error, &phrases);
    check_locked(&DieselBackend::try_from(hasty).unwrap(), &options, &phrases).await;
    // The statement in the text finds the session.
    let text = error.to_string();
    let statement = text.split("This finds it: ").nth(1).unwrap().split(". Let its").next().unwrap();
    let found = database.execute(statement).unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    assert_eq!(found, Some(pid.to_string()));
}

/// Checks that the outbox, and it alone, is found to be locked.
async fn check_locked<B: Backend>(backend: &B, options: &Options, phrases: &[&str]) {
    let checks = socketio_pg_core::Cluster::<B>::check_tables(backend, options).await;
    let problems: Vec<_> = checks.into_iter().filter_map(|check| check.problem).collect();
    let [error @ ConnectError::TableLocked { .. }] = &problems[..] else { panic!("{problems:?}") };
    says(error, phrases);
}

#[tokio::test]
async fn a_table_in_a_schema_that_is_missing_is_an_invalid_option() {
    let Some(database) = database() else { return };
    let error = refusal(config(&database), Options::default().table("nowhere.attachments")).await;
    assert!(matches!(error, ConnectError::Option { option: "table", .. }), "{error:?}");
    says(&error, &[r#""nowhere" does not exist"#, "create its schema"]);
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_before_anything_is_connected() {
    let second = Duration::from_secs(1);
    let valid = Options::default;
    for (options, option, remedy) in [
        (valid().channel_prefix("p".repeat(62)), "channel_prefix", "give one of at most 61 bytes"),
        (valid().channel_prefix("p\0"), "channel_prefix", "NUL"),
        (valid().heartbeat_interval(second).heartbeat_timeout(second), "heartbeat_timeout", "not longer than"),
        (valid().heartbeat_interval(2 * second).heartbeat_timeout(second), "heartbeat_timeout", "not longer than"),
        (valid().table(""), "table", "give `table` or `schema.table`"),
        (valid().table("."), "table", "give `table` or `schema.table`"),
        (valid().table("one.two.three"), "table", "give `table` or `schema.table`"),
        (valid().table(r#""open"#), "table", "give `table` or `schema.table`"),
        (valid().table("a\0b"), "table", "give `table` or `schema.table`"),
        (valid().max_nodes(0), "max_nodes", "give at least 1"),
    ] {
        // There is no host at this address.
        let error = Cluster::connect("postgres://127.0.0.1:1/none", options).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Option { option: named, .. } if *named == option), "{error:?}");
        says(&error, &[option, remedy]);
    }
}

/// An unusual name is quoted, and never read as SQL.
#[tokio::test]
async fn odd_names_of_tables_and_channels_are_names() {
    let Some(database) = database() else { return };
    let prefix = r#"a"b'; DROP TABLE x; -- é"#;
    for table in [r#"a"; DROP TABLE x; --"#, "select", "Größe 1", &"t".repeat(100)] {
        let options = Options::default().channel_prefix(prefix).table(table);
        let nodes = [Node::join(&database, options.clone()).await, Node::join(&database, options).await];
        exchange(&nodes).await;
        for node in nodes {
            node.cluster.close().await;
        }
    }
}

#[tokio::test]
async fn what_lasts_for_ever_or_holds_everything_works() {
    let Some(database) = database() else { return };
    let options = Options::default()
        .heartbeat_timeout(Duration::MAX)
        .cleanup_interval(Duration::MAX)
        .request_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .check_interval(Duration::MAX)
        .payload_threshold(usize::MAX)
        .publish_queue(usize::MAX)
        .max_inbox_bytes(usize::MAX)
        .max_attachment_bytes(usize::MAX)
        .max_requests(usize::MAX)
        .max_responses(usize::MAX)
        .max_nodes(usize::MAX)
        .max_remote_sockets(usize::MAX);
    let nodes = [Node::join(&database, options.clone()).await, Node::join(&database, options).await];
    exchange(&nodes).await;
}

/// A node in this process, without clients.
struct Node {
    cluster: Cluster,
    _io: SocketIo<PostgresAdapter<Emitter>>,
}

impl Node {
    async fn join(database: &Database, options: Options) -> Self {
        let cluster = Cluster::connect(database.url(), options).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter>>(cluster.clone()).build_layer();
        cluster.of("/").on_server_side_with_ack("question", async |text: String| text.len());
        io.ns("/", async || {}).await.unwrap();
        Self { cluster, _io: io }
    }
}

/// Makes one node send the other a small request, and one that is stored in the table.
async fn exchange([one, other]: &[Node; 2]) {
    let mut events = one.cluster.events();
    while one.cluster.of("/").server_count() < 2 {
        let event =
            tokio::time::timeout(socketio_pg_tests::time_limit(), events.next()).await.expect("the other node comes");
        assert!(matches!(event, Some(Event::NodeJoined { .. })), "{event:?}");
    }
    let namespace = one.cluster.of("/");
    for length in [1, 20_000] {
        let question = "x".repeat(length);
        let asking = namespace.server_side_emit_with_ack::<_, usize>("question", &question);
        let (answers, outcome) = asking.await.unwrap().all().await;
        outcome.unwrap();
        assert_eq!(answers, [length]);
    }
    assert_eq!(other.cluster.counts().rejected, 0);
}
