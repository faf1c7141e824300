//! Requests for the sockets of other nodes: messages 7 and 8.
//!
//! Every node that gets [`FetchSockets`] answers with one [`FetchSocketsResponse`], also when it
//! has no such socket. The requester waits for the nodes that it knew when it asked, 5 s by
//! default.
//!
//! A requester that needs no more than the number or the ids of the sockets says so in
//! [`FetchSockets::only`]. Nodes that know this extension then describe no socket; all others
//! answer in full.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Room, Selector, number};
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
    /// What the requester needs of the sockets, when it does not need descriptions.
    ///
    /// An extension of ours: Node.js ignores it, and answers in full. Any value that a node does
    /// not know counts as missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "Only::deserialize_known")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["count", "ids"])))]
    pub only: Option<Only>,
}

/// What a requester needs of sockets that it does not need described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Only {
    /// How many there are: `count`.
    Count,
    /// Their ids: `ids`.
    Ids,
}

impl Only {
    fn deserialize_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(match super::envelope::text(deserializer)?.as_deref() {
            Some("count") => Some(Self::Count),
            Some("ids") => Some(Self::Ids),
            _ => None,
        })
    }
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
    #[serde(default = "RequestId::none", deserialize_with = "super::request_or_none")]
    pub request_id: RequestId,
    /// The sockets that match; none in an answer that has `count` or `ids`.
    #[serde(deserialize_with = "super::object::deserialize_array")]
    pub sockets: Vec<SocketDescription<P>>,
    /// The number of the sockets that match, instead of the sockets.
    ///
    /// An extension of ours: only for requesters that ask for it by `only`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::deserialize_count")]
    #[cfg_attr(feature = "schema", schemars(with = "u64", range(max = 9_007_199_254_740_991_u64)))]
    pub count: Option<u64>,
    /// The ids of the sockets that match, instead of the sockets.
    ///
    /// An extension of ours: only for requesters that ask for them by `only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<SocketId>"))]
    pub ids: Option<Vec<SocketId>>,
}

impl FetchSockets {
    /// Asks for descriptions of the sockets.
    pub fn new(opts: Selector, request_id: RequestId) -> Self {
        Self { opts, request_id, only: None }
    }

    /// Asks for no more than this.
    #[must_use]
    pub fn only(mut self, only: Only) -> Self {
        self.only = Some(only);
        self
    }
}

impl<P> FetchSocketsResponse<P> {
    /// A full answer: the sockets.
    pub fn full(request_id: RequestId, sockets: Vec<SocketDescription<P>>) -> Self {
        Self { request_id, sockets, count: None, ids: None }
    }

    /// A brief answer: how many sockets match.
    pub fn of_count(request_id: RequestId, count: u64) -> Self {
        Self { count: Some(count), ..Self::full(request_id, Vec::new()) }
    }

    /// A brief answer: which sockets match.
    pub fn of_ids(request_id: RequestId, ids: Vec<SocketId>) -> Self {
        Self { ids: Some(ids), ..Self::full(request_id, Vec::new()) }
    }

    /// How many sockets an answer tells of, whether it is brief or full. Sockets that are there come
    /// first: an answer that also has `count` or `ids` loses none.
    pub fn told_count(&self) -> u64 {
        let number = |told: usize| u64::try_from(told).unwrap_or(u64::MAX);
        if !self.sockets.is_empty() {
            return number(self.sockets.len());
        }
        self.count.unwrap_or_else(|| number(self.ids.as_ref().map_or(0, Vec::len)))
    }

    /// The ids of the sockets that an answer tells of, whether it is brief or full. `None` when it
    /// only tells how many there are.
    pub fn told_ids(self) -> Option<Vec<SocketId>> {
        let is_only_counted = self.is_brief();
        match self.ids.filter(|ids| !ids.is_empty()) {
            _ if !self.sockets.is_empty() => Some(self.sockets.into_iter().map(|socket| socket.id).collect()),
            Some(ids) => Some(ids),
            None if is_only_counted => None,
            None => Some(Vec::new()),
        }
    }

    /// Whether it tells of sockets that it does not describe: such an answer is of no use to whoever
    /// asks for descriptions.
    pub fn is_brief(&self) -> bool {
        let tells_ids = self.ids.as_ref().is_some_and(|ids| !ids.is_empty());
        self.sockets.is_empty() && (tells_ids || self.count.is_some_and(|count| count > 0))
    }
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
