//! Whole nodes on a database in memory, with paused time.

use std::time::Duration;

use socketio_pg_core::{
    Cluster, ConnectError, Error, Event, Options, Recovery,
    backend::{Backend as _, Listener as _},
    testing::memory::{Determined, MemoryBackend, MemoryDatabase, WallClock},
};
use tokio::sync::mpsc;

use crate::nodes::{Node, collect, pair};

#[tokio::test(start_paused = true)]
async fn nodes_find_each_other_and_notice_who_leaves() {
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
    other.cluster.close().await;
    let left = one.wait_for(|event| matches!(event, Event::NodeLeft { .. })).await;
    assert!(matches!(left, Event::NodeLeft { closed: true, .. }));
    assert_eq!(one.server_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_the_server_leaves_the_cluster() {
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    other.io.close().await;
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_everything_leaves_the_cluster() {
    let database = MemoryDatabase::default();
    let [mut one, Node { cluster, io, events }] = pair(&database).await;
    drop((cluster, io, events));
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
}

#[tokio::test(start_paused = true)]
async fn events_arrive_in_order_large_and_small_alike() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let (sender, mut received) = mpsc::unbounded_channel();
    other.cluster.of("/").on_server_side("mixed", move |(number, _): (u64, String)| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    let namespace = one.cluster.of("/");
    let mut sending = Vec::new();
    for number in 0..2000_u64 {
        let text = if number % 3 == 0 { "x".repeat(9000) } else { String::new() };
        let namespace = namespace.clone();
        // Tasks of this runtime begin in the order in which they are spawned.
        sending.push(tokio::spawn(async move { namespace.server_side_emit("mixed", &(number, text)).await }));
    }
    for sent in sending {
        sent.await.unwrap().unwrap();
    }
    for number in 0..2000 {
        assert_eq!(received.recv().await, Some(number));
    }
    assert!(database.batches() < 200, "{} batches", database.batches());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_changes_no_order() {
    let database = MemoryDatabase::default();
    let [one, other] = [
        Node::with_options(&database, Options::default().publish_queue(1)).await,
        Node::with_options(&database, Options::default()).await,
    ];
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    let mut waiting = Vec::new();
    for number in 0..10_u64 {
        let mut emitting = Box::pin({
            let namespace = namespace.clone();
            async move { namespace.server_side_emit("e", &number).await }
        });
        assert!(futures_util::poll!(&mut emitting).is_pending());
        waiting.push(emitting);
    }
    // Meanwhile the queue has room again, but tasks that came before have not noticed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.cluster.of("/").server_side_emit("e", &10_u64).await.unwrap();
    futures_util::future::try_join_all(waiting).await.unwrap();
    for number in 0..=10 {
        assert_eq!(received.recv().await, Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn equal_events_all_arrive() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    futures_util::future::try_join_all((0..600).map(|_| namespace.server_side_emit("e", &7_u64))).await.unwrap();
    for _ in 0..600 {
        assert_eq!(received.recv().await, Some(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_session_is_replaced_and_the_gap_is_told() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    database.break_sessions();
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    let gap = other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    let Event::Gap { since, until, recovery } = gap else { unreachable!("it is one") };
    assert!(since <= until);
    assert_eq!(recovery, Recovery::Off);
    one.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_as_long_as_it_was_and_longer_where_only_the_wall_clock_went_on() {
    let determined = Determined::by(1);
    let wall = WallClock::new();
    determined.next_clock(&wall);
    let database = MemoryDatabase::default();
    let [_one, mut other] = pair(&database).await;
    // A clock that is set ahead looks like a machine that was suspended, whose other clock stood still.
    for (hours, more) in [(-5, 0), (7, 12)] {
        database.refuse_sessions(true);
        other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
        wall.set(hours * 60 * 60 * 1000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        database.refuse_sessions(false);
        let gap = other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
        let Event::Gap { since, until, .. } = gap else { unreachable!("it is one") };
        let long = until.duration_since(since).unwrap();
        // A minute, the silence before it, and the pause before connecting again.
        assert!((60..80).contains(&(long.as_secs() - more * 60 * 60)), "{long:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_is_an_error_for_senders_and_no_end() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    database.set_down(true);
    let error = one.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap_err();
    assert!(matches!(error, Error::Publish(_)), "{error}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    database.set_down(false);
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    one.cluster.of("/").server_side_emit("e", &2_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(2));
    // They were silent for a minute, and took each other for dead: they find each other again.
    while (one.server_count(), other.server_count()) != (2, 2) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_ready_while_it_listens_and_publishes() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let health = other.cluster.health();
    assert!(health.is_ready(), "{health:?}");
    assert_eq!((health.namespaces[0].name.as_str(), health.namespaces[0].nodes), ("/", 2));

    database.set_down(true);
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    let disconnected = other.cluster.health();
    assert!(!disconnected.is_ready() && !disconnected.link.is_listening, "{disconnected:?}");
    assert!(disconnected.link.since >= disconnected.link.last_heard, "{disconnected:?}");
    other.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap_err();
    let publisher = other.cluster.health().publisher;
    assert!(publisher.consecutive_failures > 0, "{publisher:?}");
    assert_eq!(publisher.last_error.unwrap().error, "the database is down");

    database.set_down(false);
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    other.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap();
    let health = other.cluster.health();
    assert!(health.is_ready(), "{health:?}");
    assert_eq!((health.counts.reconnects, health.counts.gaps), (1, 1));
    assert!(health.counts.unpublished > 0);

    other.cluster.close().await;
    let health = other.cluster.health();
    assert!(health.closed && !health.is_ready(), "{health:?}");
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn health_is_told_as_json_with_times_that_read() {
    let database = MemoryDatabase::default();
    let [_one, other] = pair(&database).await;
    let asking = other.cluster.of("/").server_side_emit_with_ack::<_, u64>("unhandled", &()).await.unwrap();
    let health = serde_json::to_value(other.cluster.health()).unwrap();
    assert_eq!(health["ready"], true);
    assert_eq!(health["namespaces"][0]["requests"], 1, "{health}");
    assert_eq!(health["counts"]["rejected_by_kind"]["undecodable"], 0, "{health}");
    let since = health["link"]["since"].as_str().unwrap();
    assert!(since.ends_with('Z') && since.contains('T'), "{since}");
    drop(asking);
    assert_eq!(other.cluster.health().namespaces[0].requests, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_come_from_every_server() {
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    let third = Node::start(&database).await;
    one.wait_for_peer().await;
    other.cluster.of("/").on_server_side_with_ack("sum", async |(a, b): (u64, u64)| a + b);
    third.cluster.of("/").on_server_side_with_ack("sum", async |(a, b): (u64, u64)| a * b);
    let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("sum", &(3, 4)).await.unwrap();
    let (mut answers, outcome) = asking.all().await;
    answers.sort_unstable();
    assert_eq!(answers, [7, 12]);
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_named_after_the_time_out() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let started = tokio::time::Instant::now();
    let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("unhandled", &()).await.unwrap();
    let (answers, outcome) = asking.all().await;
    assert!(answers.is_empty());
    let Err(Error::Timeout { missing }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(missing, [other.cluster.of("/").uid().unwrap()]);
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_asks_no_other() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let published = database.published();
    let namespace = node.cluster.of("/");
    let answers = namespace.server_side_emit_with_ack::<_, u64>("sum", &()).await.unwrap();
    assert_eq!(answers.all().await.0, [0; 0]);
    assert!(namespace.fetch_sockets().await.unwrap().is_empty());
    assert_eq!(database.published(), published);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_message_is_told_once_and_counted() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    for _ in 0..10 {
        database.notify("socket.io#/", "{");
        database.notify("socket.io#/", r#"{"uid":"x","type":3,"nsp":"/","attachmentId":"99"}"#);
    }
    one.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
    assert_eq!(other.cluster.counts().rejected, 20);
    for _ in 0..2 {
        other.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    }
    other.cluster.close().await;
    drop(other.cluster);
    drop(other.io);
    while let Some(event) = other.events.next().await {
        assert!(!matches!(event, Event::Rejected { .. }), "told twice: {event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_an_event_has_no_clients_to_wait_for() {
    let database = MemoryDatabase::default();
    let _node = Node::start(&database).await;
    let mut wire = database.backend().connect_listener().await.unwrap();
    wire.listen(&["socket.io#/".to_owned()]).await.unwrap();
    let no_events = [r#"{"type":3,"data":["e"]}"#, r#"{"type":2,"data":null}"#, r#"{"type":2,"data":["connect"]}"#];
    for (number, packet) in no_events.iter().enumerate() {
        let data =
            format!(r#"{{"packet":{packet},"requestId":"{number}","opts":{{"rooms":[],"except":[],"flags":{{}}}}}}"#);
        database.notify("socket.io#/", &format!(r#"{{"type":3,"data":{data},"uid":"other","nsp":"/"}}"#));
    }
    let mut counts = Vec::new();
    let counting = async {
        while counts.len() < no_events.len() {
            let heard = wire.next().await.unwrap().payload;
            if heard.contains(r#""type":11"#) {
                counts.push(heard);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counting).await.expect("an answer to each");
    for (number, heard) in counts.iter().enumerate() {
        let expected = format!(r#""requestId":"{number}","clientCount":0"#);
        assert!(heard.contains(&expected), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_namespace_is_for_that_of_its_channel() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let mut received = collect(&node);
    // As Node.js's emitter sends it.
    database.notify("socket.io#/", r#"{"type":9,"data":{"packet":["e",5]},"uid":"emitter"}"#);
    assert_eq!(received.recv().await, Some(5));
    assert_eq!(node.server_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_node_says_so() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let namespace = node.cluster.of("/");
    node.cluster.close().await;
    assert!(matches!(namespace.server_side_emit("e", &1).await, Err(Error::UnknownNamespace(_) | Error::Closed)));
    let error = node.io.to("room").emit("e", &1).await.unwrap_err();
    assert!(error.to_string().contains("has left the cluster"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_at_the_start_is_an_error() {
    let database = MemoryDatabase::default();
    database.set_down(true);
    let error = Cluster::<MemoryBackend>::connect(database.backend(), Options::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_sender_stops_waiting_is_sent_all_the_same() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    for number in 0..10 {
        let mut sending = Box::pin(namespace.server_side_emit("e", &number));
        assert!(futures_util::poll!(&mut sending).is_pending());
        drop(sending);
        assert_eq!(received.recv().await, Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_does_not_go_on_holds_up_no_other_and_keeps_its_place() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    let mut first = Box::pin(namespace.server_side_emit("e", &0_u64));
    assert!(futures_util::poll!(&mut first).is_pending());
    namespace.server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!((received.recv().await, received.recv().await), (Some(0), Some(1)));
    first.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_a_sender_whose_message_was_taken_over() {
    let database = MemoryDatabase::default();
    let [one, _other] = pair(&database).await;
    let namespace = one.cluster.of("/");
    let mut first = Box::pin(namespace.server_side_emit("e", &0_u64));
    assert!(futures_util::poll!(&mut first).is_pending());
    database.set_down(true);
    let (first, second) = futures_util::join!(first, namespace.server_side_emit("e", &1_u64));
    assert!(matches!((first, second), (Err(Error::Publish(_)), Err(Error::Publish(_)))));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeats_of_all_namespaces_are_one_transaction() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    for number in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for node in [&one, &other] {
            node.io.ns(format!("/{number}"), async || {}).await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (batches, published) = (database.batches(), database.published());
    tokio::time::sleep(Duration::from_secs(600)).await;
    let (batches, published) = (database.batches() - batches, database.published() - published);
    assert!(batches <= 2 * 110, "{batches} transactions in ten minutes");
    assert!(published >= 2 * 21 * 100, "{published} heartbeats in ten minutes");
    assert!(published <= 2 * 21 * 110, "{published} heartbeats in ten minutes");
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, other.events.next()).await {
        assert!(!matches!(event, Event::NodeLeft { .. }), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_is_quiet_until_another_comes() {
    let database = MemoryDatabase::default();
    let mut one = Node::start(&database).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let batches = database.batches();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(database.batches() - batches <= 60, "{} transactions in an hour", database.batches() - batches);
    let mut other = Node::start(&database).await;
    one.wait_for_peer().await;
    other.wait_for_peer().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_puts_off_no_heartbeat() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    database.refuse_attachments(true);
    let large = "x".repeat(10_000);
    for _ in 0..30 {
        one.cluster.of("/").server_side_emit("large", &large).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(other.server_count(), 2);
    }
    assert!(
        tokio::time::timeout(
            Duration::from_millis(1),
            other.wait_for(|event| { matches!(event, Event::NodeLeft { .. }) })
        )
        .await
        .is_err()
    );
}
