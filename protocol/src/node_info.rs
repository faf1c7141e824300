//! What a node tells about itself, when it is asked: an extension of this project.
//!
//! Whoever wants to know sends a 9, SERVER_SIDE_EMIT, with a `requestId`: the event is [`EVENT`],
//! and its one argument, which may be missing, a [`NodeQuery`]. A node that knows the event responds
//! with a [`NodeInfo`]. A node that does not has no handler for it, and does not respond. So any
//! server can be made to tell about itself by its application, without a change to its adapter.
//!
//! Who asks need not be a node: as an emitter (`"uid":"emitter"`) it reads the responses on the
//! channel of the namespace, and no node counts it as a server.

use serde::{Deserialize, Serialize};

use crate::message::{Room, Selector};

/// The event that asks for a [`NodeInfo`]. Applications should not use it for anything else.
pub const EVENT: &str = "socketio-pg:node";

/// How many bytes the names in [`NodeInfo::namespaces`] may have together, as they are written in
/// JSON, so that the response fits into a notification. A name that no longer fits is left out.
pub const MAX_NAMESPACE_BYTES: usize = 4000;

/// Which sockets a node should count: see [`NodeInfo::sockets`].
///
/// ```json
/// {"rooms":["orders"],"except":[]}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeQuery {
    /// The sockets in any of these rooms; all sockets when there is no room.
    pub rooms: Vec<Room>,
    /// Sockets in any of these rooms are not counted.
    pub except: Vec<Room>,
}

impl From<NodeQuery> for Selector {
    fn from(NodeQuery { rooms, except }: NodeQuery) -> Self {
        Self { rooms, except, ..Self::all() }
    }
}

/// What a node tells about itself. Every key may be missing.
///
/// ```json
/// {"name":"web-1:4711","language":"Rust","version":"0.1.0","sockets":3,
/// "namespaces":["/","/chat"],"namespaceCount":2}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// What its operator calls the process. By default the host and the process id: `web-1:4711`.
    pub name: Option<String>,
    /// The language that it is written in, such as `Rust` or `Node.js`.
    pub language: Option<String>,
    /// The version of its adapter.
    pub version: Option<String>,
    /// How many of its sockets in this namespace the query selects.
    pub sockets: Option<u64>,
    /// The namespaces of the process, as far as they fit: see [`MAX_NAMESPACE_BYTES`].
    pub namespaces: Option<Vec<String>>,
    /// How many namespaces the process has.
    pub namespace_count: Option<u64>,
}
