//! Two namespaces of one name that enter at the same moment: the node and socketioxide must keep
//! the same one.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use futures_util::stream::{self, Empty};
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::AckError;
use socketioxide_core::{
    Sid, Str, Uid, Value,
    adapter::{
        AckStreamItem, BroadcastIter, CoreAdapter, CoreLocalAdapter, RemoteSocketData, SocketEmitter,
        errors::SocketError,
    },
    packet::Packet,
    parser::Parse,
};
use socketioxide_parser_common::CommonParser;

/// A server's namespace without sockets.
struct NoSockets {
    path: Str,
    server: Uid,
}

impl SocketEmitter for NoSockets {
    type AckError = AckError;
    type AckStream = Empty<AckStreamItem<AckError>>;

    fn get_all_sids(&self, _: impl Fn(&Sid) -> bool) -> Vec<Sid> {
        Vec::new()
    }

    fn get_remote_sockets(&self, _: BroadcastIter<'_>) -> Vec<RemoteSocketData> {
        Vec::new()
    }

    fn send_many(&self, _: BroadcastIter<'_>, _: Value) -> Result<(), Vec<SocketError>> {
        Ok(())
    }

    fn send_many_volatile(&self, _: BroadcastIter<'_>, _: Value) {}

    fn send_many_with_ack(&self, _: BroadcastIter<'_>, _: Packet, _: Option<Duration>) -> (Self::AckStream, u32) {
        (stream::empty(), 0)
    }

    fn disconnect_many(&self, _: Vec<Sid>) -> Result<(), Vec<SocketError>> {
        Ok(())
    }

    fn path(&self) -> &Str {
        &self.path
    }

    fn parser(&self) -> impl Parse {
        CommonParser
    }

    fn server_id(&self) -> Uid {
        self.server
    }

    fn ack_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// socketioxide keeps the namespace whose `on_success` ran last, and the node keeps the one that
/// was registered last: if they differ, clients are cut off from the cluster for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_the_node_keep_the_same_one_of_two_namespaces_that_enter_at_once() {
    let cluster = Cluster::connect(MemoryDatabase::default().backend(), Options::default()).await.unwrap();
    let server = Uid::new();
    let adapter = || {
        let local = CoreLocalAdapter::new(NoSockets { path: Str::from("/x"), server });
        Arc::new(<PostgresAdapter<NoSockets, MemoryBackend> as CoreAdapter<_>>::new(&cluster, local))
    };
    let (first, second) = (adapter(), adapter());
    let runtime = tokio::runtime::Handle::current();
    let (entered, order) = mpsc::channel();
    let (entered_too, second_entered) = mpsc::channel();
    let both = entered.clone();
    let beside = thread::spawn({
        let (first, second) = (first.clone(), second.clone());
        move || {
            let in_runtime = runtime.clone();
            let _runtime = in_runtime.enter();
            let _joining = first.init(move || {
                let second_enters = thread::spawn(move || {
                    let _runtime = runtime.enter();
                    let _joining = second.init(move || {
                        both.send("second").unwrap();
                        entered_too.send(()).unwrap();
                    });
                });
                // Time enough for the second to overtake, if it can.
                let _ = second_entered.recv_timeout(Duration::from_secs(1));
                entered.send("first").unwrap();
                drop(second_enters);
            });
        }
    });
    beside.join().unwrap();
    let order: Vec<_> = tokio::task::spawn_blocking(move || order.into_iter().collect()).await.unwrap();
    assert_eq!(order, ["first", "second"]);
    // socketioxide and the node keep the same namespace: closing the other one does not remove it
    // from the cluster.
    assert!(cluster.of("/x").uid().is_some());
    first.close().await.unwrap();
    assert!(cluster.of("/x").uid().is_some());
    second.close().await.unwrap();
    assert!(cluster.of("/x").uid().is_none());
}
