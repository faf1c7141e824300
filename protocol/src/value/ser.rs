//! Writes values with serde's serializers.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_bytes::Bytes;

use super::{TIMESTAMP, Value, javascript};

/// The newtype that serializers of MessagePack take for an extension, around a tuple of its type
/// and bytes: rmp-serde's `MSGPACK_EXT_STRUCT_NAME`.
pub(super) const EXTENSION: &str = "_ExtStruct";

/// The newtype by which [`to_msgpack`](super::to_msgpack) knows a broken string. Other serializers
/// ignore it.
pub(super) const BROKEN_STRING: &str = "_BrokenString";

/// In MessagePack a value is written as it is, in human-readable formats as JavaScript shows it:
/// serde_json writes the same as [`Value::to_json`], except for the spelling of numbers, and for
/// binary, which is left to the format (`serialize_bytes`).
///
/// A serializer other than [`to_msgpack`](super::to_msgpack) gets a broken string with U+FFFD where
/// it is broken.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let readable = serializer.is_human_readable();
        match self {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::UInt(number) => serializer.serialize_u64(*number),
            Value::Float(number) => match javascript::safe_integer(*number) {
                Some(integer) if readable => serializer.serialize_i64(integer),
                _ => serializer.serialize_f64(*number),
            },
            Value::Float32(number) if readable => Value::Float((*number).into()).serialize(serializer),
            Value::Float32(number) => serializer.serialize_f32(*number),
            Value::Str(text) => serializer.serialize_str(text),
            Value::BrokenStr(bytes) if readable => serializer.serialize_str(&javascript::broken_lossy(bytes)),
            Value::BrokenStr(bytes) => serializer.serialize_newtype_struct(BROKEN_STRING, &BrokenString(bytes)),
            Value::Bin(bytes) => serializer.serialize_bytes(bytes),
            Value::Array(items) => serializer.collect_seq(items),
            Value::Map(entries) if readable => serializer.collect_map(
                javascript::properties(entries).iter().map(|property| (property.name.to_lossy(), property.value)),
            ),
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Value::Ext(TIMESTAMP, _) if readable => match self.as_date_millis() {
                Some(millis) => {
                    let mut date = String::new();
                    javascript::write_iso_date(&mut date, millis);
                    serializer.serialize_str(&date)
                }
                None => serializer.serialize_unit(),
            },
            Value::Ext(kind, bytes) if readable => {
                let mut data = serializer.serialize_struct("ExtData", 2)?;
                data.serialize_field("type", kind)?;
                data.serialize_field("data", Bytes::new(bytes))?;
                data.end()
            }
            Value::Ext(kind, bytes) => serializer.serialize_newtype_struct(EXTENSION, &(*kind, Bytes::new(bytes))),
        }
    }
}

/// A broken string on its way through `collect_str`, the one method of a serializer that takes a
/// string which is not a `str`. Its `Display` is the text with U+FFFD; its `{:#}` is its bytes, one
/// character for each.
struct BrokenString<'a>(&'a [u8]);

impl Serialize for BrokenString<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for BrokenString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            self.0.iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
        } else {
            f.write_str(&javascript::broken_lossy(self.0))
        }
    }
}
