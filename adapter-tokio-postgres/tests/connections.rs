//! Which connections are opened, what statements leave in them, and what happens when the server
//! goes.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{net::TcpListener, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, Pool};
use socketio_pg_core::{
    Cluster, ConnectError, Options,
    backend::{Backend, BackendError, Content, ErrorKind, FetchLimits, Listener, Outgoing, Prepare},
};
use socketio_pg_throwaway::{Database, Server, StopMode};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio_postgres::{Config, NoTls};

const TABLE: &str = "socket_io_attachments";

fn config(url: &str, application_name: &str) -> Config {
    let mut config: Config = url.parse().unwrap();
    config.application_name(application_name);
    config
}

fn small_and_large() -> [Outgoing; 2] {
    let attachment =
        Content::Attachment { body: vec![7; 9000], before_id: "large ".to_owned(), after_id: ".".to_owned() };
    [Content::Inline("small".to_owned()), attachment].map(|content| Outgoing {
        channel: "c".to_owned(),
        content,
        is_logged: false,
    })
}

/// Runs each kind of statement.
async fn use_everything(backend: &TokioPostgresBackend) -> Result<(), BackendError> {
    backend.prepare(TABLE, true).await?;
    backend.publish(TABLE, None, &small_and_large()[..1]).await?;
    backend.publish(TABLE, None, &small_and_large()).await?;
    backend.fetch(TABLE, &[1], FetchLimits::NONE).await?;
    backend.sweep(TABLE, Duration::from_secs(60)).await?;
    Ok(())
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it happens within a minute")
}

#[tokio::test]
async fn statements_and_listening_go_where_each_is_told() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let (statements, listening) = (config(&database.url(), "statements"), config(&database.url(), "listening"));
    let by_settings = TokioPostgresBackend::with_listen_config(statements, listening, NoTls);
    let [statements, listening] = ["statements", "listening"].map(|name| {
        let url = database.url();
        format!("{url}{}application_name={name}", if url.contains('?') { '&' } else { '?' })
    });
    let by_url = TokioPostgresBackend::with_listen_url(&statements, &listening).unwrap();
    for backend in [by_settings, by_url] {
        assert_go_where_each_is_told(&database, backend).await;
    }
}

async fn assert_go_where_each_is_told(database: &Database, backend: TokioPostgresBackend) {
    use_everything(&backend).await.unwrap();
    let mut listener = backend.connect_listener().await.unwrap();
    listener.listen(&["c".to_owned()]).await.unwrap();

    let sessions = "SELECT string_agg(DISTINCT application_name, ' ') FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                        AND application_name <> '' AND query LIKE 'LISTEN%' = ";
    let names = |listening| database.execute(&format!("{sessions}{listening}")).unwrap();
    assert_eq!(names(true).as_deref(), Some("listening"));
    assert_eq!(names(false).as_deref(), Some("statements"));
}

#[tokio::test]
async fn a_borrowed_pool_is_returned_as_it_was() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let manager = Manager::new(database.url().parse().unwrap(), NoTls);
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    // The settings of PL/pgSQL, which creating a table uses, exist once it was used.
    let settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
        WHERE name NOT LIKE 'plpgsql.%'";
    let settings_before: String = pool.get().await.unwrap().query_one(settings, &[]).await.unwrap().get(0);

    let backend = TokioPostgresBackend::with_pool(pool.clone(), config(&database.url(), "listening"), NoTls);
    for _ in 0..10 {
        use_everything(&backend).await.unwrap();
    }
    backend.close();
    assert!(use_everything(&backend).await.is_err());

    let client = pool.get().await.unwrap();
    let settings_after: String = client.query_one(settings, &[]).await.unwrap().get(0);
    assert_eq!(settings_after, settings_before);
    // The query that counts is itself prepared.
    let prepared: i64 = client.query_one("SELECT count(*) FROM pg_prepared_statements", &[]).await.unwrap().get(0);
    assert_eq!(prepared, 1);
}

#[tokio::test]
async fn a_transaction_with_attachments_does_not_wait_for_the_disk() {
    let database = Server::shared().unwrap().create_database().unwrap();
    for backend in [
        TokioPostgresBackend::new(database.url().parse().unwrap(), NoTls),
        TokioPostgresBackend::with_listen_config(
            database.url().parse().unwrap(),
            database.url().parse().unwrap(),
            NoTls,
        ),
    ] {
        backend.prepare(TABLE, true).await.unwrap();
        // Reads the setting when the transaction commits, which is when it counts.
        database
            .execute(
                "DROP TABLE IF EXISTS seen; CREATE TABLE seen (setting text);
                 CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NULL; END';
                 DROP TRIGGER IF EXISTS see ON socket_io_attachments;
                 CREATE CONSTRAINT TRIGGER see AFTER INSERT ON socket_io_attachments DEFERRABLE INITIALLY DEFERRED
                     FOR EACH ROW EXECUTE FUNCTION see()",
            )
            .unwrap();
        backend.publish(TABLE, None, &small_and_large()).await.unwrap();
        assert_eq!(database.execute("SELECT string_agg(setting, ' ') FROM seen").unwrap().as_deref(), Some("off"));
    }
}

