//! Reads and writes messages as bytes, in both encodings.

use crate::{
    Message,
    error::{DecodeError, EncodeError},
    message::envelope::Envelope,
    payload::{BorrowedPayload, Payload},
    value::{Value, to_msgpack},
};

impl<'a> Message<BorrowedPayload<'a>> {
    /// Reads a message from JSON without copying its application data.
    ///
    /// Application data is checked to be JSON and otherwise left alone: any depth passes.
    ///
    /// # Errors
    /// The errors of [`Message::from_json`].
    pub fn from_json_borrowed(text: &'a str) -> Result<Self, DecodeError> {
        let envelope = Envelope::from_json(text)?;
        envelope.check_ids()?;
        envelope.into_message().map_err(DecodeError::json)
    }

    /// Copies the application data.
    pub fn into_owned(self) -> Message {
        let Ok(message) = self.try_map(|data| Ok::<_, std::convert::Infallible>(Payload::from(data)));
        message
    }
}

impl Message {
    /// Reads a message from JSON, the form of a notification's payload.
    ///
    /// # Errors
    /// When the text is not JSON, lacks `type`, the `data` is not what the type asks for, or an id
    /// is too long.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        Message::from_json_borrowed(text).map(Message::into_owned)
    }

    /// Reads a message from MessagePack, the form of an attachment.
    ///
    /// # Errors
    /// When the bytes are not exactly one MessagePack value, or the value is not a message.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let envelope = Envelope::from_msgpack(bytes)?;
        envelope.check_ids()?;
        let message = envelope.into_message().map_err(DecodeError::value)?;
        message.try_map(|data| Ok(Payload::Value(data)))
    }

    /// Writes the message as JSON, as Node.js's `JSON.stringify` does.
    pub fn to_json(&self) -> Result<String, EncodeError> {
        serde_json::to_string(self).map_err(EncodeError::json)
    }

    /// Writes the message as MessagePack, as Node.js's `@msgpack/msgpack` does.
    pub fn into_msgpack(self) -> Result<Vec<u8>, EncodeError> {
        to_msgpack(&self.into_values()?)
    }

    /// The message with its application data as values, as MessagePack needs it.
    pub(crate) fn into_values(self) -> Result<Message<Value>, EncodeError> {
        self.try_map(|data| data.into_value().map_err(|error| EncodeError::TooDeep(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecodeErrorKind;

    /// A client of a Node.js server may choose such a name. The message that contains it must not
    /// be lost.
    #[test]
    fn a_room_whose_name_is_no_text_does_not_spoil_its_message() {
        for payload in [
            r#"{"type":3,"data":{"packet":{"type":2,"data":["\ud800","x"]},"opts":{"rooms":["\ud800x","news"],"except":[],"flags":{}}},"uid":"400ee0cce65324e0","nsp":"/"}"#,
            r#"{"type":8,"data":{"requestId":"b730114f3cfbe6b3","sockets":[{"id":"a","rooms":["a","\ud800"],"data":{}}]},"uid":"400ee0cce65324e0","nsp":"/"}"#,
        ] {
            let message = Message::from_json(payload).unwrap();
            assert_eq!(message.to_json().unwrap(), payload);
            assert_eq!(Message::from_msgpack(&message.clone().into_msgpack().unwrap()).unwrap(), message);
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_same_words_when_it_has_lone_surrogates() {
        let error = |text| Message::from_json(text).unwrap_err();
        assert_eq!(error(r#"{"type":3}"#).to_string(), "not a message in JSON: missing field `data`");
        assert_eq!(error(r#"{"type":3,"x":"\ud800"}"#).to_string(), "not a message in JSON: missing field `data`");
        assert_eq!(error(r#"["\ud800"]"#).kind(), DecodeErrorKind::Json);
    }

    #[test]
    fn a_number_among_the_flags_is_not_taken_for_its_neighbour() {
        let payload = r#"{"type":4,"data":{"opts":{"rooms":[-1.2168986883560249e+58],"except":[],"flags":{"x":-1.2168986883560249e+58}},"rooms":[]},"uid":"400ee0cce65324e0","nsp":"/"}"#;
        assert_eq!(Message::from_json(payload).unwrap().to_json().unwrap(), payload);
        assert_eq!(serde_json::from_str::<f64>("-1.2168986883560249e58").unwrap(), -1.2168986883560249e58);
    }
}
