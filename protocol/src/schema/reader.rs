//! What readers accept beyond what writers produce.
//!
//! The table here says it key by key. A property test compares the schemas that come of it with
//! what this crate reads.

use serde_json::{Map, Value, json};

use super::{
    definitions::{header_name, referenced, references},
    examples,
    forms::ANY_TYPE,
    messages::FORMS,
};

/// What a reader accepts of a key.
enum Tolerance {
    /// The key may be missing.
    Missing,
    /// Null means that it is missing.
    Null,
    /// Any value, since nothing is done with it, or because all values but some count as missing.
    Any,
    /// The same, but a text has its limit: readers keep it.
    AnyButLongText,
    /// Any number of JavaScript that is whole and not negative.
    Whole,
    /// A row's number, also as a number, and with white space as PostgreSQL takes it.
    RowNumber,
}

use Tolerance::{Any, AnyButLongText, Missing, Null, RowNumber, Whole};

/// Stands for the schemas of all messages.
const MESSAGES: &str = "*";

/// In which schemas, of which keys, what is accepted.
const TOLERATED: &[(&str, &str, &[Tolerance])] = &[
    (MESSAGES, "uid", &[Missing, Null]),
    (MESSAGES, "nsp", &[Missing, Null]),
    (MESSAGES, "source", &[Any]),
    (MESSAGES, "requesterUid", &[AnyButLongText]),
    (MESSAGES, "nodeId", &[AnyButLongText]),
    (MESSAGES, "nonce", &[AnyButLongText]),
    (MESSAGES, "replyTo", &[Any]),
    (MESSAGES, "session", &[Any]),
    (MESSAGES, "heartbeats", &[Any]),
    (MESSAGES, "binary", &[Any]),
    ("EventPacket", "type", &[Missing, Whole]),
    ("EventPacket", "data", &[Missing, Any]),
    ("EventPacket", "nsp", &[Any]),
    ("Selector", "rooms", &[Missing, Null]),
    ("Selector", "except", &[Missing, Null]),
    ("Selector", "flags", &[Any]),
    ("BroadcastData", "requestId", &[Null]),
    ("DisconnectSocketsData", "close", &[Missing]),
    ("FetchSocketsData", "only", &[Any]),
    ("FetchSocketsResponseData", "requestId", &[Missing, Null]),
    ("FetchSocketsResponseData", "count", &[Null]),
    ("FetchSocketsResponseData", "ids", &[Null]),
    ("SocketDescription", "handshake", &[Missing, Any]),
    ("SocketDescription", "rooms", &[Missing, Null]),
    ("ServerSideEmitData", "requestId", &[Null]),
    ("ServerSideEmitData", "packet", &[Any]),
    ("ServerSideEmitResponseData", "requestId", &[Missing, Null]),
    ("BroadcastClientCountData", "requestId", &[Missing, Null]),
    ("BroadcastClientCountData", "clientCount", &[Whole]),
    ("BroadcastAckData", "requestId", &[Missing, Null]),
    ("NotificationHeader", "uid", &[Missing, Null]),
    ("NotificationHeader", "type", &[Missing, Whole]),
    ("NotificationHeader", "nsp", &[Null]),
    ("NotificationHeader", "attachmentId", &[RowNumber]),
];

/// Makes what writers produce into what readers accept.
pub(super) fn tolerant(mut definitions: Map<String, Value>) -> Map<String, Value> {
    let written = definitions.clone();
    // An application may use any value as the name of a room.
    definitions["Room"]["type"] = json!(ANY_TYPE);
    if let Some(socket) = definitions["SocketDescription"].as_object_mut() {
        socket.shift_remove("not");
    }
    for form in FORMS {
        definitions[&form.title()]["examples"] = examples::messages(form.kind).into();
    }
    for (name, key, tolerances) in TOLERATED {
        let names = match *name {
            MESSAGES => FORMS.iter().map(|form| form.title()).collect(),
            name => vec![name.to_owned()],
        };
        for name in names {
            accept(&mut definitions[&name], key, tolerances, &written);
        }
    }
    keep_referenced(definitions)
}

fn accept(definition: &mut Value, key: &str, tolerances: &[Tolerance], written: &Map<String, Value>) {
    // Not every message has every key.
    let Some(property) = definition["properties"].get_mut(key) else { return };
    let mut is_optional = false;
    for tolerance in tolerances {
        match tolerance {
            Missing => is_optional = true,
            Null => accept_null(property),
            Any => replace(property, json!({ "type": ANY_TYPE })),
            AnyButLongText => {
                let text = referenced(property).map_or(&*property, |name| &written[name]);
                let any = json!({ "type": ANY_TYPE, "maxLength": text["maxLength"] });
                replace(property, any);
            }
            Whole => replace(property, json!({ "type": "integer", "minimum": 0 })),
            RowNumber => {
                let numbers = json!({ "type": ["string", "integer"], "pattern": r"^\s*[+-]?[0-9]+\s*$", "minimum": i64::MIN, "maximum": i64::MAX });
                replace(property, numbers);
            }
        }
    }
    if is_optional && let Some(required) = definition["required"].as_array_mut() {
        required.retain(|required| required != key);
        if required.is_empty()
            && let Some(keywords) = definition.as_object_mut()
        {
            keywords.shift_remove("required");
        }
    }
}

/// Replaces all of a schema but its description.
fn replace(schema: &mut Value, by: Value) {
    let description = schema.get("description").cloned();
    let described = description.map(|text| ("description".to_owned(), text));
    let Value::Object(by) = by else { return };
    *schema = described.into_iter().chain(by).collect::<Map<_, _>>().into();
}

fn accept_null(schema: &mut Value) {
    match schema.get("allOf").and_then(|all| all.get(0)).cloned() {
        Some(only) => replace(schema, json!({ "anyOf": [only, { "type": "null" }] })),
        None => schema["type"] = json!([schema["type"], "null"]),
    }
}

/// Leaves out the parts of messages that no message has any more.
fn keep_referenced(definitions: Map<String, Value>) -> Map<String, Value> {
    let mut kept = FORMS.iter().map(|form| form.title()).chain([header_name()]).collect::<Vec<_>>();
    let mut next = 0;
    while let Some(name) = kept.get(next) {
        for referenced in references(&definitions[name]) {
            if !kept.contains(&referenced) {
                kept.push(referenced);
            }
        }
        next += 1;
    }
    definitions.into_iter().filter(|(name, _)| kept.contains(name)).collect()
}
