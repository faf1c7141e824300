//! The Socket.IO Postgres adapter for socketioxide, generic over the database driver.

mod ack;
mod adapter;
mod alias;
pub mod backend;
#[cfg(feature = "backend-tests")]
pub mod backend_tests;
mod cluster;
mod describe;
mod error;
mod event;
mod hub;
mod inbox;
mod link;
mod namespace;
mod options;
mod packet;
mod publisher;
mod selection;

pub use socketio_pg_protocol as protocol;

pub use self::{
    ack::AckStream,
    adapter::{Init, PostgresAdapter},
    cluster::{Cluster, ClusterNamespace, ClusterSocket},
    describe::{ConnectInfo, SocketData},
    error::{ConnectError, Error},
    event::{Counts, Event, EventStream, Poison},
    options::Options,
};