#[tokio::test]
async fn a_node_server_that_creates_the_table_meanwhile_is_no_obstacle() {
    let database = Arc::new(Server::shared().unwrap().create_database().unwrap());
    let backend = TokioPostgresBackend::new(database.url().parse().unwrap(), NoTls);
    // In one transaction, without our lock: another session that creates the table meanwhile waits
    // for it, and then fails.
    let creates = "CREATE TABLE IF NOT EXISTS socket_io_attachments
                       (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea);
                   SELECT pg_sleep(1)";
    let node_server = tokio::task::spawn_blocking({
        let database = database.clone();
        move || database.execute(creates).unwrap()
    });
    let is_at_it =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while database.execute(is_at_it).unwrap().as_deref() != Some("1") {
        assert!(!node_server.is_finished(), "it was to take a second");
    }
    soon(backend.prepare(TABLE, true)).await.unwrap();
    node_server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let server = Server::builder().start().unwrap();
    let database = server.create_database().unwrap();
    let backend = TokioPostgresBackend::new(database.url().parse().unwrap(), NoTls);
    for mode in [StopMode::Fast, StopMode::Kill] {
        use_everything(&backend).await.unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(&["c".to_owned()]).await.unwrap();

        server.stop(mode).unwrap();
        assert_eq!(soon(listener.next()).await.unwrap_err().kind(), ErrorKind::Connection, "{mode:?}");
        assert_eq!(soon(use_everything(&backend)).await.unwrap_err().kind(), ErrorKind::Connection, "{mode:?}");
        assert_eq!(soon(backend.connect_listener()).await.unwrap_err().kind(), ErrorKind::Connection, "{mode:?}");

        server.restart().unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(&["c".to_owned()]).await.unwrap();
        use_everything(&backend).await.unwrap();
        assert_eq!(soon(listener.next()).await.unwrap().payload, "small", "{mode:?}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    // The operating system accepts connections, but no server replies.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@{}/postgres?connect_timeout=3", silent.local_addr().unwrap());
    let backend = TokioPostgresBackend::new(url.parse().unwrap(), NoTls);
    let batch = small_and_large();
    assert_eq!(soon(backend.publish(TABLE, None, &batch)).await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!(soon(backend.connect_listener()).await.unwrap_err().kind(), ErrorKind::Connection);
}

/// Hosts where the operating system accepts connections but no server replies, before the host of
/// `url`.
fn behind(silent: &[TcpListener], url: &str) -> String {
    let (role, address) = url.split_once('@').unwrap();
    let silent: Vec<_> = silent.iter().map(|silent| silent.local_addr().unwrap().to_string()).collect();
    format!("{role}@{},{address}", silent.join(","))
}

#[tokio::test]
async fn a_node_comes_to_the_second_host_though_nothing_is_said_about_time_and_finds_the_silent_one_out_once() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let silent = [TcpListener::bind("127.0.0.1:0").unwrap()];
    let url = behind(&silent, &database.url());
    let backend = TokioPostgresBackend::new(url.parse().unwrap(), NoTls);
    let cluster = soon(Cluster::<TokioPostgresBackend>::connect(backend.clone(), Options::default())).await.unwrap();
    soon(backend.connect_listener()).await.unwrap();
    // Both pools and two listeners are connected.
    let [silent] = silent;
    silent.set_nonblocking(true).unwrap();
    let attempts = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(attempts, 1);
    cluster.close().await;
}

#[tokio::test]
async fn an_error_says_of_every_host_why_it_cannot_be_used() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let silent = [TcpListener::bind("127.0.0.1:0").unwrap()];
    let url = behind(&silent, &database.url()).replace(database.name(), "nowhere");
    let url = format!("{url}{}connect_timeout=3", if url.contains('?') { '&' } else { '?' });
    let backend = TokioPostgresBackend::try_from(url.as_str()).unwrap();

    let of_listener = soon(backend.connect_listener()).await.err().unwrap();
    // By now the silent host comes last, and the time is over when it does not reply.
    let of_statement = soon(backend.prepare(TABLE, true)).await.unwrap_err();
    let of_function = soon(socketio_pg_tokio_postgres::connect(&url)).await.err().unwrap();
    for error in [&of_listener, &of_statement] {
        assert_eq!(error.kind(), ErrorKind::Connection, "trying again may help: {error}");
    }
    for text in [of_listener.to_string(), of_statement.to_string(), of_function.to_string()] {
        let silent = format!("{}: it did not answer within", silent[0].local_addr().unwrap());
        for phrase in ["none of the 2 hosts can be used", &silent, "database \"nowhere\" does not exist"] {
            assert!(text.contains(phrase), "not {phrase:?} in: {text}");
        }
    }
}

