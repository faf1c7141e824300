//! The exported schemas in other ecosystems: AsyncAPI's parser, TypeScript, Python.
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
    assert_eq!(report["messages"], 15, "13 messages, a header and an attachment");
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

#[test]
fn typescript_types_fit_every_recorded_message_and_no_wrong_one() {
    if !require(&NODE) {
        return;
    }
    install(&tools()).unwrap();
    let report = check_types(Command::new("node").arg(tools().join("typescript.mjs")), "typescript");
    assert!(report["accepted"].as_u64() > Some(400) && report["refused"].as_u64() > Some(20), "{report}");
}

#[test]
fn python_types_read_every_recorded_message_and_no_wrong_one() {
    if !require(&PYTHON) {
        return;
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema-python");
    let python = python_environment(&environment, &tools().join("requirements.txt")).unwrap();
    let report = check_types(Command::new(python).arg(tools().join("python_types.py")), "python");
    assert!(report["accepted"].as_u64() > Some(400) && report["refused"].as_u64() > Some(20), "{report}");
}

/// Makes a script generate types from the schema of all messages and try them, in a folder of its
/// own.
fn check_types(script: &mut Command, name: &str) -> Value {
    let folder = folder(name);
    let accepted = folder.join("accepted.jsonl");
    let lines: Vec<String> = recordings::messages().map(|(_, message)| message.to_string()).collect();
    fs::write(&accepted, lines.join("\n")).unwrap();
    let refused = protocol().join("tests/fixtures/refused.jsonl");
    let arguments = [schemas().join("messages.json"), accepted, refused, folder];
    let output = run(script.args(arguments));
    serde_json::from_str(output.trim()).unwrap_or_else(|error| panic!("{error}: {output}"))
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
