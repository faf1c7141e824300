//! Properties of the conversion between socketioxide's packets and the protocol, for both parsers.

use std::collections::VecDeque;

use bytes::Bytes;
use socketio_pg_core::fuzz::{ack_from_payload, packet_from_payload, payload_from_ack, payload_from_packet};
use socketio_pg_protocol::{Payload, Value};
use socketioxide_core::{
    Str, Value as ServerValue,
    packet::{Packet, PacketData},
    parser::Parse,
};
use socketioxide_parser_common::CommonParser;
use socketioxide_parser_msgpack::MsgPackParser;

use crate::value::has_placeholders_of_its_own;

/// Takes any bytes as data of another node, and as data of a client.
pub fn check(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        if let Ok(payload) = Payload::from_json(text) {
            from_node(&payload);
        }
        from_client(&ServerValue::Str(Str::copy_from_slice(text), None));
    }
    if let Ok(value) = Value::from_msgpack(data) {
        from_node(&Payload::from(value));
    }
    from_client(&ServerValue::Bytes(Bytes::copy_from_slice(data)));

    // A client's text, and two attachments.
    let mut parts = data.splitn(3, |byte| *byte == 0xff);
    if let (Some(text), Some(first), Some(second)) = (parts.next(), parts.next(), parts.next())
        && let Ok(text) = str::from_utf8(text)
    {
        let attachments = VecDeque::from([first, second].map(Bytes::copy_from_slice));
        from_client(&ServerValue::Str(Str::copy_from_slice(text), Some(attachments)));
    }
}

fn from_node(payload: &Payload) {
    event_from_node(payload, CommonParser);
    event_from_node(payload, MsgPackParser);
    acknowledgement_from_node(payload, CommonParser);
    acknowledgement_from_node(payload, MsgPackParser);
}

/// An event that goes to clients is the same when it comes back.
fn event_from_node(payload: &Payload, parser: impl Parse) {
    let Ok(packet) = packet_from_payload(payload, parser) else { return };
    if looks_like_placeholders(payload) {
        _ = payload_from_packet(&packet);
        return;
    }
    let back = match payload_from_packet(&packet) {
        // To clients an unknown extension is an object, which is one level more.
        Err(error) if error.starts_with("nested too deep") && has_extensions(payload) => return,
        back => back.expect("what was written can be read"),
    };
    same(&back, payload);
    // The parser accepts it.
    _ = parser.encode(packet);
}

/// An acknowledgement that is read is what the other node's client acknowledged.
fn acknowledgement_from_node(payload: &Payload, parser: impl Parse) {
    let Ok(acknowledgement) = ack_from_payload(Some(payload), parser) else { return };
    if looks_like_placeholders(payload) {
        _ = payload_from_ack(&acknowledgement);
        return;
    }
    let back = match payload_from_ack(&acknowledgement) {
        // One level more than the deepest that is read, for the list of arguments: the parser's own
        // reader rejects it, too.
        Err(error) if error.starts_with("nested too deep") => return refused(&acknowledgement, parser),
        back => back.expect("what was written can be read"),
    };
    same(&back.expect("there is an argument"), payload);
}

/// The parser rejects it towards the application too.
fn refused(acknowledgement: &ServerValue, parser: impl Parse) {
    let read = parser.decode_value::<Vec<Value>>(&mut acknowledgement.clone(), false);
    assert!(read.is_err(), "the application can read what another node cannot be sent");
}

/// Data of a client is either rejected, or goes to the clients of other nodes, with either parser.
fn from_client(data: &ServerValue) {
    let packet = Packet { inner: PacketData::Event(data.clone(), None), ns: Str::from("/") };
    if let Ok(payload) = payload_from_packet(&packet) {
        from_node(&payload);
    }
    if let Ok(Some(payload)) = payload_from_ack(data) {
        from_node(&payload);
    }
}

/// Asserts that clients get the same from both.
fn same(back: &Payload, sent: &Payload) {
    let (Ok(back), Ok(sent)) = (back.clone().into_value(), sent.clone().into_value()) else { return };
    let (text, attachments) = sent.to_json_with_attachments();
    // Some conversions replace what a Rust string cannot contain.
    if !text.contains("\\ud") {
        assert_eq!(back.to_json_with_attachments(), (text, attachments), "changed on its way");
    }
}

/// Whether there are extensions other than dates.
fn has_extensions(payload: &Payload) -> bool {
    fn is_in(value: &Value) -> bool {
        match value {
            Value::Ext(kind, _) => *kind != -1,
            Value::Array(items) => items.iter().any(is_in),
            Value::Map(entries) => entries.iter().any(|(_, value)| is_in(value)),
            _ => false,
        }
    }
    matches!(payload, Payload::Value(value) if is_in(value))
}

/// Whether there are objects that a client takes for placeholders. That is a mistake of the client
/// or of the application.
fn looks_like_placeholders(payload: &Payload) -> bool {
    payload.clone().into_value().is_ok_and(|value| {
        let (text, attachments) = value.to_json_with_attachments();
        has_placeholders_of_its_own(&text, &attachments)
    })
}
