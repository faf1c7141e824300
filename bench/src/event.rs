//! The events that are sent: their content, and how a receiver recognises them.
//!
//! An event is `["message", run, sequence, stamp, body]`: `run` tells measurements apart,
//! `sequence` counts the events of a run and namespace from 0, `stamp` is the sender's clock, and
//! the body is always the same text or bytes.

use std::sync::LazyLock;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use socketioxide_core::{Value, parser::Parse};
use socketioxide_parser_common::CommonParser;

pub(crate) const NAME: &str = "message";

/// What is sent in a run. Node.js's side has the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// About 100 bytes of JSON in all.
    Small,
    /// 1 KiB of bytes, which Node.js's protocol sends as an attachment.
    Binary1K,
    /// 64 KiB of text, more than a notification holds.
    Text64K,
    /// Small events, but each eighth has 16 KiB of text.
    Mixed,
}

/// The last argument.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Body {
    Text(&'static str),
    Binary(Bytes),
}

/// The arguments before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) run: u64,
    pub(crate) sequence: u64,
    pub(crate) stamp: u64,
}

impl Load {
    pub(crate) fn body(self, sequence: u64) -> Body {
        static SMALL: LazyLock<String> = LazyLock::new(|| text(56));
        static LARGE: LazyLock<String> = LazyLock::new(|| text(16 * 1024));
        static HUGE: LazyLock<String> = LazyLock::new(|| text(64 * 1024));
        static BINARY: LazyLock<Bytes> = LazyLock::new(|| (0..1024).map(|index| (index % 251) as u8).collect());
        match self {
            Self::Mixed if sequence % 8 == 7 => Body::Text(&LARGE),
            Self::Small | Self::Mixed => Body::Text(&SMALL),
            Self::Text64K => Body::Text(&HUGE),
            Self::Binary1K => Body::Binary(BINARY.clone()),
        }
    }

    /// The event as socketioxide's `emit` encodes the application's data.
    pub(crate) fn encode(self, header: Header) -> Result<Value, String> {
        let data = (header.run, header.sequence, header.stamp, self.body(header.sequence));
        CommonParser.encode_value(&data, Some(NAME)).map_err(|error| error.to_string())
    }

    /// Reads what a socket would get, or a raw notification, and checks every byte of it.
    pub(crate) fn read(self, packet: &str, attachments: &[&Bytes]) -> Option<Header> {
        let start = packet.find("[\"message\",")? + "[\"message\",".len();
        let mut rest = packet.get(start..)?;
        let mut number = || {
            let (digits, after) = rest.split_once(',')?;
            rest = after;
            digits.parse().ok()
        };
        let header = Header { run: number()?, sequence: number()?, stamp: number()? };
        let is_whole = match (self.body(header.sequence), attachments) {
            (Body::Text(text), []) => {
                rest.strip_prefix('"').and_then(|rest| rest.strip_suffix("\"]")).is_some_and(|rest| rest == text)
            }
            (Body::Binary(bytes), [attachment]) => bytes == *attachment,
            _ => false,
        };
        is_whole.then_some(header)
    }
}

fn text(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use socketioxide_core::packet::Packet;

    fn sent(load: Load, header: Header) -> (String, Vec<Bytes>) {
        let packet = Packet::event("/rooms", load.encode(header).unwrap());
        match CommonParser.encode(packet) {
            Value::Str(text, attachments) => (text.to_string(), attachments.into_iter().flatten().collect()),
            Value::Bytes(_) => panic!("the common parser writes text"),
        }
    }

    #[test]
    fn every_event_is_read_back() {
        for load in [Load::Small, Load::Binary1K, Load::Text64K, Load::Mixed] {
            for sequence in [0, 7, 123_456] {
                let header = Header { run: 3, sequence, stamp: 1_234_567_890_123_456 };
                let (text, attachments) = sent(load, header);
                assert_eq!(load.read(&text, &attachments.iter().collect::<Vec<_>>()), Some(header), "{text:.100}");
            }
        }
    }

    #[test]
    fn a_small_event_has_about_a_hundred_bytes() {
        let header = Header { run: 3, sequence: 123_456, stamp: 1_234_567_890_123_456 };
        let length = sent(Load::Small, header).0.len();
        assert!((95..=110).contains(&length), "{length}");
    }

    #[test]
    fn a_changed_body_is_noticed() {
        let (text, _) = sent(Load::Small, Header { run: 1, sequence: 2, stamp: 3 });
        assert_eq!(Load::Small.read(&text.replace("xyz", "xyy"), &[]), None);
        let (text, _) = sent(Load::Binary1K, Header { run: 1, sequence: 2, stamp: 3 });
        assert_eq!(Load::Binary1K.read(&text, &[&Bytes::from_static(b"other")]), None);
        assert_eq!(Load::Binary1K.read(&text, &[]), None);
    }
}
