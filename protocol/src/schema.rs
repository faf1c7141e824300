//! The protocol as documents: JSON Schema 2020-12 and AsyncAPI 3.
//!
//! The schemas come from the types and their doc comments, so they cannot differ from this crate.
//! They describe what a node *writes*. Readers must be more tolerant: they take keys in any order,
//! ignore keys that they do not know (therefore no schema closes an object) and ignore types that
//! they do not know.
//!
//! | document | what it describes |
//! |---|---|
//! | `messages.json` | a message of any type |
//! | `messages/broadcast.json` and so on | a message of one type |
//! | `notification-header.json` | the payload of a notification whose message is an attachment |
//! | `attachment.json` | a row of the attachments table, and MessagePack |
//! | `asyncapi.json` | channels, operations and their time limits |
//!
//! ```
//! for document in socketio_pg_protocol::schema::documents() {
//!     println!("{}: {} bytes", document.path, document.text.len());
//! }
//! ```
//!
//! `cargo run -p socketio-pg-protocol --features schema --bin export -- <folder>` writes them.

mod asyncapi;
mod attachment;
mod description;
mod examples;
mod forms;
mod messages;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

pub(crate) use self::{forms::Texts, messages::Form};
use crate::{Message, Payload, notification::Header};

/// A document, ready to be written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Where it belongs, relative to the folder of all documents, with `/`.
    pub path: String,
    /// JSON, indented, with a newline at its end.
    pub text: String,
}

impl Document {
    fn new(path: impl Into<String>, value: impl Into<Value>) -> Self {
        // a tree of JSON, written to memory
        let text = format!("{:#}\n", value.into());
        Self { path: path.into(), text }
    }
}

/// All documents.
pub fn documents() -> Vec<Document> {
    let mut documents = vec![
        Document::new("messages.json", messages()),
        Document::new("notification-header.json", notification_header()),
        Document::new("attachment.json", attachment()),
        Document::new("asyncapi.json", asyncapi()),
    ];
    documents.extend(messages::FORMS.iter().map(|form| {
        let schema = message(form.kind).expect("it is one of the types");
        Document::new(format!("messages/{}.json", form.file_name()), schema)
    }));
    documents
}

/// A message of any type, as JSON Schema.
pub fn messages() -> Schema {
    root(&Message::<Payload>::schema_name(), Message::json_schema)
}

/// A message of one type, as JSON Schema. `None` when there is no such type.
pub fn message(kind: u64) -> Option<Schema> {
    let form = messages::FORMS.iter().find(|form| form.kind == kind)?;
    Some(root(&form.title(), |generator| form.schema(generator)))
}

/// The payload of a notification whose message is an attachment, as JSON Schema.
pub fn notification_header() -> Schema {
    root(&Header::schema_name(), |generator| {
        let mut schema = Header::json_schema(generator);
        let examples = examples::attachments().map(|(header, _)| header.clone()).collect::<Vec<_>>();
        schema.insert("examples".to_owned(), examples.into());
        schema
    })
}

/// A row of the attachments table, as JSON Schema: its columns, and how MessagePack holds a
/// message.
pub fn attachment() -> Schema {
    root("Attachment", attachment::schema)
}

/// Channels, operations and messages, as an AsyncAPI 3 document.
pub fn asyncapi() -> Value {
    asyncapi::document()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().for_serialize().with_transform(description::Tidy)
}

/// A schema with its definitions, as a separate document.
fn root(title: &str, schema: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Schema {
    let mut generator = settings().into_generator();
    let mut schema = schema(&mut generator);
    let mut document = Map::new();
    document.insert("$schema".into(), generator.settings().meta_schema.as_deref().into());
    document.insert("title".into(), title.into());
    document.append(schema.ensure_object());
    document.insert("$defs".into(), generator.take_definitions(false).into());
    let mut document = Schema::from(document);
    generator.transforms_mut().for_each(|transform| transform.transform(&mut document));
    document
}
