//! Socket.IO's [Admin UI](https://socket.io/docs/v4/admin-ui/) for Rust servers on the Socket.IO
//! Postgres adapter.
//!
#![doc = include_str!("manual.md")]

mod admin;
mod authentication;
mod changes;
mod error;
mod operations;
mod options;
mod protocol;
mod sessions;
mod snapshot;
mod stats;
mod watch;

pub use crate::{
    admin::instrument,
    error::AdminError,
    options::{AdminOptions, Mode},
    sessions::{MemorySessions, SessionFuture, SessionStore, SignedSessions},
};
