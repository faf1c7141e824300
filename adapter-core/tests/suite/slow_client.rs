//! A client that does not read while other nodes send: what it misses is counted and reported.

use std::time::Duration;

use axum::Router;
use socketio_pg_core::{
    Cluster, Dropped, Event, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter as LocalEmitter, extract::SocketRef};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::nodes::Node;

/// How many packets the client's buffer keeps, and how many events are sent.
const KEPT: u64 = 4;
const SENT: u64 = 1000;

/// How long the session lasts without an answer to a ping: longer than the test, which may take
/// longer than the default of 20 s on a busy machine. A client whose session has ended loses
/// nothing.
const SESSION: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait for something that must come.
const LONG: Duration = Duration::from_secs(60);

type Adapter = PostgresAdapter<LocalEmitter, MemoryBackend>;

#[tokio::test]
async fn what_a_client_that_takes_nothing_misses_is_told() {
    let database = MemoryDatabase::default();
    let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
    let [mut events, mut slow_events] = [cluster.events(), cluster.events()];
    let builder = SocketIo::builder().max_buffer_size(KEPT as usize).ping_timeout(SESSION);
    let (layer, io) = builder.with_adapter::<Adapter>(cluster.clone()).build_layer();
    let (connected, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let on_connect = async move |socket: SocketRef<Adapter>| {
        let _ = connected.send(socket.id);
    };
    io.ns("/", on_connect).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });

    // It opens a session by HTTP, connects, and never polls.
    let opened = http(address, "GET /socket.io/?EIO=4&transport=polling", "").await;
    let (_, rest) = opened.split_once(r#""sid":""#).unwrap();
    let (sid, _) = rest.split_once('"').unwrap();
    http(address, &format!("POST /socket.io/?EIO=4&transport=polling&sid={sid}"), "40").await;
    let socket = connections.recv().await.unwrap();

    let (end, mut ended) = tokio::sync::mpsc::unbounded_channel();
    cluster.of("/").on_server_side("end", move |(): ()| {
        let _ = end.send(());
        std::future::ready(())
    });
    let other = Node::start(&database).await;
    for number in 0..SENT {
        other.io.of("/").unwrap().emit("e", &number).await.unwrap();
    }
    // In order: when it comes, the others have been handled.
    other.cluster.of("/").server_side_emit("end", &()).await.unwrap();
    ended.recv().await.unwrap();
    let counts = cluster.counts();
    let lost = counts.dropped_by_class["clients"];
    // The buffer also holds what is not an event: how the server answered, and a ping.
    assert!((SENT - KEPT..SENT).contains(&lost), "{counts:?}");
    assert_eq!(counts.rejected, 0);

    // The application reacts: a loss within a second of another one is tied to its client. More is
    // sent until then.
    let slow = async {
        loop {
            if let Event::SlowClient { namespace, socket } = slow_events.next().await.unwrap() {
                return (namespace, socket);
            }
        }
    };
    let sending = async {
        loop {
            other.io.of("/").unwrap().emit("e", &0).await.unwrap();
        }
    };
    let slow = async {
        tokio::select! { slow = slow => slow, () = sending => unreachable!() }
    };
    let slow = tokio::time::timeout(LONG, slow).await.expect("it is reported");
    assert_eq!(slow, ("/".to_owned(), socket));
    let overloaded = async {
        loop {
            if let Event::Overloaded { class, .. } = events.next().await.unwrap() {
                return class;
            }
        }
    };
    let class = tokio::time::timeout(LONG, overloaded).await.expect("it is told");
    assert_eq!(class, Dropped::Clients);
}

/// One request on its own connection; returns the response with its head.
async fn http(address: std::net::SocketAddr, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
