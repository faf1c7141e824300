//! Real traffic of Node.js servers, message by message: everything decodes, and is written again as
//! Node.js wrote it.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod recordings;

use std::collections::BTreeMap;

use socketio_pg_protocol::{Message, Notification, budget::Budget, notification::Encoded};

use recordings::{FOREIGN, captures};

/// What differs, by scenario. Strict: an entry that stops differing, or one that is not listed,
/// fails.
fn check(what: &str, expected: &[(&str, &str)], found: BTreeMap<String, String>) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let unexpected: Vec<_> = found.iter().filter(|(scenario, _)| !expected.contains_key(scenario.as_str())).collect();
    assert!(unexpected.is_empty(), "{what}: not as Node.js has it: {unexpected:#?}");
    let gone: Vec<_> = expected.keys().filter(|scenario| !found.contains_key(**scenario)).collect();
    assert!(gone.is_empty(), "{what}: as Node.js has it by now: remove it from the list: {gone:#?}");
}

#[test]
fn every_notification_decodes() {
    let mut failed = BTreeMap::new();
    for line in captures() {
        match (Notification::decode(&line.payload), &line.attachment_hex) {
            (Ok(Notification::Inline(_)), None) | (Ok(Notification::Attachment(_)), Some(_)) => {}
            (Ok(other), _) => drop(failed.insert(line.scenario, format!("read as {other:?}"))),
            (Err(error), _) => drop(failed.insert(line.scenario, error.to_string())),
        }
    }
    check("decoding", &[FOREIGN], failed);
}

#[test]
fn every_inline_message_is_written_as_node_wrote_it() {
    let mut differ = BTreeMap::new();
    for line in captures() {
        if line.attachment_hex.is_none()
            && let Ok(message) = Message::from_json(&line.payload)
        {
            let written = message.to_json().unwrap();
            if written != line.payload {
                differ.insert(line.scenario, format!("{written}\ninstead of\n{}", line.payload));
            }
        }
    }
    check("JSON", &[], differ);
}

#[test]
fn every_attachment_is_written_as_node_wrote_it() {
    let mut differ = BTreeMap::new();
    for line in captures() {
        let Some(bytes) = line.attachment() else { continue };
        match Message::from_msgpack(&bytes).map(Message::into_msgpack) {
            Ok(Ok(written)) if written == bytes => {}
            Ok(Ok(written)) => drop(differ.insert(line.scenario, format!("{written:02x?}"))),
            Ok(Err(error)) => drop(differ.insert(line.scenario, error.to_string())),
            Err(error) => drop(differ.insert(line.scenario, error.to_string())),
        }
    }
    check("MessagePack", &[], differ);
}

#[test]
fn a_header_agrees_with_its_attachment() {
    for line in captures() {
        let Some(bytes) = line.attachment() else { continue };
        let Notification::Attachment(header) = Notification::decode(&line.payload).unwrap() else { unreachable!() };
        let message = Message::from_msgpack(&bytes).unwrap();
        assert_eq!(header.uid, message.uid, "{}", line.scenario);
        assert_eq!(header.kind, Some(message.body.kind()), "{}", line.scenario);
        assert_eq!(header.nsp, None, "{}: Node.js names no namespace in headers", line.scenario);
    }
}

/// What Node.js sent inline we send inline, and what it sent as an attachment we send as one:
/// otherwise other readers would get another kind of value.
#[test]
fn every_message_travels_as_in_node_js() {
    let mut differ = BTreeMap::new();
    for line in captures() {
        let threshold = if line.scenario.starts_with("63-custom-prefix-and-table") { 200 } else { 8000 };
        let Ok(message) =
            line.attachment().map_or_else(|| Message::from_json(&line.payload), |b| Message::from_msgpack(&b))
        else {
            continue;
        };
        match (message.encode(Budget::new(threshold)).unwrap(), line.attachment_hex.is_some()) {
            (Encoded::Inline(_), false) | (Encoded::Attachment { .. }, true) => {}
            (other, _) => drop(differ.insert(line.scenario, format!("{other:.200?}"))),
        }
    }
    check(
        "the way it travels",
        &[("17-broadcast-binary/arraybuffer", "Node.js takes it for binary and then writes an empty object")],
        differ,
    );
}
