//! What a node does while publishing fails, while it hears nothing, and when code below it panics.

use std::time::Duration;

use socketio_pg_core::{
    CatchUp, Error, Event, Options,
    testing::memory::{Call, MemoryDatabase},
};
use tokio::time::sleep;

use crate::nodes::{Node, collect, pair};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_panic_while_publishing_fails_one_message_and_no_other() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    // Nothing else is being published: the sender's own task publishes.
    database.panic_at_next(Call::Publish);
    let error = namespace.server_side_emit("e", &1_u64).await.unwrap_err();
    assert!(matches!(error, Error::Unconfirmed(_)), "{error:?}");
    assert!(error.to_string().contains("panicked: as a driver with a defect"), "{error}");
    assert!(!one.cluster.health().is_ready());
    namespace.server_side_emit("e", &2_u64).await.unwrap();
    assert!(one.cluster.health().is_ready());
    // An attachment is published by the publisher's task.
    database.panic_at_next(Call::Publish);
    let large = "x".repeat(9000);
    namespace.server_side_emit("large", &large).await.unwrap_err();
    namespace.server_side_emit("large", &large).await.unwrap();
    namespace.server_side_emit("e", &3_u64).await.unwrap();
    assert_eq!((received.recv().await, received.recv().await), (Some(2), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_connecting_is_one_failed_attempt() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    // Whichever of the two it is that connects first.
    database.panic_at_next(Call::ConnectListener);
    database.break_sessions();
    for node in [&mut one, &mut other] {
        node.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    }
    one.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_message_makes_its_node_unready_and_is_not_asked_for_each() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    database.refuse_publications(true);
    namespace.server_side_emit("e", &0_u64).await.unwrap_err();
    assert!(!one.cluster.health().is_ready(), "one message was refused");
    let before = database.attempts();
    let all = futures_util::future::join_all((0..500).map(|_| namespace.server_side_emit("e", &1_u64))).await;
    assert!(all.iter().all(Result::is_err));
    let attempts = database.attempts() - before;
    assert!(attempts < 10, "{attempts} attempts for 500 messages");
    assert!(!one.cluster.health().is_ready(), "batches were refused");
    database.refuse_publications(false);
    namespace.server_side_emit("e", &2_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(2));
    assert!(one.cluster.health().is_ready());
}

#[tokio::test(start_paused = true)]
async fn attachments_that_are_refused_make_no_node_unready() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    database.refuse_attachments(true);
    let namespace = one.cluster.of("/");
    let large = "x".repeat(9000);
    let sending = (0..20_u64).map(|number| {
        let (namespace, large) = (namespace.clone(), large.clone());
        async move {
            if number % 2 == 0 {
                namespace.server_side_emit("large", &large).await.unwrap_err();
            } else {
                namespace.server_side_emit("e", &number).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(sending).await;
    namespace.server_side_emit("large", &large).await.unwrap_err();
    assert!(one.cluster.health().is_ready());
    for number in (1..20).step_by(2) {
        assert_eq!(received.recv().await, Some(number));
    }
}

/// A request of a node that has heard nobody for a while does not end as if nobody were there.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_disconnected_does_not_take_others_for_dead() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    database.refuse_sessions(true);
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    sleep(60 * SECOND).await;
    let found = other.cluster.of("/").fetch_sockets_in_time().await.unwrap();
    assert!(found.error.is_some(), "{found:?}");
    assert_eq!(found.missing(), one.cluster.of("/").uid().into_iter().collect::<Vec<_>>());
    other.cluster.of("/").fetch_sockets().await.unwrap_err();
    database.refuse_sessions(false);
    for node in [&mut one, &mut other] {
        node.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    }
    other.cluster.of("/").fetch_sockets().await.unwrap();
    // Who is gone by then is noticed once it is silent.
    database.refuse_sessions(true);
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    one.cluster.close().await;
    sleep(60 * SECOND).await;
    assert_eq!(other.server_count(), 2);
    database.refuse_sessions(false);
    other.wait_for(|event| matches!(event, Event::NodeLeft { closed: false, .. })).await;
    other.cluster.of("/").fetch_sockets().await.unwrap();
}

/// As while the network loses all packets: the node notices it only after ten seconds.
#[tokio::test(start_paused = true)]
async fn a_node_whose_connection_hangs_does_not_take_others_for_dead() {
    let database = MemoryDatabase::default();
    let [mut one, mut other] = pair(&database).await;
    database.hang_sessions(true);
    for _ in 0..60 {
        sleep(SECOND).await;
        assert_eq!(other.server_count(), 2);
    }
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    let found = other.cluster.of("/").fetch_sockets_in_time().await.unwrap();
    assert_eq!(found.missing().len(), 1, "{found:?}");
    database.hang_sessions(false);
    for node in [&mut one, &mut other] {
        node.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    }
    other.cluster.of("/").fetch_sockets().await.unwrap();
    // A node that dies is still noticed in ten seconds and a moment.
    let begun = tokio::time::Instant::now();
    database.refuse_publications(true);
    other.wait_for(|event| matches!(event, Event::NodeLeft { closed: false, .. })).await;
    assert!(begun.elapsed() < 11 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_written_keeps_no_other_message_from_being_sent() {
    let database = MemoryDatabase::default();
    let options = Options::default().catch_up(CatchUp::last(300 * SECOND));
    let one = Node::with_options(&database, options.clone()).await;
    let mut other = Node::with_options(&database, options).await;
    other.wait_for_peer().await;
    database.refuse_log(true);
    let namespace = one.cluster.of("/");
    // The first is published by its sender's own task: the others share a batch.
    let logged = futures_util::future::join_all((0..6).map(|_| namespace.server_side_emit("e", &1_u64)));
    let (logged, found) = tokio::join!(logged, namespace.fetch_sockets());
    assert!(logged.iter().all(Result::is_err));
    found.unwrap();
    assert!(one.cluster.health().is_ready());
}

#[tokio::test(start_paused = true)]
async fn sockets_of_this_node_are_found_while_the_others_cannot_be_asked() {
    let database = MemoryDatabase::default();
    let [one, _other] = pair(&database).await;
    database.refuse_publications(true);
    let namespace = one.cluster.of("/");
    let found = namespace.fetch_sockets_in_time().await.unwrap();
    assert!(matches!(found.error, Some(Error::Publish(_))), "{found:?}");
    assert!(namespace.socket_count_in_time().await.unwrap().error.is_some());
    assert!(namespace.socket_ids_in_time().await.unwrap().error.is_some());
    assert!(matches!(namespace.fetch_sockets().await, Err(Error::Publish(_))));
}

/// Whenever it dies between the messages of others, and the checks of the connection.
#[tokio::test(start_paused = true)]
async fn a_node_that_dies_is_noticed_in_ten_seconds_and_a_half() {
    let database = MemoryDatabase::default();
    let [mut one, _other] = pair(&database).await;
    for offset in 0..12 {
        sleep(Duration::from_millis(450 * offset)).await;
        let uid = format!("mortal{offset}");
        database.notify("socket.io#/", &format!(r#"{{"uid":"{uid}","nsp":"/","type":2}}"#));
        let begun = tokio::time::Instant::now();
        one.wait_for(|event| matches!(event, Event::NodeLeft { node, .. } if node.as_str() == uid)).await;
        assert!(begun.elapsed() <= Duration::from_millis(10_600), "{offset}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_log_is_locked_is_not_taken_for_dead() {
    let database = MemoryDatabase::default();
    let options = || Options::default().catch_up(CatchUp::last(60 * SECOND));
    let one = Node::with_options(&database, options()).await;
    let mut other = Node::with_options(&database, options()).await;
    other.wait_for_peer().await;
    database.hold_log_writes(true);
    for number in 0..60_u64 {
        // The application goes on emitting, and each of its messages would write the log; every other one
        // needs the attachments table, too.
        let namespace = one.cluster.of("/");
        let event = if number.is_multiple_of(2) { ("e", String::new()) } else { ("large", "x".repeat(9000)) };
        tokio::spawn(async move { namespace.server_side_emit(event.0, &(number, event.1)).await });
        sleep(SECOND).await;
        assert_eq!(other.server_count(), 2, "after {number} s");
    }
    database.hold_log_writes(false);
    sleep(10 * SECOND).await;
    let mut received = collect(&other);
    one.cluster.of("/").server_side_emit("e", &60_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(60));
}

/// What comes first after a stall is as old as the stall.
#[tokio::test(start_paused = true)]
async fn a_node_that_stood_still_takes_no_node_for_silent_whose_heartbeats_it_has_not_read() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    let send = |uid: &str, rest: &str| {
        database.notify("socket.io#/", &format!(r#"{{"uid":"{uid}","nsp":"/",{rest}}}"#));
    };
    for uid in ["quiet", "busy"] {
        send(uid, r#""type":2"#);
        node.wait_for_peer().await;
    }
    let event = r#""type":3,"data":{"opts":{"rooms":[],"except":[]},"packet":{"type":2,"data":["e"]}}"#;
    for number in 1..=6000 {
        send("busy", event);
        if number % 2500 == 0 {
            send("quiet", r#""type":2"#);
        }
    }
    // No task runs meanwhile.
    tokio::time::advance(12 * SECOND).await;
    sleep(SECOND / 10).await;
    while let Ok(Some(event)) = tokio::time::timeout(SECOND / 1000, node.events.next()).await {
        assert!(!matches!(event, Event::NodeLeft { .. }), "{event:?}");
    }
    assert_eq!(node.server_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_does_not_end_the_others() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let namespace = node.cluster.of("/");
    namespace.on_server_side("e", async |_: u64| {
        tokio::task::yield_now().await;
        panic!("later")
    });
    namespace.on_server_side("e", |_: u64| -> std::future::Ready<()> { panic!("at once") });
    let (done, mut is_done) = tokio::sync::mpsc::unbounded_channel();
    namespace.on_server_side("e", move |number: u64| {
        let done = done.clone();
        async move {
            sleep(SECOND).await;
            let _ = done.send(number);
        }
    });
    database.notify("socket.io#/", r#"{"uid":"x","nsp":"/","type":9,"data":{"packet":["e",7]}}"#);
    let number = tokio::time::timeout(60 * SECOND, is_done.recv()).await;
    assert_eq!(number, Ok(Some(7)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_is_written_again_after_one_time_out() {
    let database = MemoryDatabase::default();
    let options = || Options::default().catch_up(CatchUp::last(60 * SECOND));
    let one = Node::with_options(&database, options()).await;
    let mut other = Node::with_options(&database, options()).await;
    other.wait_for_peer().await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    database.hold_log_writes(true);
    namespace.server_side_emit("e", &0_u64).await.unwrap_err();
    // From now on each takes longer than a message may while the log hangs.
    let mut is_published = false;
    for number in 1..30_u64 {
        database.hold_log_writes(true);
        let slow = async {
            sleep(4 * SECOND).await;
            database.hold_log_writes(false);
        };
        is_published = tokio::join!(namespace.server_side_emit("e", &number), slow).0.is_ok();
        if is_published {
            break;
        }
    }
    assert!(is_published, "in two minutes");
    assert!(received.recv().await.is_some());
}

/// Notifications that come all the time prove nothing, and keep no question from being asked.
#[tokio::test(start_paused = true)]
async fn a_node_that_dies_is_noticed_while_others_publish_all_the_time() {
    let database = MemoryDatabase::default();
    let mut node = Node::start(&database).await;
    let send = |uid: &str, rest: &str| {
        database.notify("socket.io#/", &format!(r#"{{"uid":"{uid}","nsp":"/",{rest}}}"#));
    };
    for uid in ["dead", "busy"] {
        send(uid, r#""type":2"#);
        node.wait_for_peer().await;
    }
    let event = r#""type":3,"data":{"opts":{"rooms":[],"except":[]},"packet":{"type":2,"data":["e"]}}"#;
    for _ in 0..1200 {
        send("busy", event);
        sleep(SECOND / 100).await;
    }
    let left = tokio::time::timeout(SECOND / 1000, node.wait_for(|event| matches!(event, Event::NodeLeft { .. })));
    assert!(matches!(left.await, Ok(Event::NodeLeft { node, closed: false, .. }) if node.as_str() == "dead"));
    assert_eq!(node.server_count(), 2);
}
