//! The messages: one module per family, requests beside their responses.
//!
//! | type | name | data | module |
//! |---|---|---|---|
//! | 1 | INITIAL_HEARTBEAT | – | [`liveness`] |
//! | 2 | HEARTBEAT | – | [`liveness`] |
//! | 3 | BROADCAST | [`Broadcast`] | [`broadcast`] |
//! | 4 | SOCKETS_JOIN | [`SocketsJoin`] | [`rooms`] |
//! | 5 | SOCKETS_LEAVE | [`SocketsLeave`] | [`rooms`] |
//! | 6 | DISCONNECT_SOCKETS | [`DisconnectSockets`] | [`rooms`] |
//! | 7 | FETCH_SOCKETS | [`FetchSockets`] | [`sockets`] |
//! | 8 | FETCH_SOCKETS_RESPONSE | [`FetchSocketsResponse`] | [`sockets`] |
//! | 9 | SERVER_SIDE_EMIT | [`ServerSideEmit`] | [`server_side`] |
//! | 10 | SERVER_SIDE_EMIT_RESPONSE | [`ServerSideEmitResponse`] | [`server_side`] |
//! | 11 | BROADCAST_CLIENT_COUNT | [`BroadcastClientCount`] | [`broadcast`] |
//! | 12 | BROADCAST_ACK | [`BroadcastAck`] | [`broadcast`] |
//! | 13 | ADAPTER_CLOSE | – | [`liveness`] |

pub mod broadcast;
pub(crate) mod envelope;
pub mod liveness;
mod map;
mod memory;
pub(crate) mod number;
mod object;
pub mod rooms;
pub mod selector;
pub mod server_side;
pub mod sockets;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

pub use self::{
    broadcast::{Broadcast, BroadcastAck, BroadcastClientCount, Packet},
    rooms::{DisconnectSockets, SocketsJoin, SocketsLeave},
    selector::{Flags, KeyOrder, Room, Selector},
    server_side::{ServerSideEmit, ServerSideEmitResponse},
    sockets::{FetchSockets, FetchSocketsResponse, Handshake, Only, SocketDescription},
};
use crate::{NodeId, ReplyChannel, RequestId, SessionId, payload::Payload};

/// A message from one node to all others that listen on the namespace's channel.
///
/// Wire form: `{"type":…,"data":…,"uid":…,"nsp":…}`, in that order; `data` is left out where a type
/// has none. Readers take any order and ignore keys that they do not know.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<P = Payload> {
    /// What the message says.
    pub body: Body<P>,
    /// The sender. A message without a sender is carried out, but proves of no node that it lives.
    pub uid: Option<NodeId>,
    /// The namespace. Readers take it from the channel where it is missing, as it is in everything
    /// that Node.js's emitter sends.
    pub nsp: Option<String>,
    /// Keys that Node.js's `cluster` module puts on messages.
    pub relay: Relay,
    /// Tells apart messages that are equal otherwise: PostgreSQL folds equal notifications of one
    /// transaction into one.
    ///
    /// An extension of ours. Our emitter writes it, since it publishes in transactions of the
    /// application. Our servers write it when they keep a log of what they publish: by the nonce a
    /// node recognizes a message of the log that it has also received live. Other readers ignore
    /// it.
    pub nonce: Option<String>,
    /// On requests: where the requester wants the responses, so that they do not go to all nodes.
    ///
    /// An extension of ours. A node that does not know it responds on the channel of the namespace;
    /// requesters listen on both. A name that does not have the shape of a [`ReplyChannel`] is read
    /// as missing.
    pub reply_to: Option<ReplyChannel>,
    /// On heartbeats: that the node need not send them to nodes that can see its session.
    ///
    /// An extension of ours. Nodes that do not know it go on sending heartbeats, and get them.
    pub watch: Option<Watch>,
    /// On heartbeats: that the node takes [packed](crate::notification) messages, so that binary
    /// need not go through the attachments table.
    ///
    /// An extension of ours. Nodes that do not know it get attachments.
    pub takes_packed: bool,
}

