//! The protocol as documents: JSON Schema 2020-12 and AsyncAPI 3.
//!
//! The schemas come from the types and their doc comments, so they cannot differ from this crate.
//! There are two of each: what a node may *write*, and what it must be able to *read*. No schema
//! closes an object, since unknown keys are allowed everywhere.
//!
//! | document | what it describes |
//! |---|---|
//! | `writer.json`, `reader.json` | a message of any type |
//! | `writer-broadcast.json` and so on | a message of one type |
//! | `writer-notification.json`, `reader-notification.json` | what a notification carries: a message, a header, or a packed message |
//! | `writer-notification-header.json`, `reader-notification-header.json` | the header of an attachment |
//! | `writer-packed-message.json`, `reader-packed-message.json` | a message with binary in the notification itself |
//! | `writer-attachment.json`, `reader-attachment.json` | a row of the attachments table, and MessagePack |
//! | `common.json` | the parts of messages, to which the documents above refer |
//! | `writer-types.json`, `reader-types.json` | the same for programs that generate types: in one document, with a discriminator |
//! | `asyncapi.json` | channels, operations and their time limits |
//!
//! References are relative, and so is each `$id`: it is the name of the file. The documents find
//! each other in any folder, and at any address from which they are served.
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
mod definitions;
mod description;
mod examples;
mod files;
mod forms;
mod messages;
mod packed;
mod reader;
mod variant;

use serde_json::Value;

pub(crate) use self::{forms::Texts, messages::Form};

/// A document, ready to be written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Where it belongs, relative to the folder of all documents.
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
    let mut documents = files::documents();
    documents.push(Document::new("asyncapi.json", asyncapi()));
    documents
}

/// Channels, operations and messages, as an AsyncAPI 3 document.
pub fn asyncapi() -> Value {
    asyncapi::document()
}
