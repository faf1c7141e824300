//! Socket.IO's packets as text, with binary beside it: what a client needs of them.

use serde_json::{Value, json};

use crate::harness::binary;

/// A packet from or to a server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packet {
    /// 0 connect, 1 disconnect, 2 event, 3 acknowledgement, 4 refused.
    pub(super) kind: u8,
    pub(super) nsp: String,
    /// Of an acknowledgement, and of the event that wants it.
    pub(super) id: Option<u64>,
    pub(super) data: Value,
}

/// A packet whose binary is still to come.
#[derive(Debug)]
pub(super) struct Partial {
    packet: Packet,
    wanted: usize,
    parts: Vec<Vec<u8>>,
}

impl Partial {
    /// Reads the text of a packet: `51-/admin,7["event",{"_placeholder":true,"num":0}]`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let kind = u8::try_from(text.chars().next()?.to_digit(10)?).ok()?;
        let mut rest = &text[1..];
        let (kind, wanted) = if kind >= 5 {
            let (count, after) = rest.split_once('-')?;
            rest = after;
            (kind - 3, count.parse().ok()?)
        } else {
            (kind, 0)
        };
        let mut nsp = "/";
        if rest.starts_with('/') {
            (nsp, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let digits = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let id = rest[..digits].parse().ok();
        rest = &rest[digits..];
        let data = if rest.is_empty() { Value::Null } else { read_json(rest)? };
        Some(Self { packet: Packet { kind, nsp: nsp.to_owned(), id, data }, wanted, parts: Vec::new() })
    }

    pub(super) fn add(&mut self, part: Vec<u8>) {
        self.parts.push(part);
    }

    /// The packet, once all of its binary is there.
    pub(super) fn complete(self) -> Result<Packet, Box<Self>> {
        if self.parts.len() < self.wanted {
            return Err(Box::new(self));
        }
        let Self { packet, parts, wanted } = self;
        let data = if wanted == 0 { packet.data } else { with_parts(packet.data, &parts) };
        Ok(Packet { data, ..packet })
    }
}

impl Packet {
    /// The text, and the binary that follows it.
    pub(super) fn written(&self) -> (String, Vec<Vec<u8>>) {
        let mut parts = Vec::new();
        let data = without_parts(&self.data, &mut parts);
        let kind = if parts.is_empty() { self.kind.to_string() } else { format!("{}{}-", self.kind + 3, parts.len()) };
        let nsp = if self.nsp == "/" { String::new() } else { format!("{},", self.nsp) };
        let id = self.id.map_or_else(String::new, |id| id.to_string());
        let data = if data.is_null() { String::new() } else { data.to_string() };
        (format!("{kind}{nsp}{id}{data}"), parts)
    }
}

/// Parses JSON of any depth. A lone surrogate, which Rust cannot hold, becomes `{"$utf16": …}` as JSON lines
/// have it.
fn read_json(text: &str) -> Option<Value> {
    use serde::Deserialize;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    match Value::deserialize(&mut deserializer) {
        Ok(value) => Some(value),
        Err(_) => {
            socketio_pg_core::protocol::Value::from_json(text).ok().map(|value| super::arguments::to_json(&value))
        }
    }
}

fn with_parts(value: Value, parts: &[Vec<u8>]) -> Value {
    match value {
        Value::Object(object) if object.get("_placeholder") == Some(&Value::Bool(true)) => {
            let part = object["num"].as_u64().and_then(|num| parts.get(usize::try_from(num).ok()?));
            part.map_or(Value::Object(object), binary)
        }
        Value::Object(object) => object.into_iter().map(|(key, value)| (key, with_parts(value, parts))).collect(),
        Value::Array(array) => array.into_iter().map(|value| with_parts(value, parts)).collect(),
        other => other,
    }
}

fn without_parts(value: &Value, parts: &mut Vec<Vec<u8>>) -> Value {
    use base64::Engine as _;
    match value {
        Value::Object(object) => match object.get("$bin").and_then(Value::as_str) {
            Some(base64) if object.len() == 1 => {
                parts.push(base64::engine::general_purpose::STANDARD.decode(base64).unwrap_or_default());
                json!({ "_placeholder": true, "num": parts.len() - 1 })
            }
            _ => object.iter().map(|(key, value)| (key.clone(), without_parts(value, parts))).collect(),
        },
        Value::Array(array) => array.iter().map(|value| without_parts(value, parts)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_binary_is_read_and_written() {
        let mut partial = Partial::read(r#"51-/admin,7["e",{"_placeholder":true,"num":0}]"#).expect("a packet");
        partial = *partial.complete().expect_err("its binary is missing");
        partial.add(vec![1, 2]);
        let packet = partial.complete().expect("it is complete");
        let expected =
            Packet { kind: 2, nsp: "/admin".to_owned(), id: Some(7), data: json!(["e", { "$bin": "AQI=" }]) };
        assert_eq!(packet, expected);
        let written = (r#"51-/admin,7["e",{"_placeholder":true,"num":0}]"#.to_owned(), vec![vec![1, 2]]);
        assert_eq!(packet.written(), written);
    }

    #[test]
    fn a_plain_packet_is_read() {
        let packet = Partial::read(r#"2["hello",1]"#).and_then(|partial| partial.complete().ok()).expect("a packet");
        assert_eq!(packet, Packet { kind: 2, nsp: "/".to_owned(), id: None, data: json!(["hello", 1]) });
    }
}
