//! Channels, operations and their time limits, as an AsyncAPI document.

use serde_json::{Map, Value, json};

use super::{
    attachment::MESSAGEPACK,
    definitions::{header_name, redirect},
    examples,
    messages::{ANY_MESSAGE, FORMS, Form},
    packed,
    variant::Variant,
};
use crate::{
    budget::MAX_PAYLOAD,
    channel,
    cluster::REQUEST_TIMEOUT,
    message::liveness::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT},
    notification::{CLEANUP_INTERVAL, DEFAULT_TABLE},
};

/// The version of the description. Messages carry no version: see the specification.
const VERSION: &str = "1.4.1";

/// An operation of a node, which other nodes see too.
struct Exchange {
    /// The operation of the node that begins.
    id: &'static str,
    /// What the operation is for.
    summary: &'static str,
    /// The message, as a name of [`Form`].
    message: &'static str,
    /// The messages that answer it.
    replies: &'static [&'static str],
    limit: Limit,
}

/// The time limit of an operation.
enum Limit {
    None,
    /// How often to send it, while the node publishes nothing else.
    Every(u128),
    /// How long responses are waited for, by default.
    Responses(u128),
    /// How long responses are waited for: a flag of the message says it.
    Flag,
}

const EXCHANGES: &[Exchange] = &[
    Exchange {
        id: "join",
        summary: "Joins the cluster, once the node listens, and again after each time that it was disconnected.",
        message: "INITIAL_HEARTBEAT",
        replies: &["HEARTBEAT"],
        limit: Limit::None,
    },
    Exchange {
        id: "stayAlive",
        summary: "Shows that the node lives, when it has published nothing for the heartbeat interval.",
        message: "HEARTBEAT",
        replies: &[],
        limit: Limit::Every(HEARTBEAT_INTERVAL.as_millis()),
    },
    Exchange {
        id: "leave",
        summary: "Leaves the cluster. The other nodes no longer wait for it.",
        message: "ADAPTER_CLOSE",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "broadcast",
        summary: "Sends an event to the selected sockets of all nodes.",
        message: "BROADCAST",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "broadcastWithAck",
        summary: "Sends an event and asks for acknowledgements: the message has a `requestId`. Each node replies with \
                  one count, and with one acknowledgement for each of its clients that gives one. They come in any order.",
        message: "BROADCAST",
        replies: &["BROADCAST_CLIENT_COUNT", "BROADCAST_ACK"],
        limit: Limit::Flag,
    },
    Exchange {
        id: "socketsJoin",
        summary: "Makes the selected sockets of all nodes join rooms.",
        message: "SOCKETS_JOIN",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "socketsLeave",
        summary: "Makes the selected sockets of all nodes leave rooms.",
        message: "SOCKETS_LEAVE",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "disconnectSockets",
        summary: "Disconnects the selected sockets of all nodes.",
        message: "DISCONNECT_SOCKETS",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "fetchSockets",
        summary: "Asks all nodes for their sockets that match. Each replies once, also when none does.",
        message: "FETCH_SOCKETS",
        replies: &["FETCH_SOCKETS_RESPONSE"],
        limit: Limit::Responses(REQUEST_TIMEOUT.as_millis()),
    },
    Exchange {
        id: "serverSideEmit",
        summary: "Sends an event to the other servers.",
        message: "SERVER_SIDE_EMIT",
        replies: &[],
        limit: Limit::None,
    },
    Exchange {
        id: "serverSideEmitWithAck",
        summary: "Sends an event to the other servers and asks for responses: the message has a `requestId`. Each replies \
                  once, when its application acknowledges.",
        message: "SERVER_SIDE_EMIT",
        replies: &["SERVER_SIDE_EMIT_RESPONSE"],
        limit: Limit::Responses(REQUEST_TIMEOUT.as_millis()),
    },
];

pub(super) fn document() -> Value {
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Socket.IO Postgres adapter: the protocol between nodes",
            "version": VERSION,
            "description": "What Socket.IO servers say to each other through PostgreSQL. Operations are seen from one \
                            node; each that it sends it also receives from the others.",
            "license": { "name": "MIT" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "postgresql": {
                "host": "localhost:5432",
                "protocol": "postgresql",
                "description": "The database that all nodes share. Channels belong to a database; its encoding must be \
                                UTF8.",
            },
        },
        "channels": {
            "namespace": namespace_channel(),
            "replies": reply_channel(),
            "attachments": attachments_channel(),
        },
        "operations": operations(),
        "components": { "messages": messages(), "schemas": schemas() },
    })
}

