//! Schemas of messages: one for each type, and one for any of them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{examples, forms::Common};
use crate::{Payload, message::Body};

/// All types of messages.
pub(super) const FORMS: &[Form] = Body::<Payload>::FORMS;

/// What the schemas need to know about a type of message.
pub(crate) struct Form {
    /// Its number.
    pub(crate) kind: u64,
    /// Its name, such as `ADAPTER_CLOSE`.
    pub(crate) name: &'static str,
    /// The same name, as `AdapterClose`.
    pub(crate) identifier: &'static str,
    /// The doc comment of its variant.
    pub(crate) documentation: &'static str,
    /// The schema of its `data`, if it has any.
    pub(crate) data: Option<fn(&mut SchemaGenerator) -> Schema>,
}

impl Form {
    /// The name of the schema.
    pub(super) fn title(&self) -> String {
        format!("{}Message", self.identifier)
    }

    /// The name of the document, without extension.
    pub(super) fn file_name(&self) -> String {
        self.name.to_lowercase().replace('_', "-")
    }

    /// Whether it answers a request.
    pub(super) fn is_response(&self) -> bool {
        matches!(self.kind, 8 | 10 | 11 | 12)
    }

    /// Whether it may be a request.
    fn is_request(&self) -> bool {
        matches!(self.kind, 3 | 7 | 9)
    }

    /// Whether it may be a request, or answers one.
    pub(super) fn has_request_id(&self) -> bool {
        self.is_response() || self.is_request()
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let number_and_name = format!("{}: {}.", self.kind, self.name);
        let mut properties = Map::new();
        properties
            .insert("type".into(), json!({ "description": number_and_name, "type": "integer", "const": self.kind }));
        let mut required = vec!["type"];
        if let Some(data) = self.data {
            properties.insert("data".into(), data(generator).to_value());
            required.push("data");
        }
        let mut common = Common::json_schema(generator);
        if let Some(Value::Object(common)) = common.get_mut("properties") {
            common.retain(|key, _| match key.as_str() {
                "requesterUid" => self.is_response(),
                "replyTo" => self.is_request(),
                "session" | "heartbeats" | "binary" => matches!(self.kind, 1 | 2),
                _ => true,
            });
            properties.append(common);
        }
        required.extend(["uid", "nsp"]);
        json_schema!({
            "description": format!("{number_and_name} {}", self.documentation.trim()),
            "type": "object",
            "properties": properties,
            "required": required,
            // Of Node.js's emitter there are messages without a namespace.
            "examples": examples::messages(self.kind).into_iter().filter(|message| message.get("nsp").is_some()).collect::<Vec<_>>(),
        })
    }

    /// Adds the schema to the definitions, before the parts that it needs.
    pub(super) fn add(&self, generator: &mut SchemaGenerator) {
        let title = self.title();
        generator.definitions_mut().insert(title.clone(), Value::Null);
        let schema = self.schema(generator);
        generator.definitions_mut().insert(title, schema.to_value());
    }
}

/// What the documents say of a message of any type.
pub(super) const ANY_MESSAGE: &str = "A message from one node to all others that listen on the channel of its namespace. \
    `type` tells what it is. Writers keep to the order of keys that is given here, as Node.js does; readers take any \
    order, and ignore keys and types that they do not know.";
