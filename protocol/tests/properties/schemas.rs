//! What is written is valid by the schemas; what is read is what the readers' schemas accept.

use std::{ops::Range, sync::LazyLock};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use socketio_pg_protocol::{Message, Notification, Value, budget::Budget, notification::Encoded, strategies};

use crate::{
    config,
    documents::{by_type, complaints, validator},
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

/// A change somewhere in a message.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    Replace(Json),
    /// Adds a key of the protocol, or an unknown one.
    Add(&'static str, Json),
}

impl Change {
    fn apply(self, tree: &mut Json, at: prop::sample::Index) {
        let mut places = Vec::new();
        collect(tree, String::new(), &mut places);
        let place = &places[at.index(places.len())];
        match self {
            Self::Replace(value) => *tree.pointer_mut(place).unwrap() = value,
            Self::Add(key, value) => {
                if let Json::Object(object) = tree.pointer_mut(place).unwrap() {
                    object.insert(key.to_owned(), value);
                }
            }
            Self::Remove => {
                let Some((parent, key)) = place.rsplit_once('/') else { return };
                match tree.pointer_mut(parent).unwrap() {
                    Json::Object(object) => _ = object.shift_remove(&key.replace("~1", "/").replace("~0", "~")),
                    Json::Array(items) => _ = items.remove(key.parse().unwrap()),
                    _ => unreachable!("it has a child"),
                }
            }
        }
    }
}

/// Every place in a value, as a JSON pointer; but not deep in application data, of which there is
/// much.
fn collect(value: &Json, place: String, places: &mut Vec<String>) {
    let children: Vec<(String, &Json)> = match value {
        _ if place.matches('/').count() > 5 => Vec::new(),
        Json::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        Json::Object(object) => {
            object.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        collect(child, format!("{place}/{key}"), places);
    }
    places.push(place);
}

/// Changes at any place, which may add one of these keys.
fn changes(
    keys: &'static [&'static str],
    count: Range<usize>,
) -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    let change = prop_oneof![
        2 => Just(Change::Remove),
        4 => value().prop_map(Change::Replace),
        2 => (prop::sample::select(keys), value()).prop_map(|(key, value)| Change::Add(key, value)),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), change), count)
}

/// Not those of messages: this crate reads them in a header, too, but a header has none.
const HEADER_KEYS: &[&str] = &["type", "uid", "nsp", "attachmentId", "unheardOf"];

const KEYS: &[&str] = &[
    "type",
    "data",
    "uid",
    "nsp",
    "source",
    "requesterUid",
    "nodeId",
    "nonce",
    "replyTo",
    "opts",
    "rooms",
    "except",
    "flags",
    "packet",
    "requestId",
    "close",
    "clientCount",
    "sockets",
    "id",
    "handshake",
    "server",
    "unheardOf",
];

/// Values of every type, and of every kind that the protocol tells apart.
fn value() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-2..16_i64).prop_map(Json::from),
        prop::sample::select(vec![
            json!(3.0),
            json!(2.5),
            json!(-0.0),
            json!(1_u64 << 53),
            json!(u64::MAX),
            json!(i64::MIN)
        ]),
        // Ids are limited in bytes, which a schema cannot count: these are ASCII.
        prop::sample::select(vec![
            String::new(),
            "text".into(),
            "x".repeat(256),
            "x".repeat(257),
            "socket.io?0f1e2d3c4b5a6978".into()
        ])
        .prop_map(Json::from),
        prop::sample::select(vec![
            json!([]),
            json!([null]),
            json!(["room", 7]),
            json!({}),
            json!({ "rooms": null }),
            json!({ "type": 2, "data": [] })
        ]),
    ]
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
