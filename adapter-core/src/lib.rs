//! The Socket.IO Postgres adapter for socketioxide, generic over the database driver.

mod ack;
mod adapter;
mod alias;
mod arguments;
pub mod backend;
#[cfg(feature = "backend-tests")]
pub mod backend_tests;
mod cluster;
mod describe;
mod emitter;
mod error;
mod event;
mod hub;
mod inbox;
mod link;
mod namespace;
mod operators;
mod options;
mod packet;
mod publisher;
mod selection;
mod server_side;

pub use socketio_pg_protocol as protocol;

pub use self::{
    ack::AckStream,
    adapter::{Init, PostgresAdapter},
    cluster::{Cluster, ClusterSocket},
    describe::{ConnectInfo, SocketData},
    emitter::{Emitter, PublishOn},
    error::{ConnectError, Error},
    event::{Counts, Event, EventStream, Poison},
    operators::{Acks, ClusterNamespace},
    options::Options,
    server_side::Answers,
};
