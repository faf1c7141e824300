//! Schemas of what no type of this crate describes alone: common keys, flags, application data.

#![expect(dead_code, reason = "of these types only the schema is used")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    Message, NodeId, Payload, Relay, ReplyChannel, SessionId, channel,
    message::{Flags, Room, Watch},
};

/// All types of JSON. Generators take a schema without a type for an object.
pub(super) const ANY_TYPE: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];

/// The keys that a message of any type may have, apart from `type` and `data`, in their order.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub(super) struct Common {
    /// The name of the session on which the node listens, and in which others can see that it
    /// lives. It is optional to write and to read: a node that does not write it sends heartbeats,
    /// and gets them.
    #[schemars(with = "SessionId", skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// That the node has to hear heartbeats although it has a `session`. Missing: it has not.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none", extend("const" = Watch::NEEDED))]
    heartbeats: Option<String>,
    /// That the node takes packed messages: binary in notifications. It is optional to write and to
    /// read: to a node that does not write it, binary is sent as attachments.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none", extend("const" = Message::<Payload>::TAKES_PACKED))]
    binary: Option<String>,
    /// The sender.
    uid: NodeId,
    /// The namespace, such as `/` or `/admin`. Every writer must write it: Node.js's adapters drop
    /// a message without it. Node.js's emitter does not write it, so readers take it from the
    /// channel where it is missing.
    nsp: String,
    /// Marks the message for the workers of a Node.js cluster (`setupPrimary`), which ignore
    /// messages without it. Adapters of Node.js outside such a cluster do not write it; other
    /// readers ignore it. Write it, so that every node reads the message.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none", extend("const" = Relay::SOURCE))]
    source: Option<String>,
    /// The node that sent the request. Only the workers of a Node.js cluster write it; other
    /// readers ignore it.
    #[schemars(with = "NodeId", skip_serializing_if = "Option::is_none")]
    requester_uid: Option<NodeId>,
    /// The primary process that passed the message on. Only the primary of a Node.js cluster writes
    /// it, and ignores messages that have its own id; other readers ignore it.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none", length(max = 256))]
    node_id: Option<String>,
    /// Any text that tells apart messages which are equal otherwise: PostgreSQL folds equal
    /// notifications of one transaction into one. Only needed for messages that are published in a
    /// transaction of the application, and for those that are also kept in a log; other readers
    /// ignore it.
    #[schemars(with = "String", skip_serializing_if = "Option::is_none", length(max = 256))]
    nonce: Option<String>,
    /// Where the requester wants the responses, so that they do not go to all nodes: `<prefix>?`
    /// and 16 digits, a channel on which only its process listens. It is optional to write and to
    /// read: a node that does not know it responds on the channel of the namespace, and the
    /// requester listens on both.
    #[schemars(with = "ReplyChannel", skip_serializing_if = "Option::is_none")]
    reply_to: Option<ReplyChannel>,
}

impl JsonSchema for SessionId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SessionId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$", "examples": ["5f0c1d2e3b4a6978"] })
    }
}

impl JsonSchema for ReplyChannel {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ReplyChannel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"\?[0-9a-f]{16}$",
            "maxLength": channel::MAX_BYTES,
            "examples": ["socket.io?5f0c1d2e3b4a6978"],
        })
    }
}

/// Flags of a message, in the order in which the sender set them. All are optional, and others may
/// occur.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct KnownFlags {
    /// Whether the message may be dropped for a client that is not ready to receive.
    #[schemars(with = "bool", skip_serializing_if = "Option::is_none")]
    volatile: Option<bool>,
    /// Whether the transport may compress the message.
    #[schemars(with = "bool", skip_serializing_if = "Option::is_none")]
    compress: Option<bool>,
    /// How long the sender waits for acknowledgements or responses, in milliseconds.
    #[schemars(with = "f64", skip_serializing_if = "Option::is_none", range(min = 0), extend("examples" = [1000]))]
    timeout: Option<f64>,
    /// Whether the message is for one socket, through a remote handle of it: there is one
    /// acknowledgement at most.
    #[schemars(with = "bool", skip_serializing_if = "Option::is_none")]
    expect_single_response: Option<bool>,
    /// Never on the wire: what is for local sockets only is not published.
    #[schemars(with = "bool", skip_serializing_if = "Option::is_none")]
    local: Option<bool>,
}

impl JsonSchema for Flags {
    fn schema_name() -> Cow<'static, str> {
        "Flags".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        KnownFlags::json_schema(generator)
    }
}

impl JsonSchema for Room {
    fn schema_name() -> Cow<'static, str> {
        "Room".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a room: a string or a number. The number 7 and the string \"7\" name two rooms. A \
                            Node.js application that says `io.to(undefined)` sends null, which readers must survive.",
            "type": ["string", "number", "null"],
            "examples": ["news", "kZKYGMOmZqTEZGEfAAAq"],
        })
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        "ApplicationData".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Data of the application: any JSON value, of which the protocol reads nothing. In an \
                            attachment it is any MessagePack value, which may also hold binary (`bin`) and dates \
                            (extension type -1); see `MessagePackBinary` and `MessagePackTimestamp` in common.json.",
            "type": ANY_TYPE,
        })
    }
}

/// One text, or several of the same name.
pub(crate) struct Texts;

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
