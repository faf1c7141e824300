//! Compares `docs/protocol.md` with the types, the schemas and the constants.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod documents;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::Value;
use socketio_pg_protocol::{
    Body, Message, Notification, Relay,
    budget::{Budget, DEFAULT_THRESHOLD, MAX_PAYLOAD},
    channel,
    cluster::{Config, REQUEST_TIMEOUT},
    message::liveness::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT},
    notification::{CLEANUP_INTERVAL, DEFAULT_TABLE, Encoded},
    schema,
};

use documents::validator;

fn specification() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of all code blocks of a language.
fn examples(specification: &str, language: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut block = None;
    for line in specification.lines() {
        match (line.strip_prefix("```"), &block) {
            (Some(opened), None) => block = Some(opened.to_owned()),
            (Some(_), Some(_)) => block = None,
            (None, Some(block)) if block == language => lines.push(line.to_owned()),
            _ => {}
        }
    }
    assert_eq!(block, None, "a code block is not closed");
    lines
}

#[test]
fn every_example_is_what_is_read_and_written() {
    let specification = specification();
    let [written, read] = ["writer-notification.json", "reader-notification.json"].map(validator);
    let mut types = BTreeSet::new();
    let mut headers = 0;
    for example in examples(&specification, "json") {
        let tree: Value = serde_json::from_str(&example).unwrap_or_else(|error| panic!("{error}: {example}"));
        match Notification::decode(&example).unwrap_or_else(|error| panic!("{error}: {example}")) {
            Notification::Inline(message) => {
                let kind = message.body.kind();
                if message.body.has_binary() {
                    let packed = message.clone().encode(Budget::default().pack_binary(true)).unwrap();
                    assert_eq!(packed, Encoded::Inline(example.clone()));
                } else {
                    assert_eq!(message.to_json().unwrap(), example);
                }
                assert!(read.is_valid(&tree), "{example}");
                assert_eq!(written.is_valid(&tree), message.nsp.is_some(), "{example}");
                let packed = message.clone().into_msgpack().unwrap();
                assert_eq!(Message::from_msgpack(&packed).unwrap(), message, "{example}");
                types.insert(kind);
            }
            Notification::Attachment(header) => {
                assert!(read.is_valid(&tree) && written.is_valid(&tree), "{example}");
                let mut message =
                    Message::new(header.uid.unwrap(), "/", Body::Unknown { kind: header.kind.unwrap(), data: None });
                message.nsp = header.nsp;
                let Encoded::Attachment { before_id, after_id, .. } = message.encode(Budget::new(0)).unwrap() else {
                    unreachable!("nothing fits into nothing")
                };
                assert_eq!(format!("{before_id}{}{after_id}", header.attachment_id), example);
                headers += 1;
            }
        }
    }
    assert_eq!(types, (1..=13).collect(), "there is an example of each type");
    assert!(headers >= 2, "and of Node.js's header and ours");
}

#[test]
fn every_attachment_is_what_is_read_and_written() {
    let any_schema = validator("writer.json");
    let attachments = examples(&specification(), "hex");
    assert!(attachments.len() >= 2);
    for hex in attachments {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let message = Message::from_msgpack(&bytes).unwrap();
        assert!(message.body.has_binary());
        assert!(any_schema.is_valid(&serde_json::from_str(&message.to_json().unwrap()).unwrap()));
        assert_eq!(message.into_msgpack().unwrap(), bytes);
    }
}

