//! The exported documents are current, complete, and match what Node.js really sends.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod recordings;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use recordings::{captures, messages};
use serde_json::{Value, json};
use socketio_pg_protocol::{Message, schema};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

/// With `UPDATE_SCHEMAS` set the files are written instead.
#[test]
fn the_committed_documents_are_what_is_exported() {
    let exported: BTreeMap<_, _> =
        schema::documents().into_iter().map(|document| (folder().join(document.path), document.text)).collect();
    if env::var_os("UPDATE_SCHEMAS").is_some() {
        _ = fs::remove_dir_all(folder());
        for (path, text) in &exported {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let stale: Vec<_> =
        exported.iter().filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text)).collect();
    let paths: Vec<_> = stale.iter().map(|(path, _)| path).collect();
    assert!(paths.is_empty(), "not as exported: {paths:#?}: run the test with UPDATE_SCHEMAS=1 and commit the result");
    let forgotten: Vec<_> = files(&folder()).into_iter().filter(|path| !exported.contains_key(path)).collect();
    assert!(
        forgotten.is_empty(),
        "no longer exported: {forgotten:#?}: delete them, or run the test with UPDATE_SCHEMAS=1"
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_schema_is_a_valid_json_schema_2020_12() {
    for (path, schema) in schemas() {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{path}");
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Its parser does not look into them.
#[test]
fn the_asyncapi_document_has_the_same_schemas() {
    let document = schema::asyncapi();
    let messages: Value = schema::messages().to_value();
    let same = |schema: &Value| schema.to_string().replace("#/components/schemas/", "#/$defs/");
    for (name, definition) in messages["$defs"].as_object().unwrap() {
        let component = &document["components"]["schemas"][name];
        assert_eq!(same(component), definition.to_string(), "{name}");
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let schema = message["payload"]["schema"]["$ref"].as_str().unwrap();
        assert!(document.pointer(schema.trim_start_matches('#')).is_some(), "{name}: {schema}");
    }
}

#[test]
fn everything_is_described() {
    for (path, schema) in schemas() {
        assert!(schema["description"].is_string(), "{path}");
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            assert!(definition["description"].is_string(), "{path}: {name}");
        }
        for_each_property(&schema, &mut |name, property| {
            let reference = property["$ref"].as_str();
            let described = reference.map_or(property, |at| schema.pointer(at.trim_start_matches('#')).unwrap());
            assert!(described["description"].is_string(), "{path}: {name}");
        });
    }
}

#[test]
fn no_description_speaks_of_rust() {
    for (path, schema) in schemas() {
        let text = schema.to_string();
        for word in ["None", "Option<", "[`", "Vec<", "crate::", "Cluster::"] {
            assert!(!text.contains(word), "{path} contains {word:?}");
        }
    }
}

#[test]
fn the_examples_are_valid_and_were_recorded() {
    let recorded: BTreeSet<_> = recordings::lines().into_iter().collect();
    for line in include_str!("../src/schema/examples.jsonl").lines() {
        assert!(recorded.contains(line), "not recorded: {line}");
    }
    for (path, schema) in schemas() {
        let validator = validator(&schema);
        let examples = schema["examples"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(!examples.is_empty() || path == "messages.json", "{path} has no example");
        for example in examples {
            assert!(validator.is_valid(example), "{path}: {example}");
        }
    }
}

#[test]
fn every_example_is_read() {
    for kind in 1..=13 {
        let schema = schema::message(kind).unwrap().to_value();
        for example in schema["examples"].as_array().unwrap() {
            let message = Message::from_json(&example.to_string()).unwrap();
            assert_eq!(message.body.kind(), kind);
            assert_eq!(message.to_json().unwrap(), example.to_string());
        }
    }
}

#[test]
fn every_recorded_message_is_valid_as_its_type_and_as_no_other() {
    let schemas = Schemas::new();
    let mut types = BTreeSet::new();
    for (scenario, message) in messages() {
        schemas.any.validate(&message).unwrap_or_else(|error| panic!("{scenario}: {error}"));
        let kind = message["type"].as_u64().unwrap();
        let valid: Vec<_> =
            schemas.by_type.iter().filter(|(_, schema)| schema.is_valid(&message)).map(|(kind, _)| *kind).collect();
        assert_eq!(valid, [kind], "{scenario}");
        types.insert(kind);
    }
    assert_eq!(types, (1..=13).collect(), "all types were recorded");
}

#[test]
fn every_recorded_attachment_is_valid_with_its_header() {
    let header = validator(&schema::notification_header().to_value());
    let row = validator(&schema::attachment().to_value());
    let mut count = 0;
    for line in captures() {
        let payload: Value = if line.attachment_hex.is_some() {
            serde_json::from_str(&line.payload).unwrap()
        } else {
            continue;
        };
        header.validate(&payload).unwrap_or_else(|error| panic!("{}: {error}", line.scenario));
        let id: i64 = payload["attachmentId"].as_str().unwrap().parse().unwrap();
        let columns = json!({ "id": id, "payload": line.attachment_hex });
        row.validate(&columns).unwrap_or_else(|error| panic!("{}: {error}", line.scenario));
        count += 1;
    }
    assert!(count > 100, "only {count} attachments");
}

/// Takes recorded messages and breaks each of their parts, one after another: leaves it out, or
/// puts in a value of another type.
#[test]
fn a_broken_message_is_refused() {
    let schemas = Schemas::new();
    let mut accepted = BTreeSet::new();
    let mut count = 0;
    for (scenario, message) in messages() {
        let kind = message["type"].as_u64().unwrap();
        for (how, broken) in broken(&message) {
            count += 1;
            if schemas.any.is_valid(&broken) || schemas.by_type[&kind].is_valid(&broken) {
                accepted.insert(format!("{kind}: {how}, as in {scenario}"));
            }
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    assert!(count > 5000, "only {count} broken messages");
}

#[test]
fn what_must_never_be_sent_is_refused() {
    let any = validator(&schema::messages().to_value());
    let mut count = 0;
    for line in include_str!("fixtures/refused.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        assert!(!any.is_valid(&case["message"]), "accepted, although {}", case["because"]);
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn a_broken_header_is_refused() {
    let header = validator(&schema::notification_header().to_value());
    let good = json!({"uid": "8f42b1c09d5e7a36", "type": 3, "attachmentId": "17"});
    assert!(header.is_valid(&good));
    for (key, wrong) in [
        ("uid", json!(1)),
        ("type", json!("3")),
        ("type", json!(14)),
        ("nsp", json!(null)),
        ("attachmentId", json!(17)),
        ("attachmentId", json!("")),
        ("attachmentId", json!("0")),
        ("attachmentId", json!("1; DROP TABLE")),
    ] {
        let mut broken = good.clone();
        broken[key] = wrong;
        assert!(!header.is_valid(&broken), "{broken}");
    }
    for key in ["uid", "type", "attachmentId"] {
        let mut broken = good.clone();
        broken.as_object_mut().unwrap().remove(key);
        assert!(!header.is_valid(&broken), "{broken}");
    }
}

/// Application data, which the protocol does not judge.
const FREE: &[(u64, &str)] = &[(10, "/data/packet"), (12, "/data/packet")];

/// Every part of a message that the protocol knows, as JSON pointers. `*` is any item of an array.
const PARTS: &[&str] = &[
    "/type",
    "/data",
    "/uid",
    "/nsp",
    "/source",
    "/requesterUid",
    "/nodeId",
    "/data/packet",
    "/data/packet/type",
    "/data/packet/data",
    "/data/packet/nsp",
    "/data/requestId",
    "/data/opts",
    "/data/opts/rooms",
    "/data/opts/rooms/*",
    "/data/opts/except",
    "/data/opts/except/*",
    "/data/opts/flags",
    "/data/opts/flags/volatile",
    "/data/opts/flags/compress",
    "/data/opts/flags/timeout",
    "/data/opts/flags/expectSingleResponse",
    "/data/rooms",
    "/data/rooms/*",
    "/data/close",
    "/data/clientCount",
    "/data/sockets",
    "/data/sockets/*",
    "/data/sockets/*/id",
    "/data/sockets/*/handshake",
    "/data/sockets/*/handshake/headers",
    "/data/sockets/*/handshake/time",
    "/data/sockets/*/handshake/address",
    "/data/sockets/*/handshake/xdomain",
    "/data/sockets/*/handshake/secure",
    "/data/sockets/*/handshake/issued",
    "/data/sockets/*/handshake/url",
    "/data/sockets/*/handshake/query",
    "/data/sockets/*/handshake/auth",
    "/data/sockets/*/rooms",
    "/data/sockets/*/rooms/*",
];

/// Parts that Node.js does not always write.
const OPTIONAL: &[&str] = &["/nsp", "/source", "/requesterUid", "/nodeId", "/data/packet/nsp", "/data/opts/flags"];

fn broken(message: &Value) -> Vec<(String, Value)> {
    let kind = message["type"].as_u64().unwrap();
    let mut broken = Vec::new();
    for part in PARTS {
        let at = part.replace('*', "0");
        let Some(original) = message.pointer(&at) else { continue };
        if FREE.contains(&(kind, *part)) || (kind == 9 && part.starts_with("/data/packet/")) {
            continue;
        }
        let mut wrong = message.clone();
        *wrong.pointer_mut(&at).unwrap() = if original.is_object() { json!("wrong") } else { json!({ "wrong": true }) };
        broken.push((format!("{part} is of another type"), wrong));

        let is_request_id = *part == "/data/requestId" && matches!(kind, 3 | 9);
        if part.ends_with('*') || part.contains("/flags/") || OPTIONAL.contains(part) || is_request_id {
            continue;
        }
        let mut missing = message.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        missing.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        broken.push((format!("{part} is missing"), missing));
    }
    broken
}

/// All schemas, by their paths.
fn schemas() -> Vec<(String, Value)> {
    let documents = schema::documents().into_iter().filter(|document| document.path != "asyncapi.json");
    documents.map(|document| (document.path, serde_json::from_str(&document.text).unwrap())).collect()
}

struct Schemas {
    any: Validator,
    by_type: BTreeMap<u64, Validator>,
}

impl Schemas {
    fn new() -> Self {
        let by_type = (1..=13).map(|kind| (kind, validator(&schema::message(kind).unwrap().to_value())));
        Self { any: validator(&schema::messages().to_value()), by_type: by_type.collect() }
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

fn for_each_property(schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| for_each_property(item, visit)),
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match (keyword.as_str(), value) {
                    ("examples", _) => {}
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            visit(name, property);
                            for_each_property(property, visit);
                        }
                    }
                    _ => for_each_property(value, visit),
                }
            }
        }
        _ => {}
    }
}
