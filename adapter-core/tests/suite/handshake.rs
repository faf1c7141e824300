//! The handshakes that other nodes see, with a server under axum and clients that send raw HTTP.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, extract::ConnectInfo};
use socketio_pg_core::{
    Cluster, ClusterSocket, Options, PostgresAdapter, record_handshake,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef, handler::ConnectHandler};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::nodes::Node;

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

/// A server under axum, and another node that asks for its sockets.
struct Servers {
    address: SocketAddr,
    asking: Node,
    _cluster: Cluster<MemoryBackend>,
}

impl Servers {
    async fn start() -> Self {
        let database = MemoryDatabase::default();
        let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
        let (layer, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
        cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
        let on_connect = async |_: SocketRef<Adapter>| {};
        io.ns("/", on_connect.with(record_handshake)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().layer(layer).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut asking = Node::start(&database).await;
        asking.wait_for_peer().await;
        Self { address, asking, _cluster: cluster }
    }

    /// Connects a client, and returns what its first poll brings.
    async fn connect(&self, query: &str, headers: &[u8], packet: &[u8]) -> String {
        let path = format!("/socket.io/?EIO=4&transport=polling{query}");
        let opened = self.http(&format!("GET {path}"), headers, b"").await;
        let (_, rest) = opened.split_once(r#""sid":""#).unwrap();
        let (sid, _) = rest.split_once('"').unwrap();
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        self.http(&format!("POST {path}"), b"", packet).await;
        self.http(&format!("GET {path}"), b"", b"").await
    }

    /// One request on its own connection; returns the response with its head.
    async fn http(&self, line: &str, headers: &[u8], body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("{line} HTTP/1.1\r\nHost: example\r\n").into_bytes();
        request.extend_from_slice(headers);
        request.extend(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes());
        request.extend_from_slice(body);
        stream.write_all(&request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// The only socket, as the other node sees it.
    async fn socket(&self) -> ClusterSocket {
        let mut sockets = self.asking.cluster.of("/").fetch_sockets().await.unwrap();
        assert_eq!(sockets.len(), 1, "{sockets:?}");
        sockets.remove(0)
    }
}

#[tokio::test]
async fn the_address_that_axum_knows_arrives() {
    let servers = Servers::start().await;
    servers.connect("", b"", b"40").await;
    assert_eq!(servers.socket().await.handshake.address, "127.0.0.1");
}

#[tokio::test]
async fn a_handshake_is_issued_when_its_socket_connects() {
    let servers = Servers::start().await;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now();
    servers.connect("", b"", b"40").await;
    let connected = now();
    // So that the first request for sockets comes later than any connection.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let issued = servers.socket().await.handshake.issued;
    assert!((before..=connected).contains(&issued), "{before} {issued} {connected}");
}

#[tokio::test]
async fn auth_arrives_as_the_client_sent_it() {
    for (sent, expected) in [
        ("", "{}"),
        ("{}", "{}"),
        (r#"{"token":"t","list":[1,null]}"#, r#"{"token":"t","list":[1,null]}"#),
        // A lone surrogate: JSON may contain it, Rust's strings may not. The rest is kept.
        (r#"{"token":"t","odd":"\ud800"}"#, r#"{"token":"t","odd":"�"}"#),
    ] {
        let servers = Servers::start().await;
        servers.connect("", b"", format!("40{sent}").as_bytes()).await;
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(servers.socket().await.handshake.auth, expected, "{sent}");
    }
}

#[tokio::test]
async fn an_auth_that_is_not_an_object_is_refused() {
    // Node.js closes the connection for each of them.
    for sent in ["null", "true", "[1]", r#""text""#, "{", "{]"] {
        let servers = Servers::start().await;
        let answer = servers.connect("", b"", format!("40{sent}").as_bytes()).await;
        assert!(answer.contains(r#"44{"message":"invalid payload"}"#), "{sent}: {answer}");
        let sockets = servers.asking.cluster.of("/").fetch_sockets().await.unwrap();
        assert!(sockets.is_empty(), "{sent}: {sockets:?}");
    }
}

#[tokio::test]
async fn query_and_headers_read_as_in_node() {
    let servers = Servers::start().await;
    let headers = b"X-Latin: caf\xe9\r\nX-Many: 1\r\nX-Many: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\
        Authorization: first\r\nAuthorization: second\r\n";
    servers.connect("&e=1&e=2", headers, b"40").await;
    let handshake = servers.socket().await.handshake;
    assert_eq!(handshake.query["e"], "2");
    assert_eq!(handshake.headers["x-latin"], "café");
    assert_eq!(handshake.headers["x-many"], "1, 2");
    assert_eq!(handshake.headers["cookie"], "a=1; b=2");
    assert_eq!(handshake.headers["authorization"], "first");
}

#[tokio::test]
async fn a_client_with_a_deep_auth_is_refused_and_does_not_hide_the_others() {
    let servers = Servers::start().await;
    // In the address and the query: an attachment then carries the answer.
    servers.connect(&format!("&x={}&__proto__=1", "y".repeat(5000)), b"", br#"40{"__proto__":1,"a":2}"#).await;
    let deep = |levels| format!("40{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let answer = servers.connect("", b"", deep(101).as_bytes()).await;
    assert!(answer.contains("44{"), "{answer}");
    let answer = servers.connect("", b"", deep(100).as_bytes()).await;
    assert!(answer.contains("40{"), "{answer}");
    let sockets = servers.asking.cluster.of("/").fetch_sockets().await.unwrap();
    assert_eq!(sockets.len(), 2);
    let of_first = sockets.iter().find(|socket| socket.handshake.auth == serde_json::json!({ "a": 2 })).unwrap();
    assert!(!of_first.handshake.query.contains_key("__proto__"), "{of_first:?}");
}
