//! Requests for the sockets of other nodes: messages 7 and 8.
//!
//! Every node that gets [`FetchSockets`] answers with one [`FetchSocketsResponse`], also when it
//! has no such socket. The requester waits for the nodes that it knew when it asked, 5 s by
//! default.

use serde::{Deserialize, Serialize};

use super::{Room, Selector};
use crate::{RequestId, SocketId, payload::Payload};

/// Type 7, FETCH_SOCKETS: asks for the sockets that match.
///
/// ```json
/// {"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"requestId":"0f1e2d3c4b5a6978"},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "FetchSocketsData"))]
pub struct FetchSockets {
    /// Which sockets. The `timeout` flag tells how long the requester waits.
    pub opts: Selector,
    /// To be repeated in the response.
    pub request_id: RequestId,
}

/// Type 8, FETCH_SOCKETS_RESPONSE: the sockets of one node.
///
/// ```json
/// {"type":8,"data":{"requestId":"0f1e2d3c4b5a6978","sockets":[{"id":"kZKYGMOmZqTEZGEfAAAq",
/// "handshake":{"headers":{},"query":{},"auth":{}},"rooms":["kZKYGMOmZqTEZGEfAAAq"],"data":{}}]},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "FetchSocketsResponseData"))]
pub struct FetchSocketsResponse<P = Payload> {
    /// The request it answers.
    pub request_id: RequestId,
    /// The sockets that match.
    #[serde(deserialize_with = "super::object::deserialize_array")]
    pub sockets: Vec<SocketDescription<P>>,
}

/// A socket, as its node describes it to the others.
///
/// A key `server` must never be sent: Node.js then hands the application a plain object instead of
/// a socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("required" = ["id", "handshake", "rooms"]))
)]
pub struct SocketDescription<P = Payload> {
    /// The socket's id.
    pub id: SocketId,
    /// How the client connected, see [`Handshake`]. Node.js always sends it and its applications
    /// rely on it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "schema", schemars(with = "Handshake"))]
    pub handshake: Option<P>,
    /// The rooms it is in, its own id among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Room>"))]
    pub rooms: Option<Vec<Room>>,
    /// What the application stored on the socket; `{}` when it stored nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "schema", schemars(with = "P"))]
    pub data: Option<P>,
}

/// The keys of a handshake that Node.js sends. In what readers get, any of them may be missing, and
/// there may be more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Handshake {
    /// The headers of the first request, names in lower case; several values of one name joined by
    /// `, `.
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, crate::schema::Texts>"))]
    pub headers: std::collections::BTreeMap<String, serde_json::Value>,
    /// When the client connected, as JavaScript's `Date.prototype.toString` writes it.
    pub time: String,
    /// The client's address.
    pub address: String,
    /// Whether the request came from another origin.
    pub xdomain: bool,
    /// Whether the transport was encrypted at this server.
    pub secure: bool,
    /// When the client connected, in milliseconds since 1970.
    pub issued: u64,
    /// Path and query of the first request.
    pub url: String,
    /// The query of the first request; a key that came several times has a list.
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, crate::schema::Texts>"))]
    pub query: serde_json::Map<String, serde_json::Value>,
    /// What the client gave as `auth`, `{}` when it gave nothing.
    #[cfg_attr(feature = "schema", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub auth: serde_json::Value,
}
