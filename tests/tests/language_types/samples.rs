//! Messages for other languages to read: recorded ones, random ones, and wrong ones, each with what
//! the crate makes of it.

use std::{fs, path::Path};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde::Serialize;
use socketio_pg_protocol::{Notification, Value, budget::MAX_PAYLOAD, strategies};

use crate::{mutations, recordings};

/// A notification, or only a row.
#[derive(Serialize)]
pub(crate) struct Sample {
    /// The payload of the notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
    /// The row, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row: Option<String>,
    /// The message as JSON; `None` if it is refused.
    pub(crate) json: Option<String>,
    /// Whether JavaScript writes the same bytes again: it has fewer kinds of values than MessagePack.
    pub(crate) same: bool,
}

/// A key that Node.js's decoder of MessagePack refuses.
const REFUSED_BY_NODE_JS: &[u8] = b"__proto__";

/// Whether Node.js's decoder of MessagePack may refuse a row for one of its keys.
fn may_be_refused_by_node_js(row: &[u8]) -> bool {
    row.windows(REFUSED_BY_NODE_JS.len()).any(|part| part == REFUSED_BY_NODE_JS)
}

/// How many random messages there are of each kind.
const RANDOM: usize = 300;

/// How many of them are broken.
const BROKEN: usize = 2000;

/// Samples of all kinds, each on a line of a file.
pub(crate) fn write(file: &Path) {
    let lines: Vec<String> = all().map(|sample| serde_json::to_string(&sample).unwrap()).collect();
    fs::write(file, lines.join("\n")).unwrap();
}

pub(crate) fn all() -> impl Iterator<Item = Sample> {
    recorded().into_iter().chain(random()).chain(wrong()).chain(broken())
}

fn recorded() -> Vec<Sample> {
    let lines = recordings::captures().into_iter().filter(|line| line.scenario != recordings::FOREIGN.0);
    lines
        .map(|line| {
            let bytes = line.attachment();
            let value =
                bytes.as_ref().map_or_else(|| Value::from_json(&line.payload), |bytes| Value::from_msgpack(bytes));
            let json = value.unwrap().to_json();
            let is_read = bytes.as_deref().is_none_or(|bytes| !may_be_refused_by_node_js(bytes));
            // Node.js writes an invalid date as one of 1970.
            let same = !line.scenario.ends_with("/date-invalid");
            Sample { json: is_read.then_some(json), payload: Some(line.payload), row: line.attachment_hex, same }
        })
        .collect()
}

/// The same ones in each run.
fn random() -> Vec<Sample> {
    let mut runner = TestRunner::deterministic();
    let mut samples = Vec::new();
    for (data, same) in [(strategies::json(), true), (strategies::data(), false)] {
        let messages = strategies::message(data);
        while samples.len() < if same { RANDOM } else { 2 * RANDOM } {
            let message = messages.new_tree(&mut runner).unwrap().current();
            let json = message.to_json().unwrap();
            let bytes = message.into_msgpack().unwrap();
            if may_be_refused_by_node_js(&bytes) || json.len() > MAX_PAYLOAD {
                continue;
            }
            if same {
                samples.push(Sample { payload: Some(json.clone()), row: None, json: Some(json.clone()), same });
            }
            samples.push(Sample { payload: None, row: Some(hex(&bytes)), json: Some(json), same });
        }
    }
    samples
}

/// What must never be sent: some of it is read nevertheless.
fn wrong() -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/fixtures/refused.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let cases = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    cases
        .map(|case| {
            let payload = case["message"].to_string();
            let is_read = Notification::decode(&payload).is_ok();
            Sample { json: is_read.then(|| payload.clone()), payload: Some(payload), row: None, same: false }
        })
        .collect()
}

/// Random messages with parts that are missing, or of another type. Some are read nevertheless.
fn broken() -> Vec<Sample> {
    let mut runner = TestRunner::deterministic();
    let strategy = (strategies::message(strategies::json()), mutations::changes(mutations::KEYS, 1..4));
    let mut samples = Vec::new();
    while samples.len() < BROKEN {
        let (message, changes) = strategy.new_tree(&mut runner).unwrap().current();
        // Without lone surrogates, which serde_json does not read.
        let Ok(mut tree) = serde_json::from_str::<serde_json::Value>(&message.to_json().unwrap()) else { continue };
        for (at, change) in changes {
            change.apply(&mut tree, at);
        }
        let payload = tree.to_string();
        // Where all numbers are doubles, this is none that is whole.
        let is_beyond_doubles = payload.contains(&u64::MAX.to_string());
        if payload.len() > MAX_PAYLOAD || is_beyond_doubles {
            continue;
        }
        let is_read = Notification::decode(&payload).is_ok();
        samples.push(Sample { json: is_read.then(|| payload.clone()), payload: Some(payload), row: None, same: false });
    }
    samples
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
