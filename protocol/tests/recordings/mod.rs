//! What was recorded on clusters of Node.js servers: one notification in each line of
//! `tests/fixtures/captures/*.jsonl`.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{fs, path::Path};

use serde::Deserialize;
use socketio_pg_protocol::Value;

/// Not a message of an adapter: Node.js's cluster module publishes whatever a worker passes to
/// `process.send`.
pub(crate) const FOREIGN: (&str, &str) = ("90-node-cluster/foreign-ipc-message", "has neither type nor uid");

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) scenario: String,
    pub(crate) payload: String,
    pub(crate) attachment_hex: Option<String>,
}

impl Line {
    pub(crate) fn attachment(&self) -> Option<Vec<u8>> {
        let hex = self.attachment_hex.as_ref()?;
        Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
    }

    /// The message as a tree of JSON, whether it came inline or as an attachment. Not read by
    /// serde_json: some strings have lone surrogates.
    pub(crate) fn tree(&self) -> serde_json::Value {
        let data =
            self.attachment().map_or_else(|| Value::from_json(&self.payload), |bytes| Value::from_msgpack(&bytes));
        serde_json::to_value(data.unwrap()).unwrap()
    }
}

/// Every recorded message as a tree of JSON, with its scenario.
pub(crate) fn messages() -> impl Iterator<Item = (String, serde_json::Value)> {
    captures().into_iter().filter(|line| line.scenario != FOREIGN.0).map(|line| {
        let message = line.tree();
        (line.scenario, message)
    })
}

/// All of them.
pub(crate) fn captures() -> Vec<Line> {
    let lines: Vec<Line> = lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 400, "only {} notifications were found", lines.len());
    lines
}

/// The lines, unread.
pub(crate) fn lines() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/fixtures/captures");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}
