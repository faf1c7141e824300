//! What a node tells about itself to whoever asks.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_pg_core::{
    Options,
    backend::{Backend as _, Listener as _},
    protocol::{NodeId, node_info::EVENT},
    testing::memory::{MemoryDatabase, MemoryListener},
};
use tokio::time::timeout;

use crate::nodes::Node;

const CHANNEL: &str = "socket.io#/";

/// Asks as an emitter does.
async fn ask(database: &MemoryDatabase, packet: Value) -> MemoryListener {
    let mut listener = database.backend().connect_listener().await.unwrap();
    listener.listen(&[CHANNEL.to_owned()]).await.unwrap();
    let request = json!({ "type": 9, "data": { "requestId": "r1", "packet": packet }, "uid": "emitter", "nsp": "/" });
    database.notify(CHANNEL, &request.to_string());
    listener
}

async fn response(listener: &mut MemoryListener) -> Value {
    loop {
        let incoming = timeout(Duration::from_secs(60), listener.next()).await.expect("a response comes").unwrap();
        let message: Value = serde_json::from_str(&incoming.payload).unwrap();
        if message["type"] == 10 {
            return message;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_what_it_is_and_does_not_count_who_asks() {
    let database = MemoryDatabase::default();
    let node = Node::with_options(&database, Options::default().node_name("web-1")).await;
    node.io.ns("/chat", async || {}).await.unwrap();
    let mut listener = ask(&database, json!([EVENT])).await;
    let message = response(&mut listener).await;
    assert_eq!(message["uid"], node.cluster.of("/").uid().unwrap().as_str());
    assert_eq!(message["data"]["requestId"], "r1");
    let expected = json!({
        "name": "web-1", "language": "Rust", "version": env!("CARGO_PKG_VERSION"), "sockets": 0,
        "namespaces": ["/", "/chat"], "namespaceCount": 2,
    });
    assert_eq!(message["data"]["packet"], expected);
    assert_eq!(node.server_count(), 1);
    assert!(!node.cluster.of("/").nodes().contains(&NodeId::emitter()));
}

#[tokio::test(start_paused = true)]
async fn many_namespaces_still_fit_into_a_notification() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    for number in 0..200 {
        node.io.ns(format!("/{number:040}"), async || {}).await.unwrap();
    }
    let mut listener = ask(&database, json!([EVENT, { "rooms": ["a"] }])).await;
    let message = response(&mut listener).await;
    let info = &message["data"]["packet"];
    assert_eq!(info["namespaceCount"], 201);
    let named = info["namespaces"].as_array().unwrap().len();
    assert!((90..=98).contains(&named), "{named}");
}

#[tokio::test(start_paused = true)]
async fn names_that_json_makes_longer_still_fit_into_a_notification() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    // Six bytes each, as JSON writes them; and one name that does not fit at all.
    let escaped = "\u{1}".repeat(30);
    for number in 100..200 {
        node.io.ns(format!("/{number}{escaped}"), async || {}).await.unwrap();
    }
    node.io.ns(format!("/0{}", "\u{1}".repeat(997)), async || {}).await.unwrap();
    let mut listener = ask(&database, json!([EVENT])).await;
    let message = response(&mut listener).await;
    let info = &message["data"]["packet"];
    assert_eq!(info["namespaceCount"], 102, "{message}");
    // 187 bytes each.
    assert_eq!(info["namespaces"].as_array().unwrap().len(), 1 + 3996 / 187);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_read_is_reported_and_stops_nothing() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    for argument in [json!(7), json!({ "rooms": 7 }), json!("x")] {
        drop(ask(&database, json!([EVENT, argument])).await);
    }
    let mut listener = ask(&database, json!([EVENT, null])).await;
    assert_eq!(response(&mut listener).await["data"]["packet"]["language"], "Rust");
    assert_eq!(node.cluster.counts().rejected, 3);
}
