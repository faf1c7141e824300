//! Nodes on a database in memory, for the other tests in this folder.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses what it needs")]

use std::time::Duration;

use serde_json::Value;
use socketio_pg_core::{
    Cluster, Event, EventStream, Options, PostgresAdapter,
    backend::{Backend, Listener},
    testing::memory::{MemoryBackend, MemoryDatabase, MemoryListener},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::sync::mpsc;

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

/// A server with the namespace `/`.
pub struct Node {
    pub cluster: Cluster<MemoryBackend>,
    pub io: SocketIo<Adapter>,
    pub events: EventStream,
}

impl Node {
    pub async fn start(database: &MemoryDatabase) -> Self {
        Self::with_options(database, Options::default()).await
    }

    pub async fn with_options(database: &MemoryDatabase, options: Options) -> Self {
        let cluster = Cluster::connect(database.backend(), options).await.unwrap();
        let events = cluster.events();
        let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        Self { cluster, io, events }
    }

    /// Waits for an event; earlier ones are dropped.
    pub async fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let waiting = async {
            loop {
                let event = self.events.next().await.expect("the node lives");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(600), waiting).await.expect("the event comes")
    }

    pub async fn wait_for_peer(&mut self) {
        self.wait_for(|event| matches!(event, Event::NodeJoined { .. })).await;
    }

    pub fn server_count(&self) -> usize {
        self.cluster.of("/").server_count()
    }
}

/// Two nodes that know each other.
pub async fn pair(database: &MemoryDatabase) -> [Node; 2] {
    let mut nodes = [Node::start(database).await, Node::start(database).await];
    for node in &mut nodes {
        node.wait_for_peer().await;
    }
    nodes
}

/// Collects the events `e` that other servers emit.
pub fn collect(node: &Node) -> mpsc::UnboundedReceiver<u64> {
    let (sender, receiver) = mpsc::unbounded_channel();
    node.cluster.of("/").on_server_side("e", move |number: u64| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    receiver
}

/// Hears the messages of a channel.
pub struct Spy(MemoryListener);

impl Spy {
    pub async fn on(database: &MemoryDatabase, channel: &str) -> Self {
        let mut listener = database.backend().connect_listener().await.unwrap();
        listener.listen(&[channel.to_owned()]).await.unwrap();
        Self(listener)
    }

    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(Duration::from_secs(60), self.0.next());
        serde_json::from_str(&next.await.expect("a message comes").unwrap().payload).unwrap()
    }

    /// The next message of a type; others are dropped.
    pub async fn next_of(&mut self, kind: u64) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }
}
