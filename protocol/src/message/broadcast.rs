//! Events to clients: messages 3, 11 and 12.
//!
//! A node that broadcasts publishes [`Broadcast`]; every other node delivers it to its own sockets
//! that the options select. With a `requestId` it asks for acknowledgements: every node that gets
//! it answers with one [`BroadcastClientCount`], also when it is 0, and with one [`BroadcastAck`]
//! for each client that acknowledges in time. An acknowledgement may overtake its node's count.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Selector, number};
use crate::{RequestId, payload::Payload};

/// Names that Socket.IO reserves: a client that gets such an event takes the packet for a broken one
/// and disconnects.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Type 3, BROADCAST: an event for the selected sockets of every node.
///
/// Answered by 11 and 12 when `requestId` is there, else by nothing.
///
/// ```json
/// {"type":3,"data":{"packet":{"type":2,"data":["hello","world"]},
/// "opts":{"rooms":[],"except":[],"flags":{}}},"uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "BroadcastData"))]
pub struct Broadcast<P = Payload> {
    /// The event.
    #[serde(deserialize_with = "super::object::deserialize", bound(deserialize = "P: Deserialize<'de>"))]
    pub packet: Packet<P>,
    /// There when acknowledgements are wanted.
    // Null is read as missing. Node.js takes null for a request, but no response could name it.
    #[serde(rename = "requestId", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RequestId"))]
    pub request_id: Option<RequestId>,
    /// Which sockets it is for. The `timeout` flag says how long clients may take to acknowledge.
    pub opts: Selector,
}

/// A Socket.IO packet of type EVENT: `{"type":2,"data":[event, ...args]}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EventPacket"))]
pub struct Packet<P = Payload> {
    /// The packet's type. Only 2, EVENT, may be sent: clients disconnect on anything else.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schemars(extend("const" = 2)))]
    pub kind: u64,
    /// The event's name and its arguments, an array.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<P>", length(min = 1)))]
    pub data: P,
    /// Written by the emitter, but no reader uses it: the message's own `nsp` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub nsp: Option<String>,
}

/// A packet that lacks `type` or `data` is read as one that is not an event, with 0 or null: the
/// requesting node needs a response to it all the same.
impl<'de, P: Deserialize<'de>> Deserialize<'de> for Packet<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "P: Deserialize<'de>"))]
        struct Read<P> {
            #[serde(rename = "type", default, deserialize_with = "number::deserialize")]
            kind: u64,
            #[serde(default, deserialize_with = "crate::message::present")]
            data: Option<P>,
            #[serde(default, deserialize_with = "crate::message::envelope::text")]
            nsp: Option<String>,
        }

        let Read { kind, data, nsp } = Read::deserialize(deserializer)?;
        let null = || P::deserialize(&mut serde_json::Deserializer::from_str("null")).map_err(de::Error::custom);
        Ok(Self { kind, data: data.map_or_else(null, Ok)?, nsp })
    }
}

impl<P> Packet<P> {
    /// The type of an EVENT packet.
    pub const EVENT: u64 = 2;

    /// An EVENT packet with `[event, ...args]`.
    pub fn event(data: P) -> Self {
        Self { kind: Self::EVENT, data, nsp: None }
    }
}

/// Type 11, BROADCAST_CLIENT_COUNT: how many clients of this node got the broadcast and may
/// acknowledge it.
///
/// Sent exactly once by every node that got a [`Broadcast`] with a `requestId`.
///
/// ```json
/// {"type":11,"data":{"requestId":"0f1e2d3c4b5a6978","clientCount":2},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "BroadcastClientCountData"))]
pub struct BroadcastClientCount {
    /// The broadcast it answers.
    #[serde(default = "RequestId::none", deserialize_with = "super::request_or_none")]
    pub request_id: RequestId,
    /// The number of clients, 0 included.
    #[serde(deserialize_with = "number::deserialize")]
    #[cfg_attr(feature = "schema", schemars(range(max = 9_007_199_254_740_991_u64)))]
    pub client_count: u64,
}

/// Type 12, BROADCAST_ACK: one client's acknowledgement.
///
/// ```json
/// {"type":12,"data":{"requestId":"0f1e2d3c4b5a6978","packet":"the answer"},
/// "uid":"8f42b1c09d5e7a36","nsp":"/"}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "BroadcastAckData"))]
pub struct BroadcastAck<P = Payload> {
    /// The broadcast it answers.
    #[serde(default = "RequestId::none", deserialize_with = "super::request_or_none")]
    pub request_id: RequestId,
    /// The first argument of the acknowledgement, missing when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::present")]
    #[cfg_attr(feature = "schema", schemars(with = "P"))]
    pub packet: Option<P>,
}

#[cfg(test)]
mod tests {
    use crate::{Message, Value, message::Body, value::to_msgpack};

    fn read_both(text: &str) -> [Body; 2] {
        let bytes = to_msgpack(&Value::from_json(text).unwrap()).unwrap();
        [Message::from_json(text).unwrap().body, Message::from_msgpack(&bytes).unwrap().body]
    }

    #[test]
    fn a_packet_without_type_or_data_is_read_as_none_of_an_event() {
        for (packet, kind, data) in
            [(r#"{"data":["e"]}"#, 0, r#"["e"]"#), (r#"{"type":2}"#, 2, "null"), ("{}", 0, "null")]
        {
            let text =
                format!(r#"{{"type":3,"data":{{"packet":{packet},"requestId":"r","opts":{{}}}},"uid":"a","nsp":"/"}}"#);
            for body in read_both(&text) {
                let Body::Broadcast(broadcast) = body else { panic!("{body:?}") };
                let read = broadcast.packet.data.into_value().unwrap();
                assert_eq!((broadcast.packet.kind, read.to_json().as_str()), (kind, data), "{packet}");
                assert_eq!(broadcast.request_id.unwrap().as_str(), "r");
            }
        }
    }

    #[test]
    fn a_response_without_request_is_read() {
        for (kind, data) in
            [(8, r#""sockets":[]"#), (10, r#""packet":1"#), (11, r#""clientCount":0"#), (12, r#""packet":1"#)]
        {
            for id in ["", r#""requestId":null,"#] {
                let text = format!(r#"{{"type":{kind},"data":{{{id}{data}}},"uid":"a","nsp":"/"}}"#);
                for body in read_both(&text) {
                    assert_eq!(body.kind(), kind, "{text}");
                }
            }
        }
    }
}
