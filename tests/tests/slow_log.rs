//! A catch-up log that cannot be read in time does not keep a node from listening.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool},
};
use socketio_pg_core::{CatchUp, Cluster, Event, EventStream, Options, PostgresAdapter, Recovery, backend::Backend};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{database, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{Client, NoTls};

/// A node with a catch-up log, and one without, which publishes even when the log fails.
struct Nodes<B: Backend> {
    receiver: Cluster<B>,
    events: EventStream,
    received: mpsc::UnboundedReceiver<u64>,
    sender: Cluster<TokioPostgresBackend>,
    _servers: (Io<B>, Io<TokioPostgresBackend>),
}

type Io<B> = SocketIo<PostgresAdapter<Emitter, B>>;

async fn server<B: Backend>(cluster: &Cluster<B>) -> Io<B> {
    let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await.unwrap();
    io
}

impl<B: Backend> Nodes<B> {
    async fn start(backend: B, url: &str) -> Self {
        let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(300)));
        let receiver = Cluster::connect(backend, options).await.unwrap();
        let sender = TokioPostgresBackend::new(url.parse().unwrap(), NoTls);
        let sender = Cluster::connect(sender, Options::default()).await.unwrap();
        let servers = (server(&receiver).await, server(&sender).await);
        let (number, received) = mpsc::unbounded_channel();
        receiver.of("/").on_server_side("e", move |value: u64| {
            let _ = number.send(value);
            std::future::ready(())
        });
        Self { events: receiver.events(), receiver, received, sender, _servers: servers }
    }

    /// Breaks the listening connections and waits until the receiver listens again.
    async fn recovery_after_break(&mut self, database: &Database) -> Recovery {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'listening'";
        // One that was ended before may still be listed.
        let count = kill.replace("pg_terminate_backend(pid)", "*");
        let is_alone = async {
            while database.execute(&count).unwrap().as_deref() != Some("1") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(time_limit(), is_alone).await.expect("one session listens");
        assert_eq!(database.execute(kill).unwrap().as_deref(), Some("1"));
        loop {
            match timeout(time_limit(), self.events.next()).await.expect("the node listens again").unwrap() {
                Event::Gap { recovery, .. } => return recovery,
                _ => continue,
            }
        }
    }

    async fn find_place(&mut self, database: &Database) {
        while !matches!(self.recovery_after_break(database).await, Recovery::Complete { .. }) {}
    }

    /// Breaks the connection while the log cannot be read.
    async fn break_without_log(&mut self, database: &Database) {
        let recovery = self.recovery_after_break(database).await;
        assert!(matches!(&recovery, Recovery::Incomplete { messages: 0, .. }), "{recovery:?}");
        // It hears what is sent from then on.
        self.sender.of("/").server_side_emit("e", &7_u64).await.unwrap();
        assert_eq!(timeout(time_limit(), self.received.recv()).await.unwrap(), Some(7));
        assert!(self.receiver.health().link.is_listening);
    }
}

/// The URL of the receiver's listening connection, by which it can be found among the others.
fn listen_url(database: &Database) -> String {
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}application_name=listening")
}

async fn locked<B: Backend>(connect: fn(&str, &str) -> B) {
    let Some(database) = database() else { return };
    let mut nodes = Nodes::start(connect(&database.url(), &listen_url(&database)), &database.url()).await;
    nodes.find_place(&database).await;
    let locker = client(&database).await;
    locker.batch_execute("BEGIN; LOCK TABLE socket_io_log").await.unwrap();
    nodes.break_without_log(&database).await;
    locker.batch_execute("COMMIT").await.unwrap();
    nodes.find_place(&database).await;
    nodes.receiver.close().await;
}

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_log_does_not_keep_a_node_from_listening_on_tokio_postgres() {
    locked(|url, listen_url| {
        TokioPostgresBackend::with_listen_config(url.parse().unwrap(), listen_url.parse().unwrap(), NoTls)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_log_does_not_keep_a_node_from_listening_on_diesel() {
    locked(|url, listen_url| DieselBackend::with_listen_url(url, listen_url).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_does_not_keep_a_node_from_listening_on_tokio_postgres() {
    let Some(database) = database() else { return };
    let manager = deadpool_postgres::Manager::new(database.url().parse().unwrap(), NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build().unwrap();
    let backend = TokioPostgresBackend::with_pool(pool.clone(), listen_url(&database).parse().unwrap(), NoTls);
    let mut nodes = Nodes::start(backend, &database.url()).await;
    nodes.find_place(&database).await;
    let taken = pool.get().await.unwrap();
    nodes.break_without_log(&database).await;
    drop(taken);
    nodes.find_place(&database).await;
    nodes.receiver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_does_not_keep_a_node_from_listening_on_diesel() {
    let Some(database) = database() else { return };
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(database.url());
    let pool = deadpool::Pool::builder(manager).max_size(1).build().unwrap();
    let backend = DieselBackend::with_pool(pool.clone(), &listen_url(&database)).unwrap();
    let mut nodes = Nodes::start(backend, &database.url()).await;
    nodes.find_place(&database).await;
    let taken = pool.get().await.unwrap();
    nodes.break_without_log(&database).await;
    drop(taken);
    nodes.find_place(&database).await;
    nodes.receiver.close().await;
}
