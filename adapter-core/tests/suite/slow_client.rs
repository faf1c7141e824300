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

/// How many events are sent: far more than the client's buffer of 4 keeps, and the tasks that empty
/// it.
const SENT: u64 = 1000;

type Adapter = PostgresAdapter<LocalEmitter, MemoryBackend>;

#[tokio::test]
async fn what_a_client_that_takes_nothing_misses_is_told() {
    let database = MemoryDatabase::default();
    let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
    let [mut events, mut slow_events] = [cluster.events(), cluster.events()];
    let builder = SocketIo::builder().max_buffer_size(4).with_adapter::<Adapter>(cluster.clone());
    let (layer, io) = builder.build_layer();
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
    // How many fit depends on what has left the buffer already.
    for number in 0..SENT {
        other.io.of("/").unwrap().emit("e", &number).await.unwrap();
    }
    // In order: when it comes, the others have been handled.
    other.cluster.of("/").server_side_emit("end", &()).await.unwrap();
    ended.recv().await.unwrap();
    let counts = cluster.counts();
    let lost = counts.dropped_by_class["clients"];
    assert!((1..SENT).contains(&lost), "{counts:?}");
    assert_eq!(counts.rejected, 0);

    // The application reacts: the second loss is tied to its client.
    let slow = async {
        loop {
            if let Event::SlowClient { namespace, socket } = slow_events.next().await.unwrap() {
                return (namespace, socket);
            }
        }
    };
    let slow = tokio::time::timeout(Duration::from_secs(60), slow).await.expect("it is reported");
    assert_eq!(slow, ("/".to_owned(), socket));
    let overloaded = async {
        loop {
            if let Event::Overloaded { class, .. } = events.next().await.unwrap() {
                return class;
            }
        }
    };
    let class = tokio::time::timeout(Duration::from_secs(60), overloaded).await.expect("it is told");
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
