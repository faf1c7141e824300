//! Messages to and from bytes, in both encodings.

use serde_json::value::RawValue;

use crate::{
    Message,
    error::{DecodeError, DecodeErrorKind, EncodeError},
    message::envelope::Envelope,
    payload::Payload,
    value::{Value, to_msgpack},
};

impl<'a> Message<&'a RawValue> {
    /// Reads a message from JSON without copying its application data.
    ///
    /// Application data is checked to be JSON and otherwise left alone: any depth passes.
    pub fn from_json_borrowed(text: &'a str) -> Result<Self, DecodeError> {
        serde_json::from_str::<Envelope<&RawValue>>(text).and_then(Envelope::into_message).map_err(DecodeError::json)
    }

    /// Copies the application data.
    pub fn into_owned(self) -> Message {
        let Ok(message) = self.try_map(|text| Ok::<_, std::convert::Infallible>(Payload::from(text)));
        message
    }
}

impl Message {
    /// Reads a message from JSON, the form of a notification's payload.
    ///
    /// # Errors
    /// When the text is not JSON, lacks `type`, or the `data` is not what the type asks for.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        Message::from_json_borrowed(text).map(Message::into_owned)
    }

    /// Reads a message from MessagePack, the form of an attachment.
    ///
    /// # Errors
    /// When the bytes are not exactly one MessagePack value, or the value is not a message.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        use serde::{Deserialize, de::Error};
        let value = Value::from_msgpack(bytes)?;
        if !matches!(value, Value::Map(_)) {
            return Err(DecodeError::new(DecodeErrorKind::Shape, "not a map"));
        }
        let message: Message<Value> = Envelope::deserialize(value)
            .and_then(Envelope::into_message)
            .map_err(|error| DecodeError::value(crate::value::ValueError::custom(error)))?;
        message.try_map(|data| Ok(Payload::Value(data)))
    }

    /// Writes the message as JSON, as Node's `JSON.stringify` does.
    pub fn to_json(&self) -> Result<String, EncodeError> {
        serde_json::to_string(self).map_err(EncodeError::json)
    }

    /// Writes the message as MessagePack, as Node's `@msgpack/msgpack` does.
    pub fn into_msgpack(self) -> Result<Vec<u8>, EncodeError> {
        let message =
            self.try_map(|data| data.into_value().map_err(|error| EncodeError::TooDeep(error.to_string())))?;
        to_msgpack(&message)
    }
}
