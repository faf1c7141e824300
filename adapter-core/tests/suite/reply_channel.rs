//! Responses among nodes that know the reply channel and nodes that do not.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    protocol::ReplyChannel,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::nodes::Spy;

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

const CHANNEL: &str = "socket.io#/";

struct Node {
    cluster: Cluster<MemoryBackend>,
    // Keeps the namespace.
    _io: SocketIo<Adapter>,
}

/// A cluster of this many nodes, which know each other.
async fn nodes<const N: usize>(database: &MemoryDatabase, options: Options) -> [Node; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        let cluster = Cluster::connect(database.backend(), options.clone()).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        nodes.push(Node { cluster, _io: io });
    }
    while nodes.iter().any(|node| node.cluster.of("/").server_count() < N) {
        sleep(Duration::from_millis(1)).await;
    }
    nodes.try_into().ok().unwrap()
}

impl Spy {
    /// The types that arrived so far, except for heartbeats.
    async fn types(&mut self, database: &MemoryDatabase, channel: &str) -> Vec<u64> {
        database.notify(channel, r#"{"type":0}"#);
        let mut types = Vec::new();
        loop {
            match self.next().await["type"].as_u64().unwrap() {
                0 => return types,
                1 | 2 => {}
                kind => types.push(kind),
            }
        }
    }
}

/// Makes each kind of request.
async fn ask_in_every_way(node: &Node) {
    let namespace = node.cluster.of("/");
    assert!(namespace.fetch_sockets().await.unwrap().is_empty());
    let (answers, outcome) = namespace.server_side_emit_with_ack::<_, String>("large", &()).await.unwrap().all().await;
    assert_eq!(answers.iter().map(String::len).collect::<Vec<_>>(), [9000, 9000]);
    outcome.unwrap();
    let (acks, outcome) = namespace.emit_with_ack::<_, Value>("e", &()).await.unwrap().all().await;
    assert_eq!(acks, [json!(null); 0]);
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_go_to_the_one_who_asks() {
    let database = MemoryDatabase::default();
    let [one, other, third] = nodes(&database, Options::default()).await;
    for node in [&other, &third] {
        node.cluster.of("/").on_server_side_with_ack("large", async |(): ()| "x".repeat(9000));
    }
    let mut shared = Spy::on(&database, CHANNEL).await;
    one.cluster.of("/").fetch_sockets().await.unwrap();
    let request = shared.next_of(7).await;
    let name = request["replyTo"].as_str().unwrap();
    assert!(ReplyChannel::parse(name).unwrap().is_of("socket.io"), "{name}");

    let mut replies = Spy::on(&database, name).await;
    ask_in_every_way(&one).await;
    assert_eq!(shared.types(&database, CHANNEL).await, [7, 9, 3]);
    assert_eq!(replies.types(&database, name).await, [8, 8, 10, 10, 11, 11]);
}

#[tokio::test(start_paused = true)]
async fn without_it_answers_go_to_everyone() {
    let database = MemoryDatabase::default();
    let [one, other, third] = nodes(&database, Options::default().reply_channel(false)).await;
    for node in [&other, &third] {
        node.cluster.of("/").on_server_side_with_ack("large", async |(): ()| "x".repeat(9000));
    }
    let mut shared = Spy::on(&database, CHANNEL).await;
    ask_in_every_way(&one).await;
    assert_eq!(shared.types(&database, CHANNEL).await, [7, 8, 8, 9, 10, 10, 3, 11, 11]);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_leaves_no_room_for_it_works_without() {
    let database = MemoryDatabase::default();
    let prefix = "p".repeat(61);
    let channel = format!("{prefix}#/");
    let [one, _other] = nodes(&database, Options::default().channel_prefix(prefix)).await;
    let mut shared = Spy::on(&database, &channel).await;
    one.cluster.of("/").fetch_sockets().await.unwrap();
    assert_eq!(shared.next_of(7).await["replyTo"], Value::Null);
    shared.next_of(8).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_know_it_is_heard_all_the_same() {
    let database = MemoryDatabase::default();
    let [one, _other] = nodes(&database, Options::default()).await;
    let mut shared = Spy::on(&database, CHANNEL).await;
    database.notify(CHANNEL, r#"{"type":2,"uid":"stranger","nsp":"/"}"#);
    while one.cluster.of("/").server_count() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    let namespace = one.cluster.of("/");
    let asking = tokio::spawn(async move { namespace.fetch_sockets().await });
    let request = shared.next_of(7).await["data"]["requestId"].clone();
    let sockets = json!([{ "id": "s", "handshake": {}, "rooms": ["s"], "data": {} }]);
    let answer =
        json!({ "type": 8, "data": { "requestId": request, "sockets": sockets }, "uid": "stranger", "nsp": "/" });
    database.notify(CHANNEL, &answer.to_string());
    let sockets = asking.await.unwrap().unwrap();
    assert_eq!(sockets.iter().map(|socket| socket.id.as_str()).collect::<Vec<_>>(), ["s"]);
}

#[tokio::test(start_paused = true)]
async fn only_a_reply_channel_of_this_cluster_is_answered_on() {
    let database = MemoryDatabase::default();
    let [_node] = nodes(&database, Options::default()).await;
    let good = "socket.io?0123456789abcdef";
    for (reply_to, expected) in [
        (json!(good), good),
        (json!("other?0123456789abcdef"), CHANNEL),
        (json!("socket.io#/admin"), CHANNEL),
        (json!("socket.io?0123456789ABCDEF"), CHANNEL),
        (json!("socket.io?0123456789abcdef; SELECT 1"), CHANNEL),
        (json!("x".repeat(100)), CHANNEL),
        (json!(""), CHANNEL),
        (json!(7), CHANNEL),
        (json!({ "a": [null] }), CHANNEL),
        (json!(null), CHANNEL),
    ] {
        let mut spy = Spy::on(&database, expected).await;
        let request = json!({
            "type": 7,
            "data": { "opts": { "rooms": [], "except": [], "flags": {} }, "requestId": "r" },
            "uid": "stranger",
            "nsp": "/",
            "replyTo": reply_to,
        });
        database.notify(CHANNEL, &request.to_string());
        assert_eq!(spy.next_of(8).await["data"]["requestId"], "r", "{reply_to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_only_answers_stays_alive_for_the_others() {
    let database = MemoryDatabase::default();
    let [one, _silent, third] = nodes(&database, Options::default()).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(500)).await;
        one.cluster.of("/").fetch_sockets().await.unwrap();
        assert_eq!(third.cluster.of("/").server_count(), 3, "after {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_listened_to_again_after_the_connection_broke() {
    let database = MemoryDatabase::default();
    let [one, other] = nodes(&database, Options::default()).await;
    database.break_sessions();
    // Both announce themselves again, so a node that hears the other listens again.
    let mut events = [one.cluster.events(), other.cluster.events()];
    for events in &mut events {
        while !matches!(events.next().await, Some(socketio_pg_core::Event::Gap { .. })) {}
    }
    other.cluster.of("/").on_server_side_with_ack("sum", async |(a, b): (u64, u64)| a + b);
    let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("sum", &(3, 4)).await.unwrap();
    assert_eq!(asking.all().await.0, [7]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_overtake_what_was_said_before_it() {
    let database = MemoryDatabase::default();
    let [one, other] = nodes(&database, Options::default()).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    one.cluster.of("/").on_server_side("progress", move |(number, _): (u64, String)| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    let namespace = other.cluster.of("/");
    other.cluster.of("/").on_server_side_with_ack("work", move |number: u64| {
        let namespace = namespace.clone();
        async move {
            // Some of them are attachments, which have to be fetched.
            let text = if number.is_multiple_of(3) { "x".repeat(9000) } else { String::new() };
            namespace.server_side_emit("progress", &(number, text)).await.unwrap();
            number
        }
    });
    for number in 0..100 {
        let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("work", &number).await.unwrap();
        assert_eq!(asking.all().await.0, [number]);
        assert_eq!(heard.try_recv(), Ok(number), "the answer came first");
    }
}
