//! The arguments of an event, as many as there are.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeTuple,
};

use super::Value;

/// All arguments of an event, for code that does not know how many there are or of which types.
///
/// For serde it is a tuple. So an emit sends each value as an argument of its own, and a handler
/// gets all arguments. A `Vec<Value>` would be one argument, an array.
///
/// ```
/// use serde::Deserialize;
/// use socketio_pg_protocol::{Value, value::Arguments};
///
/// let arguments = Arguments(vec!["order".into(), Value::Bool(true)]);
/// assert_eq!(serde_json::to_string(&arguments)?, r#"["order",true]"#);
///
/// let received = Value::from_json(r#"["order",true]"#)?;
/// assert_eq!(Arguments::deserialize(received)?, arguments);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(pub Vec<Value>);

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Arguments;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = seq.next_element()? {
                    arguments.push(argument);
                }
                Ok(Arguments(arguments))
            }
        }

        // The number is not known here, and the formats do not ask for it.
        deserializer.deserialize_tuple(usize::MAX, All)
    }
}
