//! Application data as JavaScript and MessagePack have it: event arguments, acknowledgements, a
//! socket's `data`.
//!
//! An event without binary travels as JSON text, which this crate leaves alone (see
//! [`Payload`](crate::Payload)). An event with binary, or one that is too large for a notification,
//! travels as MessagePack and becomes a [`Value`], which keeps apart what JSON cannot: strings and
//! bytes, integers and floats, extensions such as dates. It is made to do what Node.js does with
//! the same bytes:
//!
//! | conversion | how |
//! |---|---|
//! | MessagePack → value → MessagePack | [`Value::from_msgpack`], [`to_msgpack`]: the same bytes |
//! | value → what a client gets | [`Value::to_json`], [`Value::to_json_with_attachments`] |
//! | JSON → value | [`Value::from_json`], [`Value::from_json_with_attachments`] |
//! | Rust types | [`Value::from_serialize`]; `Value` is a [`Deserializer`](serde::Deserializer) |
//! | all arguments of an event | [`Arguments`] |
//!
//! The bytes stay the same as long as they were written as Node.js writes them: each integer in its
//! shortest form. JSON is read and written as `JSON.parse`, `JSON.stringify` and socket.io-parser
//! do. To get a Rust type from a value, write `T::deserialize(value)`.
//!
//! # Where JavaScript is peculiar
//!
//! * Numbers are doubles. An integer beyond 2^53 keeps its bits from MessagePack to MessagePack,
//!   but its JSON is the JSON of the nearest double; in JSON read by [`Value::from_json`] it is a
//!   float. NaN and the infinities are `null` in JSON.
//! * Dates are the MessagePack extension -1 (a timestamp); in JSON they are ISO strings, `null`
//!   when out of the range of a `Date`.
//! * Strings may hold lone surrogates, which no Rust string can: [`Value::BrokenStr`].
//! * An object has its integer keys first, in ascending order, and each key once: the last value
//!   wins. The JSON of a map has them in that order.
//! * Node.js refuses to decode MessagePack with a key `__proto__`, lest an object's prototype be
//!   replaced. Here it is a key like any other: Rust has no prototypes, and in JSON text it is
//!   harmless for Node.js too.

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};

mod arguments;
mod de;
mod javascript;
mod json_read;
mod json_write;
mod msgpack_read;
mod msgpack_write;
mod ser;

pub(crate) use self::{javascript::property_name, json_read::assigned};

pub use self::{arguments::Arguments, de::ValueError, msgpack_write::to_msgpack};

/// How deep a value may be nested. Node.js writes no MessagePack deeper than 100, and serde_json
/// reads none deeper than 128.
const MAX_DEPTH: usize = 128;

/// The extension type of MessagePack's timestamps.
const TIMESTAMP: i8 = -1;

/// A piece of application data. See the [module](self) for how it relates to JavaScript.
///
/// Two values are equal when they have the same form: `Int(1)` and `Float(1.0)` are not, and NaN is
/// equal to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, and `undefined` too.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are an [`Int`](Value::Int).
    UInt(u64),
    /// A number that is not an integer, or an integer that is written as a float.
    Float(f64),
    /// A float of single precision. Node.js never sends one, others may.
    Float32(f32),
    /// A string.
    Str(String),
    /// A string that is not UTF-8: lone surrogates, in the three bytes that UTF-8 would have for
    /// them if it allowed them.
    BrokenStr(Vec<u8>),
    /// Binary: a `Buffer` or a typed array.
    Bin(Vec<u8>),
    /// An array.
    Array(Vec<Value>),
    /// An object, in the order in which it was written. A key is a string or a number; nothing
    /// keeps it from occurring twice.
    Map(Vec<(Value, Value)>),
    /// A MessagePack extension: its type, and its bytes. Type -1 is a date.
    Ext(i8, Vec<u8>),
}

