//! Drives *test nodes*: processes that host one Socket.IO server, a number of clients or an
//! emitter, in any language, and take commands as JSON lines.
//!
//! So one scenario runs on any mixture of nodes, and a cluster of Node.js servers shows the right
//! outcome.
//!
//! ```no_run
//! use serde_json::json;
//! use socketio_pg_tests::{ClientHost, Connect, Kind, Node, NodeOptions};
//!
//! # async fn example() -> Result<(), socketio_pg_tests::Error> {
//! let options = NodeOptions::new("postgres://postgres@127.0.0.1:5432/test");
//! let one = Node::start(&Kind::NodeServer, &options).await?;
//! let other = Node::start(&Kind::NodeServer, &options).await?;
//! one.wait_for_server_count("/", 2).await?;
//! other.wait_for_server_count("/", 2).await?;
//!
//! let clients = ClientHost::start().await?;
//! let client = clients.connect(other.port(), &Connect::default()).await?;
//! one.call("emit", json!({"event": "hello", "args": ["world"]})).await?;
//! assert_eq!(client.wait_for_packet("hello").await?, [json!("world")]);
//! # Ok(())
//! # }
//! ```
//!
//! Everything that waits gives up after [`time_limit`], with an error that lists what came instead
//! and what the process wrote to stderr. A node, a host and its clients may be used from several
//! runtimes: they do not depend on the runtime that created them.

mod authority;
mod client;
mod every_operation;
pub mod fault;
mod install;
mod kind;
pub mod pooler;
mod proxy;
mod python;
pub mod sessions;
mod tool;
mod traffic;
mod watch;

pub use authority::Authority;
pub use client::ClientHost;
pub use every_operation::everything_works;
pub use install::install;
pub use kind::Kind;
pub use proxy::Proxy;
pub use python::{PYTHON, python_environment, python_interpreter, python_node, python_server};
pub use socketio_pg_kit::harness::{
    Client, Connect, Error, Node, NodeOptions, Packet, Parser, Program, barrier, binary, on_this_machine, time_limit,
    within,
};
pub use tool::{CHROMIUM, JAVA, NODE, Tool, browser_scripts, database, require};
pub use traffic::{Member, Sent, Speaks, Told, Traffic, Verdict, judge, wait_for_all_members};
pub use watch::{Gap, Watch};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
