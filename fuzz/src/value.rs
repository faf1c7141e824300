//! Properties of application data: JSON and MessagePack, to values and back.

use serde_json::value::RawValue;
use socketio_pg_protocol::{DecodeErrorKind, Value, value::to_msgpack};

/// Reads any bytes as JSON and as MessagePack.
pub fn check(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        check_json(text);
    }
    if let Ok(value) = Value::from_msgpack(data) {
        check_messagepack(&value);
    }
}

/// serde_json and this project accept the same texts as JSON, up to our limit of depth.
fn check_json(text: &str) {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    match Value::from_json(text) {
        Ok(value) => {
            assert!(is_json, "read as {value}, and is no JSON");
            check_form(&value);
            assert!(!value.has_binary(), "JSON has no binary");
            let packed = to_msgpack(&value).expect("what was read can be written");
            let unpacked = Value::from_msgpack(&packed).expect("what was written can be read");
            // As in Node.js, MessagePack loses lone surrogates of long strings.
            if !value.to_json().contains("\\ud") {
                assert_eq!(unpacked, value);
            }
        }
        Err(error) => assert!(!is_json || error.kind() == DecodeErrorKind::TooDeep, "JSON is refused: {error}"),
    }
}

fn check_messagepack(value: &Value) {
    check_form(value);
    let bytes = to_msgpack(value).expect("what was read can be written");
    let again = Value::from_msgpack(&bytes).expect("what was written can be read");
    // Not compared as values: NaN is equal to nothing.
    assert_eq!(to_msgpack(&again).expect("what was read can be written"), bytes, "the MessagePack is not stable");
    assert_eq!(again.to_json(), value.to_json());
}

/// The JSON of a value is valid, and reads as the same value, whether the value came as JSON or as
/// MessagePack.
fn check_form(value: &Value) {
    let json = value.to_json();
    assert!(serde_json::from_str::<&RawValue>(&json).is_ok(), "no JSON: {json}");
    match Value::from_json(&json) {
        Ok(again) => assert_eq!(again.to_json(), json, "the JSON is not stable"),
        // Binary is two levels deeper in JSON.
        Err(error) => {
            assert!(value.has_binary() && error.kind() == DecodeErrorKind::TooDeep, "{json} is refused: {error}");
        }
    }

    let (text, attachments) = value.to_json_with_attachments();
    assert!(attachments.is_empty() || value.has_binary());
    check_attachments(&text, &attachments);

    let taken = Value::from_serialize(value).expect("a value can be serialized");
    if !json.contains("\\ud") {
        assert_eq!(taken.to_json_with_attachments(), (text, attachments), "taken as another value");
    }
    let revived = value.clone().revive_buffers();
    assert!(revived.has_binary() || !value.has_binary(), "binary is lost");
}

/// A client gets binary apart from the JSON, and sends it in the same way.
fn check_attachments(text: &str, attachments: &[&[u8]]) {
    if has_placeholders_of_its_own(text, attachments) {
        _ = Value::from_json_with_attachments(text, attachments);
        return;
    }
    match Value::from_json_with_attachments(text, attachments) {
        Ok(again) => assert_eq!(again.to_json_with_attachments(), (text.to_owned(), attachments.to_vec())),
        // A placeholder is an object, one level deeper than the binary.
        Err(error) => assert_eq!(error.kind(), DecodeErrorKind::TooDeep, "{text} is refused: {error}"),
    }
}

/// Whether there may be objects that look like placeholders: they are taken for such.
pub(crate) fn has_placeholders_of_its_own<T>(text: &str, attachments: &[T]) -> bool {
    text.matches("\"_placeholder\"").count() != attachments.len()
}
