//! The exported schemas, ready to validate. They find each other without a network.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{collections::BTreeMap, sync::LazyLock};

use jsonschema::{Registry, Validator};
use serde_json::Value;
use socketio_pg_protocol::schema;

/// All JSON Schemas, by their paths.
pub(crate) static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let documents = schema::documents().into_iter().filter(|document| document.path != "asyncapi.json");
    documents.map(|document| (document.path, serde_json::from_str(&document.text).unwrap())).collect()
});

static REGISTRY: LazyLock<Registry<'static>> = LazyLock::new(|| {
    let schemas = SCHEMAS.iter().map(|(path, schema)| (path.as_str(), schema.clone()));
    Registry::new().extend(schemas).unwrap().prepare().unwrap()
});

/// Validates by the document with this path.
pub(crate) fn validator(path: &str) -> Validator {
    let options = jsonschema::draft202012::options().with_registry(&REGISTRY);
    options.build(&SCHEMAS[path]).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of messages of one type, by the number of the type.
pub(crate) fn by_type(variant: &str) -> BTreeMap<u64, String> {
    let of_messages = SCHEMAS.iter().filter(|(path, _)| path.starts_with(variant));
    let by_type = of_messages.filter_map(|(path, schema)| {
        let kind = schema["properties"]["type"]["const"].as_u64()?;
        Some((kind, path.clone()))
    });
    by_type.collect()
}

/// All that is wrong, each with its place.
pub(crate) fn complaints(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
