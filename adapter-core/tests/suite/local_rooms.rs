//! A server keeps rooms only for its own sockets, and asks the others for theirs.

use std::{fmt::Debug, net::SocketAddr};

use axum::Router;
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter as LocalEmitter, extract::SocketRef, socket::Sid};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::sweep::until;

type Adapter = PostgresAdapter<LocalEmitter, MemoryBackend>;

/// A server whose sockets are in `hall`, and in rooms that are named like them in the namespace
/// `/named`.
struct Server {
    io: SocketIo<Adapter>,
    cluster: Cluster<MemoryBackend>,
    address: SocketAddr,
    connected: mpsc::UnboundedReceiver<Sid>,
}

impl Server {
    async fn start(database: &MemoryDatabase) -> Self {
        let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
        let (layer, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
        cluster.attach(&io);
        let (sender, connected) = mpsc::unbounded_channel();
        let of_named = sender.clone();
        let plain = async move |socket: SocketRef<Adapter>| {
            socket.join("hall");
            let _ = sender.send(socket.id);
        };
        let named = async move |socket: SocketRef<Adapter>| {
            socket.join(socket.id);
            let _ = of_named.send(socket.id);
        };
        io.ns("/", plain).await.unwrap();
        io.ns("/named", named).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });
        Self { io, cluster, address, connected }
    }

    async fn pair(database: &MemoryDatabase) -> [Self; 2] {
        let servers = [Self::start(database).await, Self::start(database).await];
        for server in &servers {
            for namespace in ["/", "/named"] {
                until_is("both servers", 2, async || server.cluster.of(namespace).server_count()).await;
            }
        }
        servers
    }

    /// The sockets of the cluster.
    async fn sockets(&self) -> Vec<Sid> {
        self.io.fetch_sockets().await.unwrap().iter().map(|socket| socket.data().id).collect()
    }

    /// Connects a client, which never polls.
    async fn connect(&mut self, namespace: &str) -> Sid {
        let opened = self.http("GET /socket.io/?EIO=4&transport=polling", "").await;
        let (_, rest) = opened.split_once(r#""sid":""#).unwrap();
        let (sid, _) = rest.split_once('"').unwrap();
        let line = format!("POST /socket.io/?EIO=4&transport=polling&sid={sid}");
        self.http(&line, &format!("40{namespace},")).await;
        self.connected.recv().await.unwrap()
    }

    /// One request on its own connection; returns the response with its head.
    async fn http(&self, line: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (address, length) = (self.address, body.len());
        let head =
            format!("Host: {address}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close");
        stream.write_all(format!("{line} HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// Asks until the answer is as expected.
async fn until_is<T: Debug + PartialEq>(what: &str, expected: T, ask: impl AsyncFn() -> T) {
    until(what, async || {
        let answer = ask().await;
        if answer == expected { Ok(()) } else { Err(format!("it is {answer:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_socket_of_another_server_that_joins_a_room_is_in_it_there_and_not_here() {
    let database = MemoryDatabase::default();
    let [one, mut other] = Server::pair(&database).await;
    let sid = other.connect("/").await;
    let found = one.io.fetch_sockets().await.unwrap();
    assert_eq!(one.sockets().await, [sid]);

    for round in 0..3 {
        found[0].join("den").await.unwrap();
        assert_eq!(one.io.to("den").fetch_sockets().await.unwrap().len(), 1, "round {round}");
        let mut rooms = one.io.rooms().await.unwrap();
        rooms.sort();
        assert_eq!(rooms, ["den", "hall"]);
        assert!(one.io.local().to("den").rooms().await.unwrap().is_empty(), "the room is kept on this server");
        found[0].leave("den").await.unwrap();
        assert!(one.io.to("den").fetch_sockets().await.unwrap().is_empty());
        assert_eq!(one.io.rooms().await.unwrap(), ["hall"]);
    }

    // A socket that is gone does not join a room either.
    found[0].join("den").await.unwrap();
    found[0].clone().disconnect().await.unwrap();
    until_is("no socket", vec![], async || one.sockets().await).await;
    found[0].join("den").await.unwrap();
    assert!(one.io.rooms().await.unwrap().is_empty());
    for server in [&one, &other] {
        assert!(server.io.to("den").rooms().await.unwrap().is_empty(), "the room is kept on this server");
    }
}

#[tokio::test]
async fn a_local_socket_that_is_gone_comes_into_no_room() {
    let database = MemoryDatabase::default();
    let [mut one, _other] = Server::pair(&database).await;
    one.connect("/").await;
    let found = one.io.fetch_sockets().await.unwrap();
    found[0].clone().disconnect().await.unwrap();
    until_is("no socket", vec![], async || one.sockets().await).await;
    found[0].join("den").await.unwrap();
    assert!(one.io.local().to("den").rooms().await.unwrap().is_empty(), "the room is kept on this server");
}

#[tokio::test]
async fn a_room_that_is_named_like_a_socket_is_one_of_the_rooms_when_the_socket_joined_it() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = Server::pair(&database).await;
    let mut named = [one.connect("/named").await, other.connect("/named").await].map(|sid| sid.to_string());
    named.sort();
    for server in [&one, &other] {
        let mut rooms = server.io.of("/named").unwrap().rooms().await.unwrap();
        rooms.sort();
        assert_eq!(rooms, named);
        for socket in server.io.of("/named").unwrap().fetch_sockets().await.unwrap() {
            assert_eq!(socket.rooms().await.unwrap(), [socket.data().id.to_string()]);
        }
        for socket in server.cluster.of("/named").fetch_sockets().await.unwrap() {
            assert_eq!(socket.rooms, [socket.id.as_str()], "told once");
        }
    }
    // Sockets that did not join it are in it for an event that addresses it, but do not list it.
    let plain = [one.connect("/").await, other.connect("/").await];
    for server in [&one, &other] {
        assert_eq!(server.io.rooms().await.unwrap(), ["hall"]);
        for sid in plain {
            assert_eq!(server.io.to(sid).fetch_sockets().await.unwrap().len(), 1);
        }
    }
    other.io.of("/named").unwrap().to(named[0].clone()).leave(named[0].clone()).await.unwrap();
    for server in [&other, &one] {
        let rooms = async || server.io.of("/named").unwrap().rooms().await.unwrap();
        until_is("only the second socket's room", vec![named[1].clone().into()], rooms).await;
    }
}
