//! Events from server to server: messages 9 and 10.
//!
//! The node that sends such an event does not handle it itself. With a `requestId` every other node
//! responds once, when its application acknowledges; the requester waits 5 s for the nodes that it
//! knew when it asked. A node that knows no other node takes an empty list as the result at once,
//! and publishes nothing.

use serde::{Deserialize, Serialize};

use crate::{RequestId, payload::Payload};

/// Names that Node.js's servers reserve: sent from server to server, one of them would run the
/// application's handlers for new clients and namespaces.
pub const RESERVED_EVENTS: [&str; 3] = ["connect", "connection", "new_namespace"];

/// Type 9, SERVER_SIDE_EMIT: an event for the other servers.
///
/// ```json
/// {"type":9,"data":{"requestId":"0f1e2d3c4b5a6978","packet":["how-many",1]},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ServerSideEmitData"))]
pub struct ServerSideEmit<P = Payload> {
    /// There when responses are wanted.
    // Null is read as missing. Node.js takes null for a request, but no response could name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RequestId"))]
    pub request_id: Option<RequestId>,
    /// The event's name and its arguments, an array.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<P>", length(min = 1)))]
    pub packet: P,
}

/// Type 10, SERVER_SIDE_EMIT_RESPONSE: one server's response.
///
/// ```json
/// {"type":10,"data":{"requestId":"0f1e2d3c4b5a6978","packet":42},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ServerSideEmitResponseData"))]
pub struct ServerSideEmitResponse<P = Payload> {
    /// The request it answers.
    #[serde(default = "RequestId::none", deserialize_with = "super::request_or_none")]
    pub request_id: RequestId,
    /// The one value of the response, missing when it was empty.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "schema", schemars(with = "P"))]
    pub packet: Option<P>,
}
