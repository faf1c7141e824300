//! The schemas of messages and of their parts, by name, and references between them.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{description, examples, messages::FORMS};
use crate::notification::Header;

/// The path of definitions in a document that has all of them.
const LOCAL: &str = "#/$defs/";

/// Node.js takes a socket with this key for something else. The type has no such field.
const FORBIDDEN_OF_SOCKETS: &str = "server";

/// What writers produce, as the types of this crate say it.
pub(super) fn of_writers() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(description::Tidy);
    let mut generator = settings.into_generator();
    for form in FORMS {
        form.add(&mut generator);
    }
    generator.subschema_for::<Header>();
    let mut definitions = generator.take_definitions(false);
    if let Some(socket) = definitions.get_mut("SocketDescription") {
        // Not a key whose schema is `false`: generators of types do not know that.
        socket["not"] = json!({ "required": [FORBIDDEN_OF_SOCKETS] });
    }
    if let Some(header) = definitions.get_mut(&header_name()) {
        header["examples"] = examples::attachments().map(|(header, _)| header.clone()).collect();
    }
    for (name, definition) in &mut definitions {
        definition["title"] = name.as_str().into();
    }
    let mut document = Schema::from(Map::from_iter([("$defs".to_owned(), definitions.into())]));
    generator.transforms_mut().for_each(|transform| transform.transform(&mut document));
    match document.remove("$defs") {
        Some(Value::Object(definitions)) => definitions,
        _ => unreachable!("the definitions are an object"),
    }
}

/// The name of the header's schema.
pub(super) fn header_name() -> String {
    Header::schema_name().into_owned()
}

/// A reference to a definition of the same document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{LOCAL}{name}") })
}

/// The definition that a schema refers to, directly or to describe it.
pub(super) fn referenced(schema: &Value) -> Option<&str> {
    let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"))?;
    reference.as_str()?.strip_prefix(LOCAL)
}

/// Says of each reference to a definition of the same document where that is instead.
pub(super) fn redirect(schema: &mut Value, to: &impl Fn(&str) -> String) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, to)),
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match (keyword.as_str(), &value) {
                    ("examples", _) => {}
                    ("$ref", Value::String(reference)) => {
                        if let Some(name) = reference.strip_prefix(LOCAL) {
                            *value = to(name).into();
                        }
                    }
                    _ => redirect(value, to),
                }
            }
        }
        _ => {}
    }
}

/// The definitions that a schema refers to, not those that these refer to.
pub(super) fn references(schema: &Value) -> BTreeSet<String> {
    let names = std::cell::RefCell::new(BTreeSet::new());
    redirect(&mut schema.clone(), &|name| {
        names.borrow_mut().insert(name.to_owned());
        String::new()
    });
    names.into_inner()
}
