//! Bad input: what no node should send, on the channel and in the attachments table.
//!
//! In every case the server lives, its client stays connected, the next good message arrives, and
//! what was unusable is counted, and reported once for each kind and sender. The tables say line by
//! line what becomes of it on a Rust server, and where Node.js does otherwise.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod answers;
mod attachments;
mod case;
mod cluster;
#[cfg(target_os = "linux")]
mod flood;
mod packets;
mod server_side;
mod shapes;
mod tables;
mod text;
mod wire;
mod world;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;
