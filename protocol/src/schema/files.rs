//! The JSON Schemas as files, which refer to each other by their names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Document, attachment,
    definitions::{header_name, redirect, reference, references},
    messages::{ANY_MESSAGE, FORMS},
    packed,
    variant::Variant,
};

/// The document of the parts that several others have.
const COMMON: &str = "common.json";

/// The title of a message of any type.
const ANY_MESSAGE_TITLE: &str = "ClusterMessage";

pub(super) fn documents() -> Vec<Document> {
    let [written, read] = Variant::ALL.map(|variant| variant.definitions());
    let parts = Parts::new(&written, &read);
    let mut documents = vec![parts.common(&written, &read)];
    for (variant, definitions) in Variant::ALL.into_iter().zip([&written, &read]) {
        documents.push(parts.any_message(variant, definitions));
        documents.extend(FORMS.iter().map(|form| {
            let path = format!("{}-{}.json", variant.name(), form.file_name());
            parts.separate(variant, &path, &definitions[&form.title()])
        }));
        documents.push(notification(variant));
        documents.push(parts.separate(variant, &header_path(variant), &definitions[&header_name()]));
        documents.push(parts.packed(variant, definitions));
        documents.push(row(variant));
        documents.push(types(variant, definitions));
    }
    documents
}

fn message_path(variant: Variant) -> String {
    format!("{}.json", variant.name())
}

fn header_path(variant: Variant) -> String {
    format!("{}-notification-header.json", variant.name())
}

/// Readers' types have other names than writers' types, so that a program can have both.
fn title(variant: Variant, name: &str) -> String {
    match variant {
        Variant::Writer => name.to_owned(),
        Variant::Reader => format!("Reader{name}"),
    }
}

/// Which parts the messages of both variants have, and which only those of readers.
struct Parts {
    /// The parts of readers' messages by their names in [`COMMON`].
    read: BTreeMap<String, String>,
}

impl Parts {
    fn new(written: &Map<String, Value>, read: &Map<String, Value>) -> Self {
        let mut other: BTreeSet<&str> = BTreeSet::new();
        // A part is another one, too, when it refers to another one.
        loop {
            let found = read.iter().filter(|(name, definition)| {
                let is_other = written.get(*name) != Some(definition)
                    || references(definition).iter().any(|part| other.contains(part.as_str()));
                is_other && !other.contains(name.as_str())
            });
            let found: Vec<_> = found.map(|(name, _)| name.as_str()).collect();
            if found.is_empty() {
                break;
            }
            other.extend(found);
        }
        let named = read.keys().map(|name| {
            let variant = if other.contains(name.as_str()) { Variant::Reader } else { Variant::Writer };
            (name.clone(), title(variant, name))
        });
        Self { read: named.collect() }
    }

    fn name<'a>(&'a self, variant: Variant, name: &'a str) -> &'a str {
        match variant {
            Variant::Writer => name,
            Variant::Reader => &self.read[name],
        }
    }

    fn common(&self, written: &Map<String, Value>, read: &Map<String, Value>) -> Document {
        let is_part = |name: &&String| **name != header_name() && FORMS.iter().all(|form| form.title() != **name);
        let mut parts = Map::new();
        for (variant, definitions) in Variant::ALL.into_iter().zip([written, read]) {
            for name in definitions.keys().filter(is_part) {
                let own = self.name(variant, name);
                if parts.contains_key(own) {
                    continue;
                }
                let mut part = definitions[name].clone();
                part["title"] = own.into();
                redirect(&mut part, &|name| format!("#/$defs/{}", self.name(variant, name)));
                parts.insert(own.to_owned(), part);
            }
        }
        attachment::add_parts(&mut parts);
        let description = "The parts of messages, to which the other documents refer. What readers accept has a name \
                           that begins with `Reader`, where it is not just what writers produce.";
        document(COMMON, "CommonParts", description, json!({ "$defs": parts }))
    }

    /// A definition as a document of its own.
    fn separate(&self, variant: Variant, path: &str, definition: &Value) -> Document {
        let mut schema = definition.clone();
        self.refer_to_common(variant, &mut schema);
        let [name, description] =
            ["title", "description"].map(|key| schema[key].as_str().unwrap_or_default().to_owned());
        document(path, &title(variant, &name), &description, schema)
    }