impl<P> Message<P> {
    /// A message of a node.
    pub fn new(uid: NodeId, nsp: impl Into<String>, body: Body<P>) -> Self {
        Self {
            body,
            uid: Some(uid),
            nsp: Some(nsp.into()),
            relay: Relay::default(),
            nonce: None,
            reply_to: None,
            watch: None,
            takes_packed: false,
        }
    }

    /// How many entries [`Self::write_origin`] writes.
    pub(crate) fn origin_entries(&self) -> usize {
        let Self { body: _, uid, nsp, relay, nonce, reply_to, watch, takes_packed } = self;
        let optional = [uid.is_some(), nsp.is_some(), nonce.is_some(), reply_to.is_some(), *takes_packed];
        let optional = optional.map(usize::from).iter().sum::<usize>();
        optional + relay.entries() + watch.map_or(0, Watch::entries)
    }

    /// Writes all but `type` and `data`.
    pub(crate) fn write_origin<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self { body: _, uid, nsp, relay, nonce, reply_to, watch, takes_packed } = self;
        // Before the `uid`: a node recognizes its own messages by how they end.
        if let Some(watch) = watch {
            watch.write(map)?;
        }
        if *takes_packed {
            map.serialize_entry("binary", Self::TAKES_PACKED)?;
        }
        if let Some(uid) = uid {
            map.serialize_entry("uid", uid)?;
        }
        if let Some(nsp) = nsp {
            map.serialize_entry("nsp", nsp)?;
        }
        relay.write(map)?;
        if let Some(nonce) = nonce {
            map.serialize_entry("nonce", nonce)?;
        }
        if let Some(channel) = reply_to {
            map.serialize_entry("replyTo", channel)?;
        }
        Ok(())
    }

    /// The value of `binary` of a node that takes packed messages.
    pub(crate) const TAKES_PACKED: &'static str = "packed";
}

impl<P: Serialize> Serialize for Message<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.body.entries() + self.origin_entries()))?;
        self.body.write(&mut map)?;
        self.write_origin(&mut map)?;
        map.end()
    }
}

/// Writes `type` and `data` only.
impl<P: Serialize> Serialize for Body<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries()))?;
        self.write(&mut map)?;
        map.end()
    }
}

/// Keys that nodes inside a Node.js `cluster` (`setupPrimary`) put on every message, after all
/// others.
///
/// Their workers read only messages whose `source` is [`Relay::SOURCE`]; other nodes ignore these
/// keys. A message with `source` is therefore read by both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// Marks the message as one of an adapter.
    pub source: Option<Cow<'static, str>>,
    /// On responses: the node that sent the request.
    pub requester_uid: Option<NodeId>,
    /// The primary process that passed the message on.
    pub node_id: Option<String>,
}

impl Relay {
    /// The value of `source` that workers of a Node.js cluster read.
    pub const SOURCE: &str = "_sio_adapter";

    /// Marks a message so that the workers of a Node.js cluster read it.
    pub fn marked() -> Self {
        Self { source: Some(Cow::Borrowed(Self::SOURCE)), ..Self::default() }
    }

    fn entries(&self) -> usize {
        usize::from(self.source.is_some())
            + usize::from(self.requester_uid.is_some())
            + usize::from(self.node_id.is_some())
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if let Some(source) = &self.source {
            map.serialize_entry("source", source)?;
        }
        if let Some(uid) = &self.requester_uid {
            map.serialize_entry("requesterUid", uid)?;
        }
        if let Some(id) = &self.node_id {
            map.serialize_entry("nodeId", id)?;
        }
        Ok(())
    }
}

/// What a node tells of its session in a heartbeat: others may see there that it lives.
///
/// Every node that tells this asks the database again and again, over the session on which it
/// listens, for the sessions of all nodes (`pg_stat_activity`). That question is its own sign of
/// life, and shows it those of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The session.
    pub session: SessionId,
    /// Whether the node has to hear heartbeats all the same: it does not see every other node, or
    /// is not sure that every other node knows it.
    pub needs_heartbeats: bool,
}

