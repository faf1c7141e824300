//! Messages with a part that is missing, is of another type, or should not be there.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A change somewhere in a message.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Remove,
    Replace(Json),
    /// Adds a key of the protocol, or an unknown one.
    Add(&'static str, Json),
}

impl Change {
    pub(crate) fn apply(self, tree: &mut Json, at: prop::sample::Index) {
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
pub(crate) fn changes(
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

/// Keys of messages, and an unknown one.
pub(crate) const KEYS: &[&str] = &[
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
    "only",
    "count",
    "ids",
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
pub(crate) fn value() -> impl Strategy<Value = Json> {
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
