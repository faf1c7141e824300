//! Nodes that see each other's sessions, and send no heartbeats.

use std::time::Duration;

use futures_util::FutureExt;
use socketio_pg_core::{Event, Options, testing::memory::MemoryDatabase};
use tokio::time::{Instant, sleep, timeout};

use crate::nodes::{Node, collect};

/// Longer than a node doubts whether others know it.
const SETTLING: Duration = Duration::from_secs(60);

/// Two nodes that look, and know each other.
async fn pair(database: &MemoryDatabase) -> [Node; 2] {
    let options = Options::default().watch_sessions(true);
    let mut nodes = [Node::with_options(database, options.clone()).await, Node::with_options(database, options).await];
    for node in &mut nodes {
        node.wait_for_peer().await;
    }
    nodes
}

fn is_silent(node: &Node) -> bool {
    node.cluster.health().namespaces.iter().all(|namespace| namespace.is_silent)
}

async fn nobody_leaves(node: &mut Node) {
    while let Ok(Some(event)) = timeout(Duration::ZERO, node.events.next()).await {
        assert!(!matches!(event, Event::NodeLeft { .. }), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_see_each_other_publish_nothing() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    for number in 0..20 {
        for node in [&one, &other] {
            node.io.ns(format!("/{number}"), async || {}).await.unwrap();
        }
    }
    sleep(SETTLING).await;
    let before = database.batches();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(database.batches() - before, 0, "transactions in an hour");
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
    nobody_leaves(&mut one).await;
    nobody_leaves(&mut other).await;

    // A namespace of which the others know nothing does not end the silence of the rest for long.
    one.io.ns("/alone", async || {}).await.unwrap();
    sleep(SETTLING).await;
    assert!(is_silent(&one) && is_silent(&other));
    let before = database.batches();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(database.batches() - before, 0, "transactions in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_look_is_heard_and_hears() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    sleep(SETTLING).await;
    assert!(is_silent(&one) && is_silent(&other));
    let mut third = Node::start(&database).await;
    third.wait_for_peer().await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!((one.server_count(), other.server_count(), third.server_count()), (3, 3, 3));
    assert!(!is_silent(&one) && !is_silent(&other) && !is_silent(&third));
    for node in [&mut one, &mut other, &mut third] {
        nobody_leaves(node).await;
    }
    third.cluster.close().await;
    sleep(SETTLING).await;
    assert!(is_silent(&one) && is_silent(&other));
}

#[tokio::test(start_paused = true)]
async fn a_node_without_its_session_sends_heartbeats() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    sleep(SETTLING).await;
    for _ in 0..20 {
        database.break_sessions();
        // Long enough for the link to connect again without a pause.
        sleep(Duration::from_millis(7700)).await;
        assert_eq!((one.server_count(), other.server_count()), (2, 2));
        assert!(!is_silent(&one) && !is_silent(&other));
    }
    sleep(SETTLING).await;
    assert!(is_silent(&one) && is_silent(&other));
    nobody_leaves(&mut one).await;
    nobody_leaves(&mut other).await;
    // Nobody can listen for longer than a silent node is waited for: that says nothing of others.
    database.refuse_sessions(true);
    sleep(Duration::from_secs(30)).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
    assert!(!is_silent(&one) && !is_silent(&other));
    database.refuse_sessions(false);
    sleep(SETTLING).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
    assert!(is_silent(&one) && is_silent(&other));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_could_not_say_that_it_left_is_dropped_while_its_process_lives() {
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    for node in [&one, &other] {
        node.io.ns("/leaves", async || {}).await.unwrap();
    }
    sleep(SETTLING).await;
    assert!(is_silent(&one) && is_silent(&other));
    database.refuse_channels_with("/leaves");
    other.io.delete_ns("/leaves");
    let begun = Instant::now();
    let left = one.wait_for(|event| matches!(event, Event::NodeLeft { .. })).await;
    let Event::NodeLeft { namespace, closed, .. } = left else { panic!("{left:?}") };
    assert_eq!((namespace.as_str(), closed), ("/leaves", false));
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
    // Else the heartbeats of the node that is left in it fail, and with them its node.
    database.refuse_channels_with("none is named like this");
    sleep(SETTLING).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2), "the other namespace goes on");
    assert!(one.cluster.health().namespaces.iter().find(|namespace| namespace.name == "/").unwrap().is_silent);
    nobody_leaves(&mut one).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_publish_is_dropped_although_its_session_lives() {
    let database = MemoryDatabase::default();
    let [mut one, other] = pair(&database).await;
    sleep(SETTLING).await;
    // The other's statements hang until they are given up.
    database.hold_publications(true);
    let emitted = tokio::spawn({
        let namespace = other.cluster.of("/");
        async move { namespace.server_side_emit("e", &1).await }
    });
    let left = timeout(Duration::from_secs(40), one.wait_for(|event| matches!(event, Event::NodeLeft { .. }))).await;
    assert!(left.is_ok(), "it is not waited for any more");
    emitted.await.unwrap().unwrap_err();
    database.hold_publications(false);
    sleep(SETTLING).await;
    assert_eq!((one.server_count(), other.server_count()), (2, 2));
    assert!(is_silent(&one) && is_silent(&other));
}

/// In a storm that comes faster than the node reads, the answer to a look comes behind it.
#[tokio::test(start_paused = true)]
async fn a_look_whose_answer_waits_behind_notifications_does_not_break_the_connection() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    sleep(Duration::from_secs(60)).await;
    while other.events.next().now_or_never().flatten().is_some() {}
    database.hold_looks(true);
    for number in 0..300_u64 {
        one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    database.hold_looks(false);
    sleep(Duration::from_secs(1)).await;
    let mut broken = 0;
    while let Some(event) = other.events.next().now_or_never().flatten() {
        broken += usize::from(matches!(event, Event::Disconnected { .. }));
    }
    let mut count = 0;
    while received.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!((broken, count), (0, 300), "sessions were given up although they delivered all the time");
}

#[tokio::test(start_paused = true)]
async fn messages_do_not_wait_for_a_look_that_is_under_way() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    database.hold_looks(true);
    // Every node is asking by now, and waits for the answer.
    sleep(Duration::from_secs(4)).await;
    let start = Instant::now();
    for number in 0..100_u64 {
        one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
        received.recv().await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(100), "they took {:?}", start.elapsed());
    database.hold_looks(false);
}
