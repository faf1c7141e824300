//! Application data inside a message: JSON text, or a decoded value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    error::{DecodeError, EncodeError},
    value::Value,
};

/// Application data: event arguments, acknowledgements, a socket's `data`.
///
/// The protocol never looks inside. Data that came as JSON stays text, so that it is not parsed on
/// its way from the notification to the sockets; data that came in an attachment is decoded.
#[derive(Clone, Debug)]
pub enum Payload {
    /// JSON text.
    Json(Box<RawValue>),
    /// A decoded value, the only form that can hold binary.
    Value(Value),
}

impl Payload {
    /// Takes JSON text, checking that it is one valid JSON value.
    ///
    /// # Errors
    /// When it is not.
    pub fn from_json(text: impl Into<String>) -> Result<Self, DecodeError> {
        RawValue::from_string(text.into()).map(Self::Json).map_err(DecodeError::json)
    }

    /// Encodes application data; bytes (`serialize_bytes`) become binary.
    ///
    /// # Errors
    /// When the data can be written neither as JSON nor as a [`Value`].
    pub fn from_serialize<T: Serialize + ?Sized>(data: &T) -> Result<Self, EncodeError> {
        let value = Value::from_serialize(data)?;
        if value.has_binary() {
            return Ok(Self::Value(value));
        }
        serde_json::value::to_raw_value(data).map(Self::Json).map_err(EncodeError::json)
    }

    /// Decodes the data as a type of the application. Lone surrogates, which JavaScript's strings
    /// may have, are U+FFFD in a Rust string; a [`Value`] keeps them.
    ///
    /// # Errors
    /// When the data is not a `T`.
    pub fn deserialize<T: serde::de::DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match self {
            Self::Json(text) => serde_json::from_str(text.get()).or_else(|error| {
                // serde_json cannot read lone surrogates.
                let decoded = Value::from_json_with_lone_surrogates(text.get());
                match decoded {
                    Some(value) => read(&value),
                    None => Err(DecodeError::json(error)),
                }
            }),
            Self::Value(value) => read(value),
        }
    }

    /// Whether there is binary anywhere in the data: then it must travel as an attachment.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Value(value) => value.has_binary(),
        }
    }

    /// The data as a tree.
    ///
    /// # Errors
    /// When the JSON text holds what a [`Value`] cannot, or is nested too deeply.
    pub fn into_value(self) -> Result<Value, DecodeError> {
        match self {
            Self::Json(text) => Value::from_json(text.get()),
            Self::Value(value) => Ok(value),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, DecodeError> {
    // A type that takes every value, such as serde_json's values, cannot take broken strings.
    let mended = |error| if value.has_broken() { T::deserialize(value.mended()) } else { Err(error) };
    T::deserialize(value.clone()).or_else(mended).map_err(DecodeError::value)
}

/// Application data of a message in JSON, not yet copied.
#[derive(Clone, Debug)]
pub enum BorrowedPayload<'a> {
    /// A reference into the text of the message.
    Json(&'a RawValue),
    /// Decoded, because names elsewhere in the message have lone surrogates, which no reader of
    /// text accepts.
    Value(Value),
}

/// Reads the data as a reference into the text.
impl<'de> Deserialize<'de> for BorrowedPayload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::Json)
    }
}

impl From<BorrowedPayload<'_>> for Payload {
    fn from(data: BorrowedPayload<'_>) -> Self {
        match data {
            BorrowedPayload::Json(text) => text.into(),
            BorrowedPayload::Value(value) => Self::Value(value),
        }
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&RawValue> for Payload {
    fn from(text: &RawValue) -> Self {
        Self::Json(text.to_owned())
    }
}

/// Two payloads are equal when they mean the same value, whatever their form.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) if a.get() == b.get() => true,
            (Self::Value(a), Self::Value(b)) => a == b,
            (a, b) => match (a.clone().into_value(), b.clone().into_value()) {
                (Ok(a), Ok(b)) => a == b,
                _ => false,
            },
        }
    }
}

/// JSON text can only be written by a JSON serializer: see
/// [`Message::into_msgpack`](crate::Message::into_msgpack), which decodes it first.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(text) => text.serialize(serializer),
            Self::Value(value) => AsJavaScript(value).serialize(serializer),
        }
    }
}

/// A value whose JSON is spelled as JavaScript does it, lone surrogates included.
pub(crate) struct AsJavaScript<'a>(pub(crate) &'a Value);

impl Serialize for AsJavaScript<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let text = RawValue::from_string(self.0.to_json()).map_err(serde::ser::Error::custom)?;
            return text.serialize(serializer);
        }
        self.0.serialize(serializer)
    }
}
