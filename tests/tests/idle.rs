//! A cluster at rest: Rust servers with `Options::watch_sessions` see in PostgreSQL that the others
//! live, and write nothing.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use socketio_pg_core::{
    Cluster, Event, Options, PostgresAdapter,
    backend::{Backend, BackendError},
};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{Kind, NODE, Node, NodeOptions, database, require, sessions::signal, time_limit};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::time::{sleep, timeout};

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(4);

/// A server in this process.
struct Rust<B: Backend> {
    cluster: Cluster<B>,
    _io: SocketIo<PostgresAdapter<Emitter, B>>,
}

impl<B: Backend + TryFrom<String, Error = BackendError>> Rust<B> {
    async fn start(url: &str) -> Self {
        Self::start_with(url, Options::default().watch_sessions(true)).await
    }

    async fn start_with(url: &str, options: Options) -> Self {
        let options = options.heartbeat_interval(INTERVAL).heartbeat_timeout(TIMEOUT);
        let cluster = Cluster::<B>::connect(url.to_owned(), options).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        Self { cluster, _io: io }
    }

    /// The number of servers that it knows, and whether it sends no heartbeats.
    fn state(&self) -> (usize, bool) {
        let health = self.cluster.health();
        (health.namespaces[0].nodes, health.namespaces[0].is_silent)
    }

    async fn until(&self, servers: usize, is_silent: bool) {
        let begun = Instant::now();
        while self.state() != (servers, is_silent) {
            let (found, silent) = self.state();
            assert!(
                begun.elapsed() < time_limit(),
                "{found} servers, silent: {silent}; expected {servers} and {is_silent}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// For longer than a silent server is waited for, it knows this many servers.
    async fn stays(&self, servers: usize) {
        let begun = Instant::now();
        while begun.elapsed() < 2 * TIMEOUT {
            assert_eq!(self.state().0, servers, "{:?}", begun.elapsed());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn test_node(backend: &str) -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() }
}

fn options_of_nodes(database: &Database) -> NodeOptions {
    NodeOptions::new(database.url()).heartbeat_interval(INTERVAL).heartbeat_timeout(TIMEOUT).watch_sessions(true)
}

/// What the whole server has written: its position in the WAL, and its next transaction number.
fn written(database: &Database) -> String {
    let what = "SELECT pg_current_wal_insert_lsn() || ' ' || pg_snapshot_xmax(pg_current_snapshot())";
    database.execute(what).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_at_rest_write_nothing() {
    if database().is_none() {
        return; // skipped, as it has reported
    }
    // Alone on its server: positions in the WAL are of the whole server.
    let start = || Server::builder().setting("autovacuum", "off").start();
    let server = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    let database = server.create_database().unwrap();
    let one = Rust::<TokioPostgresBackend>::start(&database.url()).await;
    let other = Rust::<DieselBackend>::start(&database.url()).await;
    one.until(2, true).await;
    other.until(2, true).await;

    // The server itself still writes a little of what happened before.
    let mut still = 0;
    let resting = async {
        while still < 2 {
            let before = written(&database);
            sleep(TIMEOUT).await;
            still = if written(&database) == before { still + 1 } else { 0 };
        }
    };
    timeout(2 * time_limit(), resting).await.expect("the server comes to rest");
    assert_eq!((one.state(), other.state()), ((2, true), (2, true)), "and they know each other");

    let mut events = one.cluster.events();
    drop(other);
    // For a while it asks for heartbeats: the close message may be false.
    one.until(1, false).await;
    while let Some(event) = timeout(time_limit(), events.next()).await.expect("it tells that the other left") {
        if let Event::NodeLeft { closed, .. } = event {
            assert!(closed, "it sent a close message");
            break;
        }
    }
    one.until(1, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_node_gets_heartbeats_while_it_is_there() {
    if !require(&NODE) {
        return;
    }
    let Some(database) = database() else { return };
    let one = Rust::<TokioPostgresBackend>::start(&database.url()).await;
    let other = Rust::<DieselBackend>::start(&database.url()).await;
    one.until(2, true).await;
    other.until(2, true).await;
    let node = Node::start(&Kind::NodeServer, &options_of_nodes(&database)).await.unwrap();
    one.until(3, false).await;
    other.until(3, false).await;
    node.wait_for_server_count("/", 3).await.unwrap();
    one.stays(3).await;
    node.wait_for_server_count("/", 3).await.unwrap();
    assert_eq!((one.state(), other.state()), ((3, false), (3, false)));
    node.kill().await.unwrap();
    one.until(2, true).await;
    other.until(2, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_see_each_other_send_heartbeats() {
    let Some(database) = database() else { return };
    let name = format!("{}_blind", database.name());
    database
        .execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'blind'; GRANT ALL ON SCHEMA public TO {name}"))
        .unwrap();
    let one = Rust::<TokioPostgresBackend>::start(&database.url()).await;
    database
        .execute(&format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}"
        ))
        .unwrap();
    one.until(1, true).await;
    // The first is a superuser and sees all; the other sees itself alone.
    let url = database.url();
    let (_, address) = url.rsplit_once('@').unwrap();
    let url = format!("postgres://{name}:blind@{address}");
    let blind = Rust::<DieselBackend>::start(&url).await;
    one.until(2, false).await;
    blind.until(2, false).await;
    one.stays(2).await;
    assert_eq!((one.state(), blind.state()), ((2, false), (2, false)));
    drop(blind);
    one.until(1, true).await;
    database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_option_on_one_server_alone_there_are_heartbeats_for_all() {
    let Some(database) = database() else { return };
    let one = Rust::<TokioPostgresBackend>::start(&database.url()).await;
    let other = Rust::<DieselBackend>::start_with(&database.url(), Options::default()).await;
    one.until(2, false).await;
    other.until(2, false).await;
    one.stays(2).await;
    assert_eq!((one.state(), other.state()), ((2, false), (2, false)));
}

async fn a_process_that_hangs_is_noticed(backend: &str) {
    let Some(database) = database() else { return };
    let one = Rust::<TokioPostgresBackend>::start(&database.url()).await;
    let node = Node::start(&test_node(backend), &options_of_nodes(&database)).await.unwrap();
    one.until(2, true).await;
    one.stays(2).await;
    let pid = node.pid().to_string();
    signal("-STOP", &pid).unwrap();
    let begun = Instant::now();
    while one.state().0 == 2 {
        assert!(begun.elapsed() < time_limit(), "it hangs, and still counts");
        sleep(Duration::from_millis(20)).await;
    }
    // Its last look came up to half an interval before. The machine may be slow, so no upper bound
    // is held here: the rules' own tests hold it.
    assert!(begun.elapsed() >= TIMEOUT - INTERVAL, "{:?}: it was not waited for", begun.elapsed());
    signal("-CONT", &pid).unwrap();
    one.until(2, true).await;
    node.wait_for_server_count("/", 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_noticed_on_tokio_postgres() {
    a_process_that_hangs_is_noticed("tokio-postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_noticed_on_diesel() {
    a_process_that_hangs_is_noticed("diesel").await;
}
