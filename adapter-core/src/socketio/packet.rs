//! Converts socketioxide's packets to the protocol's payloads and back, for both of its parsers.
//!
//! | | socketioxide, common parser | socketioxide, msgpack parser | protocol |
//! |---|---|---|---|
//! | without binary | JSON text | MessagePack | [`Payload::Json`] |
//! | with binary | JSON text and attachments | MessagePack | [`Payload::Value`] |
//!
//! Between the common parser and the protocol, data without binary stays the same text.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};
use serde_json::value::RawValue;
use socketio_pg_protocol::{
    DecodeError, EncodeError, Payload, Value, message::broadcast::RESERVED_EVENTS, value::to_msgpack,
};
use socketioxide_core::{
    Str, Value as ServerValue,
    adapter::errors::AdapterError,
    packet::{Packet, PacketData},
    parser::Parse,
};

use crate::error::Error;

/// The extension type that notepack.io, the MessagePack of Socket.IO's msgpack parser, uses for all
/// its extensions: dates (8 bytes), `undefined` (one byte, 0) and `ArrayBuffer`s (any length).
const NOTEPACK: i8 = 0;

/// Why data cannot be passed between the cluster and this server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PacketError {
    /// A packet of another type than EVENT.
    #[error("only events can be broadcast")]
    NotAnEvent,
    /// An event that is not an array, or an array that does not begin with a name.
    #[error("an event is an array that begins with its name, a string or a number")]
    NoEventName,
    /// An event with a reserved name.
    #[error("`{0}` is an event of Socket.IO's own: clients that get it disconnect")]
    ReservedEvent(String),
    /// An object that a client would take for a placeholder of binary that does not exist.
    #[error("an object looks like a placeholder of binary that does not exist: clients disconnect on it")]
    StrayPlaceholder,
    /// An acknowledgement that is not an array.
    #[error("an acknowledgement is an array of its arguments")]
    NotAnAcknowledgement,
    /// Text that is not JSON.
    #[error("the data is not JSON: {0}")]
    Json(serde_json::Error),
    /// Data that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Data that cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Without a source: the text already includes what serde_json said.
impl From<serde_json::Error> for PacketError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<PacketError> for Error {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::ReservedEvent(event) => Self::ReservedEvent { event },
            error => Self::Data(Arc::new(error)),
        }
    }
}

impl From<PacketError> for AdapterError {
    fn from(error: PacketError) -> Self {
        Error::from(error).into()
    }
}

/// The parser that a server uses towards its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parser {
    /// JSON with binary apart: the default.
    Common,
    /// MessagePack.
    Msgpack,
}

impl Parser {
    /// Finds out which parser it is, from what it writes.
    pub(crate) fn detect(parser: impl Parse) -> Self {
        match parser.encode(Packet::disconnect("/")) {
            ServerValue::Str(..) => Self::Common,
            ServerValue::Bytes(_) => Self::Msgpack,
        }
    }
}

/// The event of a packet, `[event, ...args]`, unless its name is reserved.
pub(crate) fn payload_from_packet(packet: &Packet) -> Result<Payload, PacketError> {
    let payload = unchecked_payload(packet)?;
    check_reserved(&payload)?;
    Ok(payload)
}

/// Checks that the name of an event is not reserved, where it is not to be published.
pub(crate) fn check_packet(packet: &Packet) -> Result<(), PacketError> {
    payload_from_packet(packet).map(drop)
}

/// The event of a packet, without a check of its name.
pub(crate) fn unchecked_payload(packet: &Packet) -> Result<Payload, PacketError> {
    match &packet.inner {
        PacketData::Event(data, _) | PacketData::BinaryEvent(data, _) => match read(data)? {
            Data::Text(text) => Ok(Payload::Json(serde_json::from_str(text)?)),
            Data::Value(value) => into_payload(value),
        },
        _ => Err(PacketError::NotAnEvent),
    }
}

/// Converts an event of another node, `[event, ...args]`, to a packet for the sockets of the
/// namespace `ns`.
///
/// It is checked to be one that clients accept. Node.js passes on every event, and its clients
/// disconnect, or crash.
pub(crate) fn packet_from_payload(
    payload: &Payload,
    ns: impl Into<Str>,
    parser: Parser,
) -> Result<Packet, PacketError> {
    check_event(payload)?;
    let data = match (parser, payload) {
        (Parser::Common, payload) => {
            let data = to_common(payload);
            check_placeholders(payload, &data)?;
            data
        }
        (Parser::Msgpack, Payload::Json(text)) => to_bytes(&ForClient(&Value::from_json(text.get())?))?,
        (Parser::Msgpack, Payload::Value(value)) => to_bytes(&ForClient(value))?,
    };
    Ok(Packet::event(ns, data))
}

