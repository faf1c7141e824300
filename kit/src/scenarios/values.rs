//! Values of every kind: inline as JSON, and as an attachment.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::{Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("values inline", |fixture| emitted(fixture, false)),
        Scenario::new("values in attachments", |fixture| emitted(fixture, true)),
        Scenario::new("the key __proto__ inline", |fixture| proto(fixture, false)),
        Scenario::new("the key __proto__ in attachments", |fixture| proto(fixture, true)),
        Scenario::new("deep nesting", deep),
        Scenario::new("what Node.js sent inline", |fixture| replayed(fixture, "70-values-json")),
        Scenario::new("what Node.js sent in attachments", |fixture| replayed(fixture, "71-values-msgpack")),
    ]
}

fn values() -> Vec<Value> {
    let mut values = vec![json!(null), json!(true), json!(false)];
    let integers = [0, 1, -1, 127, 128, 255, 256, 65_535, 65_536, -32, -33, -128, -129, -32_768, -32_769];
    values.extend(integers.map(|number: i64| json!(number)));
    let large = [1 << 31, (1 << 32) - 1, 1 << 32, -(1 << 31), -(1 << 31) - 1, (1 << 53) - 1, -(1 << 53) + 1];
    values.extend(large.map(|number: i64| json!(number)));
    values.extend([0.5, -1.5, 0.1, 1e21, 1e-7, 5e-324, f64::MAX, 123_456_789.125].map(|number| json!(number)));
    values.extend(
        ["", "abc", "ä€😀👨‍👩‍👧", "a\0b", "\u{1}\u{1f}\u{7f}\n\t\r\u{8}\u{c}", "\u{2028}\u{2029}", "\u{feff}x", "\"\\/"]
            .map(Value::from),
    );
    values.extend([31, 32, 255, 256, 3000].map(|length| json!("é".repeat(length))));
    values.extend([json!([]), json!({}), json!([[[]]]), json!([1, "a", null, [true, {}]])]);
    values.extend([15, 16, 300].map(|length| json!((0..length).collect::<Vec<_>>())));
    values.extend([15, 16].map(|length| (0..length).map(|key| (format!("k{key}"), json!(key))).collect::<Value>()));
    values.extend([
        json!({ "": 1, "a.b": { "c d": 1 }, "é😀\0": 1, "1": "a", "2": "b" }),
        json!({ "type": "Buffer", "data": [1, 2] }),
        json!({ "attachmentId": "1" }),
        json!({ "constructor": 1, "toString": 2, "length": 3, "__defineGetter__": 4 }),
    ]);
    values
}

/// Emitted by the server that acts.
async fn emitted(fixture: Fixture, in_attachments: bool) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let values = values();
    for (number, value) in values.iter().enumerate() {
        let mut args = vec![json!(number), value.clone()];
        args.extend(in_attachments.then(|| binary([0xab])));
        fixture.act("emit", json!({ "event": "v", "args": args })).await?;
    }
    let received = fixture.received().await?;
    let mut seen = Map::new();
    for (name, events) in received.as_object().into_iter().flatten() {
        // Each by its number; an event that comes twice is a list of two.
        let mut by_number: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        for event in events.as_array().into_iter().flatten() {
            by_number.entry(event[1].as_u64().unwrap_or(u64::MAX)).or_default().push(event[2].clone());
        }
        seen.insert(
            name.clone(),
            by_number.into_iter().map(|(number, all)| (number.to_string(), json!(all))).collect(),
        );
    }
    let each: Value = values.iter().enumerate().map(|(number, value)| (number.to_string(), json!([value]))).collect();
    observed(seen.into(), json!({ "a": each, "b": each, "c": each }))
}

async fn proto(fixture: Fixture, in_attachments: bool) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let mut args = vec![json!({ "__proto__": { "x": 1 }, "y": 2 })];
    args.extend(in_attachments.then(|| binary([0xab])));
    fixture.act("emit", json!({ "event": "v", "args": args })).await?;
    let event = json!([super::one_list(&json!("v"), &Value::Array(args))]);
    observed(fixture.received().await?, json!({ "a": event, "b": event, "c": event }))
}

/// Deeper than most JSON parsers allow by default.
async fn deep(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let mut refused = Vec::new();
    for depth in DEPTHS {
        match fixture.act("emit", json!({ "event": "deep", "args": [depth, nested(depth)] })).await {
            Err(Error::Refused { .. }) => refused.push(depth),
            other => drop(other?),
        }
    }
    let arrived = |(name, events): (&String, &Value)| {
        let events = events.as_array().into_iter().flatten();
        let depths = events.map(|event| {
            if event[2] == nested(event[1].as_u64().unwrap_or_default()) { event[1].clone() } else { json!("damaged") }
        });
        (name.clone(), super::sorted(depths))
    };
    let received = fixture.received().await?;
    let mut seen: Map<String, Value> = received.as_object().into_iter().flatten().map(arrived).collect();
    seen.insert("refused".to_owned(), json!(refused));
    let all = super::sorted(DEPTHS.map(Value::from));
    observed(seen.into(), json!({ "a": all, "b": all, "c": all, "refused": [] }))
}

const DEPTHS: [u64; 3] = [90, 130, 500];

fn nested(depth: u64) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[derive(Deserialize)]
struct Notification {
    channel: String,
    payload: String,
    attachment_hex: Option<String>,
}

