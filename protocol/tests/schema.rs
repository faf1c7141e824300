//! The exported documents are current, complete, and match what Node.js really sends.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod documents;
mod recordings;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use serde_json::{Value, json};
use socketio_pg_protocol::{Message, schema};

use documents::{SCHEMAS, by_type, complaints, validator};
use recordings::{captures, messages};

const VARIANTS: [&str; 2] = ["writer", "reader"];

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
    for (path, schema) in &*SCHEMAS {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{path}");
        jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// A reference leads to a document of the same folder, so it is found wherever the folder is.
#[test]
fn every_reference_leads_to_a_schema() {
    let mut count = 0;
    for (path, schema) in &*SCHEMAS {
        assert_eq!(schema["$id"], path.as_str());
        assert!(!path.contains('/'), "{path}");
        for reference in references(schema) {
            let (document, pointer) = reference.split_once('#').unwrap_or((&reference, ""));
            let document = if document.is_empty() { path } else { document };
            let found = SCHEMAS.get(document).and_then(|schema| schema.pointer(pointer));
            assert!(found.is_some(), "{path}: {reference}");
            count += 1;
        }
    }
    assert!(count > 200, "only {count} references");
}

#[test]
fn the_documents_for_generators_refer_to_no_other() {
    for variant in VARIANTS {
        let schema = &SCHEMAS[&format!("{variant}-types.json")];
        assert!(references(schema).iter().all(|reference| reference.starts_with("#/$defs/")), "{variant}");
        let mapping = schema["discriminator"]["mapping"].as_object().unwrap();
        assert_eq!(mapping.len(), 13);
        for (kind, reference) in mapping {
            let message = schema.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
            assert_eq!(message["properties"]["type"]["const"], kind.parse::<u64>().unwrap(), "{variant}");
        }
    }
}

/// The documents for generators judge as those for validators do.
#[test]
fn the_documents_for_generators_accept_the_same_messages() {
    for variant in VARIANTS {
        let [any, types] = ["", "-types"].map(|suffix| validator(&format!("{variant}{suffix}.json")));
        let mut broken_ones = 0;
        for (scenario, message) in messages() {
            for (how, message) in broken(&message).into_iter().chain([(String::new(), message)]) {
                assert_eq!(any.is_valid(&message), types.is_valid(&message), "{variant}: {scenario}: {how}");
                broken_ones += usize::from(!any.is_valid(&message));
            }
        }
        assert!(broken_ones > 1000, "{variant}: only {broken_ones} broken messages");
    }
}

/// Its parser does not look into them.
#[test]
fn the_asyncapi_document_has_the_same_schemas() {
    let document = schema::asyncapi();
    let written = &SCHEMAS["writer-types.json"];
    let same = |schema: &Value| schema.to_string().replace("#/components/schemas/", "#/$defs/");
    for (name, definition) in written["$defs"].as_object().unwrap() {
        let component = &document["components"]["schemas"][name];
        assert_eq!(same(component), definition.to_string(), "{name}");
    }
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let schema = message["payload"]["schema"]["$ref"].as_str().unwrap();
        assert!(document.pointer(schema.trim_start_matches('#')).is_some(), "{name}: {schema}");
    }
}

