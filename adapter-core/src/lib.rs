//! The Socket.IO Postgres adapter for socketioxide, generic over the database driver.
//!
//! Applications take a backend crate: `socketio-pg-tokio-postgres` or `socketio-pg-diesel`. The
//! backend crates re-export the names of this one: where an example here says
//! `use socketio_pg_core::…`, write the name of your backend crate.
//!
//! This crate itself is for authors of another [`Backend`](backend::Backend).

mod adapter;
mod api;
pub mod backend;
mod env;
mod error;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod inbound;
#[doc(hidden)]
pub mod instances;
mod node;
mod observe;
mod options;
mod outbound;
mod queue;
mod socketio;
mod sync;
#[cfg(feature = "backend-tests")]
pub mod testing;

pub use socketio_pg_protocol as protocol;

// For applications: backend crates re-export all of it.
pub use self::{
    adapter::{PostgresAdapter, ack_stream::AckStream, init::Init},
    api::{
        cluster::Cluster,
        emitter::{Emitter, PublishOn},
        find::InTime,
        functions::SqlFunctions,
        namespace::ClusterNamespace,
        responses::{Acknowledgements, Responses},
        serve::Shutdown,
        socket::ClusterSocket,
    },
    backend::{CatchUp, Outbox},
    error::{ConnectError, Error},
    node::check_tables::TableCheck,
    observe::{
        classes::{Dropped, InvalidMessage},
        event::{Event, EventStream, Recovery},
        health::{Counts, Failure, Health, InboxHealth, LinkHealth, NamespaceHealth, OutboxHealth, PublisherHealth},
    },
    options::Options,
    socketio::{
        describe::SocketData,
        handshake::{Auth, ConnectInfo, InvalidAuth, record_handshake},
        room::{number_room, room_number},
    },
};