impl Watch {
    /// The value of `heartbeats` of a node that has to hear some.
    pub(crate) const NEEDED: &'static str = "needed";

    fn entries(self) -> usize {
        1 + usize::from(self.needs_heartbeats)
    }

    fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("session", &self.session)?;
        if self.needs_heartbeats {
            map.serialize_entry("heartbeats", Self::NEEDED)?;
        }
        Ok(())
    }
}

impl<P> Body<P> {
    /// Whether it only says that its node lives: 1, INITIAL_HEARTBEAT, or 2, HEARTBEAT.
    pub fn is_heartbeat(&self) -> bool {
        matches!(self, Self::InitialHeartbeat | Self::Heartbeat)
    }
}

/// Defines [`Body`] and how each variant is numbered, read and written, from one table.
macro_rules! messages {
    ($( $(#[doc = $doc:literal])* $code:literal $name:literal => $variant:ident $(($data:ty))? ),* $(,)?) => {
        /// What a message says: its `type` and `data`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Body<P = Payload> {
            $( $(#[doc = $doc])* $variant $(($data))?, )*
            /// A type that this version does not know: it is kept, and is not an error.
            Unknown {
                /// Its number.
                kind: u64,
                /// Its data, if any.
                data: Option<P>,
            },
        }

        impl<P> Body<P> {
            /// The number of the message's type on the wire.
            pub fn kind(&self) -> u64 {
                match self {
                    $( messages!(@pattern $variant $(($data))?) => $code, )*
                    Self::Unknown { kind, .. } => *kind,
                }
            }

            /// The name of the message's type, such as `BROADCAST`.
            pub fn name(&self) -> &'static str {
                match self {
                    $( messages!(@pattern $variant $(($data))?) => $name, )*
                    Self::Unknown { .. } => "UNKNOWN",
                }
            }
        }

        impl<P: Serialize> Body<P> {
            /// How many entries [`Self::write`] writes.
            fn entries(&self) -> usize {
                match self {
                    $( messages!(@pattern $variant $(($data))?) => messages!(@entries $(($data))?), )*
                    Self::Unknown { data, .. } => 1 + usize::from(data.is_some()),
                }
            }

            fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                map.serialize_entry("type", &self.kind())?;
                match self {
                    $( messages!(@bind data $variant $(($data))?) => messages!(@write map data $(($data))?), )*
                    Self::Unknown { data: Some(data), .. } => map.serialize_entry("data", data),
                    Self::Unknown { data: None, .. } => Ok(()),
                }
            }
        }

        impl<'de, P: Deserialize<'de>> Body<P> {
            /// Reads the `data` of a message whose type is known.
            pub(crate) fn read<D: Deserializer<'de>>(kind: u64, data: D) -> Result<Self, D::Error> {
                match kind {
                    $( $code => messages!(@read data $variant $(($data))?), )*
                    _ => Ok(Self::Unknown { kind, data: Some(P::deserialize(data)?) }),
                }
            }
        }

        impl<P> Body<P> {
            /// A message that came without `data`.
            pub(crate) fn bare<E: de::Error>(kind: u64) -> Result<Self, E> {
                match kind {
                    $( $code => messages!(@bare $variant $(($data))?), )*
                    _ => Ok(Self::Unknown { kind, data: None }),
                }
            }
        }

        #[cfg(feature = "schema")]
        impl<P: schemars::JsonSchema> Body<P> {
            /// What the schemas say of each type.
            pub(crate) const FORMS: &'static [crate::schema::Form] = &[
                $( crate::schema::Form {
                    kind: $code,
                    name: $name,
                    identifier: stringify!($variant),
                    documentation: concat!($($doc, "\n"),*),
                    data: messages!(@schema $($data)?),
                }, )*
            ];
        }
    };
    (@schema) => { None };
    (@schema $data:ty) => { Some(|generator| generator.subschema_for::<$data>()) };
    (@pattern $variant:ident) => { Self::$variant };
    (@pattern $variant:ident ($data:ty)) => { Self::$variant(_) };
    (@bind $d:ident $variant:ident) => { Self::$variant };
    (@bind $d:ident $variant:ident ($data:ty)) => { Self::$variant($d) };
    (@entries) => { 1 };
    (@entries ($data:ty)) => { 2 };
    (@write $map:ident $d:ident) => { Ok(()) };
    (@write $map:ident $d:ident ($data:ty)) => { $map.serialize_entry("data", $d) };
    (@read $d:ident $variant:ident) => { de::IgnoredAny::deserialize($d).map(|_| Self::$variant) };
    (@read $d:ident $variant:ident ($data:ty)) => { Ok(Self::$variant(object::deserialize::<_, $data>($d)?)) };
    (@bare $variant:ident) => { Ok(Self::$variant) };
    (@bare $variant:ident ($data:ty)) => { Err(de::Error::missing_field("data")) };
}