#[test]
fn every_date_is_what_it_is_said_to_be() {
    let specification = specification();
    let mut count = 0;
    for line in specification.lines() {
        let Some((hex, date)) = line.rsplit_once("| `").and_then(|(_, cell)| cell.split_once("`: ")) else { continue };
        let date = date.trim_end_matches(" |");
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let value = socketio_pg_protocol::Value::from_msgpack(&bytes).unwrap();
        assert_eq!(value.to_json(), format!("{date:?}"));
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn every_type_has_its_chapter_and_its_line() {
    let specification = specification();
    for (kind, name) in types() {
        let heading = format!("\n### {kind} {name}\n");
        assert!(specification.contains(&heading), "{heading} is missing");
        let line = format!("| {kind} | [{name}](#{kind}-{}) |", name.to_lowercase());
        assert!(specification.contains(&line), "{line} is missing");
    }
}

#[test]
fn every_key_is_explained() {
    let specification = specification();
    let mut keys = BTreeSet::new();
    for schema in documents::SCHEMAS.values() {
        collect_keys(schema, &mut keys);
    }
    assert!(keys.len() > 30, "{keys:?}");
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| ![format!("`{key}`"), format!(".{key}`")].iter().any(|form| specification.contains(form)))
        .collect();
    assert!(missing.is_empty(), "not explained: {missing:?}");
}

#[test]
fn every_constant_is_told() {
    let specification = specification();
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    for (line, value) in [
        ("| payload of a notification |", format!("{MAX_PAYLOAD} bytes")),
        ("| threshold from which on a message is an attachment |", format!("{DEFAULT_THRESHOLD} bytes")),
        ("| name of a channel |", format!("{} bytes", channel::MAX_BYTES)),
        ("| silence after which a node sends a 2 |", seconds(HEARTBEAT_INTERVAL)),
        ("| silence after which a node is dead |", seconds(HEARTBEAT_TIMEOUT)),
        ("| waiting for answers to 7 and 9 |", seconds(REQUEST_TIMEOUT)),
        ("| age at which attachments are deleted, and how often |", seconds(CLEANUP_INTERVAL)),
        ("| nodes remembered |", format!("this project: {}", Config::default().max_nodes)),
    ] {
        let found = specification.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("no {line}"));
        let told = found[line.len()..].trim_start();
        assert!(told.starts_with(&value), "{line} says {told:?}, not {value:?}");
    }
    for name in [channel::DEFAULT_PREFIX, DEFAULT_TABLE, Relay::SOURCE, "emitter"] {
        assert!(specification.contains(&format!("`{name}`")), "{name}");
    }
    let defaults = Config::default();
    assert_eq!((defaults.heartbeat_interval, defaults.heartbeat_timeout), (HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT));
}

#[test]
fn its_version_is_that_of_the_asyncapi_document() {
    let version = schema::asyncapi()["info"]["version"].as_str().unwrap().to_owned();
    assert!(specification().contains(&format!("This description is version {version}.")));
}

#[test]
fn every_file_that_is_named_is_exported() {
    let exported: BTreeSet<_> = schema::documents().into_iter().map(|document| document.path).collect();
    let specification = specification();
    for path in &exported {
        let of_a_type =
            ["writer", "reader"].iter().any(|variant| documents::by_type(variant).values().any(|found| found == path));
        assert!(of_a_type || specification.contains(&format!("`{path}`")), "{path} is not named");
    }
    assert!(exported.contains("writer-broadcast.json"));
}

/// Only links within the page are checked.
#[test]
fn every_link_within_the_page_leads_somewhere() {
    let specification = specification();
    let anchors: BTreeSet<String> = specification
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|heading| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
        })
        .collect();
    let links = specification.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links {
        assert!(anchors.contains(link), "#{link} is no heading");
    }
}

#[test]
fn every_diagram_is_a_sequence() {
    let diagrams = examples(&specification(), "mermaid");
    let starts = diagrams.iter().filter(|line| line.as_str() == "sequenceDiagram").count();
    assert_eq!(starts, 7, "attachment, join, leave, death, fetchSockets, acknowledgements, serverSideEmit");
    for line in diagrams.iter().filter(|line| line.starts_with(' ')) {
        let line = line.trim();
        let known = ["participant ", "Note over ", "loop ", "end"].iter().any(|start| line.starts_with(start));
        assert!(known || line.contains(">>"), "{line}");
    }
}

fn types() -> Vec<(u64, String)> {
    let messages = schema::asyncapi()["components"]["messages"].as_object().unwrap().clone();
    let titles = messages.values().map(|message| message["title"].as_str().unwrap().to_owned());
    let types: Vec<_> = titles
        .filter_map(|title| title.split_once(": ").map(|(kind, name)| (kind.parse().unwrap(), name.to_owned())))
        .collect();
    assert_eq!(types.len(), 13);
    types
}

fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                if let ("properties", Value::Object(properties)) = (keyword.as_str(), value) {
                    keys.extend(properties.keys().cloned());
                }
                if keyword != "examples" {
                    collect_keys(value, keys);
                }
            }
        }
        _ => {}
    }
}
