//! Lets a backend crate hold the compiled code that all of its applications share.

use std::{error::Error as StdError, hint::black_box, pin::Pin};

use serde_json::Value;
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef, handler::ConnectHandler as _};

use crate::{Cluster, Options, PostgresAdapter, backend::Backend, record_handshake};

/// Uses the adapter with one backend, as an application does. Nothing calls it.
///
/// The adapter is generic over the backend, so the compiler makes its code where it is used. A crate
/// that holds a pointer to this function has the code; in debug builds, applications and tests then
/// link it, which otherwise each of them compiles again.
pub fn application<B: Backend>(backend: B) {
    type Running = Pin<Box<dyn Future<Output = Result<(), Box<dyn StdError>>> + Send>>;
    let running: Running = Box::pin(run(backend));
    drop(black_box(running));
}

async fn run<B: Backend>(backend: B) -> Result<(), Box<dyn StdError>> {
    let cluster = Cluster::connect(backend, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
    drop(black_box(layer));
    cluster.attach(&io);
    let on_connect = async |socket: SocketRef<PostgresAdapter<Emitter, B>>| {
        socket.join("room");
        let _ = socket.emit("event", &Value::Null);
        let _ = socket.to("room").emit("event", &Value::Null).await;
    };
    io.ns("/", on_connect.with(record_handshake)).await?;
    io.to("room").emit("event", &Value::Null).await?;

    let namespace = cluster.of("/").to("room");
    namespace.emit("event", &Value::Null).await?;
    drop(namespace.emit_with_ack::<Value, Value>("event", &Value::Null).await?);
    namespace.sockets_join(["room"]).await?;
    namespace.sockets_leave(["room"]).await?;
    namespace.disconnect_sockets(true).await?;
    drop(namespace.fetch_sockets().await?);
    drop((namespace.socket_count().await?, namespace.socket_ids().await?));
    namespace.server_side_emit("event", &Value::Null).await?;
    drop(namespace.server_side_emit_with_ack::<Value, Value>("event", &Value::Null).await?);
    drop((cluster.health(), cluster.events()));
    cluster.close().await;
    Ok(())
}
