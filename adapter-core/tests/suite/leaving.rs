//! Nodes that leave because their last handle was dropped, on a database in memory, with paused
//! time.

use std::{sync::Arc, time::Duration};

use socketio_pg_core::{
    Error, Event, Shutdown,
    backend::{Backend, Listener},
    testing::memory::MemoryDatabase,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use crate::nodes::{Node, collect, pair};

/// Waits until no task of the dropped nodes is left, and returns how long that took.
async fn wait_for_tasks(count: usize) -> Duration {
    let started = Instant::now();
    let waiting = async {
        while Handle::current().metrics().num_alive_tasks() > count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let alive = || Handle::current().metrics().num_alive_tasks();
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{} tasks", alive()));
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_drop_arrives_then_the_close_message_and_nothing_is_left() {
    let database = MemoryDatabase::default();
    let mut one = Node::start(&database).await;
    let mut received = collect(&one);
    let before = Handle::current().metrics().num_alive_tasks();
    let Node { cluster, io, events } = Node::start(&database).await;
    one.wait_for_peer().await;
    let namespace = cluster.of("/");
    for number in 0..1000_u64 {
        let mut sending = Box::pin(namespace.server_side_emit("e", &number));
        assert!(futures_util::poll!(&mut sending).is_pending());
    }
    let asking = one.cluster.of("/").server_side_emit_with_ack::<_, u64>("unhandled", &()).await.unwrap();
    let started = Instant::now();
    drop((namespace, cluster, io, events));
    let (_, outcome) = asking.all().await;
    assert!(matches!(outcome, Ok(()) | Err(Error::Timeout { .. })), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "the asker waited {:?}", started.elapsed());
    for number in 0..1000 {
        assert_eq!(received.recv().await, Some(number));
    }
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
    wait_for_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn with_the_database_away_a_dropped_node_ends_in_time() {
    let database = MemoryDatabase::default();
    let before = Handle::current().metrics().num_alive_tasks();
    let Node { cluster, io, events } = Node::start(&database).await;
    database.set_down(true);
    let namespace = cluster.of("/");
    assert!(futures_util::poll!(Box::pin(namespace.server_side_emit("e", &1))).is_pending());
    drop(namespace);
    drop((cluster, io, events));
    assert!(wait_for_tasks(before).await <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_ends_with_its_node() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let before = Handle::current().metrics().num_alive_tasks();
    database.hold_fetches(true);
    one.cluster.of("/").server_side_emit("e", &"x".repeat(9_000)).await.unwrap();
    while Handle::current().metrics().num_alive_tasks() == before {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    other.cluster.close().await;
    let Node { cluster, io, events } = one;
    cluster.close().await;
    drop((other, cluster, io, events));
    wait_for_tasks(0).await;
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_no_task_waits_for_continues() {
    let database = MemoryDatabase::default();
    let before = Handle::current().metrics().num_alive_tasks();
    let Node { cluster, io: _io, .. } = Node::start(&database).await;
    assert!(futures_util::poll!(Box::pin(cluster.close())).is_pending());
    assert!(wait_for_tasks(before).await <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_emit_that_is_kept_and_not_polled_is_published_and_holds_up_no_close() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let namespace = one.cluster.of("/");
    namespace.emit("before", &()).await.unwrap();
    let mut kept = Box::pin(namespace.server_side_emit("e", &7_u64));
    assert!(futures_util::poll!(&mut kept).is_pending());
    let started = tokio::time::Instant::now();
    one.cluster.close().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(received.recv().await, Some(7));
    kept.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_still_runs_keeps_no_node_from_leaving() {
    let database = MemoryDatabase::default();
    let mut one = Node::start(&database).await;
    let before = Handle::current().metrics().num_alive_tasks();
    let Node { cluster, io, events } = Node::start(&database).await;
    one.wait_for_peer().await;
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    cluster.of("/").on_server_side("e", move |_: u64| {
        let _ = begun.send(());
        std::future::pending()
    });
    one.cluster.of("/").server_side_emit("e", &1_u64).await.unwrap();
    begins.recv().await.unwrap();
    drop((cluster, io, events));
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
    // Only the handler's task is left.
    wait_for_tasks(before + 1).await;
}

#[test]
fn a_node_may_be_dropped_outside_of_its_runtime_and_after_its_end() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (own, others) = (runtime(), runtime());
    let database = MemoryDatabase::default();
    let mut one = others.block_on(Node::start(&database));
    let dropped = own.block_on(Node::start(&database));
    others.block_on(one.wait_for_peer());
    drop(dropped);
    others.block_on(one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })));
    let late = own.block_on(Node::start(&database));
    drop(own);
    drop(late);
}

#[tokio::test(start_paused = true)]
async fn no_response_comes_behind_the_close_message() {
    const CHANNEL: &str = "socket.io#/";
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let (begun, mut begins) = mpsc::unbounded_channel();
    let finish = Arc::new(Notify::new());
    node.cluster.of("/").on_server_side_with_ack("late", {
        let finish = finish.clone();
        move |_: u64| {
            let _ = begun.send(());
            let finish = finish.clone();
            async move {
                finish.notified().await;
                7_u64
            }
        }
    });
    let mut stranger = database.backend().connect_listener().await.unwrap();
    stranger.listen(&[CHANNEL.to_owned()]).await.unwrap();
    database.notify(CHANNEL, r#"{"type":9,"data":{"requestId":"r","packet":["late",1]},"uid":"stranger","nsp":"/"}"#);
    begins.recv().await.unwrap();
    node.io.delete_ns("/");
    finish.notify_one();
    let mut heard = Vec::new();
    while let Ok(incoming) = timeout(Duration::from_secs(30), stranger.next()).await {
        heard.push(incoming.unwrap().payload);
    }
    assert!(heard.last().is_some_and(|last| last.starts_with(r#"{"type":13"#)), "{heard:#?}");
}

/// The messages that PostgreSQL gets from a node whose namespace is deleted during `act`.
async fn heard_after_deletion<F: Future>(act: impl FnOnce(Node) -> F) -> Vec<String> {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let mut stranger = database.backend().connect_listener().await.unwrap();
    stranger.listen(&["socket.io#/".to_owned()]).await.unwrap();
    act(node).await;
    let mut heard = Vec::new();
    while let Ok(incoming) = timeout(Duration::from_secs(30), stranger.next()).await {
        heard.push(incoming.unwrap().payload);
    }
    let close = heard.iter().position(|payload| payload.starts_with(r#"{"type":13"#)).expect("a close message");
    heard.split_off(close + 1)
}

#[tokio::test(start_paused = true)]
async fn the_last_messages_of_a_namespace_arrive_and_do_not_revive_it() {
    let heard = heard_after_deletion(|node| async move {
        let kept = node.io.of("/").unwrap();
        node.io.delete_ns("/");
        kept.clone().emit("last", &1).await.unwrap();
        kept.clone().to("room").join("other").await.unwrap();
        kept.clone().to("room").leave("other").await.unwrap();
        kept.clone().to("room").disconnect().await.unwrap();
        kept.clone().emit("large", &"x".repeat(9_000)).await.unwrap();
        node.cluster.close().await;
    })
    .await;
    assert_eq!(heard.len(), 5, "{heard:#?}");
    for payload in heard {
        let message: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(message["uid"], "emitter", "{payload}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_asks_no_node_after_its_close_message() {
    let heard = heard_after_deletion(|node| async move {
        let kept = node.io.of("/").unwrap();
        node.io.delete_ns("/");
        let asked = kept.clone().fetch_sockets().await;
        assert!(asked.is_err(), "{asked:?}");
        let asked = kept.clone().emit_with_ack::<_, u64>("question", &1).await;
        assert!(asked.is_err());
        node.cluster.close().await;
    })
    .await;
    assert!(heard.is_empty(), "{heard:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_told_to_end_leaves_in_time_whatever_hangs() {
    let [mut one, node] = pair(&MemoryDatabase::default()).await;
    let started = Instant::now();
    // As an HTTP server does that waits for a request without end.
    let hanging = |_| std::future::pending::<Result<(), ()>>();
    assert_eq!(node.cluster.serve_until(async {}, &node.io, hanging).await, Ok(()));
    assert_eq!(started.elapsed().as_secs(), 8, "the default of Options::leave_timeout");
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
    // Long before the time ran out.
    assert!(started.elapsed() < Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_http_server_is_told_to_end_and_waited_for() {
    let [mut one, node] = pair(&MemoryDatabase::default()).await;
    let started = Instant::now();
    let http = |shutdown: Shutdown| async move {
        shutdown.await;
        Ok::<_, ()>(())
    };
    assert_eq!(node.cluster.serve_until(async {}, &node.io, http).await, Ok(()));
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_http_server_is_returned_and_the_node_leaves() {
    let [mut one, node] = pair(&MemoryDatabase::default()).await;
    let failing = |_| async { Err::<(), _>("the port is taken") };
    let never = std::future::pending::<()>();
    assert_eq!(node.cluster.serve_until(never, &node.io, failing).await, Err("the port is taken"));
    one.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
}

/// Several tasks emit while the namespace is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn emits_beside_a_deletion_never_come_as_a_member_behind_the_close_message() {
    for _ in 0..30 {
        let database = MemoryDatabase::default();
        let node = Node::start(&database).await;
        let mut stranger = database.backend().connect_listener().await.unwrap();
        stranger.listen(&["socket.io#/".to_owned()]).await.unwrap();
        let kept = node.io.of("/").unwrap();
        let emits: Vec<_> = (0..4)
            .map(|task| {
                let kept = kept.clone();
                tokio::spawn(async move {
                    for number in 0..50 {
                        // Fails when the namespace leaves while the message is prepared.
                        let _ = kept.clone().emit("e", &(task, number)).await;
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        node.io.delete_ns("/");
        for emit in emits {
            emit.await.unwrap();
        }
        node.cluster.close().await;
        database.notify("socket.io#/", "the end");
        let mut has_left = false;
        loop {
            let payload = timeout(Duration::from_secs(60), stranger.next()).await.unwrap().unwrap().payload;
            if payload == "the end" {
                break;
            }
            assert!(!has_left || payload.contains(r#""uid":"emitter""#), "{payload}");
            has_left |= payload.starts_with(r#"{"type":13"#);
        }
        assert!(has_left);
    }
}
