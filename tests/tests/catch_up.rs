//! The catch-up log on a real PostgreSQL: connections break and servers restart while many messages
//! are sent, with a Node.js server in the cluster.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{sync::Arc, time::Duration};

use serde_json::json;
use socketio_pg_core::{CatchUp, Cluster, Event, EventStream, Options, PostgresAdapter, Recovery, backend::Backend};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{Kind, NODE, Node, NodeOptions, database, require, time_limit};
use socketio_pg_throwaway::{Database, Server, StopMode};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::NoTls;

/// Publishes through the first URL, listens through the second.
type Connect<B> = fn(&str, &str) -> B;

fn tokio_postgres(url: &str, listen_url: &str) -> TokioPostgresBackend {
    TokioPostgresBackend::with_listen_config(url.parse().unwrap(), listen_url.parse().unwrap(), NoTls)
}

fn diesel(url: &str, listen_url: &str) -> DieselBackend {
    DieselBackend::with_listen_url(url, listen_url).unwrap()
}

/// A node with the namespace `/`, and the numbers of the events `e` that other nodes emit.
struct RustNode<B: Backend> {
    cluster: Cluster<B>,
    events: EventStream,
    received: mpsc::UnboundedReceiver<u64>,
    _server: SocketIo<PostgresAdapter<Emitter, B>>,
}

impl<B: Backend> RustNode<B> {
    async fn start(backend: B) -> Self {
        let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(300)));
        let cluster = Cluster::connect(backend, options).await.unwrap();
        let events = cluster.events();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        let (number, received) = mpsc::unbounded_channel();
        cluster.of("/").on_server_side("e", move |(value, _): (u64, String)| {
            let _ = number.send(value);
            std::future::ready(())
        });
        Self { cluster, events, received, _server: io }
    }

    async fn emit(&self, number: u64) -> Result<(), socketio_pg_core::Error> {
        // Some are attachments.
        let text = if number.is_multiple_of(20) { "x".repeat(9000) } else { String::new() };
        self.cluster.of("/").server_side_emit("e", &(number, text)).await
    }

    async fn recovery(&mut self) -> Recovery {
        loop {
            match timeout(3 * time_limit(), self.events.next()).await.expect("the node hears again").unwrap() {
                Event::Gap { recovery, .. } => return recovery,
                _ => continue,
            }
        }
    }

    /// Breaks the connection until the node knows its position in the log.
    async fn find_place(&mut self, database: &Database) {
        loop {
            break_connections(database);
            if let Recovery::Complete { .. } = self.recovery().await {
                return;
            }
        }
    }

    async fn next(&mut self) -> u64 {
        timeout(3 * time_limit(), self.received.recv()).await.expect("the event comes").unwrap()
    }
}

/// Breaks the listening connections of the Rust nodes.
fn break_connections(database: &Database) {
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'socketio-pg%' AND (query LIKE 'LISTEN%' OR query LIKE '/* socketio-pg %')";
    database.execute(kill).unwrap();
}

