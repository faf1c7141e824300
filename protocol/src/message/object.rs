//! Reads structs from JSON objects only: serde also accepts an array of the fields, which no other
//! node understands.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Reads a struct from an object, and rejects every other form.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// Reads an array of structs, each from an object.
pub(crate) fn deserialize_array<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Item<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::object::deserialize(deserializer).map(Self)
        }
    }

    let items = Vec::<Item<T>>::deserialize(deserializer)?;
    Ok(items.into_iter().map(|item| item.0).collect())
}

#[cfg(test)]
mod tests {
    use crate::{Message, Value, value::to_msgpack};

    #[test]
    fn an_array_is_no_object() {
        for text in [
            r#"{"type":9,"data":["0f1e2d3c4b5a6978",["how-many"]],"uid":"a","nsp":"/"}"#,
            r#"{"data":["0f1e2d3c4b5a6978",["how-many"]],"type":9,"uid":"a","nsp":"/"}"#,
            r#"{"type":3,"data":{"packet":[2,["hello"]],"opts":{}},"uid":"a","nsp":"/"}"#,
            r#"{"type":8,"data":{"requestId":"r","sockets":[["id"]]},"uid":"a","nsp":"/"}"#,
            r#"{"type":11,"data":["r",1],"uid":"a","nsp":"/"}"#,
        ] {
            let error = Message::from_json(text).unwrap_err();
            assert!(error.to_string().contains("expected an object"), "{text}: {error}");
            let bytes = to_msgpack(&Value::from_json(text).unwrap()).unwrap();
            let error = Message::from_msgpack(&bytes).unwrap_err();
            assert!(error.to_string().contains("expected an object"), "{text} in MessagePack: {error}");
        }
    }
}