/// The first argument of a client's acknowledgement, since the protocol has room for only one.
pub(crate) fn payload_from_ack(value: &ServerValue) -> Result<Option<Payload>, PacketError> {
    match read(value)? {
        Data::Text(text) => {
            let arguments: Vec<&RawValue> = serde_json::from_str(text)?;
            Ok(arguments.first().map(|text| Payload::from(*text)))
        }
        Data::Value(Value::Array(arguments)) => arguments.into_iter().next().map(into_payload).transpose(),
        Data::Value(_) => Err(PacketError::NotAnAcknowledgement),
    }
}

/// Converts the acknowledgement of a client of another node to one of a client of this server.
///
/// It is for the application, not for clients: inline or in an attachment, a date is an ISO string
/// here.
pub(crate) fn ack_from_payload(payload: Option<&Payload>, parser: Parser) -> Result<ServerValue, PacketError> {
    let argument = match (parser, payload) {
        (Parser::Common, None) => return Ok(ServerValue::Str(Str::from("[]"), None)),
        (Parser::Msgpack, None) => return to_bytes::<[(); 0]>(&[]),
        (Parser::Common, Some(payload)) => to_common(payload),
        (Parser::Msgpack, Some(Payload::Json(text))) => return to_bytes(&[Value::from_json(text.get())?]),
        (Parser::Msgpack, Some(Payload::Value(value))) => return to_bytes(&[Value::from_serialize(value)?]),
    };
    Ok(match argument {
        ServerValue::Str(text, attachments) => ServerValue::Str(format!("[{text}]").into(), attachments),
        bytes => bytes,
    })
}

/// Data of a parser, as a tree.
pub(crate) fn value(data: &ServerValue) -> Result<Value, PacketError> {
    Ok(match read(data)? {
        Data::Text(text) => Value::from_json(text)?,
        Data::Value(value) => value,
    })
}

/// Data of a parser.
enum Data<'a> {
    Text(&'a str),
    Value(Value),
}

fn read(data: &ServerValue) -> Result<Data<'_>, PacketError> {
    Ok(match data {
        ServerValue::Str(text, Some(attachments)) if !attachments.is_empty() => {
            let attachments: Vec<&Bytes> = attachments.iter().collect();
            Data::Value(Value::from_json_with_attachments(text, &attachments)?)
        }
        ServerValue::Str(text, _) => Data::Text(text),
        ServerValue::Bytes(bytes) => Data::Value(from_notepack(Value::from_msgpack(bytes)?)),
    })
}

/// Data without binary travels as JSON, whichever parser its server uses.
fn into_payload(value: Value) -> Result<Payload, PacketError> {
    if value.has_binary() {
        return Ok(Payload::Value(value));
    }
    // Not `Value::to_json`: with the common parser, integers beyond 2^53 keep all their digits too.
    Ok(Payload::Json(serde_json::value::to_raw_value(&value)?))
}

fn to_common(payload: &Payload) -> ServerValue {
    match payload {
        Payload::Json(text) => ServerValue::Str(Str::copy_from_slice(text.get()), None),
        Payload::Value(value) => {
            let (text, attachments) = value.to_json_with_attachments();
            let attachments = attachments.into_iter().map(Bytes::copy_from_slice);
            ServerValue::Str(text.into(), (attachments.len() > 0).then(|| attachments.collect()))
        }
    }
}

fn to_bytes<T: Serialize + ?Sized>(data: &T) -> Result<ServerValue, PacketError> {
    Ok(ServerValue::Bytes(to_msgpack(data)?.into()))
}

/// Checks what socket.io-parser checks in every client.
fn check_event(payload: &Payload) -> Result<(), PacketError> {
    check_name(name_of(payload).ok_or(PacketError::NoEventName)?)
}

fn check_reserved(payload: &Payload) -> Result<(), PacketError> {
    name_of(payload).map_or(Ok(()), check_name)
}

fn check_name(name: Cow<'_, str>) -> Result<(), PacketError> {
    if is_reserved(&name) { Err(PacketError::ReservedEvent(name.into())) } else { Ok(()) }
}

/// Whether Socket.IO reserves the name.
pub(crate) fn is_reserved(event: &str) -> bool {
    RESERVED_EVENTS.contains(&event)
}

fn name_of(payload: &Payload) -> Option<Cow<'_, str>> {
    match payload {
        Payload::Json(text) => name_in_text(text),
        Payload::Value(value) => value.as_array().and_then(<[Value]>::first).and_then(name_in_value),
    }
}