    /// A message of any type. Its `type` decides by which other document it is judged, so that a
    /// validator reports what is wrong with a message of that type.
    fn any_message(&self, variant: Variant, definitions: &Map<String, Value>) -> Document {
        let mut properties = json!({ "type": { "description": "What the message is." } });
        let description = match variant {
            Variant::Writer => {
                let kinds: Vec<_> = FORMS.iter().map(|form| form.kind).collect();
                merge(&mut properties["type"], json!({ "type": "integer", "enum": kinds }));
                ANY_MESSAGE.to_owned()
            }
            Variant::Reader => {
                merge(&mut properties["type"], json!({ "type": "integer", "minimum": 0 }));
                // Of a message of an unknown type these keys are read, too.
                for form in FORMS {
                    let keys = definitions[&form.title()]["properties"].as_object().into_iter().flatten();
                    for (key, schema) in keys.filter(|(key, _)| !["type", "data"].contains(&key.as_str())) {
                        properties[key] = schema.clone();
                    }
                }
                self.refer_to_common(variant, &mut properties);
                format!(
                    "{ANY_MESSAGE} A message of an unknown type proves that its node lives, as any other does; readers \
                     ignore the rest of it."
                )
            }
        };
        let cases = FORMS.iter().map(|form| {
            json!({
                "if": { "type": "object", "properties": { "type": { "const": form.kind } }, "required": ["type"] },
                "then": { "$ref": format!("{}-{}.json", variant.name(), form.file_name()) },
            })
        });
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": ["type"],
            "allOf": cases.collect::<Vec<_>>(),
        });
        document(&message_path(variant), &title(variant, ANY_MESSAGE_TITLE), &description, schema)
    }

    fn packed(&self, variant: Variant, definitions: &Map<String, Value>) -> Document {
        let (description, mut schema) = packed::schema(definitions);
        self.refer_to_common(variant, &mut schema);
        document(&packed::path(variant), &title(variant, packed::TITLE), description, schema)
    }

    fn refer_to_common(&self, variant: Variant, schema: &mut Value) {
        redirect(schema, &|name| format!("{COMMON}#/$defs/{}", self.name(variant, name)));
    }
}

/// The payload of a notification: a message, the header of one, or a packed message.
fn notification(variant: Variant) -> Document {
    let mut header = json!({ "type": "object", "required": ["attachmentId"] });
    if variant == Variant::Reader {
        header["properties"] = json!({ "attachmentId": { "not": { "enum": ["", 0, false, null] } } });
    }
    let description = "The payload of a notification: the header of an attachment if there is an `attachmentId`, else a \
                       packed message if there is `packed` and no `type`, else a message. For readers \"\", 0, false and \
                       null are no `attachmentId`.";
    let packed = json!({ "type": "object", "required": ["packed"], "not": { "required": ["type"] } });
    let schema = json!({
        "if": header,
        "then": { "$ref": header_path(variant) },
        "else": {
            "if": packed,
            "then": { "$ref": packed::path(variant) },
            "else": { "$ref": message_path(variant) },
        },
    });
    document(&format!("{}-notification.json", variant.name()), &title(variant, "Notification"), description, schema)
}

fn row(variant: Variant) -> Document {
    let path = format!("{}-attachment.json", variant.name());
    let (description, schema) = attachment::schema(&message_path(variant));
    document(&path, &title(variant, "Attachment"), description, schema)
}

/// All definitions in one document, in a form from which other programs generate types.
///
/// `discriminator` is OpenAPI's. Validators do not know it and would try each type in turn: they get
/// [`any_message`].
fn types(variant: Variant, definitions: &Map<String, Value>) -> Document {
    let mapping = FORMS.iter().map(|form| (form.kind.to_string(), reference(&form.title())["$ref"].clone()));
    let schema = json!({
        "oneOf": FORMS.iter().map(|form| reference(&form.title())).collect::<Vec<_>>(),
        "discriminator": { "propertyName": "type", "mapping": mapping.collect::<Map<_, _>>() },
        "$defs": definitions,
    });
    document(&format!("{}-types.json", variant.name()), ANY_MESSAGE_TITLE, ANY_MESSAGE, schema)
}

/// A document, with what all of them begin with.
fn document(path: &str, title: &str, description: &str, schema: Value) -> Document {
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": path,
        "title": title,
        "description": description,
    });
    if let Value::Object(mut schema) = schema {
        schema.retain(|key, _| document.get(key).is_none());
        merge(&mut document, schema.into());
    }
    Document::new(path, document)
}

fn merge(object: &mut Value, others: Value) {
    if let (Value::Object(object), Value::Object(others)) = (object, others) {
        object.extend(others);
    }
}
