//! Hostile bytes: reading them causes no panic, no growth of memory, no overflow of the stack.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketio_pg_protocol::{DecodeErrorKind, EncodeError, Value, value::to_msgpack};

use crate::fixtures::{Random, attachments, unhex};

#[test]
fn an_attachment_cut_short_or_continued_is_an_error() {
    for (scenario, attachment) in attachments() {
        // Of the large ones only the ends: the middle of a 10 kB string is uniform.
        let cuts = (0..attachment.len()).filter(|cut| *cut < 300 || attachment.len() - *cut < 300);
        for cut in cuts {
            let error = Value::from_msgpack(&attachment[..cut]).unwrap_err();
            assert!(error.to_string().contains("left at byte"), "{scenario} cut at {cut}: {error}");
        }
        let mut continued = attachment.clone();
        continued.push(0xc0);
        let error = Value::from_msgpack(&continued).unwrap_err();
        let expected = format!("the value is followed by 1 more bytes at byte {}", attachment.len());
        assert!(error.to_string().ends_with(&expected), "{scenario}: {error}");
    }
}

#[test]
fn garbage_is_read_without_a_panic() {
    let mut random = Random::new();
    let attachments: Vec<Vec<u8>> =
        attachments().into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 1000).collect();
    let mut decoded = 0;
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = if round % 2 == 0 {
            (0..random.below(64)).map(|_| random.below(256) as u8).collect()
        } else {
            attachments[random.below(attachments.len())].clone()
        };
        for _ in 0..random.below(4) {
            if !bytes.is_empty() {
                let position = random.below(bytes.len());
                bytes[position] = random.below(256) as u8;
            }
        }
        let Ok(value) = Value::from_msgpack(&bytes) else { continue };
        decoded += 1;
        // What could be read can be written, and is read as the same value again.
        let written = to_msgpack(&value).unwrap();
        assert_eq!(to_msgpack(&Value::from_msgpack(&written).unwrap()).unwrap(), written);
        let (text, attachments) = value.to_json_with_attachments();
        assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text}");
        // Unless the value itself looks like a placeholder.
        if !text.contains("_placeholder") || value.has_binary() {
            let _ = Value::from_json_with_attachments(&text, &attachments);
        }
        assert!(serde_json::to_string(&value).is_ok());
        let _ = Value::deserialize(value.clone()).unwrap();
        let _ = value.revive_buffers();
    }
    assert!(decoded > 1000, "only {decoded} were values");
}

#[test]
fn lengths_that_are_only_claimed_take_no_memory() {
    let before = peak_virtual_memory();
    for header in ["dd", "df", "db", "c6", "c9"] {
        let bytes = unhex(&format!("{header}ffffffff00"));
        let error = Value::from_msgpack(&bytes).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::MessagePack, "{header}: {error}");
    }
    // Arrays within arrays and maps within maps, each claiming all the bytes that follow.
    for unit in ["dd000f0000", "df000f000001"] {
        let mut bytes = unhex(&unit.repeat(120));
        bytes.resize(1 << 20, 0);
        assert!(Value::from_msgpack(&bytes).is_err());
        let error = Value::from_msgpack(&unhex(&unit.repeat(900))).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::TooDeep);
    }
    let taken = peak_virtual_memory() - before;
    assert!(taken < 1 << 20, "{taken} kB");
}

/// In kB, where the system tells. Address space counts, so memory that is reserved and never
/// touched is included.
fn peak_virtual_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        let inputs = [vec![0x91; 100_000], [0x81, 0xa0].repeat(100_000), [0x92, 0xc0].repeat(100_000)];
        for bytes in inputs {
            assert_eq!(Value::from_msgpack(&bytes).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        }
        for text in ["[".repeat(100_000), r#"{"":"#.repeat(100_000), "[0,".repeat(100_000)] {
            assert_eq!(Value::from_json(&text).unwrap_err().kind(), DecodeErrorKind::TooDeep);
        }
        let mut endless = Chain(None);
        for _ in 0..100_000 {
            endless = Chain(Some(Box::new(endless)));
        }
        // Even dropping it would overflow the stack.
        let endless = std::mem::ManuallyDrop::new(endless);
        assert!(matches!(to_msgpack(&*endless), Err(EncodeError::TooDeep(_))));
    });
}

/// Nests a sequence in each link.
struct Chain(Option<Box<Chain>>);

impl Serialize for Chain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

#[test]
fn the_deepest_value_goes_every_way_on_a_small_stack() {
    on_a_small_stack(|| {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let text = format!("{}1{}", open.repeat(128), close.repeat(128));
            let value = Value::from_json(&text).unwrap();
            assert_eq!(value.to_json(), text);
            let bytes = to_msgpack(&value).unwrap();
            assert_eq!(Value::from_msgpack(&bytes).unwrap(), value);
            assert_eq!(Value::deserialize(value.clone()).unwrap(), value);
            assert_eq!(Value::from_serialize(&value).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
            assert!(!value.has_binary());
            assert_eq!(value.clone().revive_buffers(), value);
            assert!(matches!(to_msgpack(&[value]), Err(EncodeError::TooDeep(_))));
        }
    });
}

/// As small as the stack of a tokio worker.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap().join().unwrap();
}
