//! Socket.IO servers in Rust and Node.js in one cluster, over PostgreSQL: the adapter for
//! [socketioxide] on tokio-postgres.
//!
#![doc = include_str!("manual.md")]

mod backend;
mod cancel;
mod connect;
mod emitter;
mod error;
mod listener;
mod pool;
mod sessions;

// Pages only: a program does not get it, and their code blocks are not tests of this crate.
#[cfg(all(doc, not(doctest)))]
pub mod guide;

pub use backend::TokioPostgresBackend;
pub use connect::connect;
pub use emitter::Emitter;
#[doc(hidden)]
pub use listener::TokioPostgresListener;
pub use socketio_pg_core::backend::{
    BackendError, ErrorKind,
    table::{InvalidTableName, log_schema_sql, outbox_schema_sql, schema_sql},
};

pub use socketio_pg_core::{
    AckStream, Acknowledgements, CatchUp, ClusterSocket, ConnectError, ConnectInfo, Counts, Dropped, Error, Event,
    EventStream, Failure, Health, InTime, InboxHealth, Init, InvalidMessage, LinkHealth, NamespaceHealth, Options,
    Outbox, OutboxHealth, PublisherHealth, Recovery, Responses, Shutdown, SocketData, SqlFunctions, TableCheck,
    number_room, protocol, record_handshake, room_number,
};

// The driver whose types appear in the backend's functions.
pub use deadpool_postgres;
pub use tokio_postgres;

/// A node's membership in a cluster, on tokio-postgres: the handle that an application holds.
///
/// Its methods, with links to where they are described:
///
/// | to | methods |
/// |---|---|
/// | join the cluster | [`connect`][Cluster::connect], [`connect_split`][Cluster::connect_split] (several databases) |
/// | give it the server | [`attach`][Cluster::attach], [`attach_with_address`][Cluster::attach_with_address] |
/// | reach sockets and other servers | [`of`][Cluster::of], which returns a [`ClusterNamespace`] |
/// | know how it is | [`health`][Cluster::health], [`health_by_database`][Cluster::health_by_database], [`counts`][Cluster::counts], [`events`][Cluster::events], [`database_of`][Cluster::database_of], [`check_tables`][Cluster::check_tables] |
/// | run a server, and leave | [`serve`][Cluster::serve], [`serve_until`][Cluster::serve_until], [`close`][Cluster::close] |
///
/// Cheap to clone: all clones are the same node.
#[doc(alias("connect", "connect_split", "attach", "attach_with_address", "of", "health"))]
#[doc(alias("health_by_database", "counts", "events", "database_of", "check_tables"))]
#[doc(alias("serve", "serve_until", "close", "graceful", "shutdown", "sslmode"))]
#[doc(alias("createAdapter", "errorHandler"))]
pub type Cluster = socketio_pg_core::Cluster<TokioPostgresBackend>;