impl Value {
    /// Decodes MessagePack.
    ///
    /// # Errors
    /// When the bytes are not exactly one value: cut short, followed by others, nested deeper than
    /// 128 levels, or with a map key that is neither a string nor a number (no JavaScript object
    /// has such a key, and Node.js refuses it too). The text of the error has the offset of the
    /// offending byte. No memory is taken for lengths that the input only claims.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        msgpack_read::read(bytes)
    }

    /// Reads JSON, with the numbers of JavaScript: an integral number up to 2^53 becomes an integer
    /// (`1.0` and `1e3` too, and `-0` becomes 0), any other a float, `1e400` infinity.
    ///
    /// # Errors
    /// When the text is not one JSON value, or is nested deeper than 128 levels.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        json_read::read(text)
    }

    /// Reads JSON that has lone surrogates in it, which serde_json refuses. `None` when it has
    /// none, or is not JSON.
    pub(crate) fn from_json_with_lone_surrogates(text: &str) -> Option<Self> {
        if text.contains("\\ud") || text.contains("\\uD") { Self::from_json(text).ok() } else { None }
    }

    /// Reads JSON whose binary stands apart: `{"_placeholder":true,"num":0}` stands for the first
    /// attachment, and so on. It is the inverse of
    /// [`to_json_with_attachments`](Value::to_json_with_attachments).
    ///
    /// # Errors
    /// As [`from_json`](Value::from_json), and when a placeholder's `num` has no attachment.
    pub fn from_json_with_attachments<A: AsRef<[u8]>>(text: &str, attachments: &[A]) -> Result<Self, DecodeError> {
        json_read::read_with_attachments(text, attachments)
    }

    /// Turns a value of the application into a `Value`, the way serde_json would write it, except
    /// that bytes (`serialize_bytes`) stay binary. A `Value` within it is taken as its JSON, apart
    /// from its binary: a date becomes a string.
    ///
    /// # Errors
    /// When the type's own `Serialize` fails, it is nested deeper than 128 levels, or a map has
    /// keys other than strings and numbers.
    pub fn from_serialize<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        let bytes = msgpack_write::to_human_readable_msgpack(value)?;
        Self::from_msgpack(&bytes).map_err(|error| EncodeError::MessagePack(error.to_string()))
    }

    /// The text that `JSON.stringify` gives for the object that Node.js decodes. Binary becomes
    /// `{"type":"Buffer","data":[1,2,3]}`.
    pub fn to_json(&self) -> String {
        json_write::write(self)
    }

    /// JSON with the binary apart, as socket.io-parser sends it: each binary is replaced by
    /// `{"_placeholder":true,"num":0}` with its number, counted depth first.
    pub fn to_json_with_attachments(&self) -> (String, Vec<&[u8]>) {
        json_write::write_with_attachments(self)
    }

    /// Whether there is binary anywhere in it, as socket.io-parser sees it: unknown extensions are,
    /// dates are not.
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Bin(_) => true,
            Self::Ext(kind, _) => *kind != TIMESTAMP,
            Self::Array(items) => items.iter().any(Value::has_binary),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.has_binary()),
            _ => false,
        }
    }

    /// How many bytes of binary and text there are in it.
    pub(crate) fn content_bytes(&self) -> usize {
        match self {
            Self::Bin(bytes) | Self::Ext(_, bytes) => bytes.len(),
            Self::Str(text) => text.len(),
            Self::Array(items) => items.iter().map(Value::content_bytes).sum(),
            Self::Map(entries) => entries.iter().map(|(_, value)| value.content_bytes()).sum(),
            _ => 0,
        }
    }

    /// Turns every `{"type":"Buffer","data":[1,2,3]}` into binary.
    ///
    /// That is what `JSON.stringify` makes of a `Buffer`. Node.js answers FETCH_SOCKETS so, because
    /// it does not look for binary there; anywhere else an application may have meant the object.
    #[must_use]
    pub fn revive_buffers(self) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.into_iter().map(Value::revive_buffers).collect()),
            Self::Map(entries) => match buffer_bytes(&entries) {
                Some(bytes) => Self::Bin(bytes),
                None => Self::Map(entries.into_iter().map(|(key, value)| (key, value.revive_buffers())).collect()),
            },
            other => other,
        }
    }

    /// The string, if it is one and is whole.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is integral and fits, whether it was written as an integer or as a float.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) => javascript::safe_integer(*number),
            Self::Float32(number) => javascript::safe_integer(f64::from(*number)),
            _ => None,
        }
    }

    /// The number, as JavaScript has it.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::UInt(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Float32(number) => Some(f64::from(*number)),
            _ => None,
        }
    }

    /// The bytes, if it is binary.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key, if it is a map that has it; of several the last, as in JavaScript.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => {
                entries.iter().rev().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A date's time in milliseconds since 1970, whole ones as a JavaScript `Date` has them. `None`
    /// when it is not a date, or is a date beyond the ±100 000 000 days that a `Date` knows.
    pub fn as_date_millis(&self) -> Option<i64> {
        match self {
            Self::Ext(TIMESTAMP, bytes) => javascript::timestamp_millis(bytes),
            _ => None,
        }
    }

    /// A date, by its time in milliseconds since 1970, in the form in which Node.js would write it.
    pub fn from_date_millis(millis: i64) -> Self {
        Self::Ext(TIMESTAMP, javascript::timestamp_bytes(millis))
    }
}

/// What a map holds if it is the JSON of a `Buffer` and nothing else.
fn buffer_bytes(entries: &[(Value, Value)]) -> Option<Vec<u8>> {
    let [(first, _), (second, _)] = entries else { return None };
    let (kind, data) = match (first.as_str()?, second.as_str()?) {
        ("type", "data") => (&entries[0].1, &entries[1].1),
        ("data", "type") => (&entries[1].1, &entries[0].1),
        _ => return None,
    };
    if kind.as_str()? != "Buffer" {
        return None;
    }
    data.as_array()?.iter().map(|item| item.as_i64().and_then(|byte| u8::try_from(byte).ok())).collect()
}

/// Shows the value's JSON.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Value {
    /// Whether there is a string in it that is not valid Unicode.
    pub(crate) fn has_broken(&self) -> bool {
        match self {
            Self::BrokenStr(_) => true,
            Self::Array(items) => items.iter().any(Self::has_broken),
            Self::Map(entries) => entries.iter().any(|(key, value)| key.has_broken() || value.has_broken()),
            _ => false,
        }
    }

    /// The same with U+FFFD where strings are broken.
    pub(crate) fn mended(&self) -> Self {
        match self {
            Self::BrokenStr(bytes) => Self::Str(javascript::broken_lossy(bytes)),
            Self::Array(items) => Self::Array(items.iter().map(Self::mended).collect()),
            Self::Map(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.mended(), value.mended())).collect())
            }
            other => other.clone(),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::UInt(value), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

/// An error at an offset of the input.
fn malformed(kind: DecodeErrorKind, offset: usize, what: impl std::fmt::Display) -> DecodeError {
    DecodeError::new(kind, format_args!("{what} at byte {offset}"))
}
