//! Examples in the schemas: real traffic of Node.js servers.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// One recorded notification in each line. A test compares them with the recordings.
const CAPTURES: &str = include_str!("examples.jsonl");

#[derive(Deserialize)]
struct Capture {
    payload: String,
    attachment_hex: Option<String>,
}

static EXAMPLES: LazyLock<Vec<(Value, Option<String>)>> = LazyLock::new(|| {
    let examples = CAPTURES.lines().map(|line| {
        let capture: Capture = serde_json::from_str(line)?;
        Ok::<_, serde_json::Error>((serde_json::from_str(&capture.payload)?, capture.attachment_hex))
    });
    examples.collect::<Result<_, _>>().expect("the examples are JSON, which a test sees to")
});

/// Messages of a type that were sent inline.
pub(super) fn messages(kind: u64) -> Vec<Value> {
    let inline = EXAMPLES.iter().filter(|(payload, attachment)| attachment.is_none() && payload["type"] == kind);
    inline.map(|(payload, _)| payload.clone()).collect()
}

/// Headers, each with the bytes of its attachment in hex.
pub(super) fn attachments() -> impl Iterator<Item = (&'static Value, &'static str)> {
    EXAMPLES.iter().filter_map(|(header, attachment)| Some((header, attachment.as_deref()?)))
}
