//! What was recorded on real clusters: the bytes of attachments, and the frames that clients got
//! for them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use socketio_pg_protocol::{Value, value::to_msgpack};

use crate::fixtures::{attachments, fixture, lines, to_hex, unhex};

#[test]
fn every_captured_attachment_is_written_as_it_was_read() {
    let mut count = 0;
    for (scenario, attachment) in attachments() {
        let value = Value::from_msgpack(&attachment).unwrap_or_else(|error| panic!("{scenario}: {error}"));
        assert_eq!(to_msgpack(&value).unwrap(), attachment, "{scenario}");
        count += 1;
    }
    assert!(count >= 100, "only {count} attachments found");
}

#[test]
fn rmp_serde_writes_the_captured_attachments_too_but_for_lone_surrogates() {
    let known = ["71-values-msgpack/lone-high-surrogate", "71-values-msgpack/lone-low-surrogate"];
    let different: Vec<String> = attachments()
        .into_iter()
        .filter(|(_, attachment)| {
            rmp_serde::to_vec_named(&Value::from_msgpack(attachment).unwrap()).unwrap() != *attachment
        })
        .map(|(scenario, _)| scenario)
        .collect();
    assert_eq!(different, known);
}

#[test]
fn a_client_gets_the_frames_that_it_gets_from_node() {
    for scenario in ["15-broadcast-large-text", "17-broadcast-binary", "71-values-msgpack", "73-threshold-boundaries"] {
        let (attachments, inline): (Vec<_>, Vec<_>) =
            lines(scenario).into_iter().partition(|line| line.attachment_hex.is_some());
        let mut expected = frames_of_b1(scenario);
        expected.retain(|label, _| !inline.iter().any(|line| line.label() == label));
        for line in attachments {
            let attachment = unhex(line.attachment_hex.as_deref().unwrap());
            let message = Value::from_msgpack(&attachment).unwrap();
            let event = message.get("data").and_then(|data| data.get("packet")?.get("data")).unwrap();
            if line.label() == "own-__proto__" {
                // Node.js's receiver throws at this key; ours does not.
                assert!(!expected.contains_key("own-__proto__"), "Node.js reads the key __proto__ now: compare it too");
                assert_eq!(
                    frames(event)[0],
                    Frame::text(r#"51-["v",{"__proto__":{"x":1},"y":2},{"_placeholder":true,"num":0}]"#)
                );
                continue;
            }
            assert_eq!(Some(frames(event)), expected.remove(line.label()), "{}", line.scenario);
        }
        assert!(expected.is_empty(), "frames of {scenario} that no attachment led to: {expected:?}");
    }
}

#[test]
fn inline_data_read_as_a_tree_is_written_as_node_wrote_it() {
    for scenario in ["10-broadcast-plain", "70-values-json", "73-threshold-boundaries"] {
        let mut expected = frames_of_b1(scenario);
        for line in lines(scenario).into_iter().filter(|line| line.attachment_hex.is_none()) {
            let message: Inline = serde_json::from_str(&line.payload).unwrap();
            let value = Value::from_json(message.data.packet.data.get()).unwrap();
            // Read without attachments, a placeholder is an ordinary object, and the value has no
            // binary.
            assert_eq!(expected.remove(line.label()), Some(frames(&value)), "{}", line.scenario);
        }
        // The remaining ones came as an attachment.
        expected.retain(|label, _| lines(scenario).iter().all(|line| line.label() != label));
        assert!(expected.is_empty(), "frames of {scenario} that no message led to: {expected:?}");
    }
}

#[test]
fn buffers_in_socket_data_are_revived() {
    let answers: Vec<Value> = lines("41-fetch-sockets-binary-and-large-data")
        .iter()
        .filter(|line| line.attachment_hex.is_none() && line.payload.starts_with(r#"{"type":8"#))
        .map(|line| Value::from_json(&line.payload).unwrap())
        .collect();
    assert!(answers.iter().all(|answer| !answer.has_binary()));
    let revived: Vec<Value> = answers.into_iter().map(Value::revive_buffers).collect();
    assert!(revived.iter().any(Value::has_binary));
    assert!(revived.iter().all(|answer| !answer.to_json_with_attachments().0.contains("Buffer")));
}

#[derive(Deserialize)]
struct Inline {
    data: InlineData,
}

#[derive(Deserialize)]
struct InlineData {
    packet: InlinePacket,
}

#[derive(Deserialize)]
struct InlinePacket {
    data: Box<RawValue>,
}

/// What a client gets, as text or as binary.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Frame {
    Text(String),
    Binary {
        #[serde(rename = "$binary_hex")]
        hex: String,
    },
}

impl Frame {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// The frames of an event in the main namespace.
fn frames(event: &Value) -> Vec<Frame> {
    let (text, attachments) = event.to_json_with_attachments();
    let head = if attachments.is_empty() { "2".into() } else { format!("5{}-", attachments.len()) };
    let binary = attachments.into_iter().map(|bytes| Frame::Binary { hex: to_hex(bytes) });
    std::iter::once(Frame::Text(head + &text)).chain(binary).collect()
}

/// What the client of the receiving node got, by label.
fn frames_of_b1(scenario: &str) -> HashMap<String, Vec<Frame>> {
    #[derive(Deserialize)]
    struct Observed {
        client_frames: Vec<ClientFrame>,
    }
    #[derive(Deserialize)]
    struct ClientFrame {
        client: String,
        data: Frame,
        #[serde(default)]
        label: Option<String>,
    }
    let observed: Observed = serde_json::from_str(&fixture(&format!("captures/{scenario}.observed.json"))).unwrap();
    let mut frames: HashMap<String, Vec<Frame>> = HashMap::new();
    for frame in observed.client_frames.into_iter().filter(|frame| frame.client == "b1") {
        frames.entry(frame.label.unwrap_or_default()).or_default().push(frame.data);
    }
    frames
}
