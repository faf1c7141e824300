//! What waits for what on its way in.

use std::{
    future::ready,
    sync::{Mutex, mpsc},
    time::Duration,
};

use socketio_pg_core::testing::memory::MemoryDatabase;

use crate::nodes::{collect, pair};

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
