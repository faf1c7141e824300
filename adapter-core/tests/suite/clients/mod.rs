//! Servers on a database in memory, and real clients that poll them.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses what it needs")]

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    backend::Backend,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

pub type Adapter<B = MemoryBackend> = PostgresAdapter<Emitter, B>;

/// How long to wait for something that must come.
pub const LONG: Duration = Duration::from_secs(60);

/// A server that clients can connect to.
pub struct Server<B: Backend = MemoryBackend> {
    pub cluster: Cluster<B>,
    pub io: SocketIo<Adapter<B>>,
    pub address: SocketAddr,
}

impl Server {
    pub async fn start(database: &MemoryDatabase) -> Self {
        Self::with_options(database, Options::default()).await
    }

    pub async fn with_options(database: &MemoryDatabase, options: Options) -> Self {
        Self::of(Cluster::connect(database.backend(), options).await.unwrap()).await
    }
}

impl<B: Backend> Server<B> {
    /// A server of a given cluster.
    pub async fn of(cluster: Cluster<B>) -> Self {
        let builder = SocketIo::builder().max_buffer_size(10_000).with_adapter::<Adapter<B>>(cluster.clone());
        let (layer, io) = builder.build_layer();
        io.ns("/", async || {}).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });
        Self { cluster, io, address }
    }
}

/// A client of one connection, which polls in the background.
pub struct Client {
    address: SocketAddr,
    session: String,
    packets: mpsc::UnboundedReceiver<String>,
}

impl Client {
    /// Opens a connection, and enters no namespace yet.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, false).await
    }

    /// As [`Self::connect`]; it acknowledges every event of `/` that asks for it.
    pub async fn acknowledging(address: SocketAddr) -> Self {
        let mut client = Self::open_with(address, true).await;
        client.enter("/").await;
        client.wait_for(|packet| packet.starts_with("40")).await;
        client
    }

    async fn open_with(address: SocketAddr, acknowledges: bool) -> Self {
        let opened = http(address, "GET /socket.io/?EIO=4&transport=polling", "").await.unwrap();
        let (_, rest) = opened.split_once(r#""sid":""#).unwrap();
        let (session, _) = rest.split_once('"').unwrap();
        let (sender, packets) = mpsc::unbounded_channel();
        let line = format!("GET /socket.io/?EIO=4&transport=polling&sid={session}");
        let session_of_pings = session.to_owned();
        tokio::spawn(async move {
            while let Some(answer) = http(address, &line, "").await {
                let (_, body) = answer.split_once("\r\n\r\n").unwrap();
                for packet in body.split('\x1e') {
                    // A ping.
                    if packet == "2" {
                        let line = format!("POST /socket.io/?EIO=4&transport=polling&sid={session_of_pings}");
                        http(address, &line, "3").await;
                        continue;
                    }
                    if acknowledges
                        && let Some((id, _)) = packet.strip_prefix("42").and_then(|event| event.split_once('['))
                        && !id.is_empty()
                    {
                        let line = format!("POST /socket.io/?EIO=4&transport=polling&sid={session_of_pings}");
                        http(address, &line, &format!(r#"43{id}["yes"]"#)).await;
                    }
                    if sender.send(packet.to_owned()).is_err() {
                        return;
                    }
                }
            }
        });
        Self { address, session: session.to_owned(), packets }
    }

    /// Opens a connection and enters a namespace. The server has confirmed when this returns.
    pub async fn connect(address: SocketAddr, namespace: &str) -> Self {
        let mut client = Self::open(address).await;
        client.enter(namespace).await;
        client.wait_for(|packet| packet.starts_with(&format!("40{}", prefix(namespace)))).await;
        client
    }

    /// Asks to enter a namespace.
    pub async fn enter(&self, namespace: &str) {
        self.send(&format!("40{}", prefix(namespace))).await;
    }

    pub async fn send(&self, packet: &str) {
        assert!(self.try_send(packet).await, "the session has ended");
    }

    /// False when the session has ended.
    pub async fn try_send(&self, packet: &str) -> bool {
        let line = format!("POST /socket.io/?EIO=4&transport=polling&sid={}", self.session);
        http(self.address, &line, packet).await.is_some()
    }

    /// The next packet that is wanted, `None` when the session ends before that; earlier ones are
    /// dropped.
    pub async fn next(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let waiting = async {
            loop {
                let packet = self.packets.recv().await?;
                if wanted(&packet) {
                    return Some(packet);
                }
            }
        };
        tokio::time::timeout(LONG, waiting).await.expect("a packet, or the end of the session")
    }

    /// The next packet that is wanted; earlier ones are dropped.
    pub async fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_with_others(wanted).await.1
    }

    /// The next packet that is wanted, after the earlier ones.
    pub async fn wait_with_others(&mut self, wanted: impl Fn(&str) -> bool) -> (Vec<String>, String) {
        let mut others = Vec::new();
        let waiting = async {
            loop {
                let packet = self.packets.recv().await.expect("the connection is open");
                if wanted(&packet) {
                    return packet;
                }
                others.push(packet);
            }
        };
        let packet = tokio::time::timeout(LONG, waiting).await;
        let packet = packet.unwrap_or_else(|_| panic!("the packet did not come, only {others:?}"));
        (others, packet)
    }

    /// This many events of the namespace, in the order in which they come: the text after `42`.
    pub async fn events(&mut self, namespace: &str, count: usize) -> Vec<String> {
        let start = format!("42{}", prefix(namespace));
        let mut events = Vec::new();
        while events.len() < count {
            let packet = self.wait_for(|packet| packet.starts_with(&start)).await;
            events.push(packet[start.len()..].to_owned());
        }
        events
    }
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// One request on its own connection; returns the response with its head. `None` when the session
/// is gone.
async fn http(address: SocketAddr, line: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).unwrap();
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}
