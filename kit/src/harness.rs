//! Drives *test nodes*: processes that host one Socket.IO server, a number of clients or an emitter,
//! in any language, and take commands as JSON lines.
//!
//! Everything that waits gives up after a time, [`time_limit`] by default, with an error that lists
//! what came instead and what the process wrote to stderr.

mod barrier;
mod client;
mod error;
mod limit;
mod node;
mod options;
mod process;

pub use barrier::barrier;
pub use client::{Client, ClientHost, Connect, Packet};
pub use error::Error;
pub use limit::{on_this_machine, time_limit, within};
pub use node::{Node, Program};
pub use options::{NodeOptions, Parser};
pub(crate) use process::LAST_REFUSED;

/// Bytes as they are written in arguments and answers: `{"$bin": "<base64>"}`.
pub fn binary(bytes: impl AsRef<[u8]>) -> serde_json::Value {
    use base64::Engine as _;
    serde_json::json!({ "$bin": base64::engine::general_purpose::STANDARD.encode(bytes) })
}