/// Checks what socket.io-parser checks when it replaces placeholders. Without binary it looks for
/// none.
fn check_placeholders(payload: &Payload, data: &ServerValue) -> Result<(), PacketError> {
    match (payload, data) {
        (Payload::Value(value), ServerValue::Str(_, Some(attachments)))
            if has_stray_placeholder(value, attachments.len()) =>
        {
            Err(PacketError::StrayPlaceholder)
        }
        _ => Ok(()),
    }
}

fn has_stray_placeholder(value: &Value, attachments: usize) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_stray_placeholder(item, attachments)),
        Value::Map(entries) => {
            let is_place = value.get("_placeholder") == Some(&Value::Bool(true));
            let num = value.get("num").and_then(Value::as_f64);
            is_place && !num.is_some_and(|num| (0.0..attachments as f64).contains(&num))
                || entries.iter().any(|(_, item)| has_stray_placeholder(item, attachments))
        }
        _ => false,
    }
}

/// The name of an event, which may be a number. The text is known to be JSON, so its beginning is
/// enough.
fn name_in_text(text: &RawValue) -> Option<Cow<'_, str>> {
    let arguments = text.get().strip_prefix('[')?.trim_start();
    match arguments.bytes().next()? {
        b'"' => {
            if let Some((name, _)) = arguments[1..].split_once('"')
                && !name.contains('\\')
            {
                return Some(name.into());
            }
            let mut values = serde_json::Deserializer::from_str(arguments).into_iter::<String>();
            // A name that is not a string for Rust is not reserved either.
            Some(values.next().and_then(Result::ok).unwrap_or_default().into())
        }
        b'-' | b'0'..=b'9' => Some("".into()),
        _ => None,
    }
}

fn name_in_value(name: &Value) -> Option<Cow<'_, str>> {
    match name {
        Value::Str(name) => Some(name.into()),
        Value::BrokenStr(_) => Some("".into()),
        number => number.as_f64().filter(|number| number.is_finite()).map(|_| "".into()),
    }
}

/// Data as Socket.IO's msgpack parser writes it for clients.
struct ForClient<'a>(&'a Value);

impl Serialize for ForClient<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(ForClient)),
            Value::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (property_name(key), ForClient(value))))
            }
            date @ Value::Ext(-1, _) => match date.as_date_millis() {
                Some(millis) => Value::Ext(NOTEPACK, millis.to_be_bytes().into()).serialize(serializer),
                None => serializer.serialize_unit(),
            },
            // notepack.io gets an unknown extension as the object that @msgpack/msgpack makes of
            // it.
            Value::Ext(kind, bytes) => {
                let mut extension = serializer.serialize_struct("ExtData", 2)?;
                extension.serialize_field("type", kind)?;
                extension.serialize_field("data", &Value::Bin(bytes.clone()))?;
                extension.end()
            }
            broken @ Value::BrokenStr(_) => serializer.serialize_str(&lossy(broken)),
            // notepack.io never writes integral floats, so clients that distinguish them from
            // integers expect integers.
            float @ Value::Float(_) => match (i64::deserialize(float.clone()), u64::deserialize(float.clone())) {
                (Ok(integer), _) => serializer.serialize_i64(integer),
                (_, Ok(integer)) => serializer.serialize_u64(integer),
                _ => float.serialize(serializer),
            },
            plain => plain.serialize(serializer),
        }
    }
}

/// JavaScript objects have strings for keys.
fn property_name(key: &Value) -> Cow<'_, str> {
    match key {
        Value::Str(name) => name.into(),
        broken @ Value::BrokenStr(_) => lossy(broken).into(),
        number => match number.as_f64() {
            Some(number) if number.is_nan() => "NaN".into(),
            Some(f64::INFINITY) => "Infinity".into(),
            Some(f64::NEG_INFINITY) => "-Infinity".into(),
            _ => number.to_json().into(),
        },
    }
}

/// A broken string with U+FFFD where it is broken.
fn lossy(broken: &Value) -> String {
    String::deserialize(broken.clone()).unwrap_or_default()
}

/// Reads what a client wrote with Socket.IO's msgpack parser, and converts extensions to the
/// protocol's.
///
/// An `ArrayBuffer` of 8 bytes cannot be distinguished from a date, nor one with the byte 0 from
/// `undefined`.
fn from_notepack(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(from_notepack).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key, from_notepack(value))).collect())
        }
        Value::Ext(NOTEPACK, bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(millis) => Value::from_date_millis(i64::from_be_bytes(millis)),
            Err(_) if bytes == [0] => Value::Nil,
            Err(_) => Value::Bin(bytes),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;
