//! A transcript: what went over a cluster's channels, as JSON lines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A notification, with its attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// The channel on which it came.
    pub channel: String,
    /// The payload, as it was given to NOTIFY.
    pub payload: String,
    /// The row that the payload names, in hex; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_hex: Option<String>,
    /// When it came, since the beginning. Without it, rules about time are not judged.
    #[serde(skip)]
    pub(crate) at: Option<Duration>,
}

/// Notifications in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transcript {
    /// The notifications.
    pub entries: Vec<Entry>,
}

/// A line is not a notification.
#[derive(Debug, thiserror::Error)]
#[error(
    "line {line} is not a notification ({reason}): each is one JSON object, \
     {{\"channel\": \"…\", \"payload\": \"…\", \"attachment_hex\": \"…\"}}"
)]
pub struct TranscriptError {
    line: usize,
    reason: String,
}

impl Transcript {
    /// Reads JSON lines. Empty lines, and keys that are not known, are ignored.
    ///
    /// # Errors
    /// When a line is not a notification, or its attachment is not hex.
    pub fn read(text: &str) -> Result<Self, TranscriptError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let entries = lines.map(|(index, line)| {
            let failed = |reason: String| TranscriptError { line: index + 1, reason };
            let entry: Entry = serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
            match entry.attachment_hex.as_deref().map(unhex) {
                Some(None) => Err(failed("`attachment_hex` is not hex".to_owned())),
                _ => Ok(entry),
            }
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }
}

impl Entry {
    pub(crate) fn new(channel: String, payload: String, row: Option<Vec<u8>>, at: Duration) -> Self {
        Self { channel, payload, attachment_hex: row.map(|row| hex(&row)), at: Some(at) }
    }

    /// The row.
    pub(crate) fn attachment(&self) -> Option<Vec<u8>> {
        self.attachment_hex.as_deref().and_then(unhex)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
