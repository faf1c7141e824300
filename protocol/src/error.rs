//! Errors of reading and writing messages.

use std::fmt;

/// Why bytes from the network or the database are not a message.
///
/// The kind is stable and small in number, so that a node can count by it and log once for each.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {reason}")]
pub struct DecodeError {
    kind: DecodeErrorKind,
    reason: String,
}

/// How much of a reason is kept.
const MAX_REASON_BYTES: usize = 512;

/// The kinds of [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// A notification that is not JSON, or JSON of another shape than a message.
    Json,
    /// An attachment, or a packed message, that is not MessagePack.
    MessagePack,
    /// A packed message that is not text in Base64.
    Base64,
    /// A value of another shape than a message, in an attachment or packed.
    Shape,
    /// Nested deeper than 128 levels.
    TooDeep,
    /// An `attachmentId` that is not an integer.
    AttachmentId,
    /// An identifier of more than [`MAX_ID_BYTES`](crate::MAX_ID_BYTES).
    LongId,
}

impl DecodeErrorKind {
    /// A short name, fit for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
            Self::Base64 => "base64",
            Self::Shape => "shape",
            Self::TooDeep => "too-deep",
            Self::AttachmentId => "attachment-id",
            Self::LongId => "long-id",
        }
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "not a message in JSON",
            Self::MessagePack => "not MessagePack",
            Self::Base64 => "not Base64",
            Self::Shape => "not a message",
            Self::TooDeep => "nested too deep",
            Self::AttachmentId => "not an attachment id",
            Self::LongId => "an id is too long",
        })
    }
}

impl DecodeError {
    pub(crate) fn new(kind: DecodeErrorKind, reason: impl fmt::Display) -> Self {
        let mut reason = reason.to_string();
        // The reason may contain the text that could not be read.
        if reason.len() > MAX_REASON_BYTES {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            reason.push('…');
        }
        Self { kind, reason }
    }

    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::new(DecodeErrorKind::Json, error)
    }

    pub(crate) fn long_id(name: &str) -> Self {
        let max = crate::id::MAX_ID_BYTES;
        Self::new(DecodeErrorKind::LongId, format_args!("`{name}` has more than {max} bytes"))
    }

    pub(crate) fn value(error: crate::value::ValueError) -> Self {
        Self::new(DecodeErrorKind::Shape, error)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}

/// Why a message cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The data cannot be serialized to JSON.
    #[error("cannot be written as JSON: {0}")]
    Json(String),
    /// The data cannot be serialized to MessagePack.
    #[error("cannot be written as MessagePack: {0}")]
    MessagePack(String),
    /// The data is nested deeper than 128 levels: as an attachment no node would read it.
    #[error("cannot travel as an attachment: {0}")]
    TooDeep(String),
}

impl EncodeError {
    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}
