//! Cancels the start and the end of nodes and namespaces.

use std::{future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use socketio_pg_core::{
    Cluster, ConnectError,
    backend::Backend,
    testing::contract::cancellation::{poll_times, sweep},
};
use socketioxide::SocketIo;
use tokio::time::timeout;

use super::{scene::Scene, tasks, until};
use crate::clients::{Adapter, Client, LONG};

async fn nothing_left(what: &str, before: usize, sessions: impl Fn() -> usize) {
    until(what, async || match (tasks(), sessions()) {
        (tasks, 0) if tasks <= before => Ok(()),
        left => Err(format!("{left:?} tasks and sessions are left, {before} tasks were there")),
    })
    .await;
}

/// A node that is cancelled while it connects leaves nothing behind.
pub async fn connect<B, F>(name: &str, connect: impl Fn() -> F, sessions: impl Fn() -> usize)
where
    B: Backend,
    F: Future<Output = Result<Cluster<B>, ConnectError>>,
{
    let before = tasks();
    let polls = sweep(async |polls| {
        let what = format!("{name} after {polls} polls");
        let mut connecting = Box::pin(connect());
        let connected = timeout(LONG, poll_times(connecting.as_mut(), polls)).await.expect("it is woken");
        drop(connecting);
        let is_over = connected.is_some();
        if let Some(cluster) = connected {
            cluster.unwrap().close().await;
        }
        nothing_left(&what, before, &sessions).await;
        is_over
    });
    println!("{name}: {} polls", polls.await);
}

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The handle closes.
    Cluster,
    /// The server closes.
    Server,
}

/// What is done after cancelling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// It is closed again: that call waits until the node has left.
    Again,
    /// Every handle is dropped.
    Dropped,
}

/// A node whose close is cancelled still leaves, and releases its server.
pub async fn close<B, F>(end: End, then: Then, connect: impl Fn() -> F, sessions: impl Fn() -> usize)
where
    B: Backend,
    F: Future<Output = Result<Cluster<B>, ConnectError>>,
{
    let before = tasks();
    let polls = sweep(async |polls| {
        let what = format!("{end:?} closed after {polls} polls, then {then:?}");
        let cluster = connect().await.unwrap();
        let (layer, io) = SocketIo::builder().with_adapter::<Adapter<B>>(cluster.clone()).build_layer();
        cluster.attach(&io);
        let marker = Arc::new(());
        let held = marker.clone();
        let handler = move || {
            let held = held.clone();
            async move { drop(held) }
        };
        io.ns("/", handler).await.unwrap();
        let mut begun = Box::pin(async {
            let _ = cluster.of("/").emit("begun", &()).await;
        });
        assert!(poll_times(begun.as_mut(), 1).await.is_none());
        drop(begun);
        let mut closing: BoxFuture<'_, ()> = match end {
            End::Cluster => Box::pin(cluster.close()),
            End::Server => Box::pin(io.close()),
        };
        let is_over = timeout(LONG, poll_times(closing.as_mut(), polls)).await.expect("it is woken").is_some();
        drop(closing);
        // A server that is attached holds the node until one of them closes. A server whose close
        // is cancelled looks to its adapters like one whose namespace is deleted.
        let is_held = polls == 0 || end == End::Server && !is_over;
        if then == Then::Again || is_held {
            timeout(LONG, cluster.close()).await.expect("close ends");
            assert!(tasks() <= before, "{what}: {} tasks after close, {before} before", tasks());
        }
        drop((layer, io, cluster));
        nothing_left(&what, before, &sessions).await;
        until(&what, async || match Arc::strong_count(&marker) {
            1 => Ok(()),
            _ => Err("the server is still held".to_owned()),
        })
        .await;
        is_over
    });
    println!("{end:?}, {then:?}: {} polls", polls.await);
}

/// A namespace whose start is cancelled still exists; it can be deleted, and created again.
pub async fn namespace<B: Backend>(scene: &mut Scene<B>) {
    let polls = sweep(async |polls| {
        let what = format!("io.ns after {polls} polls");
        let server = scene.one.clone();
        let is_there = |wanted: bool| {
            let (server, what) = (server.clone(), what.clone());
            async move {
                until(&what, async || {
                    let count = server.cluster.of("/swept").server_count();
                    if (count > 0) == wanted { Ok(()) } else { Err(format!("{count} nodes have it")) }
                })
                .await;
            }
        };
        let mut beginning = Box::pin(server.io.ns("/swept", async || {}));
        let begun = timeout(LONG, poll_times(beginning.as_mut(), polls)).await.expect("it is woken");
        drop(beginning);
        is_there(true).await;
        let mut client = Client::connect(server.address, "/swept").await;
        server.cluster.of("/swept").emit("e", &polls).await.unwrap();
        assert_eq!(client.events("/swept", 1).await, [format!(r#"["e",{polls}]"#)], "{what}");
        server.io.delete_ns("/swept");
        is_there(false).await;
        // Deleted while it starts.
        let mut beginning = Box::pin(server.io.ns("/swept", async || {}));
        let ended = timeout(LONG, poll_times(beginning.as_mut(), polls)).await.expect("it is woken");
        server.io.delete_ns("/swept");
        if ended.is_none() {
            let _ = timeout(LONG, beginning).await.unwrap_or_else(|_| panic!("{what}: it hangs when it is deleted"));
        }
        is_there(false).await;
        begun.is_some()
    });
    println!("io.ns: {} polls", polls.await);
}

/// A reader of events that stops waiting does not miss one.
pub async fn events<B: Backend>(scene: &Scene<B>) {
    let mut events = scene.one.cluster.events();
    let before = scene.one.cluster.of("/").server_count();
    assert_eq!(before, 2);
    for polls in 0..3 {
        let mut next = Box::pin(events.next());
        // Without an event, it is not woken for a second poll.
        assert!(poll_times(next.as_mut(), polls.min(1)).await.is_none());
        drop(next);
        let name = format!("/events{polls}");
        scene.one.io.ns(name.clone(), async || {}).await.unwrap();
        scene.other.io.ns(name.clone(), async || {}).await.unwrap();
        let joined = timeout(LONG, events.next()).await.expect("the event is told");
        let is_it =
            matches!(&joined, Some(socketio_pg_core::Event::NodeJoined { namespace, .. }) if *namespace == name);
        assert!(is_it, "{joined:?}");
    }
}
