//! Application data, as people read it.

use socketio_pg_core::protocol::{Payload, Value, message::Room};

/// The data as JSON, in which binary is its length: `"<17 bytes>"`.
pub(crate) fn shown(payload: &Payload) -> String {
    match payload {
        Payload::Json(text) => text.get().to_owned(),
        Payload::Value(value) => without_binary(value).to_json(),
    }
}

fn without_binary(value: &Value) -> Value {
    match value {
        Value::Bin(bytes) => Value::Str(format!("<{} bytes>", bytes.len())),
        Value::Array(items) => Value::Array(items.iter().map(without_binary).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), without_binary(value))).collect())
        }
        other => other.clone(),
    }
}

/// An event's name and its arguments, `[event, ...arguments]`. `None` when it is something else.
pub(crate) fn event(payload: &Payload) -> Option<(String, Vec<Value>)> {
    let Value::Array(mut all) = payload.clone().into_value().ok()? else { return None };
    if all.is_empty() {
        return None;
    }
    let arguments = all.split_off(1);
    let name = match all.pop()? {
        Value::Str(name) => name,
        other => other.to_json(),
    };
    Some((name, arguments))
}

/// Values as JSON, with a blank between them.
pub(crate) fn shown_all(values: &[Value]) -> String {
    values.iter().map(|value| without_binary(value).to_json()).collect::<Vec<_>>().join(" ")
}

/// The name of a room, or what stands for it.
pub(crate) fn room(room: &Room) -> String {
    match room {
        Room::Name(name) => name.clone(),
        Room::Other(value) => value.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_its_length() {
        let value = Value::Array(vec![Value::Str("e".into()), Value::Bin(vec![0; 17]), Value::Int(1)]);
        assert_eq!(shown(&value.clone().into()), r#"["e","<17 bytes>",1]"#);
        let (name, arguments) = event(&value.into()).expect("it is an event");
        assert_eq!((name.as_str(), shown_all(&arguments).as_str()), ("e", r#""<17 bytes>" 1"#));
    }

    #[test]
    fn what_is_no_event_is_none() {
        for text in ["[]", "{}", "null", "7"] {
            assert_eq!(event(&Payload::from_json(text).expect("it is JSON")), None, "{text}");
        }
    }
}
