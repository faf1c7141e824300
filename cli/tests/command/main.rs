//! The command `socketio-pg`, on the binary, against clusters of Rust and Node.js servers.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod acting;
mod doctor;
mod documents;
mod fake_node;
mod lock;
mod looking;
mod program;
mod servers;
