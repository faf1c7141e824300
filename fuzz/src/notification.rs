//! Property of a notification's text: it is read, written, and read again.

use socketio_pg_protocol::{
    Message, Notification,
    budget::{Budget, MAX_PAYLOAD},
    notification::Encoded,
};

/// Reads any text as a notification. A message can be written, with the same meaning.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let owned = Notification::decode(text);
    assert_eq!(owned.is_ok(), Notification::decode_borrowed(text).is_ok(), "borrowed and owned disagree");
    let Ok(Notification::Inline(message)) = owned else { return };

    let json = message.to_json().expect("what was read can be written");
    let again = Message::from_json(&json).expect("what was written can be read");
    assert_eq!(again.to_json().expect("what was read can be written"), json, "the JSON is not stable");

    check_messagepack(&message);
    check_packed(message.clone());
    check_encoded(message, &json);
}

/// A packed message is a notification like another, and means the same.
fn check_packed(message: Message) {
    let Ok(Encoded::Inline(payload)) = message.clone().encode(Budget::default().pack_binary(true)) else { return };
    assert!(payload.len() <= MAX_PAYLOAD, "{} bytes", payload.len());
    match Notification::decode(&payload) {
        Ok(Notification::Inline(read)) => {
            let bytes = |message: Message| message.into_msgpack().expect("what was packed can be written");
            assert!(!message.body.has_binary() || bytes(read) == bytes(message), "{payload}");
        }
        other => panic!("no message: {other:?}"),
    }
}

/// Data nested too deep for MessagePack is rejected; any other data arrives unchanged.
fn check_messagepack(message: &Message) {
    let Ok(bytes) = message.clone().into_msgpack() else { return };
    let read = Message::from_msgpack(&bytes).expect("what was written can be read");
    assert_eq!(read.body.kind(), message.body.kind());
    assert_eq!((&read.uid, &read.nsp, &read.relay), (&message.uid, &message.nsp, &message.relay));
    assert_eq!(read.into_msgpack().expect("what was read can be written"), bytes, "the MessagePack is not stable");
}

/// A message is inline when it fits and has no binary; a header that a node may write points to an
/// attachment.
fn check_encoded(message: Message, json: &str) {
    let has_binary = message.body.has_binary();
    let is_usual_sender = message.uid.as_ref().is_none_or(|uid| uid.as_str().len() <= 64);
    match message.encode(Budget::default()) {
        Ok(Encoded::Inline(payload)) => {
            assert!(!has_binary && payload.len() <= MAX_PAYLOAD, "{} bytes", payload.len());
            assert_eq!(payload, json);
        }
        Ok(Encoded::Attachment { before_id, after_id, .. }) => {
            assert!(has_binary || json.len() > MAX_PAYLOAD);
            let payload = format!("{before_id}{}{after_id}", i64::MAX);
            assert!(payload.len() <= MAX_PAYLOAD || !is_usual_sender, "a header of {} bytes", payload.len());
            match Notification::decode(&payload) {
                Ok(Notification::Attachment(header)) => assert_eq!(header.attachment_id, i64::MAX),
                other => panic!("no header: {other:?}"),
            }
        }
        Err(_) => assert!(has_binary || json.len() > MAX_PAYLOAD, "what fits needs no MessagePack"),
    }
}
