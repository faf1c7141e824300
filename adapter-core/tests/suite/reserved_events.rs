//! Event names that Socket.IO reserves: an event with such a name is refused, and is not sent.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use socketio_pg_core::{
    Emitter, Error, PublishOn,
    backend::{BackendError, Outgoing, emission::Emission},
    testing::memory::MemoryDatabase,
};

use crate::nodes::{collect, pair};

const OF_CLIENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
const OF_SERVERS: [&str; 3] = ["connect", "connection", "new_namespace"];

fn assert_refused<T>(name: &str, outcome: Result<T, impl std::error::Error>) {
    let error = outcome.err().map(|error| format!("{error}, {error:?}")).unwrap_or_default();
    let expected = Error::ReservedEvent { event: name.to_owned() }.to_string();
    assert!(error.contains(&expected), "{name}: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_refuses_reserved_event_names_and_publishes_nothing() {
    let database = MemoryDatabase::default();
    let [one, _other] = pair(&database).await;
    let before = database.batches();
    let handle = one.cluster.of("/");
    for name in OF_CLIENTS {
        assert_refused(name, one.io.emit(name, "data").await);
        assert_refused(name, one.io.to("room").emit(name, "data").await);
        assert_refused(name, one.io.local().emit(name, "data").await);
        assert_refused(name, one.io.emit_with_ack::<_, u8>(name, "data").await);
        assert_refused(name, one.io.local().emit_with_ack::<_, u8>(name, "data").await);
        assert_refused(name, handle.emit(name, "data").await);
        assert_refused(name, handle.clone().local().emit(name, "data").await);
        assert_refused(name, handle.emit_with_ack::<_, u8>(name, "data").await);
        let refused = handle.emit(name, "data").await;
        assert!(matches!(refused, Err(Error::ReservedEvent { event }) if event == name));
    }
    for name in OF_SERVERS {
        assert_refused(name, handle.server_side_emit(name, "data").await);
        assert_refused(name, handle.server_side_emit_with_ack::<_, u8>(name, "data").await);
    }
    assert_eq!(database.batches(), before);
}

#[tokio::test(start_paused = true)]
async fn names_that_are_reserved_on_the_other_side_only_are_sent() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database).await;
    let handle = one.cluster.of("/");
    let mut received = collect(&other);
    for name in OF_CLIENTS.into_iter().filter(|name| !OF_SERVERS.contains(name)) {
        handle.server_side_emit(name, "data").await.unwrap();
    }
    for name in OF_SERVERS.into_iter().filter(|name| !OF_CLIENTS.contains(name)) {
        handle.emit(name, "data").await.unwrap();
        one.io.emit(name, "data").await.unwrap();
    }
    handle.server_side_emit("e", &1_u64).await.unwrap();
    assert_eq!(received.recv().await, Some(1));
}

/// A connection that keeps what is published on it.
#[derive(Debug)]
struct Kept;

impl PublishOn<Arc<Mutex<Vec<Outgoing>>>> for Kept {
    fn publish_on(
        connection: Arc<Mutex<Vec<Outgoing>>>,
        emission: Emission,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        connection.lock().push(emission.outgoing);
        std::future::ready(Ok(()))
    }
}

#[tokio::test]
async fn an_emitter_refuses_reserved_event_names_and_publishes_nothing() {
    let published = Arc::new(Mutex::new(Vec::new()));
    let emitter = Emitter::<Kept>::new();
    for name in OF_CLIENTS {
        assert_refused(name, emitter.emit(name, "data", published.clone()).await);
    }
    for name in OF_SERVERS {
        assert_refused(name, emitter.server_side_emit(name, "data", published.clone()).await);
    }
    assert!(published.lock().is_empty());
    emitter.emit("connected", "data", published.clone()).await.unwrap();
    emitter.server_side_emit("disconnect", "data", published.clone()).await.unwrap();
    assert_eq!(published.lock().len(), 2);
}
