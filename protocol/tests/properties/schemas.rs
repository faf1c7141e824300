//! What is written is valid by the schemas; what is read is what the readers' schemas accept.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use socketio_pg_protocol::{Message, Notification, Value, budget::Budget, notification::Encoded, strategies};

use crate::{
    config,
    documents::{by_type, complaints, validator},
    mutations::{KEYS, changes, value},
};

struct Schemas {
    writer: Validator,
    reader: Validator,
    /// For a notification: what a reader accepts.
    notification: Validator,
    written_notification: Validator,
    /// For each type: its number, what a writer produces, what a reader accepts.
    by_type: Vec<(u64, Validator, Validator)>,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let by_type = by_type("writer").into_iter().zip(by_type("reader"));
    Schemas {
        writer: validator("writer.json"),
        reader: validator("reader.json"),
        notification: validator("reader-notification.json"),
        written_notification: validator("writer-notification.json"),
        by_type: by_type.map(|((kind, writer), (_, reader))| (kind, validator(&writer), validator(&reader))).collect(),
    }
});

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_valid_by_both_schemas_of_its_type(message in strategies::message(strategies::json())) {
        let tree = tree(&message.to_json().unwrap());
        // Node.js drops a message without a namespace.
        let is_heard = message.nsp.is_some();
        prop_assert_eq!(complaints(&SCHEMAS.reader, &tree), Vec::<String>::new());
        prop_assert_eq!(SCHEMAS.writer.is_valid(&tree), is_heard, "{}", tree);
        for (kind, writer, reader) in &SCHEMAS.by_type {
            let is_own = *kind == message.body.kind();
            prop_assert_eq!(writer.is_valid(&tree), is_own && is_heard, "{} {}", kind, tree);
            prop_assert_eq!(reader.is_valid(&tree), is_own, "{} {}", kind, tree);
        }
    }

    /// Binary and dates are not seen by a schema of JSON: application data is any value.
    #[test]
    fn what_is_written_as_an_attachment_is_valid(message in strategies::message(strategies::data())) {
        let bytes = message.clone().into_msgpack().unwrap();
        let tree = serde_json::to_value(Value::from_msgpack(&bytes).unwrap()).unwrap();
        prop_assert_eq!(complaints(&SCHEMAS.reader, &tree), Vec::<String>::new());
        prop_assert_eq!(SCHEMAS.writer.is_valid(&tree), message.nsp.is_some(), "{}", tree);
        let Encoded::Attachment { before_id, after_id, .. } = message.encode(Budget::new(0)).unwrap() else {
            unreachable!("nothing fits into nothing")
        };
        let header = serde_json::from_str(&format!("{before_id}17{after_id}")).unwrap();
        prop_assert_eq!(complaints(&SCHEMAS.notification, &header), Vec::<String>::new());
        prop_assert_eq!(complaints(&SCHEMAS.written_notification, &header), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_packed_is_valid(message in strategies::message(strategies::data())) {
        let has_binary = message.body.has_binary();
        let has_namespace = message.nsp.is_some() && message.uid.is_some();
        let written = message.encode(Budget::default().pack_binary(true)).unwrap();
        if let (true, Encoded::Inline(payload)) = (has_binary, written) {
            let tree = tree(&payload);
            prop_assert_eq!(complaints(&SCHEMAS.notification, &tree), Vec::<String>::new());
            prop_assert_eq!(SCHEMAS.written_notification.is_valid(&tree), has_namespace, "{}", tree);
        }
    }

    /// Also the other way round: what the schema accepts, this crate reads.
    #[test]
    fn what_is_read_is_what_the_schema_accepts(
        message in strategies::message(strategies::json()),
        changes in changes(KEYS, 1..4),
    ) {
        let mut tree = tree(&message.to_json().unwrap());
        for (at, change) in changes {
            change.apply(&mut tree, at);
        }
        let read = Message::from_json(&tree.to_string());
        let complaints = complaints(&SCHEMAS.reader, &tree);
        prop_assert_eq!(read.is_ok(), complaints.is_empty(), "{}: {:?}, {:#?}", tree, read, complaints);
    }

    #[test]
    fn a_header_is_read_as_the_schema_says(id in row_number(), changes in changes(HEADER_KEYS, 0..3)) {
        let mut header = json!({ "uid": "8f42b1c09d5e7a36", "type": 3, "nsp": "/", "attachmentId": id });
        for (at, change) in changes {
            change.apply(&mut header, at);
        }
        let read = Notification::decode(&header.to_string());
        let complaints = complaints(&SCHEMAS.notification, &header);
        prop_assert_eq!(read.is_ok(), complaints.is_empty(), "{}: {:?}, {:#?}", header, read, complaints);
    }
}

/// Not by serde_json: some strings have lone surrogates.
fn tree(text: &str) -> Json {
    serde_json::to_value(Value::from_json(text).unwrap()).unwrap()
}

/// Rows, as strings and as numbers, and what is none.
fn row_number() -> impl Strategy<Value = Json> {
    prop_oneof![
        (1..i64::MAX).prop_map(|id| json!(id.to_string())),
        any::<i64>().prop_map(Json::from),
        "[ \t\n]?[+-]?[0-9]{0,17}[ \n]?".prop_map(Json::from),
        "[ 0-9a-fx;.]{0,5}".prop_map(Json::from),
        value(),
    ]
}

/// Not those of messages: this crate reads them in a header, too, but a header has none.
const HEADER_KEYS: &[&str] = &["type", "uid", "nsp", "attachmentId", "unheardOf"];
