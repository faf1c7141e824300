//! Strategies for messages of all types.

use proptest::{collection, option, prelude::*};

use super::values::{broken_text, text};
use crate::{
    Body, MAX_ID_BYTES, Message, NodeId, Payload, Relay, ReplyChannel, RequestId, SessionId, SocketId, Value,
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, DisconnectSockets, FetchSockets, FetchSocketsResponse, Flags,
        KeyOrder, Only, Packet, Room, Selector, ServerSideEmit, ServerSideEmitResponse, SocketDescription, SocketsJoin,
        SocketsLeave, Watch,
    },
};

/// A message of any of the 13 types, whose application data is made of `data`:
/// [`json`](super::json) for what may travel inline, else [`data`](super::data).
pub fn message(data: BoxedStrategy<Value>) -> BoxedStrategy<Message> {
    let relay = prop_oneof![
        Just(Relay::default()),
        Just(Relay::marked()),
        (option::of(node_id()), id()).prop_map(|(requester_uid, node_id)| Relay {
            requester_uid,
            node_id: Some(node_id),
            ..Relay::marked()
        }),
    ];
    let (nonce, reply_to) = (option::weighted(0.1, id()), option::weighted(0.1, reply_channel()));
    let of_heartbeats = (option::weighted(0.1, watch()), any::<bool>());
    (body(data), node_id(), option::weighted(0.9, namespace()), relay, nonce, reply_to, of_heartbeats)
        .prop_map(|(body, uid, nsp, relay, nonce, reply_to, (watch, takes_packed))| {
            let (watch, takes_packed) = (watch.filter(|_| body.is_heartbeat()), takes_packed && body.is_heartbeat());
            Message { body, uid: Some(uid), nsp, relay, nonce, reply_to, watch, takes_packed }
        })
        .boxed()
}

/// A sender: in Node.js's form, the emitter, or any other text.
pub fn node_id() -> BoxedStrategy<NodeId> {
    prop_oneof![8 => "[0-9a-f]{16}".prop_map(NodeId::from), 1 => Just(NodeId::emitter()), 1 => id().prop_map(NodeId::from)].boxed()
}

/// What ties a response to its request.
pub fn request_id() -> BoxedStrategy<RequestId> {
    prop_oneof![8 => "[0-9a-f]{16}".prop_map(RequestId::from), 1 => id().prop_map(RequestId::from)].boxed()
}

/// Any text that is not too long for an id.
fn id() -> impl Strategy<Value = String> {
    text().prop_map(|text| text[..text.floor_char_boundary(MAX_ID_BYTES)].to_owned())
}

/// Where a requester wants its responses.
fn reply_channel() -> BoxedStrategy<ReplyChannel> {
    ("[a-z.?#]{0,46}", any::<u64>())
        .prop_filter_map("the prefix is fit for it", |(prefix, number)| ReplyChannel::new(&prefix, number))
        .boxed()
}

/// What a heartbeat tells of the session of its node.
fn watch() -> BoxedStrategy<Watch> {
    (any::<u64>().prop_map(SessionId::new), any::<bool>())
        .prop_map(|(session, needs_heartbeats)| Watch { session, needs_heartbeats })
        .boxed()
}

/// A socket's id: one of Node.js's or of socketioxide's.
pub fn socket_id() -> BoxedStrategy<SocketId> {
    prop_oneof!["[A-Za-z0-9_-]{20}", "[A-Za-z0-9_-]{16}"].prop_map(SocketId::from).boxed()
}

/// A namespace, `/` included, of any characters but NUL, which PostgreSQL does not take.
pub fn namespace() -> BoxedStrategy<String> {
    let short = prop_oneof![Just(String::new()), "[a-z]{1,8}(/[a-z]{1,8})?", any::<String>()];
    let long = (any::<char>(), 1..80_usize).prop_map(|(c, count)| c.to_string().repeat(count));
    prop_oneof![4 => short, 1 => long].prop_map(|name| format!("/{}", name.replace('\0', ""))).boxed()
}

/// A room: a name, or now and then another value that a Node.js application used as one.
pub fn room() -> BoxedStrategy<Room> {
    let other = prop_oneof![
        Just(Value::Nil),
        broken_text(),
        (-1000..1000_i64).prop_map(Value::Int),
        (-1000..1000_i64).prop_map(|number| Value::Float(number as f64 + 0.5)),
    ];
    prop_oneof![9 => text().prop_map(Room::Name), 1 => other.prop_map(Room::Other)].boxed()
}

/// Flags that Node.js knows, in any order, and one that is unknown.
pub fn flags() -> BoxedStrategy<Flags> {
    let unknown = prop_oneof![
        Just(Value::Nil),
        broken_text(),
        text().prop_map(Value::Str),
        collection::vec((-1000..1000_i64).prop_map(Value::Int), 0..3).prop_map(Value::Array),
    ];
    let flags = (
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        option::of(0..100_000_i64),
        option::of(Just(true)),
        option::weighted(0.1, unknown),
    );
    flags
        .prop_map(|(volatile, compress, timeout, single, unknown)| {
            [
                volatile.map(|flag| ("volatile", Value::Bool(flag))),
                compress.map(|flag| ("compress", Value::Bool(flag))),
                timeout.map(|ms| ("timeout", Value::Int(ms))),
                single.map(|flag| ("expectSingleResponse", Value::Bool(flag))),
                unknown.map(|value| ("unheardOf", value)),
            ]
        })
        .prop_shuffle()
        .prop_map(|entries| {
            let mut flags = Flags::default();
            for (name, value) in entries.into_iter().flatten() {
                flags.set(name, value);
            }
            flags
        })
        .boxed()
}