async fn a_storm_with_broken_connections<B: Backend>(connect: Connect<B>) {
    const SENT: u64 = 2000;
    if !require(&NODE) {
        return;
    }
    let Some(database) = database() else { return };
    let url = database.url();
    let mut receiver = RustNode::start(connect(&url, &url)).await;
    let sender = RustNode::start(connect(&url, &url)).await;
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(url)).await.unwrap();
    node.wait_for_server_count("/", 3).await.unwrap();
    receiver.find_place(&database).await;
    for number in 0..SENT {
        if number % 100 == 50 {
            break_connections(&database);
        }
        sender.emit(number).await.unwrap();
    }
    for expected in 0..SENT {
        assert_eq!(receiver.next().await, expected);
    }
    receiver.cluster.close().await;
    assert!(receiver.received.try_recv().is_err(), "something came twice");
    assert_eq!(receiver.cluster.counts().rejected, 0);
    let mut gaps = 0;
    while let Ok(Some(event)) = timeout(Duration::ZERO, receiver.events.next()).await {
        if let Event::Gap { recovery, .. } = event {
            assert!(matches!(recovery, Recovery::Complete { .. }), "{recovery:?}");
            gaps += 1;
        }
    }
    assert!(gaps > 0, "no connection was broken: the test tests nothing");
    // Node.js heard all messages as usual.
    let is_last = |event: &serde_json::Value| event["name"] == "e" && event["args"][0] == SENT - 1;
    node.wait_for_event("the last number", is_last).await.unwrap();
    // It fetches attachments while it handles later messages.
    let heard = |event: &serde_json::Value| if event["name"] == "e" { event["args"][0].as_u64() } else { None };
    let is_large = |number: &u64| number.is_multiple_of(20);
    let mut heard: Vec<u64> = node.events().iter().filter_map(heard).collect();
    heard.retain(|number| !is_large(number));
    assert_eq!(heard, (0..SENT).filter(|number| !is_large(number)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_in_a_storm_lose_nothing_on_tokio_postgres() {
    a_storm_with_broken_connections(tokio_postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_in_a_storm_lose_nothing_on_diesel() {
    a_storm_with_broken_connections(diesel).await;
}

async fn what_a_disconnected_node_gets<B: Backend>(connect: Connect<B>) {
    if !require(&NODE) {
        return;
    }
    let Some(database) = database() else { return };
    let url = database.url();
    // The role of the listening session, so that its login can be refused.
    let role = format!("{}_ear", database.name());
    database.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'ear'")).unwrap();
    let (_, address) = url.split_once('@').unwrap();
    let mut receiver = RustNode::start(connect(&url, &format!("postgres://{role}:ear@{address}"))).await;
    let sender = RustNode::start(connect(&url, &url)).await;
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(url)).await.unwrap();
    node.wait_for_server_count("/", 3).await.unwrap();
    receiver.find_place(&database).await;

    let node_emits = async |number: u64| {
        node.call("serverSideEmit", json!({"event": "e", "args": [number, ""]})).await.unwrap();
    };
    node_emits(1).await;
    assert_eq!(receiver.next().await, 1);
    database.execute(&format!("ALTER ROLE {role} NOLOGIN")).unwrap();
    let kill = format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{role}'");
    database.execute(&kill).unwrap();
    node_emits(2).await;
    sender.emit(3).await.unwrap();
    sender.emit(20).await.unwrap();
    database.execute(&format!("ALTER ROLE {role} LOGIN")).unwrap();
    assert_eq!(receiver.recovery().await, Recovery::Complete { messages: 2 });
    node_emits(4).await;
    // Node.js's event was inline and is lost.
    for expected in [3, 20, 4] {
        assert_eq!(receiver.next().await, expected);
    }
    receiver.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_node_gets_later_what_rust_sent_and_not_what_node_js_sent_on_tokio_postgres() {
    what_a_disconnected_node_gets(tokio_postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_node_gets_later_what_rust_sent_and_not_what_node_js_sent_on_diesel() {
    what_a_disconnected_node_gets(diesel).await;
}

/// Emits until the server is up again, and returns the numbers that were committed.
async fn storm_through_restart<B: Backend>(sender: &RustNode<B>, server: &Arc<Server>, mode: StopMode) -> Vec<u64> {
    let mut committed = Vec::new();
    let server = server.clone();
    let restart = tokio::task::spawn_blocking(move || {
        server.stop(mode).unwrap();
        server.restart().unwrap();
    });
    for number in 1.. {
        let is_last = restart.is_finished();
        match sender.emit(number).await {
            Ok(()) => committed.push(number),
            // Not sent, or perhaps sent: then it may arrive. The pause limits the number of
            // attempts.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        if is_last {
            break;
        }
    }
    restart.await.unwrap();
    committed
}

async fn a_restart_in_a_storm<B: Backend>(connect: Connect<B>, mode: StopMode) {
    let server = Arc::new(Server::builder().start().unwrap());
    let database = server.create_database().unwrap();
    let url = database.url();
    let mut receiver = RustNode::start(connect(&url, &url)).await;
    let sender = RustNode::start(connect(&url, &url)).await;
    receiver.find_place(&database).await;
    for number in 0..100 {
        sender.emit(1_000_000 + number).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(receiver.next().await, 1_000_000 + number);
    }
    let is_crash = matches!(mode, StopMode::Immediate);
    let mut committed = storm_through_restart(&sender, &server, mode).await;
    match receiver.recovery().await {
        Recovery::Complete { .. } if !is_crash => {}
        Recovery::Incomplete { reason, .. } if is_crash => assert!(reason.contains("crashed"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let last = u64::MAX;
    timeout(time_limit(), async { while sender.emit(last).await.is_err() {} }).await.unwrap();
    let mut received = Vec::new();
    loop {
        match receiver.next().await {
            number if number == last => break,
            number => received.push(number),
        }
    }
    assert!(received.is_sorted_by(|one, other| one < other), "out of order, or twice");
    if !is_crash {
        committed.retain(|number| received.binary_search(number).is_err());
        assert!(committed.is_empty(), "lost: {committed:?}");
    }
    receiver.cluster.close().await;
    sender.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_a_storm_loses_nothing_on_tokio_postgres() {
    a_restart_in_a_storm(tokio_postgres, StopMode::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_a_storm_loses_nothing_on_diesel() {
    a_restart_in_a_storm(diesel, StopMode::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_is_told() {
    a_restart_in_a_storm(tokio_postgres, StopMode::Immediate).await;
}
