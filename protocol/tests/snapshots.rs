//! Snapshots of the wire form of every message and the text of every error, so that a change of
//! either is seen in review.
//!
//! `cargo insta review` or `INSTA_UPDATE=always` accepts an intended change.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::fmt::Write;

use socketio_pg_protocol::{
    Body, DecodeError, Message, Notification, Payload, Relay, ReplyChannel, Value,
    budget::Budget,
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, DisconnectSockets, FetchSockets, FetchSocketsResponse, Flags,
        Handshake, Only, Packet, Selector, ServerSideEmit, ServerSideEmitResponse, SocketDescription, SocketsJoin,
        SocketsLeave,
    },
    notification::Encoded,
    value::to_msgpack,
};

const NODE: &str = "8f42b1c09d5e7a36";
const REQUEST: &str = "0f1e2d3c4b5a6978";

fn json(text: &str) -> Payload {
    Payload::from_json(text).unwrap()
}

fn message(body: Body) -> Message {
    Message::new(NODE.into(), "/", body)
}

fn broadcast(request_id: Option<&str>) -> Body {
    let mut flags = Flags::default();
    flags.set("volatile", true);
    let opts = Selector { flags: Some(flags), ..Selector::rooms(["news"]).except(["kZKYGMOmZqTEZGEfAAAq"]) };
    let packet = Packet::event(json(r#"["hello",1,{"a":null}]"#));
    Body::Broadcast(Broadcast { packet, request_id: request_id.map(Into::into), opts })
}

fn socket() -> SocketDescription {
    let handshake = Handshake {
        headers: [("host".to_owned(), "example.com".into())].into(),
        time: "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)".to_owned(),
        address: "127.0.0.1".to_owned(),
        issued: 1_700_000_000_000,
        url: "/socket.io/?EIO=4&transport=websocket".to_owned(),
        auth: serde_json::json!({}),
        ..Handshake::default()
    };
    SocketDescription {
        id: "kZKYGMOmZqTEZGEfAAAq".into(),
        handshake: Some(Payload::from_serialize(&handshake).unwrap()),
        rooms: Some(vec!["kZKYGMOmZqTEZGEfAAAq".into(), "news".into()]),
        data: Some(json(r#"{"name":"Ada"}"#)),
    }
}

/// One of each type at least.
fn messages() -> Vec<Message> {
    let request_id = || REQUEST.into();
    let bodies = [
        Body::InitialHeartbeat,
        Body::Heartbeat,
        broadcast(None),
        broadcast(Some(REQUEST)),
        Body::SocketsJoin(SocketsJoin { opts: Selector::all(), rooms: vec!["news".into()] }),
        Body::SocketsLeave(SocketsLeave { opts: Selector::all(), rooms: vec!["news".into()] }),
        Body::DisconnectSockets(DisconnectSockets { opts: Selector::rooms(["idle"]), close: true }),
        Body::FetchSockets(FetchSockets::new(Selector::all(), request_id())),
        Body::FetchSockets(FetchSockets::new(Selector::all(), request_id()).only(Only::Count)),
        Body::FetchSockets(FetchSockets::new(Selector::all(), request_id()).only(Only::Ids)),
        Body::FetchSocketsResponse(FetchSocketsResponse::full(request_id(), vec![socket()])),
        Body::FetchSocketsResponse(FetchSocketsResponse::of_count(request_id(), 3)),
        Body::FetchSocketsResponse(FetchSocketsResponse::of_ids(request_id(), vec![socket().id])),
        Body::ServerSideEmit(ServerSideEmit { request_id: None, packet: json(r#"["refresh"]"#) }),
        Body::ServerSideEmit(ServerSideEmit { request_id: Some(request_id()), packet: json(r#"["how-many",1]"#) }),
        Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id: request_id(), packet: Some(json("42")) }),
        Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id: request_id(), packet: None }),
        Body::BroadcastClientCount(BroadcastClientCount { request_id: request_id(), client_count: 2 }),
        Body::BroadcastAck(BroadcastAck { request_id: request_id(), packet: Some(json(r#""the answer""#)) }),
        Body::BroadcastAck(BroadcastAck { request_id: request_id(), packet: None }),
        Body::AdapterClose,
        Body::Unknown { kind: 14, data: Some(json("[1]")) },
    ];
    let marked = Message { relay: Relay::marked(), nonce: Some("1".to_owned()), ..message(Body::Heartbeat) };
    let fetch = Body::FetchSockets(FetchSockets::new(Selector::all(), request_id()));
    let reply_to = ReplyChannel::new("socket.io", 0x5f0c_1d2e_3b4a_6978);
    let with_reply_channel = Message { relay: Relay::marked(), reply_to, ..message(fetch) };
    bodies.into_iter().map(message).chain([marked, with_reply_channel]).collect()
}

#[test]
fn wire_forms() {
    let mut forms = String::new();
    for message in messages() {
        let bytes = message.clone().into_msgpack().unwrap();
        writeln!(forms, "{} {}", message.body.kind(), message.body.name()).unwrap();
        writeln!(forms, "  {}", message.to_json().unwrap()).unwrap();
        writeln!(forms, "  {}", hex(&bytes)).unwrap();
    }
    insta::assert_snapshot!(forms);
}

#[test]
fn every_type_is_in_the_snapshot() {
    let types: std::collections::BTreeSet<u64> = messages().iter().map(|message| message.body.kind()).collect();
    assert_eq!(types, (1..=14).collect());
}

#[test]
fn attachment_with_header() {
    let data =
        Value::Array(vec!["photo".into(), Value::Bin(vec![1, 2, 3]), Value::from_date_millis(1_700_000_000_123)]);
    let body = Broadcast { packet: Packet::event(data.into()), request_id: None, opts: Selector::all() };
    let encoded = message(Body::Broadcast(body)).encode(Budget::default()).unwrap();
    let Encoded::Attachment { body, before_id, after_id } = encoded else { panic!("binary is never inline") };
    let header_and_row = format!("{before_id}17{after_id}\n{}\n", hex(&body));
    insta::assert_snapshot!(header_and_row);
}

#[test]
fn error_texts() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let no_json = |text: &str| Notification::decode(text).unwrap_err();
    let no_msgpack = |bytes: &[u8]| Message::from_msgpack(bytes).unwrap_err();
    let packed = |value: &Value| to_msgpack(value).unwrap();
    let heartbeat = message(Body::Heartbeat).into_msgpack().unwrap();
    let errors: Vec<(&str, String)> = vec![
        ("an empty payload", text(no_json(""))),
        ("a payload cut short", text(no_json(r#"{"type":2"#))),
        ("JSON that is no object", text(no_json("[1]"))),
        ("no type", text(no_json(r#"{"uid":"a"}"#))),
        ("a type that is text", text(no_json(r#"{"type":"2"}"#))),
        ("no data", text(no_json(r#"{"type":3}"#))),
        ("no options", text(no_json(r#"{"type":4,"data":{"rooms":[]}}"#))),
        ("rooms that are text", text(no_json(r#"{"type":4,"data":{"opts":{},"rooms":"a"}}"#))),
        ("a count below 0", text(no_json(r#"{"type":11,"data":{"requestId":"a","clientCount":-1}}"#))),
        ("an attachment id that is no number", text(no_json(r#"{"type":3,"attachmentId":"1; DROP TABLE"}"#))),
        ("an attachment id that is a list", text(no_json(r#"{"type":3,"attachmentId":[1]}"#))),
        ("no bytes", text(no_msgpack(&[]))),
        ("bytes cut short", text(no_msgpack(&heartbeat[..10]))),
        ("bytes after the message", text(no_msgpack(&[&heartbeat[..], b"\0\0"].concat()))),
        ("a reserved byte", text(no_msgpack(&[0xc1]))),
        ("a value that is no message", text(no_msgpack(&packed(&Value::Int(1))))),
        ("a map without type", text(no_msgpack(&packed(&Value::Map(Vec::new()))))),
        ("an attachment nested too deep", text(no_msgpack(&[&[0x91; 129][..], &[0xc0]].concat()))),
        ("data that is no JSON", text(Payload::from_json("{").unwrap_err())),
        ("data of another type", text(json("1").deserialize::<String>().unwrap_err())),
        ("a value of another type", text(Payload::from(Value::Int(1)).deserialize::<String>().unwrap_err())),
        ("data nested too deep to be read", text(json(&deep(200)).into_value().unwrap_err())),
        ("data nested too deep to be sent", {
            let packet = Packet::event(json(&deep(200)));
            let broadcast = Body::Broadcast(Broadcast { packet, request_id: None, opts: Selector::all() });
            message(broadcast).into_msgpack().unwrap_err().to_string()
        }),
        ("keys that are lists", {
            let keys = std::collections::BTreeMap::from([(vec![1], 1)]);
            Payload::from_serialize(&keys).unwrap_err().to_string()
        }),
    ];
    let mut texts = String::new();
    for (what, error) in errors {
        writeln!(texts, "{what}:\n  {error}").unwrap();
    }
    insta::assert_snapshot!(texts);
}

fn text(error: DecodeError) -> String {
    format!("[{}] {error}", error.kind().as_str())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
