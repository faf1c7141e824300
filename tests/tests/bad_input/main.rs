//! Bad input: what no node should send, on the channel and in the attachments table.
//!
//! In every case the server goes on, its client stays connected, the next valid message arrives,
//! and the unusable input is counted, and reported once for each kind and sender. The tables list
//! each input with its outcome on a Rust server, and on Node.js where that differs.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod answers;
mod attachments;
mod case;
mod cluster;
mod fixture;
#[cfg(target_os = "linux")]
mod flood;
mod packets;
mod server_side;
mod shapes;
mod tables;
mod text;
mod wire;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;
