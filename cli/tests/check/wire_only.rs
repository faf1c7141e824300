//! Transcripts that are judged without a node.

use std::process::Output;

use serde_json::{Value, json};
use socketio_pg_kit::archive::RECORDINGS;

use super::socketio_pg;

fn wire_only(lines: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    socketio_pg(&["check", "--json", "--wire-only", file.path().to_str().unwrap()])
}

#[test]
fn recordings_of_node_js_are_right() {
    // Node.js's emitter writes no namespace, and its servers hear nothing of it. A local event sends
    // nothing.
    let is_right = |name: &str| name != "refused.jsonl" && !name.contains("-emitter-") && !name.contains("-local");
    for recording in RECORDINGS.iter().filter(|it| is_right(it.name)) {
        // A recording of a Node.js cluster has a message of an application between its processes.
        let is_message = |line: &&str| !line.contains("any user IPC message");
        let lines: Vec<&str> = recording.text.lines().filter(is_message).collect();
        let output = wire_only(&lines.join("\n"));
        assert!(output.status.success(), "{}: {output:?}", recording.name);
    }
}

#[test]
fn every_refused_message_is_told() {
    let refused = RECORDINGS.iter().find(|it| it.name == "refused.jsonl").unwrap().text;
    for line in refused.lines() {
        let refused: Value = serde_json::from_str(line).unwrap();
        let payload = refused["message"].to_string();
        let output = wire_only(&json!({ "channel": "socket.io#/", "payload": payload }).to_string());
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(!output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_brief_answer_is_right_only_where_one_was_asked_for() {
    let opts = json!({ "rooms": [], "except": [], "flags": {} });
    for (request, answer, problem) in [
        (json!({ "only": "count" }), json!({ "count": 3 }), None),
        (json!({ "only": "ids" }), json!({ "ids": ["a"] }), None),
        (json!({ "only": "count" }), json!({}), None),
        (json!({ "only": "rooms" }), json!({}), Some("`only` is neither")),
        (json!({}), json!({ "count": 3 }), Some("`sockets` alone")),
        (json!({}), json!({ "ids": ["a"] }), Some("`sockets` alone")),
        (json!({ "only": "ids" }), json!({ "count": 3 }), Some("`count` does not answer a 7")),
        (json!({ "only": "count" }), json!({ "count": 3, "ids": ["a"] }), Some("`ids` does not answer")),
        (json!({ "only": "count" }), json!({ "count": 0.5 }), Some("`count` is not")),
        (json!({ "only": "count" }), json!({ "count": 1_u64 << 53 }), Some("`count` is not")),
        (json!({ "only": "ids" }), json!({ "ids": ["a".repeat(257)] }), Some("`ids` is not")),
    ] {
        let line = |kind: u64, uid: &str, mut data: Value, with: &Value| {
            data["requestId"] = json!("r");
            data.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
            let message = json!({ "type": kind, "data": data, "uid": uid, "nsp": "/" });
            json!({ "channel": "socket.io#/", "payload": message.to_string() }).to_string()
        };
        let asked = line(7, "00000000000000aa", json!({ "opts": opts }), &request);
        let answered = line(8, "00000000000000bb", json!({ "sockets": [] }), &answer);
        let output = wire_only(&format!("{asked}\n{answered}"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(i32::from(problem.is_some())), "{request} {answer}: {text}");
        assert!(problem.is_none_or(|problem| text.contains(problem)), "{request} {answer}: {text}");
    }
}

#[test]
fn an_emitter_names_the_namespace() {
    let data = json!({ "packet": { "type": 2, "data": ["e"] }, "opts": { "rooms": [], "except": [], "flags": {} } });
    for (nsp, code) in [(json!({ "nsp": "/" }), 0), (json!({}), 1)] {
        let mut message = json!({ "type": 3, "data": data, "uid": "emitter" });
        message.as_object_mut().unwrap().extend(nsp.as_object().unwrap().clone());
        let output = wire_only(&json!({ "channel": "socket.io#/", "payload": message.to_string() }).to_string());
        assert_eq!(output.status.code(), Some(code), "{message}: {output:?}");
    }
}

#[test]
fn an_empty_transcript_is_not_right() {
    let output = wire_only("\n");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("has no notification"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_is_not_a_transcript_is_said() {
    let output = wire_only("{\"channel\":1}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("line 1 is not a notification") && text.contains("attachment_hex"), "{text}");
}
