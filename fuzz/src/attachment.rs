//! Property of an attachment's bytes: they are read, written, and read again.

use socketio_pg_protocol::{Message, budget::Budget};

/// Reads any bytes as a message. A message can be written in both encodings, with the same meaning.
pub fn check(data: &[u8]) {
    let Ok(message) = Message::from_msgpack(data) else { return };
    let bytes = message.clone().into_msgpack().expect("what was read can be written");
    let again = Message::from_msgpack(&bytes).expect("what was written can be read");
    assert_eq!(again.body.kind(), message.body.kind());
    let json = message.to_json().expect("what was read can be written");
    assert_eq!(again.to_json().expect("what was read can be written"), json);
    assert_eq!(again.into_msgpack().expect("what was read can be written"), bytes, "the MessagePack is not stable");

    let by_json = Message::from_json(&json).expect("what was written can be read");
    assert_eq!(by_json.to_json().expect("what was read can be written"), json, "the JSON is not stable");
    assert!(!by_json.body.has_binary(), "JSON has no binary");

    message.encode(Budget::default()).expect("what was read can be sent");
}