/// What a recorded Node.js server published, byte for byte, and what a client of another Node.js
/// server got from it.
async fn replayed(fixture: Fixture, capture: &str) -> Outcome {
    let fixture = fixture.in_namespace("/");
    let clients = fixture.clients().await?;
    let capture = Capture::read(capture);
    // Each in a transaction of its own, because some are equal.
    let statements = capture.notifications.iter().map(|it| format!("BEGIN; {}; COMMIT;", it.statement(&fixture)));
    let statements: String = statements.collect();
    fixture.stage().execute(&statements).await?;
    let all: Vec<_> = clients.all().map(|client| &**client).into();
    fixture.settle(&all).await?;

    let mut seen = Map::new();
    for (name, events) in fixture.received_so_far().await?.as_object().into_iter().flatten() {
        // Both recordings use the main namespace. The one with attachments also has a buffer.
        let is_of_this = |event: &&Value| event[0] == "v" && event.get(2).is_some() == capture.has_attachments();
        let events = events.as_array().into_iter().flatten().filter(is_of_this);
        seen.insert(name.clone(), counted(events));
    }
    let events = counted(&capture.events());
    observed(seen.into(), json!({ "a": events, "b": events, "c": events }))
}

/// How often each occurs.
fn counted<'a>(events: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for event in events {
        *counts.entry(event.to_string()).or_default() += 1;
    }
    json!(counts)
}

impl Notification {
    /// Does what the recorded server did: inserts a row for the attachment, and notifies with the
    /// row's id.
    fn statement(&self, fixture: &Fixture) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        // All recordings use the default prefix.
        let namespace = self.channel.trim_start_matches("socket.io");
        let channel = quoted(&format!("{}{namespace}", fixture.prefix()));
        let table = fixture.table();
        let Some(hex) = &self.attachment_hex else {
            return format!("SELECT pg_notify({channel}, {})", quoted(&self.payload));
        };
        let (before, _) = self.payload.split_once(r#""attachmentId":""#).expect("a header names its attachment");
        format!(
            r#"WITH row AS (INSERT INTO {table} (payload) VALUES (decode('{hex}', 'hex')) RETURNING id)
            SELECT pg_notify({channel}, {} || '"attachmentId":"' || id || '"}}') FROM row"#,
            quoted(before),
        )
    }
}

/// A recorded scenario.
struct Capture {
    notifications: Vec<Notification>,
    observed: Frames,
}

/// What the clients got. The rest of the observation is not read, because it has strings that Rust
/// cannot hold.
#[derive(Deserialize)]
struct Frames {
    client_frames: Vec<Value>,
}

impl Capture {
    fn read(name: &str) -> Self {
        let (lines, observed) = match name {
            "70-values-json" => (
                include_str!("../../captures/70-values-json.jsonl"),
                include_str!("../../captures/70-values-json.observed.json"),
            ),
            _ => (
                include_str!("../../captures/71-values-msgpack.jsonl"),
                include_str!("../../captures/71-values-msgpack.observed.json"),
            ),
        };
        let notifications = lines.lines().map(|line| serde_json::from_str(line).expect("a notification"));
        let observed = serde_json::from_str(observed).expect("an observation");
        Self { notifications: notifications.collect(), observed }
    }

    fn has_attachments(&self) -> bool {
        self.notifications.iter().any(|notification| notification.attachment_hex.is_some())
    }

    /// The events that the client of the other Node.js server got, in the form of this suite's
    /// clients.
    fn events(&self) -> Vec<Value> {
        let frames = self.observed.client_frames.iter();
        let frames: Vec<&Value> = frames.filter(|frame| frame["client"] == "b1").map(|frame| &frame["data"]).collect();
        let starts = frames.iter().enumerate().filter_map(|(index, frame)| Some((index, frame.as_str()?)));
        let events = starts.map(|(index, text)| {
            let after = frames[index + 1..].iter().take_while(|frame| !frame.is_string());
            event(text, &after.copied().collect::<Vec<_>>())
        });
        events.chain(self.has_attachments().then(refused_by_node)).collect()
    }
}

/// The content of one recorded attachment, which Node.js refuses to read.
pub fn refused_by_node() -> Value {
    json!(["v", { "__proto__": { "x": 1 }, "y": 2 }, binary([0xab])])
}

/// The event of a frame, `2["v",1]`, or with binary `51-["v",{"_placeholder":true,"num":0}]`, whose
/// bytes are the frames after it.
fn event(text: &str, after: &[&Value]) -> Value {
    let (_, list) = text.split_at(text.find('[').expect("an event is a list"));
    // A lone surrogate cannot be represented here.
    let list =
        list.replace(r#""x\ud800y""#, r#"{"$utf16":"eAAA2HkA"}"#).replace(r#""x\udc00y""#, r#"{"$utf16":"eAAA3HkA"}"#);
    with_bytes(serde_json::from_str(&list).expect("an event is JSON"), after)
}

fn with_bytes(value: Value, frames: &[&Value]) -> Value {
    match value {
        Value::Object(object) if object.get("_placeholder") == Some(&Value::Bool(true)) && !frames.is_empty() => {
            let number = object["num"].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
            binary(unhex(frames[number]["$binary_hex"].as_str().unwrap_or_default()))
        }
        Value::Object(object) => object.into_iter().map(|(key, value)| (key, with_bytes(value, frames))).collect(),
        Value::Array(array) => array.into_iter().map(|value| with_bytes(value, frames)).collect(),
        other => other,
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
