//! The exported schemas in other ecosystems: AsyncAPI's parser, validators, and a generator of types
//! in Python. `language_types.rs` tests the types that are committed.
//!
//! The scripts are in `tests/schema`.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "../../protocol/tests/recordings/mod.rs"]
mod recordings;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use socketio_pg_protocol::Message;
use socketio_pg_tests::{NODE, PYTHON, install, python_environment, require};

#[test]
fn the_asyncapi_document_passes_the_official_parser() {
    if !require(&NODE) {
        return;
    }
    install(&tools()).unwrap();
    let [report] = &parse_asyncapi(&[schemas().join("asyncapi.json")])[..] else { panic!("one document, one report") };
    assert_eq!(report["valid"], true, "{report:#}");
    assert_eq!(report["diagnostics"], json!([]), "neither errors nor advice: {report:#}");
    assert_eq!(report["messages"], 16, "13 messages, a header, an attachment and a packed message");
    assert_eq!(report["operations"], 26);
}

/// Without this, the parser's approval would mean nothing.
#[test]
fn the_official_parser_refuses_broken_asyncapi_documents() {
    if !require(&NODE) {
        return;
    }
    install(&tools()).unwrap();
    let document: Value = serde_json::from_str(&fs::read_to_string(schemas().join("asyncapi.json")).unwrap()).unwrap();
    let breakages: [(&str, Value); 4] = [
        ("/operations/join/action", json!("shout")),
        ("/operations/join/messages/0/$ref", json!("#/channels/namespace/messages/Nothing")),
        ("/channels/namespace/messages/Broadcast/$ref", json!("#/components/messages/Nothing")),
        ("/operations/fetchSockets/reply/channel/$ref", json!("#/channels/nothing")),
    ];
    let folder = folder("broken-asyncapi");
    let files = breakages.iter().enumerate().map(|(number, (pointer, value))| {
        let mut broken = document.clone();
        *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}")) = value.clone();
        let file = folder.join(format!("{number}.json"));
        fs::write(&file, broken.to_string()).unwrap();
        file
    });
    for (report, (pointer, _)) in parse_asyncapi(&files.collect::<Vec<_>>()).iter().zip(breakages) {
        assert_eq!(report["valid"], false, "{pointer}: {report:#}");
    }
}

/// ajv, which most of JavaScript validates with.
#[test]
fn ajv_judges_messages_as_the_schemas_say() {
    if !require(&NODE) {
        return;
    }
    install(&tools()).unwrap();
    let cases = cases("ajv");
    let output = run(Command::new("node").arg(tools().join("validators.mjs")).arg(schemas()).arg(cases));
    assert_counts(&output);
}

/// jsonschema, which most of Python validates with: from a folder, and from a server.
#[test]
fn python_judges_messages_as_the_schemas_say() {
    let Some(python) = python() else { return };
    let cases = cases("jsonschema");
    let output = run(Command::new(python).arg(tools().join("validators.py")).arg(schemas()).arg(cases));
    assert_counts(&output);
}

fn assert_counts(output: &str) {
    let report: Value = serde_json::from_str(output.trim()).unwrap_or_else(|error| panic!("{error}: {output}"));
    assert!(report["valid"].as_u64() > Some(800) && report["invalid"].as_u64() > Some(60), "{report}");
}

/// What the schemas say of recorded messages, of those that must never be sent, and of unknown ones.
fn cases(name: &str) -> PathBuf {
    let mut cases = Vec::new();
    for (_, message) in recordings::messages() {
        cases.push(json!({ "document": "reader.json", "value": message, "valid": true }));
        let dropped = message.get("nsp").is_none();
        cases.push(match dropped {
            // Each of the validators names what is missing.
            true => json!({ "document": "writer.json", "value": message, "valid": false, "says": "'nsp'" }),
            false => json!({ "document": "writer.json", "value": message, "valid": true }),
        });
    }
    for case in refused() {
        let is_read = is_read(&case);
        cases.push(json!({ "document": "writer.json", "value": case["message"], "valid": false }));
        cases.push(json!({ "document": "reader.json", "value": case["message"], "valid": is_read }));
    }
    let unknown = json!({ "type": 99, "data": [1], "uid": "400ee0cce65324e0", "nsp": "/", "more": {} });
    cases.push(json!({ "document": "writer.json", "value": unknown, "valid": false, "says": "type" }));
    cases.push(json!({ "document": "reader-notification.json", "value": unknown, "valid": true }));
    let opts = json!({ "rooms": [], "except": [], "flags": { "more": 1 }, "more": 1 });
    let join = json!({ "type": 4, "data": { "opts": opts, "rooms": "r1" }, "uid": "400ee0cce65324e0", "nsp": "/" });
    cases.push(json!({ "document": "writer.json", "value": join, "valid": false, "says": "rooms" }));
    cases.push(json!({ "document": "reader-sockets-join.json", "value": join, "valid": false, "says": "rooms" }));
    let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
    let file = folder(name).join("cases.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    file
}

/// datamodel-code-generator, which makes models of Pydantic.
#[test]
fn python_types_read_every_recorded_message_and_no_wrong_one() {
    let Some(python) = python() else { return };
    for variant in ["writer", "reader"] {
        let folder = folder(&format!("python-{variant}"));
        let is_written = |message: &Value| variant == "reader" || message.get("nsp").is_some();
        let accepted = recordings::messages().filter(|(_, message)| is_written(message));
        let accepted: Vec<String> = accepted.map(|(_, message)| message.to_string()).collect();
        // A type that is not known is read, but there is no model of it.
        let is_known = |case: &Value| (1..=13).any(|kind| case["message"]["type"] == kind);
        let refused = refused().into_iter().filter(|case| variant == "writer" || !(is_known(case) && is_read(case)));
        let refused: Vec<String> = refused.map(|case| case.to_string()).collect();
        let files = ["accepted.jsonl", "refused.jsonl"].map(|name| folder.join(name));
        fs::write(&files[0], accepted.join("\n")).unwrap();
        fs::write(&files[1], refused.join("\n")).unwrap();
        let schema = schemas().join(format!("{variant}-types.json"));
        let script = tools().join("python_types.py");
        let output = run(Command::new(&python).arg(script).arg(schema).args(files).arg(folder));
        let report: Value = serde_json::from_str(output.trim()).unwrap_or_else(|error| panic!("{error}: {output}"));
        assert!(report["accepted"].as_u64() > Some(400) && report["refused"].as_u64() > Some(15), "{report}");
    }
}

/// The environment with the tools in Python; `None` when it cannot be made, which is then reported.
fn python() -> Option<PathBuf> {
    if !require(&PYTHON) {
        return None;
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema-python");
    Some(python_environment(&environment, &tools().join("requirements.txt")).unwrap())
}

/// Messages that must never be sent, each with `because`.
fn refused() -> Vec<Value> {
    let text = fs::read_to_string(protocol().join("tests/fixtures/refused.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Some of these must be read nevertheless.
fn is_read(case: &Value) -> bool {
    Message::from_json(&case["message"].to_string()).is_ok()
}

fn parse_asyncapi(files: &[PathBuf]) -> Vec<Value> {
    let output = run(Command::new("node").arg(tools().join("asyncapi.mjs")).args(files));
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// An empty folder for the output of a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema-tools").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

fn protocol() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol")
}

fn schemas() -> PathBuf {
    protocol().join("schema")
}