/// Selector, in the adapter's order of keys or in the emitter's.
pub fn options() -> BoxedStrategy<Selector> {
    (rooms(), rooms(), option::weighted(0.9, flags()), any::<bool>())
        .prop_map(|(rooms, except, flags, is_emitter)| {
            // Without flags the two orders are the same.
            let order = if is_emitter && flags.is_some() { KeyOrder::Emitter } else { KeyOrder::Adapter };
            Selector { rooms, except, flags, order }
        })
        .boxed()
}

fn rooms() -> impl Strategy<Value = Vec<Room>> {
    collection::vec(room(), 0..4)
}

fn body(data: BoxedStrategy<Value>) -> impl Strategy<Value = Body> {
    let event = event(data.clone());
    prop_oneof![
        Just(Body::InitialHeartbeat),
        Just(Body::Heartbeat),
        Just(Body::AdapterClose),
        (packet(event.clone()), option::of(request_id()), options())
            .prop_map(|(packet, request_id, opts)| Body::Broadcast(Broadcast { packet, request_id, opts })),
        (options(), rooms()).prop_map(|(opts, rooms)| Body::SocketsJoin(SocketsJoin { opts, rooms })),
        (options(), rooms()).prop_map(|(opts, rooms)| Body::SocketsLeave(SocketsLeave { opts, rooms })),
        (options(), any::<bool>()).prop_map(|(opts, close)| Body::DisconnectSockets(DisconnectSockets { opts, close })),
        (options(), request_id(), option::weighted(0.3, only()))
            .prop_map(|(opts, request_id, only)| Body::FetchSockets(FetchSockets { opts, request_id, only })),
        fetch_sockets_response(data.clone()).prop_map(Body::FetchSocketsResponse),
        (option::of(request_id()), event)
            .prop_map(|(request_id, packet)| Body::ServerSideEmit(ServerSideEmit { request_id, packet })),
        (request_id(), option::of(payload(data.clone()))).prop_map(|(request_id, packet)| {
            Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet })
        }),
        (request_id(), 0..1_u64 << 53).prop_map(|(request_id, client_count)| {
            Body::BroadcastClientCount(BroadcastClientCount { request_id, client_count })
        }),
        (request_id(), option::of(payload(data)))
            .prop_map(|(request_id, packet)| Body::BroadcastAck(BroadcastAck { request_id, packet })),
    ]
}

/// What a requester needs of sockets.
pub fn only() -> BoxedStrategy<Only> {
    prop_oneof![Just(Only::Count), Just(Only::Ids)].boxed()
}

/// In full, or briefly; now and then both at once.
fn fetch_sockets_response(data: BoxedStrategy<Value>) -> impl Strategy<Value = FetchSocketsResponse> {
    let sockets = collection::vec(socket(data), 0..3);
    let count = option::weighted(0.3, 0..1_u64 << 53);
    let ids = option::weighted(0.3, collection::vec(socket_id(), 0..3));
    (request_id(), sockets, count, ids).prop_map(|(request_id, sockets, count, ids)| FetchSocketsResponse {
        request_id,
        sockets,
        count,
        ids,
    })
}

fn packet(event: impl Strategy<Value = Payload>) -> impl Strategy<Value = Packet> {
    let nsp = option::weighted(0.2, namespace());
    (event, nsp).prop_map(|(data, nsp)| Packet { nsp, ..Packet::event(data) })
}

/// `[event, ...args]`.
fn event(data: BoxedStrategy<Value>) -> BoxedStrategy<Payload> {
    let arguments = (text(), collection::vec(data, 0..4));
    payload(
        arguments.prop_map(|(name, arguments)| Value::Array([Value::Str(name)].into_iter().chain(arguments).collect())),
    )
    .boxed()
}

fn socket(data: BoxedStrategy<Value>) -> impl Strategy<Value = SocketDescription> {
    (socket_id(), handshake(), rooms(), option::of(payload(data))).prop_map(|(id, handshake, rooms, data)| {
        SocketDescription { id, handshake: Some(handshake), rooms: Some(rooms), data }
    })
}

fn handshake() -> impl Strategy<Value = Payload> {
    let texts = || {
        let text_or_list = prop_oneof![
            text().prop_map(Value::Str),
            collection::vec(text().prop_map(Value::Str), 0..3).prop_map(Value::Array),
        ];
        collection::btree_map("[a-z-]{1,10}", text_or_list, 0..4)
            .prop_map(|entries| Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    };
    let value = (texts(), text(), any::<[bool; 2]>(), 0..1_i64 << 50, texts(), texts()).prop_map(
        |(headers, text, [xdomain, secure], issued, query, auth)| {
            let entries = [
                ("headers", headers),
                ("time", Value::Str(text.clone())),
                ("address", Value::Str(text.clone())),
                ("xdomain", Value::Bool(xdomain)),
                ("secure", Value::Bool(secure)),
                ("issued", Value::Int(issued)),
                ("url", Value::Str(text)),
                ("query", query),
                ("auth", auth),
            ];
            Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
        },
    );
    payload(value)
}

/// Data in either of its forms: the text that came in a notification, or a value.
fn payload(data: impl Strategy<Value = Value>) -> impl Strategy<Value = Payload> {
    (data, any::<bool>()).prop_map(|(value, as_text)| match Payload::from_json(value.to_json()) {
        Ok(text) if as_text && !value.has_binary() => text,
        _ => Payload::Value(value),
    })
}
