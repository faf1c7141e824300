//! Reads the outermost object of a message or a header.

use std::{borrow::Cow, convert::Infallible, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess},
};
use serde_json::value::RawValue;

use super::{Body, Message, Relay, Watch, number};
use crate::{
    NodeId, ReplyChannel, SessionId, base64,
    error::{DecodeError, DecodeErrorKind},
    id::MAX_ID_BYTES,
    payload::BorrowedPayload,
    value::Value,
};

/// A form in which application data is read.
///
/// When `data` stands before `type`, it cannot be read yet: it is kept as [`WireData::Late`].
pub(crate) trait WireData<'de>: Deserialize<'de> {
    type Late: Deserialize<'de>;

    fn read_late<E: de::Error>(kind: u64, late: Self::Late) -> Result<Body<Self>, E>;
}

impl<'de> WireData<'de> for BorrowedPayload<'de> {
    type Late = &'de RawValue;

    fn read_late<E: de::Error>(kind: u64, late: Self::Late) -> Result<Body<Self>, E> {
        Body::read(kind, &mut serde_json::Deserializer::from_str(late.get())).map_err(E::custom)
    }
}

impl<'de> WireData<'de> for Value {
    type Late = Value;

    fn read_late<E: de::Error>(kind: u64, late: Self::Late) -> Result<Body<Self>, E> {
        Body::read(kind, late).map_err(E::custom)
    }
}

/// The outermost object, before it is known whether it is a message or a header.
pub(crate) struct Envelope<P> {
    pub(crate) kind: Option<u64>,
    pub(crate) body: Option<Body<P>>,
    pub(crate) uid: Option<NodeId>,
    pub(crate) nsp: Option<String>,
    pub(crate) relay: Relay,
    pub(crate) nonce: Option<String>,
    pub(crate) reply_to: Option<ReplyChannel>,
    pub(crate) watch: WatchFields,
    pub(crate) takes_packed: bool,
    pub(crate) packed: Option<PackedField>,
    pub(crate) attachment_id: Option<AttachmentIdField>,
}

impl<'a> Envelope<BorrowedPayload<'a>> {
    /// Reads the `type` and `data` that are packed, if there is no `type` beside them: then
    /// `packed` is a key like others that are not known.
    pub(crate) fn unpack(&mut self) -> Result<(), DecodeError> {
        let Some(packed) = self.packed.take().filter(|_| self.kind.is_none()) else { return Ok(()) };
        let bytes = match packed {
            PackedField::Text(text) => base64::decode(&text)?,
            PackedField::Other => return Err(DecodeError::new(DecodeErrorKind::Base64, "`packed` is not a string")),
        };
        let Value::Map(mut entries) = Value::from_msgpack(&bytes)? else {
            return Err(DecodeError::new(DecodeErrorKind::Shape, "not a map"));
        };
        entries.retain(|(key, _)| matches!(key.as_str(), Some("type" | "data")));
        let inner = Envelope::<Value>::deserialize(Value::Map(entries)).map_err(DecodeError::value)?;
        let Envelope { kind, body, .. } = inner.map(BorrowedPayload::Value);
        (self.kind, self.body) = (kind, body);
        Ok(())
    }

    pub(crate) fn from_json(text: &'a str) -> Result<Self, DecodeError> {
        serde_json::from_str::<Self>(text).or_else(|error| {
            // A client of a Node.js server can name a room so that serde_json has no string for it.
            let decoded = Value::from_json_with_lone_surrogates(text);
            let envelope = decoded.and_then(|value| Envelope::<Value>::deserialize(value).ok());
            envelope.map(|envelope| envelope.map(BorrowedPayload::Value)).ok_or_else(|| DecodeError::json(error))
        })
    }
}

impl Envelope<Value> {
    pub(crate) fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = Value::from_msgpack(bytes)?;
        if !matches!(value, Value::Map(_)) {
            return Err(DecodeError::new(DecodeErrorKind::Shape, "not a map"));
        }
        Self::deserialize(value).map_err(DecodeError::value)
    }
}

impl<P> Envelope<P> {
    fn map<Q>(self, mut convert: impl FnMut(P) -> Q) -> Envelope<Q> {
        let Self { kind, body, uid, nsp, relay, nonce, reply_to, watch, takes_packed, packed, attachment_id } = self;
        let body = body.map(|body| {
            let Ok(body) = body.try_map(&mut |data| Ok::<_, Infallible>(convert(data)));
            body
        });
        Envelope { kind, body, uid, nsp, relay, nonce, reply_to, watch, takes_packed, packed, attachment_id }
    }

    /// Rejects identifiers that are too long to be kept.
    pub(crate) fn check_ids(&self) -> Result<(), DecodeError> {
        let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_ID_BYTES);
        let long = if self.uid.as_ref().is_some_and(NodeId::is_too_long) {
            Some("uid")
        } else if is_long(&self.nonce) {
            Some("nonce")
        } else if self.relay.requester_uid.as_ref().is_some_and(NodeId::is_too_long) {
            Some("requesterUid")
        } else if is_long(&self.relay.node_id) {
            Some("nodeId")
        } else {
            self.body.as_ref().and_then(Body::long_id)
        };
        long.map_or(Ok(()), |name| Err(DecodeError::long_id(name)))
    }

    pub(crate) fn into_message<E: de::Error>(self) -> Result<Message<P>, E> {
        let kind = self.kind.ok_or_else(|| E::missing_field("type"))?;
        let body = match self.body {
            Some(body) => body,
            None => Body::bare(kind)?,
        };
        let Self { uid, nsp, relay, nonce, reply_to, watch, takes_packed, .. } = self;
        Ok(Message { body, uid, nsp, relay, nonce, reply_to, watch: watch.watch(), takes_packed })
    }
}

