//! Arguments of events in commands: JSON, with `{"$bin": "<base64>"}` for bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeTuple,
};
use serde_json::{Value as Json, json};
use socketio_pg_core::protocol::{Payload, Value};

/// All arguments of an event: a tuple for serde, so that each is an argument of its own.
pub(crate) struct Arguments(pub(crate) Vec<Value>);

impl Arguments {
    pub(crate) fn from_json(json: Option<&Json>) -> Self {
        Self(json.and_then(Json::as_array).into_iter().flatten().map(from_json).collect())
    }

    pub(crate) fn into_json(self) -> Json {
        self.0.iter().map(to_json).collect()
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Arguments;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = seq.next_element()? {
                    arguments.push(argument);
                }
                Ok(Arguments(arguments))
            }
        }

        deserializer.deserialize_tuple(usize::MAX, All)
    }
}

/// A value of a command.
pub(crate) fn from_json(json: &Json) -> Value {
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
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Bin(bytes) => json!({ "$bin": STANDARD.encode(bytes) }),
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
