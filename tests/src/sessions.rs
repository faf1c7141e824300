//! Sessions in the server by what they are for, so that a test can end or stop them.

use std::{io, process::Command};

/// Those on which Rust nodes listen, by what they were asked last. Their keep-alive query is an
/// empty statement.
pub const LISTENERS: &str = "datname = current_database() AND application_name = 'socketio-pg'
     AND (query = '' OR query LIKE 'LISTEN%' OR query LIKE 'UNLISTEN%')";
/// Those on which Rust nodes publish.
pub const PUBLISHERS: &str =
    "datname = current_database() AND application_name = 'socketio-pg' AND query LIKE '%pg_notify%'";
/// All of Rust nodes.
pub const OF_RUST: &str = "datname = current_database() AND application_name = 'socketio-pg'";
/// Those on which Node.js's nodes listen.
pub const NODES_LISTENERS: &str = "datname = current_database() AND application_name = '' AND query LIKE 'LISTEN%'";
/// All but the one that asks.
pub const ALL_OTHERS: &str = "datname = current_database() AND pid <> pg_backend_pid()";

/// The statement that ends such sessions, and says how many.
pub fn terminate(which: &str) -> String {
    format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}")
}

/// The statement that lists the processes of such sessions, for [`signal`].
pub fn processes(which: &str) -> String {
    format!("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE {which}")
}

/// Sends a signal such as `-STOP` to processes. Those that have ended already are no failure.
///
/// # Errors
/// When there is no `kill`.
pub fn signal(signal: &str, processes: &str) -> io::Result<()> {
    Command::new("kill").arg(signal).args(processes.split(' ')).stderr(std::process::Stdio::null()).status().map(drop)
}
