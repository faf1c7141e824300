//! Socket.IO's Admin UI with Rust and Node.js servers in one cluster, as the page's protocol has it:
//! what an admin gets from a Rust server is what an admin gets from a Node.js server.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod cluster;
mod login;
mod operations;
mod page;
mod watching;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;