/// What stands at `session` and `heartbeats`.
#[derive(Clone, Copy, Default)]
pub(crate) struct WatchFields {
    session: Option<SessionId>,
    needs_heartbeats: bool,
}

impl WatchFields {
    fn watch(self) -> Option<Watch> {
        let Self { session, needs_heartbeats } = self;
        session.map(|session| Watch { session, needs_heartbeats })
    }
}

/// What stands at `packed`.
pub(crate) enum PackedField {
    Text(String),
    Other,
}

/// What stands at `attachmentId`: a decimal string from Node.js; a number is taken as well.
pub(crate) enum AttachmentIdField {
    Text(String),
    Number(i64),
    /// `0`, `""`, `false` or null: JavaScript sees no id there.
    Falsy,
    Other,
}

impl<'de> Deserialize<'de> for AttachmentIdField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Nil | Value::Bool(false) => Self::Falsy,
            Value::Str(text) if text.is_empty() => Self::Falsy,
            Value::Str(text) => Self::Text(text),
            other => match other.as_i64() {
                Some(0) => Self::Falsy,
                Some(number) => Self::Number(number),
                None => Self::Other,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Type,
    Data,
    Uid,
    Nsp,
    AttachmentId,
    Source,
    RequesterUid,
    NodeId,
    Nonce,
    ReplyTo,
    Session,
    Heartbeats,
    Binary,
    Packed,
    #[serde(other)]
    Other,
}

impl<'de, P: WireData<'de>> Deserialize<'de> for Envelope<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<P>(PhantomData<P>);

        impl<'de, P: WireData<'de>> de::Visitor<'de> for Visitor<P> {
            type Value = Envelope<P>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message: an object with type, data, uid and nsp")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<P>, A::Error> {
                let mut envelope = Envelope {
                    kind: None,
                    body: None,
                    uid: None,
                    nsp: None,
                    relay: Relay::default(),
                    nonce: None,
                    reply_to: None,
                    watch: WatchFields::default(),
                    takes_packed: false,
                    packed: None,
                    attachment_id: None,
                };
                let mut late: Option<P::Late> = None;
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Type => envelope.kind = Some(map.next_value::<Whole>()?.0),
                        Key::Data => match envelope.kind {
                            Some(kind) => envelope.body = Some(map.next_value_seed(DataOf(kind, PhantomData))?),
                            None => late = Some(map.next_value()?),
                        },
                        Key::Uid => envelope.uid = map.next_value()?,
                        Key::Nsp => envelope.nsp = map.next_value()?,
                        Key::AttachmentId => envelope.attachment_id = Some(map.next_value()?),
                        Key::Source => envelope.relay.source = map.next_value_seed(TextAs(source))?,
                        Key::RequesterUid => {
                            envelope.relay.requester_uid = map.next_value::<Text>()?.0.map(NodeId::from)
                        }
                        Key::NodeId => envelope.relay.node_id = map.next_value::<Text>()?.0,
                        Key::Nonce => envelope.nonce = map.next_value::<Text>()?.0,
                        Key::ReplyTo => {
                            let name = map.next_value::<Text>()?.0;
                            envelope.reply_to = name.as_deref().and_then(ReplyChannel::parse);
                        }
                        Key::Session => {
                            let session = map.next_value::<Text>()?.0;
                            envelope.watch.session = session.as_deref().and_then(SessionId::parse);
                        }
                        Key::Heartbeats => {
                            let heartbeats = map.next_value::<Text>()?.0;
                            envelope.watch.needs_heartbeats = heartbeats.as_deref() == Some(Watch::NEEDED);
                        }
                        Key::Binary => {
                            let is_packed = |text: &str| text == Message::<P>::TAKES_PACKED;
                            envelope.takes_packed = map.next_value_seed(TextAs(is_packed))?.unwrap_or_default();
                        }
                        Key::Packed => {
                            let packed =
                                map.next_value_seed(TextAs(|text: &str| PackedField::Text(text.to_owned())))?;
                            envelope.packed = Some(packed.unwrap_or(PackedField::Other));
                        }
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                if let (None, Some(kind), Some(late)) = (&envelope.body, envelope.kind, late) {
                    envelope.body = Some(P::read_late(kind, late)?);
                }
                // The data was read as the data of an earlier `type` in the same object.
                if let (Some(body), Some(kind)) = (&envelope.body, envelope.kind)
                    && body.kind() != kind
                {
                    return Err(de::Error::duplicate_field("type"));
                }
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// Reads a key that is ignored when its value is not a string.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

/// A string; any other value counts as missing. For keys that not every node knows, and that some
/// may use for something else.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Str(text) => Self(Some(text)),
            _ => Self(None),
        })
    }
}

/// A `source`: nearly always the one that adapters write, which needs no allocation.
fn source(text: &str) -> Cow<'static, str> {
    if text == Relay::SOURCE { Cow::Borrowed(Relay::SOURCE) } else { Cow::Owned(text.to_owned()) }
}

/// Reads a string as something else, without a copy of it. As with [`Text`], any other value counts
/// as missing.
struct TextAs<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> de::DeserializeSeed<'de> for TextAs<F> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, F: FnOnce(&str) -> T> de::Visitor<'de> for TextAs<F> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or anything else")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some((self.0)(text)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| None)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_map(entries).map(|_| None)
    }
}

struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number::deserialize(deserializer).map(Self)
    }
}

struct DataOf<P>(u64, PhantomData<P>);

impl<'de, P: WireData<'de>> de::DeserializeSeed<'de> for DataOf<P> {
    type Value = Body<P>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body<P>, D::Error> {
        Body::read(self.0, deserializer)
    }
}