#[test]
fn everything_has_a_title_and_a_description() {
    for (path, schema) in &*SCHEMAS {
        let definitions = schema["$defs"].as_object().into_iter().flatten();
        let root = (path, schema);
        for (name, definition) in definitions.chain([root]) {
            assert!(definition["title"].is_string() && definition["description"].is_string(), "{path}: {name}");
            let is_part = name != path;
            assert!(!is_part || definition["title"] == name.as_str(), "{path}: {name}");
        }
        for_each_property(schema, &mut |name, property| {
            // A test of a key describes nothing.
            if property.get("const").or(property.get("not")).is_some() && property.get("type").is_none() {
                return;
            }
            let described = match property["$ref"].as_str().and_then(|reference| reference.split_once('#')) {
                Some(("", pointer)) => schema.pointer(pointer).unwrap(),
                Some((document, pointer)) => SCHEMAS[document].pointer(pointer).unwrap(),
                None => property,
            };
            assert!(described["description"].is_string(), "{path}: {name}");
        });
    }
    let titles: BTreeSet<_> = SCHEMAS.values().map(|schema| schema["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), SCHEMAS.len() - 2, "only the documents for generators have the title of another");
}

#[test]
fn no_description_speaks_of_rust() {
    for (path, schema) in &*SCHEMAS {
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
    let has_none = ["common", "writer", "reader", "-types", "-notification"];
    for (path, schema) in &*SCHEMAS {
        let validator = validator(path);
        let examples = schema["examples"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(!examples.is_empty() || has_none.iter().any(|end| path.ends_with(&format!("{end}.json"))), "{path}");
        for example in examples {
            assert!(validator.is_valid(example), "{path}: {example}");
        }
    }
}

#[test]
fn every_example_is_read() {
    for path in VARIANTS.iter().flat_map(|variant| by_type(variant).into_values()) {
        for example in SCHEMAS[&path]["examples"].as_array().unwrap() {
            let message = Message::from_json(&example.to_string()).unwrap();
            assert_eq!(message.body.kind(), SCHEMAS[&path]["properties"]["type"]["const"]);
            assert_eq!(message.to_json().unwrap(), example.to_string());
        }
    }
}

/// Node.js's emitter writes no namespace. Node.js's adapters drop such messages.
fn is_dropped_by_node_js(message: &Value) -> bool {
    message.get("nsp").is_none()
}

#[test]
fn every_recorded_message_is_valid_as_its_type_and_as_no_other() {
    for variant in VARIANTS {
        let schemas = Schemas::new(variant);
        let mut types = BTreeSet::new();
        let mut dropped = 0;
        for (scenario, message) in messages() {
            let kind = message["type"].as_u64().unwrap();
            if variant == "writer" && is_dropped_by_node_js(&message) {
                assert_eq!(complaints(&schemas.any, &message), [": \"nsp\" is a required property"], "{scenario}");
                dropped += 1;
                continue;
            }
            assert_eq!(complaints(&schemas.any, &message), [""; 0], "{variant}: {scenario}");
            let valid: Vec<_> =
                schemas.by_type.iter().filter(|(_, schema)| schema.is_valid(&message)).map(|(kind, _)| *kind).collect();
            assert_eq!(valid, [kind], "{variant}: {scenario}");
            types.insert(kind);
        }
        assert_eq!(types, (1..=13).collect(), "all types were recorded");
        assert_eq!(dropped, if variant == "writer" { 25 } else { 0 }, "the messages of Node.js's emitter");
    }
}

#[test]
fn every_recorded_notification_is_valid() {
    for variant in VARIANTS {
        let notification = validator(&format!("{variant}-notification.json"));
        let row = validator(&format!("{variant}-attachment.json"));
        let mut rows = 0;
        for line in captures() {
            // not by serde_json: some strings have lone surrogates
            let payload = serde_json::to_value(socketio_pg_protocol::Value::from_json(&line.payload).unwrap()).unwrap();
            let is_header = payload.get("attachmentId").is_some();
            if !is_header
                && (is_dropped_by_node_js(&payload) && variant == "writer" || line.scenario == recordings::FOREIGN.0)
            {
                assert!(!notification.is_valid(&payload), "{variant}: {}", line.scenario);
                continue;
            }
            assert_eq!(complaints(&notification, &payload), [""; 0], "{variant}: {}", line.scenario);
            let Some(bytes) = line.attachment_hex else { continue };
            let id: i64 = payload["attachmentId"].as_str().unwrap().parse().unwrap();
            assert_eq!(complaints(&row, &json!({ "id": id, "payload": bytes })), [""; 0], "{}", line.scenario);
            rows += 1;
        }
        assert!(rows > 100, "only {rows} attachments");
    }
}

/// Readers ignore keys that they do not know, and writers may write them.
#[test]
fn unknown_keys_are_allowed_everywhere() {
    let [written, read] = VARIANTS.map(|variant| validator(&format!("{variant}.json")));
    let mut count = 0;
    for (scenario, message) in messages() {
        // Headers and the query have no keys of the protocol.
        let parts = PARTS.iter().filter(|part| !part.contains("handshake/"));
        for part in parts.chain([&""]) {
            let mut extended = message.clone();
            let Some(Value::Object(object)) = extended.pointer_mut(&part.replace('*', "0")) else { continue };
            object.insert("unheardOf".into(), json!({ "type": 13 }));
            assert_eq!(complaints(&read, &extended), [""; 0], "{scenario}: {part}");
            assert_eq!(written.is_valid(&extended), !is_dropped_by_node_js(&message), "{scenario}: {part}");
            count += 1;
        }
    }
    assert!(count > 1000, "only {count} objects");
}

/// Takes recorded messages and breaks each of their parts, one after another: leaves it out, or
/// puts in a value of another type.
#[test]
fn a_broken_message_is_refused() {
    let schemas = Schemas::new("writer");
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

/// Instead of "not valid under any of the given schemas".
#[test]
fn what_is_wrong_with_a_message_is_told() {
    let any = validator("writer-notification.json");
    let rooms = r#"{"rooms":[],"except":[]}"#;
    for (message, expected) in [
        ("[]".to_owned(), r#": [] is not of type "object""#),
        (r#"{"uid":"a","nsp":"/"}"#.to_owned(), r#": "type" is a required property"#),
        (r#"{"type":14,"uid":"a","nsp":"/"}"#.to_owned(), "/type: 14 is not one of 1, 2 or 11 other candidates"),
        (r#"{"type":2,"uid":"a"}"#.to_owned(), r#": "nsp" is a required property"#),
        (r#"{"type":3,"uid":"a","nsp":"/"}"#.to_owned(), r#": "data" is a required property"#),
        (
            format!(r#"{{"type":4,"data":{{"opts":{rooms},"rooms":"r1"}},"uid":"a","nsp":"/"}}"#),
            r#"/data/rooms: "r1" is not of type "array""#,
        ),
        (
            r#"{"type":8,"data":{"requestId":"r","sockets":[{"id":"s","handshake":{},"rooms":[],"server":{}}]},"uid":"a","nsp":"/"}"#.to_owned(),
            r#"/data/sockets/0: {"required":["server"]} is not allowed for {"id":"s","handshake":{},"rooms":[],"server":{}}"#,
        ),
        (r#"{"type":3,"uid":"a","attachmentId":17}"#.to_owned(), r#"/attachmentId: 17 is not of type "string""#),
    ] {
        let complaints = complaints(&any, &serde_json::from_str(&message).unwrap());
        assert!(complaints.iter().any(|complaint| complaint == expected), "{message}: {complaints:#?}");
        assert!(complaints.iter().all(|complaint| !complaint.contains("any of")), "{message}: {complaints:#?}");
    }
}

#[test]
fn what_must_never_be_sent_is_refused() {
    let any = validator("writer.json");
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
    let header = validator("writer-notification-header.json");
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
const OPTIONAL: &[&str] = &["/source", "/requesterUid", "/nodeId", "/data/packet/nsp", "/data/opts/flags"];

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

struct Schemas {
    any: Validator,
    by_type: BTreeMap<u64, Validator>,
}

impl Schemas {
    fn new(variant: &str) -> Self {
        let by_type = by_type(variant).into_iter().map(|(kind, path)| (kind, validator(&path)));
        Self { any: validator(&format!("{variant}.json")), by_type: by_type.collect() }
    }
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(keywords) => {
            let own = keywords.get("$ref").and_then(Value::as_str).map(str::to_owned);
            let others = keywords.iter().filter(|(keyword, _)| *keyword != "examples");
            own.into_iter().chain(others.flat_map(|(_, value)| references(value))).collect()
        }
        _ => Vec::new(),
    }
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