#[tokio::test]
async fn an_application_connects_as_a_node_does() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let client = soon(socketio_pg_tokio_postgres::connect(&database.url())).await.unwrap();
    let row = client.query_one("SELECT current_setting('application_name')", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "socketio-pg");

    let error = soon(socketio_pg_tokio_postgres::connect("mysql://localhost/db")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Url(_)), "{error}");
}

#[tokio::test]
async fn the_time_for_silent_hosts_comes_on_top_of_the_time_that_a_node_has_for_connecting() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let silent = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let url = behind(&silent, &database.url());
    let url = format!("{url}{}connect_timeout=4", if url.contains('?') { '&' } else { '?' });
    let backend = TokioPostgresBackend::new(url.parse().unwrap(), NoTls);
    let options = Options::default().connect_timeout(Duration::from_secs(7));
    soon(Cluster::<TokioPostgresBackend>::connect(backend, options)).await.unwrap().close().await;
}

/// The names of the sessions that listen, and of the others.
fn names(database: &Database) -> [Option<String>; 2] {
    [true, false].map(|listens| {
        let names = format!(
            "SELECT string_agg(DISTINCT application_name, ', ') FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> ''
                 AND (query LIKE 'LISTEN%' OR query = '') = {listens}"
        );
        database.execute(&names).unwrap()
    })
}

async fn names_while_connected(
    database: &Database,
    backend: TokioPostgresBackend,
    options: Options,
) -> [Option<String>; 2] {
    let cluster = soon(Cluster::<TokioPostgresBackend>::connect(backend, options)).await.unwrap();
    let names = names(database);
    cluster.close().await;
    // Its sessions end a little later.
    let all = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''
                   AND pid <> pg_backend_pid()";
    while database.execute(all).unwrap().as_deref() != Some("0") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    names
}

#[tokio::test]
async fn sessions_have_the_name_of_their_node_unless_the_settings_give_one() {
    let database = Server::shared().unwrap().create_database().unwrap();
    let url = database.url();
    let with = |parameter: &str| format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' });
    let new = |url: &str| TokioPostgresBackend::try_from(url).unwrap();
    let both = |name: &str| [Some(name.to_owned()), Some(name.to_owned())];

    let default = names_while_connected(&database, new(&url), Options::default()).await;
    let [Some(listening), Some(others)] = default else { panic!("{default:?}") };
    let process = format!(":{}", std::process::id());
    assert!(listening.starts_with("socketio-pg ") && listening.ends_with(&process), "{listening}");
    assert_eq!(others, listening);

    let options = || Options::default().node_name(format!("web-ü 'a' \\ {}", "x".repeat(60)));
    let name = format!("socketio-pg web-? 'a' \\ {}", "x".repeat(39));
    assert_eq!(name.len(), 63);
    assert_eq!(names_while_connected(&database, new(&url), options()).await, both(&name));
    let mine = with("application_name=mine");
    assert_eq!(names_while_connected(&database, new(&mine), options()).await, both("mine"));
    let plain = with("application_name=socketio-pg");
    assert_eq!(names_while_connected(&database, new(&plain), options()).await, both("socketio-pg"));

    // Nodes may share the sessions of another address.
    let elsewhere = with("connect_timeout=9").parse().unwrap();
    let two = TokioPostgresBackend::with_listen_config(elsewhere, url.parse().unwrap(), NoTls);
    let expected = [Some(name.clone()), Some("socketio-pg".to_owned())];
    assert_eq!(names_while_connected(&database, two, options()).await, expected);
    let pool = Pool::builder(Manager::new(url.parse().unwrap(), NoTls)).max_size(2).build().unwrap();
    let borrowed = TokioPostgresBackend::with_pool(pool, url.parse().unwrap(), NoTls);
    assert_eq!(names_while_connected(&database, borrowed, options()).await, [Some(name), None]);
}
