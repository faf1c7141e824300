//! What waits for what on its way in.

use std::{
    future::ready,
    sync::{Mutex, mpsc},
    time::Duration,
};

use socketio_pg_core::{Event, Options, testing::memory::MemoryDatabase};

use crate::nodes::{Node, collect, pair};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_holds_up_what_is_behind_it_and_not_the_connection() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let (release, blocking) = mpsc::channel::<()>();
    let blocking = Mutex::new(blocking);
    other.cluster.of("/").on_server_side("block", move |(): ()| {
        // Until the test lets it go on.
        let _ = blocking.lock().unwrap().recv();
        ready(())
    });
    one.cluster.of("/").server_side_emit("block", &()).await.unwrap();
    for number in 0..50_u64 {
        // For clients, which would be handled where it is read if nothing waited before it.
        one.io.emit("e", &number).await.unwrap();
        one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
    }
    let all_are_read = async {
        while other.cluster.health().inbox.waiting < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_are_read).await.expect("they are read meanwhile");
    received.try_recv().unwrap_err();
    release.send(()).unwrap();
    for number in 0..50 {
        assert_eq!(received.recv().await, Some(number));
    }
    assert_eq!(other.cluster.health().inbox.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_statement_found_the_session_broken_is_handled() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    // Its link waits for a LISTEN when the messages come and the session breaks.
    database.hold_listens(true);
    let entering = tokio::spawn({
        let io = other.io.clone();
        async move { io.ns("/another", async || {}).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    for number in 0..3_u64 {
        one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
    }
    // The sender reads its own, too.
    assert!(database.unread() >= 3);
    database.break_sessions();
    database.hold_listens(false);
    entering.await.unwrap().unwrap();
    for number in 0..3 {
        let handled = tokio::time::timeout(Duration::from_secs(60), received.recv()).await;
        assert_eq!(handled.expect("it is handled"), Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_message_behind_a_message_larger_than_the_inbox_is_kept() {
    let database = MemoryDatabase::default();
    let mut node = Node::with_options(&database, Options::default().max_inbox_bytes(8000)).await;
    database.notify("socket.io#/", r#"{"uid":"peer","nsp":"/","type":2}"#);
    node.wait_for_peer().await;
    let rooms = vec![r#""r""#; 1500].join(",");
    let join = format!(
        r#"{{"uid":"peer","nsp":"/","type":4,"data":{{"opts":{{"rooms":[],"except":[]}},"rooms":[{rooms}]}}}}"#
    );
    database.notify("socket.io#/", &join);
    database.notify("socket.io#/", r#"{"uid":"peer","nsp":"/","type":13}"#);
    node.wait_for(|event| matches!(event, Event::NodeLeft { closed: true, .. })).await;
}
