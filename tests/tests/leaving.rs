//! A node whose last handle is dropped leaves in order, on a real PostgreSQL and both backends.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use socketio_pg_core::{
    Cluster, Event, Options, PostgresAdapter,
    backend::{Backend, BackendError},
};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{database, sessions::OF_RUST, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::time::{sleep, timeout};

type Node<B> = (Cluster<B>, SocketIo<PostgresAdapter<Emitter, B>>);

async fn start<B: Backend + TryFrom<String, Error = BackendError>>(database: &Database) -> Node<B> {
    // The close message must be heard: the heartbeat time-out must not take its place.
    let options = Options::default().heartbeat_timeout(4 * time_limit());
    let cluster = Cluster::<B>::connect(database.url(), options).await.unwrap();
    let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await.unwrap();
    (cluster, io)
}

/// Waits until the database has no session of a Rust node.
async fn wait_for_no_session(database: &Database) {
    // Fails with a message while there is one.
    let none = format!("SELECT 1 / (CASE WHEN count(*) = 0 THEN 1 ELSE 0 END) FROM pg_stat_activity WHERE {OF_RUST}");
    let waiting = async {
        while database.execute(&none).is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(time_limit(), waiting).await.expect("every session of the node ends");
}

async fn a_dropped_node_sends_its_close_message_and_leaves_no_session<B>()
where
    B: Backend + TryFrom<String, Error = BackendError>,
{
    let Some(database) = database() else { return };
    let one = start::<B>(&database).await;
    let mut events = one.0.events();
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    one.0.of("/").on_server_side("e", move |(number, _): (u64, String)| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    let (cluster, io) = start::<B>(&database).await;
    while !matches!(timeout(time_limit(), events.next()).await.unwrap().unwrap(), Event::NodeJoined { .. }) {}
    let namespace = cluster.of("/");
    for number in 0..100_u64 {
        let text = "x".repeat(if number.is_multiple_of(4) { 9000 } else { 0 });
        let emit = namespace.clone();
        let mut sending = Box::pin(async move { emit.server_side_emit("e", &(number, text)).await });
        assert!(futures_util::poll!(&mut sending).is_pending());
    }
    drop((namespace, cluster, io));
    for number in 0..100 {
        assert_eq!(timeout(time_limit(), received.recv()).await.unwrap(), Some(number));
    }
    loop {
        if let Event::NodeLeft { closed, .. } = timeout(time_limit(), events.next()).await.unwrap().unwrap() {
            assert!(closed);
            break;
        }
    }
    drop(one);
    wait_for_no_session(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_node_sends_its_close_message_and_leaves_no_session_on_tokio_postgres() {
    a_dropped_node_sends_its_close_message_and_leaves_no_session::<TokioPostgresBackend>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_node_sends_its_close_message_and_leaves_no_session_on_diesel() {
    a_dropped_node_sends_its_close_message_and_leaves_no_session::<DieselBackend>().await;
}