fn namespace_channel() -> Value {
    let others =
        ["NotificationHeader", packed::TITLE].map(|name| (name.to_owned(), reference("components/messages", name)));
    let messages =
        FORMS.iter().map(|form| (form.identifier.to_owned(), reference("components/messages", form.identifier)));
    json!({
        "address": "{prefix}#{namespace}",
        "title": "The channel of a namespace",
        "description": format!(
            "A channel of LISTEN and NOTIFY. Its name has at most {max} bytes: PostgreSQL cuts a longer one in LISTEN \
             without an error, on a character boundary, and refuses it in pg_notify. Publish to, and listen on, the name \
             cut like that; several namespaces may then share a channel, and the `nsp` of each message tells for which \
             it is. In LISTEN the name is an identifier: quote it, and double each `\"` in it. A payload has at most \
             {MAX_PAYLOAD} bytes. A node of which nothing was heard for {} ms is taken for dead.",
            HEARTBEAT_TIMEOUT.as_millis(),
            max = channel::MAX_BYTES,
        ),
        "parameters": {
            "prefix": { "description": "The same for all nodes of a cluster.", "default": channel::DEFAULT_PREFIX },
            "namespace": { "description": "The namespace of Socket.IO.", "default": "/", "examples": ["/", "/admin"] },
        },
        "messages": messages.chain(others).collect::<Map<_, _>>(),
        "x-max-address-bytes": channel::MAX_BYTES,
        "x-max-payload-bytes": MAX_PAYLOAD,
        "x-node-timeout-ms": milliseconds(HEARTBEAT_TIMEOUT.as_millis()),
    })
}

fn reply_channel() -> Value {
    let others =
        ["NotificationHeader", packed::TITLE].map(|name| (name.to_owned(), reference("components/messages", name)));
    let responses = FORMS.iter().filter(|form| form.is_response());
    let messages =
        responses.map(|form| (form.identifier.to_owned(), reference("components/messages", form.identifier)));
    json!({
        "address": "{prefix}?{number}",
        "title": "The reply channel of a process",
        "description": "An extension, optional for both sides: a requester that names such a channel as `replyTo` hears \
                        responses there as well as on the channel of the namespace, and a node that knows the extension \
                        sends its responses to that request there, and only there. Node.js's adapters do not know it.",
        "parameters": {
            "prefix": { "description": "The same for all nodes of a cluster.", "default": channel::DEFAULT_PREFIX },
            "number": { "description": "16 hexadecimal digits in lower case, drawn at random by the process that listens." },
        },
        "messages": messages.chain(others).collect::<Map<_, _>>(),
        "x-max-address-bytes": channel::MAX_BYTES,
        "x-max-payload-bytes": MAX_PAYLOAD,
    })
}

fn attachments_channel() -> Value {
    json!({
        "address": "{table}",
        "title": "The attachments table",
        "description": format!(
            "A table `(id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)`. A message that holds \
             binary, or whose JSON does not fit into a notification, is a row here; the notification is a header with its \
             number. Every node deletes the rows that are older than {} ms, once in that time.",
            CLEANUP_INTERVAL.as_millis(),
        ),
        "parameters": {
            "table": { "description": "The same for all nodes of a cluster.", "default": DEFAULT_TABLE },
        },
        "messages": { "Attachment": reference("components/messages", "Attachment") },
        "x-lifetime-ms": milliseconds(CLEANUP_INTERVAL.as_millis()),
    })
}

fn operations() -> Map<String, Value> {
    let mut operations = Map::new();
    for exchange in EXCHANGES {
        let summary = exchange.summary;
        operations.insert(exchange.id.to_owned(), operation("send", exchange, summary.to_owned()));
        let received = format!("Another node does `{}`: {summary}", exchange.id);
        operations.insert(on(exchange.id), operation("receive", exchange, received));
    }
    let attachment_operations = [
        (
            "storeAttachment",
            "send",
            "attachments",
            "Attachment",
            "Inserts a row, in the transaction of its announcement.",
        ),
        ("announceAttachment", "send", "namespace", "NotificationHeader", "Sends the header of an attachment."),
        (
            "onAnnounceAttachment",
            "receive",
            "namespace",
            "NotificationHeader",
            "A message is in the attachments table.",
        ),
        (
            "fetchAttachment",
            "receive",
            "attachments",
            "Attachment",
            "Selects the row of a header, unless the header is the node's own. Its message then counts as received \
             at the place of the header.",
        ),
    ];
    for (id, action, channel, message, summary) in attachment_operations {
        let operation = json!({
            "action": action,
            "channel": reference("channels", channel),
            "summary": summary,
            "messages": [reference(&format!("channels/{channel}/messages"), message)],
        });
        operations.insert(id.to_owned(), operation);
    }
    operations
}

