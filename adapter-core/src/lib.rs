//! The Socket.IO Postgres adapter for socketioxide, generic over the database driver.
//!
//! Applications take a backend crate, which re-exports what they need: `socketio-pg-tokio-postgres` or
//! `socketio-pg-diesel`. This one is for whoever writes another [`Backend`](backend::Backend).

mod ack;
mod adapter;
mod alias;
mod arguments;
mod attachments;
pub mod backend;
#[cfg(feature = "backend-tests")]
pub mod backend_tests;
mod catch_up;
mod cluster;
mod combined;
mod describe;
mod direct;
mod effect;
mod emitter;
mod error;
mod event;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod health;
mod hub;
mod inbox;
mod link;
pub mod log_sql;
#[cfg(feature = "backend-tests")]
pub mod memory;
mod meters;
#[cfg(feature = "metrics")]
mod metrics;
mod namespace;
mod operators;
mod options;
mod origin;
mod outside;
mod packet;
mod parts;
pub mod prepare;
mod publisher;
mod queue;
mod room;
mod selection;
mod server_side;
mod slow_clients;
mod sweep;
mod sync;
pub mod table;

pub use socketio_pg_protocol as protocol;

pub use self::{
    ack::AckStream,
    adapter::{Init, PostgresAdapter},
    catch_up::CatchUp,
    cluster::{Cluster, ClusterSocket},
    describe::SocketData,
    emitter::{Emitter, PublishOn},
    error::{ConnectError, Error},
    event::{Dropped, Event, EventStream, Poison, Recovery},
    handshake::{Auth, ConnectInfo, InvalidAuth, record_handshake},
    health::{Failure, Health, InboxHealth, LinkHealth, NamespaceHealth, PublisherHealth},
    meters::Counts,
    operators::{Acks, ClusterNamespace},
    options::Options,
    room::{number_room, room_number},
    server_side::Answers,
};
