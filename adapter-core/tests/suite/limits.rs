//! Limits on what other nodes send: a flood of one node does not harm the others.

use std::time::Duration;

use socketio_pg_core::{
    Dropped, Error, Event, InvalidMessage, Options,
    backend::{Backend as _, Listener as _},
    testing::memory::MemoryDatabase,
};
use tokio::sync::mpsc;

use crate::clients::{Client, LONG, Server};
use crate::nodes::{Node, collect};

/// Waits until nothing waits to be handled.
async fn all_handled(node: &Node) {
    while node.cluster.health().inbox.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_line_does_not_make_the_living_look_dead_and_heartbeats_are_not_in_it() {
    let database = MemoryDatabase::default();
    let options =
        Options::default().heartbeat_interval(Duration::from_secs(1)).heartbeat_timeout(Duration::from_secs(2));
    let mut node = Node::with_options(&database, options).await;
    let heartbeat = |uid: &str, kind: u8| {
        database.notify("socket.io#/", &format!(r#"{{"uid":"{uid}","nsp":"/","type":{kind}}}"#));
    };
    heartbeat("peer", 2);
    node.wait_for_peer().await;
    // Messages wait while the first in line waits for its row.
    database.hold_fetches(true);
    database.notify("socket.io#/", r#"{"uid":"peer","nsp":"/","type":3,"attachmentId":"1"}"#);
    for round in 0..8 {
        for _ in 0..10_000 {
            heartbeat("peer", 2);
        }
        // A new node is heard and gets a heartbeat in reply, too.
        let before = database.published();
        heartbeat(&format!("newcomer {round}"), 1);
        node.wait_for(|event| matches!(event, Event::NodeJoined { .. })).await;
        while database.published() < before + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let inbox = node.cluster.health().inbox;
        assert_eq!((inbox.waiting, inbox.bytes > 0), (0, false), "the one in hand is no longer in line: {inbox:?}");
        assert!(node.cluster.of("/").nodes().contains(&"peer".into()), "round {round}");
    }
    database.hold_fetches(false);
    node.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    // They are taken for dead only because they are silent.
    node.wait_for(|event| matches!(event, Event::NodeLeft { node, closed: false, .. } if node.as_str() == "peer"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_newcomers_is_greeted_with_few_messages() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let before = database.published();
    for number in 0..500 {
        database.notify("socket.io#/", &format!(r#"{{"uid":"{number}","nsp":"/","type":1}}"#));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.server_count(), 501);
    let greetings = database.published() - before - 500;
    assert!((1..100).contains(&greetings), "{greetings}");
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_is_too_large_is_not_fetched_and_its_size_is_told() {
    let database = MemoryDatabase::default();
    let options = Options::default().max_attachment_bytes(20_000);
    let [one, mut other] = [Node::start(&database).await, Node::with_options(&database, options).await];
    other.wait_for_peer().await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    namespace.server_side_emit("large", &"x".repeat(30_000)).await.unwrap();
    namespace.server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
    let event = other.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    let Event::Rejected { kind: InvalidMessage::TooLarge, reason, .. } = event else { panic!("{event:?}") };
    assert!(reason.contains("has 30") && reason.contains("Options::max_attachment_bytes (20000)"), "{reason}");
    let counts = other.cluster.counts();
    assert_eq!(counts.rejected_by_kind["too-large"], 1);
}

#[tokio::test(start_paused = true)]
async fn attachments_that_do_not_fit_ahead_are_fetched_in_their_turn() {
    let database = MemoryDatabase::default();
    // Room for 8 kB of attachments ahead, but each is larger.
    let options = Options::default().max_inbox_bytes(8000);
    let [one, mut other] = [Node::start(&database).await, Node::with_options(&database, options).await];
    other.wait_for_peer().await;
    let (sender, mut received) = mpsc::unbounded_channel();
    other.cluster.of("/").on_server_side("large", move |(number, _): (u64, String)| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    for number in 0..200_u64 {
        let text = "x".repeat(if number.is_multiple_of(3) { 9000 } else { 100_000 });
        one.cluster.of("/").server_side_emit("large", &(number, text)).await.unwrap();
        assert_eq!(received.recv().await, Some(number));
    }
    assert_eq!(other.cluster.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_wait_at_a_time() {
    let database = MemoryDatabase::default();
    let options = Options::default().max_requests(2);
    let [mut one, _other] = [Node::with_options(&database, options).await, Node::start(&database).await];
    one.wait_for_peer().await;
    let namespace = one.cluster.of("/");
    let ask = async || namespace.server_side_emit_with_ack::<_, u64>("unhandled", &()).await;
    let (first, second) = (ask().await.unwrap(), ask().await.unwrap());
    assert!(matches!(ask().await, Err(Error::TooManyRequests { limit: 2 })));
    drop(first);
    let third = ask().await.unwrap();
    // Requests that have ended release their permits, also when the application has not read the
    // end.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (_fourth, _fifth) = (ask().await.unwrap(), ask().await.unwrap());
    drop((second, third));
}

#[tokio::test(start_paused = true)]
async fn one_node_cannot_answer_for_ever() {
    let database = MemoryDatabase::default();
    let options = Options::default().max_responses(10);
    let [mut one, _other] = [Node::with_options(&database, options).await, Node::start(&database).await];
    one.wait_for_peer().await;
    let mut requests = database.backend().connect_listener().await.unwrap();
    requests.listen(&["socket.io#/".to_owned()]).await.unwrap();
    let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("question", &()).await.unwrap();
    let id = loop {
        let message: serde_json::Value = serde_json::from_str(&requests.next().await.unwrap().payload).unwrap();
        if message["data"]["requestId"].is_string() {
            break message["data"]["requestId"].clone();
        }
    };
    for number in 0..1000 {
        let answer = format!(r#"{{"uid":"x","nsp":"/","type":10,"data":{{"requestId":{id},"packet":{number}}}}}"#);
        database.notify("socket.io#/", &answer);
    }
    let (answers, outcome) = asking.all().await;
    assert_eq!(answers, (0..10).collect::<Vec<_>>());
    assert!(matches!(outcome, Err(Error::TooManyResponses { limit: 10 })), "{outcome:?}");
    all_handled(&one).await;
    assert_eq!(one.cluster.counts().dropped_by_class["responses"], 1);
}

#[tokio::test]
async fn clients_that_do_not_acknowledge_keep_no_handler_from_running() {
    let database = MemoryDatabase::default();
    let server = Server::with_options(&database, Options::default().max_requests(1)).await;
    let mut client = Client::connect(server.address, "/").await;
    let (sender, mut started) = mpsc::unbounded_channel();
    server.cluster.of("/").on_server_side("e", move |number: u64| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    let opts = r#"{"rooms":[],"except":[],"flags":{"timeout":600000}}"#;
    let broadcast = r#"{"type":2,"data":["never acknowledged"],"nsp":"/"}"#;
    let data = format!(r#"{{"opts":{opts},"requestId":"r","packet":{broadcast}}}"#);
    database.notify("socket.io#/", &format!(r#"{{"uid":"x","nsp":"/","type":3,"data":{data}}}"#));
    client.wait_for(|packet| packet.contains("never acknowledged")).await;
    database.notify("socket.io#/", r#"{"uid":"x","nsp":"/","type":9,"data":{"packet":["e",7]}}"#);
    let handled = tokio::time::timeout(LONG, started.recv()).await;
    assert_eq!(handled.unwrap(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_never_end_do_not_grow_in_number() {
    let database = MemoryDatabase::default();
    let options = Options::default().max_requests(3);
    let mut node = Node::with_options(&database, options).await;
    let (sender, mut started) = mpsc::unbounded_channel();
    node.cluster.of("/").on_server_side("e", move |number: u64| {
        let _ = sender.send(number);
        std::future::pending()
    });
    for number in 0..100 {
        database
            .notify("socket.io#/", &format!(r#"{{"uid":"x","nsp":"/","type":9,"data":{{"packet":["e",{number}]}}}}"#));
    }
    let event = node.wait_for(|event| matches!(event, Event::Overloaded { .. })).await;
    assert!(matches!(event, Event::Overloaded { class: Dropped::Requests, .. }), "{event:?}");
    all_handled(&node).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(node.cluster.counts().dropped, 97);
    assert_eq!((started.recv().await, started.recv().await, started.recv().await), (Some(0), Some(1), Some(2)));
    assert!(started.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_the_application_holds_up_no_event_no_heartbeat_and_no_time_out() {
    let database = MemoryDatabase::default();
    let options = Options::default().publish_queue(10).query_timeout(Duration::from_secs(100));
    let [mut node, _other] = [Node::with_options(&database, options).await, Node::start(&database).await];
    node.wait_for_peer().await;
    let mut received = collect(&node);
    database.hold_publications(true);
    let sending: Vec<_> = (0..200_u64)
        .map(|number| {
            let cluster = node.cluster.clone();
            tokio::spawn(async move { cluster.of("/").emit("e", &number).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(node.cluster.health().publisher.waiting > 10);
    database.notify(
        "socket.io#/",
        r#"{"uid":"x","nsp":"/","type":7,"data":{"opts":{"rooms":[],"except":[]},"requestId":"1"}}"#,
    );
    for number in 0..10 {
        let event = format!(r#"{{"uid":"x","nsp":"/","type":9,"data":{{"packet":["e",{number}]}}}}"#);
        database.notify("socket.io#/", &event);
    }
    for number in 0..10 {
        let heard = tokio::time::timeout(Duration::from_secs(5), received.recv()).await;
        assert_eq!(heard.expect("it is handled"), Some(number));
    }
    let fetching = node.cluster.of("/").timeout(Duration::from_secs(1));
    let fetched = tokio::time::timeout(Duration::from_secs(5), fetching.fetch_sockets()).await;
    assert!(matches!(fetched.expect("it ends"), Err(Error::Timeout { .. })));
    // Silent nodes are noticed.
    let left = tokio::time::timeout(
        Duration::from_secs(30),
        node.wait_for(|event| matches!(event, Event::NodeLeft { node, .. } if node.as_str() == "x")),
    );
    left.await.expect("the clock runs");
    database.hold_publications(false);
    for sending in sending {
        sending.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_inbox_counts_what_messages_take_in_memory() {
    const LIMIT: usize = 1_000_000;
    let database = MemoryDatabase::default();
    let mut node = Node::with_options(&database, Options::default().max_inbox_bytes(LIMIT)).await;
    // Nothing is handled while the first in line waits for its row.
    database.hold_fetches(true);
    database.notify("socket.io#/", r#"{"uid":"peer","nsp":"/","type":3,"attachmentId":"1"}"#);
    let rooms = vec![r#""r""#; 1500].join(",");
    let join = format!(
        r#"{{"uid":"peer","nsp":"/","type":4,"data":{{"opts":{{"rooms":[],"except":[]}},"rooms":[{rooms}]}}}}"#
    );
    let sent = 100;
    assert!(sent * join.len() < LIMIT, "as text all of them fit");
    for _ in 0..sent {
        database.notify("socket.io#/", &join);
    }
    let dropped = node.wait_for(|event| matches!(event, Event::Overloaded { .. })).await;
    assert!(matches!(dropped, Event::Overloaded { class: Dropped::Messages, .. }), "{dropped:?}");
    let inbox = node.cluster.health().inbox;
    assert!(inbox.bytes <= LIMIT && inbox.waiting >= 5, "{inbox:?}");
    database.hold_fetches(false);
    all_handled(&node).await;
    assert_eq!(node.cluster.health().inbox.bytes, 0);
    // However small the limit is, a message that comes alone is taken.
    let small = Node::with_options(&database, Options::default().max_inbox_bytes(8000)).await;
    database.notify("socket.io#/", &join);
    all_handled(&small).await;
    assert_eq!(small.cluster.counts().dropped_by_class.get("messages").copied().unwrap_or_default(), 0);
}
