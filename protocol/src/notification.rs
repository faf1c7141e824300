//! The payload of a NOTIFY: a message, or a header that points to an attachment.
//!
//! A message with binary can also be *packed* into the notification, where no node needs
//! attachments: an extension of this project. `type` and `data` are then one text, in Base64 of
//! MessagePack, and everything else stands as ever:
//! `{"packed":"gqR0eXBlA6RkYXRh…","uid":"8f42b1c09d5e7a36","nsp":"/"}`. Without a `type`, Node.js
//! ignores it.

use std::{cell::Cell, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    Message, NodeId, RequestId, SocketId, Value, base64,
    budget::Budget,
    channel,
    error::{DecodeError, DecodeErrorKind, EncodeError},
    message::{
        Body,
        envelope::{AttachmentIdField, Envelope},
    },
    payload::BorrowedPayload,
    value::to_msgpack,
};

/// The attachments table, by default.
pub const DEFAULT_TABLE: &str = "socket_io_attachments";

/// How old attachments must be to be deleted, and how often each node deletes such attachments of
/// all nodes, by default.
pub const CLEANUP_INTERVAL: Duration = Duration::from_secs(30);

/// A notification, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Notification<M = Message> {
    /// The message itself.
    Inline(M),
    /// The message is a row of the attachments table.
    Attachment(Header),
}

/// A header: which node sent what kind of message, and where it is.
///
/// Node.js writes `{"uid":"…","type":3,"attachmentId":"17"}`, with the id as a string and without a
/// namespace. We write `nsp` as well, so that a node can recognize its own headers without fetching
/// the row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "NotificationHeader"))]
pub struct Header {
    /// The sender.
    #[cfg_attr(feature = "schema", schemars(with = "NodeId"))]
    pub uid: Option<NodeId>,
    /// The type of the message: `type` on the wire.
    #[cfg_attr(feature = "schema", schemars(rename = "type", with = "u64", range(min = 1, max = 13)))]
    pub kind: Option<u64>,
    /// The namespace, where the sender names it.
    #[cfg_attr(feature = "schema", schemars(with = "String", skip_serializing_if = "Option::is_none"))]
    pub nsp: Option<String>,
    /// The row: `attachmentId` on the wire, its number as a decimal string.
    #[cfg_attr(
        feature = "schema",
        schemars(rename = "attachmentId", with = "String", regex(pattern = "^[1-9][0-9]{0,18}$"))
    )]
    pub attachment_id: i64,
}

impl<'a> Notification<Message<BorrowedPayload<'a>>> {
    /// Reads a payload without copying application data.
    ///
    /// # Errors
    /// The errors of [`Notification::decode`].
    pub fn decode_borrowed(payload: &'a str) -> Result<Self, DecodeError> {
        let mut envelope = Envelope::from_json(payload)?;
        if matches!(envelope.attachment_id, None | Some(AttachmentIdField::Falsy)) {
            envelope.unpack()?;
        }
        envelope.check_ids()?;
        let attachment_id = match &envelope.attachment_id {
            None | Some(AttachmentIdField::Falsy) => {
                return envelope.into_message().map(Self::Inline).map_err(DecodeError::json);
            }
            Some(AttachmentIdField::Number(id)) => *id,
            // PostgreSQL casts it, and accepts white space.
            Some(AttachmentIdField::Text(text)) => text
                .trim()
                .parse()
                .map_err(|_| DecodeError::new(DecodeErrorKind::AttachmentId, format_args!("{text:.40?}")))?,
            Some(AttachmentIdField::Other) => {
                return Err(DecodeError::new(DecodeErrorKind::AttachmentId, "neither a string nor an integer"));
            }
        };
        Ok(Self::Attachment(Header { uid: envelope.uid, kind: envelope.kind, nsp: envelope.nsp, attachment_id }))
    }
}

impl Notification {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is neither a message nor a header.
    pub fn decode(payload: &str) -> Result<Self, DecodeError> {
        Ok(match Notification::decode_borrowed(payload)? {
            Notification::Inline(message) => Self::Inline(message.into_owned()),
            Notification::Attachment(header) => Self::Attachment(header),
        })
    }
}

/// A message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// It fits: this is the payload.
    Inline(String),
    /// It becomes a row; the payload is `before_id`, the row's id, `after_id`.
    Attachment {
        /// The bytes of the row: MessagePack.
        body: Vec<u8>,
        /// The header up to the id.
        before_id: String,
        /// The header after the id.
        after_id: String,
    },
}

