//! Sessions in the server by their purpose, so that a test can end or stop them.

use std::{io, process::Command};

/// Sessions on which Rust nodes listen, by their last statement. Their keep-alive query is an empty
/// statement, or a look at the sessions of all nodes.
pub const LISTENERS: &str = "datname = current_database() AND application_name LIKE 'socketio-pg%'
     AND (query = '' OR query LIKE 'LISTEN%' OR query LIKE 'UNLISTEN%'
          OR query LIKE '/* socketio-pg %' OR query LIKE '%pg_catalog.pg_stat_activity%')";
/// Sessions on which Rust nodes publish.
pub const PUBLISHERS: &str =
    "datname = current_database() AND application_name LIKE 'socketio-pg%' AND query LIKE '%pg_notify%'";
/// All sessions of Rust nodes.
pub const OF_RUST: &str = "datname = current_database() AND application_name LIKE 'socketio-pg%'";
/// Sessions on which Node.js nodes listen.
pub const NODES_LISTENERS: &str = "datname = current_database() AND application_name = '' AND query LIKE 'LISTEN%'";
/// All sessions but the one that asks.
pub const ALL_OTHERS: &str = "datname = current_database() AND pid <> pg_backend_pid()";

/// The statement that ends such sessions, and returns their number.
pub fn terminate(which: &str) -> String {
    format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {which}")
}

/// The statement that lists the processes of such sessions, for [`signal`].
pub fn processes(which: &str) -> String {
    format!("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE {which}")
}

/// Sends a signal such as `-STOP` to processes. Processes that have already ended are not an error.
///
/// # Errors
/// When there is no program `kill`.
pub fn signal(signal: &str, processes: &str) -> io::Result<()> {
    Command::new("kill").arg(signal).args(processes.split(' ')).stderr(std::process::Stdio::null()).status().map(drop)
}
