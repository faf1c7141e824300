//! Which sockets a message is for, and how it is delivered.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::{
    payload::AsJavaScript,
    value::{Value, assigned, property_name},
};

/// The `opts` of a message: the sockets it selects, and flags.
///
/// Empty `rooms` selects every socket of the namespace; otherwise a socket is selected when it is
/// in any of `rooms`. A socket in any of `except` is not selected. Every socket counts as being in
/// a room named by its own id.
///
/// Wire form: `{"rooms":["a"],"except":[],"flags":{"volatile":true}}`. Missing or null lists are
/// read as empty.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Selector {
    /// Rooms whose sockets are selected.
    pub rooms: Vec<Room>,
    /// Rooms whose sockets are left out.
    pub except: Vec<Room>,
    /// Flags. Node.js's emitter leaves the key out of messages 4, 5 and 6.
    #[cfg_attr(feature = "schema", schemars(with = "Flags", default, skip_serializing_if = "Option::is_none"))]
    pub flags: Option<Flags>,
    /// The order in which the keys are written.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub order: KeyOrder,
}

/// The order of the keys of [`Selector`]: readers take any, writers keep to one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// `rooms, except, flags`: the adapter's.
    #[default]
    Adapter,
    /// `rooms, flags, except`: the emitter's.
    Emitter,
}

impl Selector {
    /// Selects every socket, with empty flags.
    pub fn all() -> Self {
        Self { flags: Some(Flags::default()), ..Self::default() }
    }

    /// Selects the sockets of these rooms, with empty flags.
    pub fn rooms<R: Into<Room>>(rooms: impl IntoIterator<Item = R>) -> Self {
        Self { rooms: rooms.into_iter().map(Into::into).collect(), ..Self::all() }
    }

    /// Leaves out the sockets of these rooms.
    #[must_use]
    pub fn except<R: Into<Room>>(mut self, rooms: impl IntoIterator<Item = R>) -> Self {
        self.except.extend(rooms.into_iter().map(Into::into));
        self
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + usize::from(self.flags.is_some())))?;
        map.serialize_entry("rooms", &self.rooms)?;
        if self.order == KeyOrder::Adapter {
            map.serialize_entry("except", &self.except)?;
        }
        if let Some(flags) = &self.flags {
            map.serialize_entry("flags", flags)?;
        }
        if self.order == KeyOrder::Emitter {
            map.serialize_entry("except", &self.except)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum OptionsKey {
    Rooms,
    Except,
    Flags,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("options: an object with rooms, except and flags")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Selector, A::Error> {
                let mut options = Selector::default();
                let mut flags_seen = false;
                while let Some(key) = map.next_key()? {
                    match key {
                        OptionsKey::Rooms => {
                            options.rooms = map.next_value::<Option<Vec<Room>>>()?.unwrap_or_default();
                        }
                        OptionsKey::Except => {
                            options.except = map.next_value::<Option<Vec<Room>>>()?.unwrap_or_default();
                            if flags_seen {
                                options.order = KeyOrder::Emitter;
                            }
                        }
                        OptionsKey::Flags => {
                            options.flags = map.next_value()?;
                            flags_seen = options.flags.is_some();
                        }
                        OptionsKey::Other => {
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(options)
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// The name of a room.
///
/// Names are not always strings: a Node.js application that says `io.to(7)` sends the number. A
/// number never equals a string: `7` and `"7"` are two rooms.
#[derive(Clone, Debug, PartialEq)]
pub enum Room {
    /// A room whose name is a string.
    Name(String),
    /// A number, null, or another value that an application used.
    Other(Value),
}

impl Room {
    /// The name, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Other(_) => None,
        }
    }
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<i32> for Room {
    fn from(number: i32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<u32> for Room {
    fn from(number: u32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<i64> for Room {
    fn from(number: i64) -> Self {
        Self::Other(Value::Int(number))
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl Serialize for Room {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Other(value) => AsJavaScript(value).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Room {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Str(name) => Self::Name(name),
            other => Self::Other(other),
        })
    }
}

/// Flags of a message, in the order in which the sender set them. Unknown flags are kept.
///
/// | flag | type | meaning |
/// |---|---|---|
/// | `volatile` | boolean | may be dropped for a client that is not ready to receive |
/// | `compress` | boolean | whether the transport may compress it |
/// | `timeout` | number, milliseconds | how long acknowledgements or responses may take |
/// | `expectSingleResponse` | boolean | the message is for one socket, through a remote handle |
/// | `local` | boolean | never on the wire: what is for local sockets only is not published |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags(Vec<(String, Value)>);

impl Flags {
    /// The value of a flag.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Sets a flag, replacing its value.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Whether the message may be dropped for a client that is not ready.
    pub fn volatile(&self) -> bool {
        matches!(self.get("volatile"), Some(Value::Bool(true)))
    }

    /// How long the sender waits for acknowledgements or responses.
    pub fn timeout(&self) -> Option<Duration> {
        match self.get("timeout")? {
            Value::Int(ms) => u64::try_from(*ms).ok().map(Duration::from_millis),
            Value::Float(ms) => Duration::try_from_secs_f64(ms / 1000.0).ok(),
            _ => None,
        }
    }

    /// Sets [`Self::timeout`], in whole milliseconds.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.set("timeout", Value::Int(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)));
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, AsJavaScript(value))))
    }
}

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Node.js takes any value for flags; a value that is not an object sets no flag.
        let Value::Map(entries) = Value::deserialize(deserializer)? else { return Ok(Self::default()) };
        // MessagePack has keys that are numbers, or are not UTF-8.
        let named = entries.into_iter().map(|(key, value)| match key {
            Value::Str(_) => (key, value),
            key => (Value::Str(property_name(&key)), value),
        });
        let flags = assigned(named.collect()).into_iter().filter_map(|(key, value)| match key {
            Value::Str(key) => Some((key, value)),
            _ => None,
        });
        Ok(Self(flags.collect()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is a test's report")]
mod tests {
    use super::*;

    #[test]
    fn a_flag_given_twice_has_its_last_value_in_the_place_of_the_first() {
        let flags: Flags = serde_json::from_str(r#"{"timeout":1,"volatile":true,"timeout":2}"#).unwrap();
        assert_eq!(flags.timeout(), Some(Duration::from_millis(2)));
        assert_eq!(serde_json::to_string(&flags).unwrap(), r#"{"timeout":2,"volatile":true}"#);
    }

    #[test]
    fn a_flag_whose_name_is_no_utf_8_is_read_as_node_reads_it() {
        let message = Value::Map(vec![(Value::BrokenStr(b"n\x90p".to_vec()), Value::Int(1))]);
        let flags = Flags::deserialize(message).unwrap();
        assert_eq!(flags.get("n\u{90}p"), Some(&Value::Int(1)));
    }

    #[test]
    fn a_flag_whose_name_is_a_number_is_read_as_node_reads_it() {
        let message = Value::Map(vec![(Value::Float(-0.5), Value::Nil), (Value::Int(97), Value::Int(101))]);
        let flags = Flags::deserialize(message).unwrap();
        assert_eq!(serde_json::to_string(&flags).unwrap(), r#"{"97":101,"-0.5":null}"#);
    }

    #[test]
    fn flags_that_are_indices_come_first_as_in_javascript() {
        let flags: Flags = serde_json::from_str(r#"{"volatile":true,"7":1}"#).unwrap();
        assert_eq!(serde_json::to_string(&flags).unwrap(), r#"{"7":1,"volatile":true}"#);
    }
}
