//! Socket.IO servers in Rust and Node.js in one cluster, over PostgreSQL: the adapter for
//! [socketioxide] on diesel-async.
//!
//! It speaks the protocol of Node.js's `@socket.io/postgres-adapter`, so a Rust server joins a
//! cluster of Node.js servers like another Node.js server.
//!
//! ```no_run
//! use socketio_pg_diesel::{Cluster, Options, PostgresAdapter, record_handshake};
//! use socketioxide::{SocketIo, adapter::Adapter, extract::SocketRef, handler::ConnectHandler};
//!
//! async fn on_connect<A: Adapter>(socket: SocketRef<A>) {
//!     socket.join("chat");
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::connect("postgres://app@localhost/app", Options::default()).await?;
//! let (layer, io) = SocketIo::builder()
//!     .with_adapter::<PostgresAdapter<_>>(cluster.clone())
//!     .build_layer();
//! cluster.attach(&io);
//! io.ns("/", on_connect.with(record_handshake)).await?;
//!
//! // to every client of the room, on all servers
//! io.to("chat").emit("message", "hello").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | for | see |
//! |---|---|
//! | timings, prefix, table, limits | [`Options`] |
//! | TLS, your own pool, a separate connection for listening | [`DieselBackend`] |
//! | everything that Node.js's operators can do | [`ClusterNamespace`] |
//! | namespaces spread over several databases | [`Cluster::connect_split`][split] |
//! | processes without sockets; events in your transaction | [`Emitter`] |
//! | what happens to the node | [`Cluster::events`][events] |
//! | its state: readiness, queues, counts | [`Cluster::health`][health] |
//! | nothing lost when a connection breaks | [`Options::catch_up`] |
//! | the tables in your migrations | [`MIGRATIONS`], [`schema_sql`], [`log_schema_sql`] |
//!
//! [socketioxide]: https://docs.rs/socketioxide
//! [split]: socketio_pg_core::Cluster::connect_split
//! [events]: socketio_pg_core::Cluster::events
//! [health]: socketio_pg_core::Cluster::health

mod backend;
mod connect;
mod connector;
mod diagnosis;
mod emitter;
mod error;
mod listener;
mod log;
mod migrations;
mod pool;
mod shared_sql;
mod statements;

pub use backend::DieselBackend;
pub use emitter::Emitter;
pub use error::connection_error;
#[doc(hidden)]
pub use listener::DieselListener;
pub use migrations::{MIGRATIONS, Migrations};
pub use socketio_pg_core::backend::{
    BackendError, ErrorKind,
    table::{InvalidTableName, log_schema_sql, schema_sql},
};

pub use socketio_pg_core::{
    AckStream, Acknowledgements, CatchUp, ClusterSocket, ConnectError, ConnectInfo, Counts, Dropped, Error, Event,
    EventStream, Failure, Health, InboxHealth, Init, InvalidMessage, LinkHealth, NamespaceHealth, Options,
    PublisherHealth, Recovery, Responses, Shutdown, SocketData, SqlFunctions, number_room, protocol, record_handshake,
    room_number,
};

// The driver whose types appear in the backend's functions.
pub use diesel_async;

/// A node's membership in a cluster, on diesel-async.
pub type Cluster = socketio_pg_core::Cluster<DieselBackend>;

/// One namespace of a [`Cluster`], across all nodes.
pub type ClusterNamespace = socketio_pg_core::ClusterNamespace<DieselBackend>;

/// The adapter to build a server with:
/// `SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster)`.
pub type PostgresAdapter<E> = socketio_pg_core::PostgresAdapter<E, DieselBackend>;
