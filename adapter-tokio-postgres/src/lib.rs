//! The tokio-postgres backend.

mod connect;
mod driver;
mod emitter;
mod error;
mod listener;
mod pool;
mod schema;
mod settings;
mod statements;

pub use driver::TokioPostgresBackend;
pub use emitter::Emitter;
pub use listener::TokioPostgresListener;
pub use schema::{InvalidTableName, schema_sql};

pub use socketio_pg_core::{
    AckStream, Acks, Answers, ClusterSocket, ConnectError, ConnectInfo, Counts, Error, Event, EventStream, Init, Options, Poison,
    SocketData, protocol,
};

/// A node's membership in a cluster, on tokio-postgres.
pub type Cluster = socketio_pg_core::Cluster<TokioPostgresBackend>;

/// One namespace of a [`Cluster`], across all nodes.
pub type ClusterNamespace = socketio_pg_core::ClusterNamespace<TokioPostgresBackend>;

/// The adapter to build a server with: `SocketIo::builder().with_adapter::<Adapter<_>>(cluster)`.
pub type Adapter<E> = socketio_pg_core::PostgresAdapter<E, TokioPostgresBackend>;
