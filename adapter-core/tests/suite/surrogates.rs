//! Strings that JavaScript allows and Unicode does not: no message is lost because of them.

use std::time::Duration;

use serde_json::Value as Json;
use socketio_pg_core::{
    backend::{Backend, Listener},
    protocol::Value,
    testing::memory::MemoryDatabase,
};
use tokio::sync::mpsc;

use crate::nodes::Node;

const CHANNEL: &str = "socket.io#/";

async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), received.recv()).await.expect("it comes").unwrap()
}

/// Waits for a message of a type that a node publishes.
async fn next_of(listener: &mut impl Listener, kind: u64) -> String {
    let waiting = async {
        loop {
            let payload = listener.next().await.unwrap().payload;
            // As text: serde_json cannot read these strings.
            if payload.starts_with(&format!(r#"{{"type":{kind},"#)) {
                return payload;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it is published")
}

#[tokio::test(start_paused = true)]
async fn the_handler_of_a_server_side_event_gets_a_lone_surrogate_and_its_answer_arrives() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let mut published = database.backend().connect_listener().await.unwrap();
    published.listen(&[CHANNEL.to_owned()]).await.unwrap();
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = node.cluster.of("/");
    let to = sender.clone();
    handle.on_server_side("text", move |text: String| {
        let _ = to.send(text);
        std::future::ready(())
    });
    let to = sender.clone();
    handle.on_server_side("text", move |(text, number): (String, u8)| {
        let _ = to.send(format!("{text}, {number}"));
        std::future::ready(())
    });
    handle.on_server_side("text", move |text: Value| {
        let _ = sender.send(text.to_json());
        std::future::ready(())
    });
    handle.on_server_side_with_ack("text", |text: Value| std::future::ready(text));
    let ask = r#"{"type":9,"data":{"packet":["text","a\ud800b",7],"requestId":"r"},"uid":"x","nsp":"/"}"#;
    database.notify(CHANNEL, ask);
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(next(&mut received).await);
    }
    texts.sort();
    assert_eq!(texts, [r#""a\ud800b""#, "a\u{fffd}b", "a\u{fffd}b, 7"]);
    let answer = next_of(&mut published, 10).await;
    assert!(answer.contains(r#""packet":"a\ud800b""#), "{answer}");
    assert_eq!(node.cluster.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_may_be_named_by_a_lone_surrogate() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let (sender, mut received) = mpsc::unbounded_channel();
    node.cluster.of("/").on_any_server_side(move |event: String, number: u8| {
        let _ = sender.send((event, number));
        std::future::ready(())
    });
    database.notify(CHANNEL, r#"{"type":9,"data":{"packet":["\udfff",7]},"uid":"x","nsp":"/"}"#);
    assert_eq!(next(&mut received).await, ("\u{fffd}".to_owned(), 7));
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_lone_surrogate_is_an_answer() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    database.notify(CHANNEL, r#"{"type":2,"uid":"x","nsp":"/"}"#);
    node.wait_for_peer().await;
    let mut published = database.backend().connect_listener().await.unwrap();
    published.listen(&[CHANNEL.to_owned()]).await.unwrap();
    let answer = |id: &Json, kind: u64, data: &str| {
        database
            .notify(CHANNEL, &format!(r#"{{"type":{kind},"data":{{"requestId":{id},{data}}},"uid":"x","nsp":"/"}}"#));
    };
    let id_of = |request: String| serde_json::from_str::<Json>(&request).unwrap()["data"]["requestId"].clone();
    let handle = node.cluster.of("/");

    let asking = handle.server_side_emit_with_ack::<_, String>("e", &()).await.unwrap();
    answer(&id_of(next_of(&mut published, 9).await), 10, r#""packet":"x\udc00""#);
    let (answers, outcome) = asking.all().await;
    outcome.unwrap();
    assert_eq!(answers, ["x\u{fffd}"]);

    let asking = handle.emit_with_ack::<_, Value>("e", &()).await.unwrap();
    let id = id_of(next_of(&mut published, 3).await);
    answer(&id, 11, r#""clientCount":1"#);
    answer(&id, 12, r#""packet":"x\udc00""#);
    let (answers, outcome) = asking.all().await;
    outcome.unwrap();
    assert_eq!(answers.iter().map(Value::to_json).collect::<Vec<_>>(), [r#""x\udc00""#]);

    let asking = tokio::spawn(async move { handle.fetch_sockets().await });
    let socket =
        r#"{"id":"s","handshake":{"address":"::1","auth":{"name":"\ud800"}},"rooms":["s"],"data":{"a":"\ud800"}}"#;
    answer(&id_of(next_of(&mut published, 7).await), 8, &format!(r#""sockets":[{socket}]"#));
    let sockets = asking.await.unwrap().unwrap();
    assert_eq!(sockets[0].handshake.address, "::1");
    assert_eq!(sockets[0].handshake.auth["name"], "\u{fffd}");
    let data: Json = sockets[0].data.as_ref().unwrap().deserialize().unwrap();
    assert_eq!(data["a"], "\u{fffd}");
}