/// One namespace of a [`Cluster`], and a selection of its sockets across all servers. Made by
/// [`Cluster::of`].
///
/// Its methods, with links to where they are described:
///
/// | to | methods | Node.js |
/// |---|---|---|
/// | select sockets | [`to`][ClusterNamespace::to], [`except`][ClusterNamespace::except], [`local`][ClusterNamespace::local], [`socket`][ClusterNamespace::socket] | `to`, `in`, `except`, `local`, `RemoteSocket` |
/// | say how | [`volatile`][ClusterNamespace::volatile], [`compress`][ClusterNamespace::compress], [`timeout`][ClusterNamespace::timeout] | `volatile`, `compress`, `timeout` |
/// | emit to clients | [`emit`][ClusterNamespace::emit], [`emit_with_ack`][ClusterNamespace::emit_with_ack] | `emit`, `emitWithAck` |
/// | find sockets | [`fetch_sockets`][ClusterNamespace::fetch_sockets], [`fetch_sockets_in_time`][ClusterNamespace::fetch_sockets_in_time] | `fetchSockets` |
/// | count sockets, or list their ids | [`socket_count`][ClusterNamespace::socket_count], [`socket_count_in_time`][ClusterNamespace::socket_count_in_time], [`socket_ids`][ClusterNamespace::socket_ids], [`socket_ids_in_time`][ClusterNamespace::socket_ids_in_time] | `(await fetchSockets()).length` |
/// | move sockets | [`sockets_join`][ClusterNamespace::sockets_join], [`sockets_leave`][ClusterNamespace::sockets_leave] | `socketsJoin`, `socketsLeave` |
/// | disconnect sockets | [`disconnect_sockets`][ClusterNamespace::disconnect_sockets] | `disconnectSockets` |
/// | tell other servers, and ask them | [`server_side_emit`][ClusterNamespace::server_side_emit], [`server_side_emit_with_ack`][ClusterNamespace::server_side_emit_with_ack] | `serverSideEmit`, `serverSideEmitWithAck` |
/// | hear other servers | [`on_server_side`][ClusterNamespace::on_server_side], [`on_server_side_with_ack`][ClusterNamespace::on_server_side_with_ack], [`on_any_server_side`][ClusterNamespace::on_any_server_side], [`off_server_side`][ClusterNamespace::off_server_side], [`off_any_server_side`][ClusterNamespace::off_any_server_side] | `io.on`, `io.onAny`, `io.off` |
/// | know the cluster | [`server_count`][ClusterNamespace::server_count], [`nodes`][ClusterNamespace::nodes], [`uid`][ClusterNamespace::uid], [`name`][ClusterNamespace::name] | `serverCount` |
///
/// ```no_run
/// use socketio_pg_tokio_postgres::{Cluster, Error};
///
/// # async fn example(cluster: Cluster) -> Result<(), Error> {
/// cluster.of("/").to("news").except("muted").compress(false).emit("headline", "It works").await?;
/// let everyone = cluster.of("/chat").fetch_sockets().await?;
/// cluster.of("/chat").to("idle").disconnect_sockets(true).await?;
/// # Ok(())
/// # }
/// ```
#[doc(alias("to", "except", "local", "socket", "volatile", "compress", "timeout"))]
#[doc(alias("emit", "emit_with_ack", "fetch_sockets", "fetch_sockets_in_time", "sockets_join", "sockets_leave"))]
#[doc(alias("count", "socket_count", "socket_count_in_time", "socket_ids", "socket_ids_in_time", "allSockets"))]
#[doc(alias("disconnect_sockets", "server_side_emit", "server_side_emit_with_ack"))]
#[doc(alias(
    "on_server_side",
    "on_server_side_with_ack",
    "on_any_server_side",
    "off_server_side",
    "off_any_server_side"
))]
#[doc(alias("server_count", "nodes", "uid"))]
#[doc(alias("in", "within", "emitWithAck", "fetchSockets", "socketsJoin", "socketsLeave"))]
#[doc(alias("disconnectSockets", "serverSideEmit", "serverSideEmitWithAck", "serverCount"))]
#[doc(alias("BroadcastOperator", "RemoteSocket", "onAny"))]
pub type ClusterNamespace = socketio_pg_core::ClusterNamespace<TokioPostgresBackend>;

/// The adapter to build a server with:
/// `SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster)`.
///
/// socketioxide makes one for each namespace, and calls it for its own operators: `io.to(…)`,
/// `socket.within(…)`, `fetch_sockets`, `join` and so on then reach the whole cluster. An
/// application needs no method of it.
#[doc(alias("createAdapter", "PostgresAdapterOptions"))]
pub type PostgresAdapter<E> = socketio_pg_core::PostgresAdapter<E, TokioPostgresBackend>;

// Compiled here, so that applications and tests do not compile it again: `instances` says how.
#[cfg(debug_assertions)]
#[used]
static APPLICATION: fn(TokioPostgresBackend) = socketio_pg_core::instances::application::<TokioPostgresBackend>;