fn operation(action: &str, exchange: &Exchange, summary: String) -> Value {
    let mut operation = json!({
        "action": action,
        "channel": reference("channels", "namespace"),
        "summary": summary,
        "messages": [in_namespace(exchange.message)],
    });
    if !exchange.replies.is_empty() {
        let replies = exchange.replies.iter().map(|name| in_namespace(name)).collect::<Vec<_>>();
        operation["reply"] = json!({ "channel": reference("channels", "namespace"), "messages": replies });
    }
    match exchange.limit {
        Limit::None => {}
        Limit::Every(time) => operation["x-interval-ms"] = milliseconds(time),
        Limit::Responses(time) => {
            operation["description"] = format!(
                "The responses of the nodes that were known at first are waited for, {time} ms by default. A node that \
                 leaves or dies meanwhile is no longer waited for."
            )
            .into();
            operation["x-timeout-ms"] = milliseconds(time);
        }
        Limit::Flag => {
            operation["description"] = "The flag `timeout` of the message says how long is waited, in milliseconds. A \
                                        node that leaves or dies meanwhile is no longer waited for."
                .into();
        }
    }
    operation
}

/// The operation of a node that sees another node do this.
fn on(id: &str) -> String {
    let (first, rest) = id.split_at(1);
    format!("on{}{rest}", first.to_uppercase())
}

/// What nodes write, since the document shows what is on the channels.
fn schemas() -> Map<String, Value> {
    let mut schemas = Variant::Writer.definitions();
    for schema in schemas.values_mut() {
        redirect(schema, &|name| format!("#/components/schemas/{name}"));
    }
    let any = json!({
        "title": "ClusterMessage",
        "description": ANY_MESSAGE,
        "oneOf": FORMS.iter().map(|form| reference("components/schemas", &form.title())).collect::<Vec<_>>(),
    });
    schemas.insert("ClusterMessage".to_owned(), any);
    let (description, mut packed) = packed::schema(&Variant::Writer.definitions());
    packed["title"] = packed::TITLE.into();
    packed["description"] = description.into();
    redirect(&mut packed, &|name| format!("#/components/schemas/{name}"));
    schemas.insert(packed::TITLE.to_owned(), packed);
    schemas
}

fn messages() -> Map<String, Value> {
    let mut messages: Map<String, Value> =
        FORMS.iter().map(|form| (form.identifier.to_owned(), message(form))).collect();
    let packed = json!({
        "name": "PACKED_MESSAGE",
        "title": "A message with binary in the notification",
        "summary": "An extension: a message of any type, with its `type` and `data` as MessagePack in Base64. Nodes that all \
                    tell `binary` in their heartbeats send it in place of an attachment, where it fits.",
        "contentType": "application/json",
        "payload": payload(packed::TITLE),
    });
    messages.insert(packed::TITLE.to_owned(), packed);
    let header = json!({
        "name": "NOTIFICATION_HEADER",
        "title": "The header of an attachment",
        "contentType": "application/json",
        "payload": payload(&header_name()),
        "examples": named(examples::attachments().map(|(header, _)| header.clone())),
    });
    messages.insert("NotificationHeader".to_owned(), header);
    let attachment = json!({
        "name": "ATTACHMENT",
        "title": "A message in the attachments table",
        "summary": "A message of any type, in MessagePack.",
        "contentType": MESSAGEPACK,
        "payload": payload("ClusterMessage"),
    });
    messages.insert("Attachment".to_owned(), attachment);
    messages
}

fn message(form: &Form) -> Value {
    let mut message = json!({
        "name": form.name,
        "title": format!("{}: {}", form.kind, form.name),
        "contentType": "application/json",
        "payload": payload(&form.title()),
        "examples": named(examples::messages(form.kind)),
    });
    if form.has_request_id() {
        message["correlationId"] = json!({
            "description": "What ties responses to their request.",
            "location": "$message.payload#/data/requestId",
        });
    }
    message
}

fn payload(schema: &str) -> Value {
    let schema = reference("components/schemas", schema);
    json!({ "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": schema })
}

fn named(examples: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let numbered = examples.into_iter().enumerate();
    numbered
        .map(|(position, payload)| json!({ "name": format!("recorded{}", position + 1), "payload": payload }))
        .collect()
}

/// A message of the namespace's channel, by its name.
fn in_namespace(name: &str) -> Value {
    let form = FORMS.iter().find(|form| form.name == name).expect("the exchanges name messages");
    reference("channels/namespace/messages", form.identifier)
}

fn reference(folder: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{folder}/{name}") })
}

fn milliseconds(time: u128) -> Value {
    u64::try_from(time).unwrap_or(u64::MAX).into()
}