impl Message {
    /// Writes the message as it is sent: inline where it fits, as an attachment where it is too
    /// long or contains binary. With [`Budget::pack_binary`] binary is inline too, where it fits.
    ///
    /// # Errors
    /// When application data cannot be written, such as data nested deeper than MessagePack readers
    /// go.
    pub fn encode(self, budget: Budget) -> Result<Encoded, EncodeError> {
        let has_binary = self.body.has_binary();
        if !has_binary {
            let json = self.to_json()?;
            if budget.fits(json.len()) {
                return Ok(Encoded::Inline(json));
            }
        }
        let (before_id, after_id) = self.header()?;
        let message = self.into_values()?;
        if has_binary && let Some(packed) = message.packed(budget)? {
            return Ok(Encoded::Inline(packed));
        }
        Ok(Encoded::Attachment { body: to_msgpack(&message)?, before_id, after_id })
    }

    /// The two parts of the header between which the id stands.
    fn header(&self) -> Result<(String, String), EncodeError> {
        #[derive(Serialize)]
        struct Known<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            uid: Option<&'a NodeId>,
            #[serde(rename = "type")]
            kind: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            nsp: Option<&'a str>,
        }
        // The id has at most 19 digits. Where the namespace leaves no room for it in the header,
        // readers take the namespace from the channel.
        let nsp = self.nsp.as_deref().filter(|nsp| nsp.len() <= channel::MAX_NAME_BYTES);
        let known = Known { uid: self.uid.as_ref(), kind: self.body.kind(), nsp };
        let mut before = serde_json::to_string(&known).map_err(EncodeError::json)?;
        before.pop();
        before.push_str(r#","attachmentId":""#);
        Ok((before, r#""}"#.to_owned()))
    }
}

impl Message<Value> {
    /// The payload with the message packed, if it fits.
    fn packed(&self, budget: Budget) -> Result<Option<String>, EncodeError> {
        let content = Cell::new(0_usize);
        self.body.any_data(|data| {
            content.set(content.get().saturating_add(data.content_bytes()));
            false
        });
        // What is far too long is not encoded in vain.
        if !budget.may_pack(content.get()) {
            return Ok(None);
        }
        let bytes = to_msgpack(&self.body)?;
        if !budget.may_pack(bytes.len()) {
            return Ok(None);
        }
        let text = base64::encode(&bytes);
        let payload = serde_json::to_string(&Packed { text, message: self }).map_err(EncodeError::json)?;
        Ok(Some(payload).filter(|payload| budget.fits(payload.len())))
    }
}

/// A message whose `type` and `data` are this text.
struct Packed<'a> {
    text: String,
    message: &'a Message<Value>,
}

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.message.origin_entries()))?;
        map.serialize_entry("packed", &self.text)?;
        self.message.write_origin(&mut map)?;
        map.end()
    }
}

impl Body {
    /// Whether there is binary in the application data.
    pub fn has_binary(&self) -> bool {
        self.any_data(crate::Payload::has_binary)
    }

    /// Whether the message is a request, which asks for responses.
    pub fn is_request(&self) -> bool {
        matches!(self, Self::Broadcast(_) | Self::ServerSideEmit(_) | Self::FetchSockets(_))
            && self.request_id().is_some()
    }

    /// Whether the message is a response to a request.
    pub fn is_response(&self) -> bool {
        matches!(
            self,
            Self::FetchSocketsResponse(_)
                | Self::ServerSideEmitResponse(_)
                | Self::BroadcastClientCount(_)
                | Self::BroadcastAck(_)
        )
    }
}

impl<P> Body<P> {
    /// The key of an identifier that is too long to be kept, if there is one.
    pub(crate) fn long_id(&self) -> Option<&'static str> {
        if self.request_id().is_some_and(RequestId::is_too_long) {
            return Some("requestId");
        }
        match self {
            Self::FetchSocketsResponse(data) if data.sockets.iter().any(|socket| socket.id.is_too_long()) => Some("id"),
            Self::FetchSocketsResponse(data) if data.ids.iter().flatten().any(SocketId::is_too_long) => Some("ids"),
            _ => None,
        }
    }

    /// The request that the message is or answers, if any.
    pub fn request_id(&self) -> Option<&RequestId> {
        match self {
            Self::Broadcast(data) => data.request_id.as_ref(),
            Self::ServerSideEmit(data) => data.request_id.as_ref(),
            Self::FetchSockets(data) => Some(&data.request_id),
            Self::FetchSocketsResponse(data) => Some(&data.request_id),
            Self::ServerSideEmitResponse(data) => Some(&data.request_id),
            Self::BroadcastClientCount(data) => Some(&data.request_id),
            Self::BroadcastAck(data) => Some(&data.request_id),
            _ => None,
        }
    }
}
