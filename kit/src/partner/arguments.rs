//! Arguments of events in commands: JSON, with `{"$bin": "<base64>"}` for bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use socketio_pg_core::protocol::{Payload, Value, value::Arguments};

/// The arguments of a list in a command.
pub fn arguments_from_json(list: Option<&Json>) -> Arguments {
    Arguments(list.and_then(Json::as_array).into_iter().flatten().map(from_json).collect())
}

/// Arguments as a list for an answer.
pub fn arguments_to_json(arguments: &Arguments) -> Json {
    arguments.0.iter().map(to_json).collect()
}

/// A value of a command.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Object(object) => match object.get("$bin") {
            Some(Json::String(base64)) if object.len() == 1 => Value::Bin(STANDARD.decode(base64).unwrap_or_default()),
            _ => Value::Map(object.iter().map(|(key, value)| (Value::Str(key.clone()), from_json(value))).collect()),
        },
        Json::Array(array) => Value::Array(array.iter().map(from_json).collect()),
        other => Value::from_json(&other.to_string()).unwrap_or(Value::Nil),
    }
}

/// A value for an answer.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bin(bytes) => json!({ "$bin": STANDARD.encode(bytes) }),
        Value::BrokenStr(bytes) => json!({ "$utf16": STANDARD.encode(utf16(bytes)) }),
        Value::Array(array) => array.iter().map(to_json).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| (key.as_str().map_or_else(|| key.to_json(), str::to_owned), to_json(value)))
            .collect(),
        other => serde_json::from_str(&other.to_json()).unwrap_or(Json::Null),
    }
}

pub(crate) fn payload_to_json(payload: Payload) -> Json {
    payload.into_value().map_or(Json::Null, |value| to_json(&value))
}

/// The UTF-16 of a string with lone surrogates, in little endian. Each of these has the three bytes
/// that UTF-8 would have for it.
fn utf16(bytes: &[u8]) -> Vec<u8> {
    let mut units = Vec::new();
    let mut rest = bytes;
    while let [first, ..] = rest {
        let length = match first {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let (char, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        match (std::str::from_utf8(char), char) {
            (Ok(text), _) => units.extend(text.encode_utf16()),
            (Err(_), [a, b, c]) => {
                units.push(u16::from(a & 0x0f) << 12 | u16::from(b & 0x3f) << 6 | u16::from(c & 0x3f));
            }
            (Err(_), _) => units.push(0xfffd),
        }
    }
    units.into_iter().flat_map(u16::to_le_bytes).collect()
}
