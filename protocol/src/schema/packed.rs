//! The schema of a packed message.

use serde_json::{Map, Value, json};

use super::{messages::FORMS, variant::Variant};
use crate::{
    Message, NodeId, Payload, Relay,
    budget::Budget,
    message::{Body, Broadcast, Packet, Selector},
    notification::Encoded,
};

/// Keys that packed messages do not have: those that are packed, and those of heartbeats.
const WITHOUT: [&str; 5] = ["type", "data", "session", "heartbeats", "binary"];

/// The document's name without extension, and what it describes.
pub(super) const TITLE: &str = "PackedMessage";

const DESCRIPTION: &str = "An extension, for clusters without Node.js servers: a message with binary in the notification \
                           itself, without the attachments table. Only nodes that all tell `binary` in their heartbeats \
                           send it to each other. It has no `type`, so Node.js ignores it.";

const PACKED: &str = "The `type` and the `data` of the message: a map with these two keys in MessagePack, as Base64 (the \
                      standard alphabet, with padding).";

pub(super) fn path(variant: Variant) -> String {
    format!("{}-packed-message.json", variant.name())
}

/// The description, and the schema with references to `definitions`.
pub(super) fn schema(definitions: &Map<String, Value>) -> (&'static str, Value) {
    let text = json!({ "description": PACKED, "type": "string", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", "contentEncoding": "base64" });
    let mut properties = Map::from_iter([("packed".to_owned(), text)]);
    let mut required: Vec<Value> = vec!["packed".into()];
    for form in FORMS {
        let message = &definitions[&form.title()];
        let is_kept = |key: &str| !WITHOUT.contains(&key);
        for (key, schema) in message["properties"].as_object().into_iter().flatten().filter(|(key, _)| is_kept(key)) {
            properties.entry(key.clone()).or_insert_with(|| schema.clone());
        }
        for key in message["required"].as_array().into_iter().flatten() {
            if key.as_str().is_some_and(is_kept) && !required.contains(key) {
                required.push(key.clone());
            }
        }
    }
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "not": { "required": ["type"] },
        "examples": [example()],
    });
    (DESCRIPTION, schema)
}

fn example() -> Value {
    let event = crate::Value::Array(vec!["chunk".into(), crate::Value::Bin(vec![1, 2, 3])]);
    let broadcast = Broadcast {
        packet: Packet::event(Payload::Value(event)),
        request_id: None,
        opts: Selector { flags: Some(Default::default()), ..Selector::all() },
    };
    let mut message = Message::new(NodeId::from("8f42b1c09d5e7a36"), "/", Body::Broadcast(broadcast));
    message.relay = Relay::marked();
    match message.encode(Budget::default().pack_binary(true)) {
        Ok(Encoded::Inline(payload)) => serde_json::from_str(&payload).expect("it is JSON"),
        other => unreachable!("it is short: {other:?}"),
    }
}