messages! {
    /// A node joins. It is sent once the node listens, and again when it listens again after it was
    /// disconnected. Every other node answers with 2, HEARTBEAT.
    1 "INITIAL_HEARTBEAT" => InitialHeartbeat,
    /// A node lives. It is sent after the heartbeat interval (5 s by default) in which the node
    /// published nothing, and in answer to 1, INITIAL_HEARTBEAT. Nothing answers it.
    2 "HEARTBEAT" => Heartbeat,
    /// An event for the selected sockets of every other node. With a `requestId` each of them
    /// answers with one 11, BROADCAST_CLIENT_COUNT, and with a 12, BROADCAST_ACK, for each client
    /// that acknowledges. Without, nothing answers it.
    3 "BROADCAST" => Broadcast(Broadcast<P>),
    /// The selected sockets of the other nodes join rooms. Nothing answers it.
    4 "SOCKETS_JOIN" => SocketsJoin(SocketsJoin),
    /// The selected sockets of the other nodes leave rooms. Nothing answers it.
    5 "SOCKETS_LEAVE" => SocketsLeave(SocketsLeave),
    /// The selected sockets of the other nodes are disconnected. Nothing answers it.
    6 "DISCONNECT_SOCKETS" => DisconnectSockets(DisconnectSockets),
    /// Asks for the sockets that match. Every other node answers with one 8,
    /// FETCH_SOCKETS_RESPONSE.
    7 "FETCH_SOCKETS" => FetchSockets(FetchSockets),
    /// The response of one node to 7, FETCH_SOCKETS. Sent also when no socket matches.
    8 "FETCH_SOCKETS_RESPONSE" => FetchSocketsResponse(FetchSocketsResponse<P>),
    /// An event for the other servers. With a `requestId` each of them answers with one 10,
    /// SERVER_SIDE_EMIT_RESPONSE, when its application acknowledges. Without, nothing answers it.
    9 "SERVER_SIDE_EMIT" => ServerSideEmit(ServerSideEmit<P>),
    /// The response of one server to 9, SERVER_SIDE_EMIT.
    10 "SERVER_SIDE_EMIT_RESPONSE" => ServerSideEmitResponse(ServerSideEmitResponse<P>),
    /// How many clients of one node got a 3, BROADCAST, that wants acknowledgements. Sent exactly
    /// once by every node that got it, also when there are none.
    11 "BROADCAST_CLIENT_COUNT" => BroadcastClientCount(BroadcastClientCount),
    /// The acknowledgement of one client to a 3, BROADCAST. It may overtake the 11,
    /// BROADCAST_CLIENT_COUNT, of its own node.
    12 "BROADCAST_ACK" => BroadcastAck(BroadcastAck<P>),
    /// A node leaves in good order. The others forget it at once and wait for it no longer. Nothing
    /// answers it.
    13 "ADAPTER_CLOSE" => AdapterClose,
}

/// Reads the `requestId` of a response: null is read as missing.
fn request_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(RequestId::none))
}

/// Reads a key that is there: null is a value like any other, only a missing key is absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
