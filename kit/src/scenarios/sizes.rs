//! Events of all sizes, text and binary: inline, or as attachments.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    sorted,
};
use crate::harness::binary;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("sizes around the limit", around_the_limit),
        Scenario::new("large and binary events", large_and_binary),
        Scenario::new("many equal events", equal),
    ]
}

/// Sizes of whole messages of Node.js. Messages of Rust have some bytes more, so these sizes cover
/// the limit of 8000 for both.
const TOTALS: std::ops::RangeInclusive<usize> = 7940..=8002;

/// Returns the events that did not arrive exactly once.
async fn around_the_limit(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let envelope = json!({
        "type": 3,
        "data": {
            "packet": { "type": 2, "data": ["size", 0, ""] },
            "opts": { "rooms": [], "except": [], "flags": {} },
        },
        "uid": "0123456789abcdef",
        "nsp": fixture.nsp,
    });
    // The zero becomes a number of four digits.
    let envelope = envelope.to_string().len() + 3;
    for total in TOTALS {
        fixture.act("emit", json!({ "event": "size", "args": [total, "x".repeat(total - envelope)] })).await?;
    }
    let mut seen = Map::new();
    for (client, events) in fixture.received().await?.as_object().into_iter().flatten() {
        let mut counts: BTreeMap<usize, u32> = TOTALS.map(|total| (total, 0)).collect();
        for event in events.as_array().into_iter().flatten() {
            let total = event[1].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or_default();
            let is_whole = event[2].as_str().is_some_and(|text| text.len() + envelope == total);
            *counts.entry(total).or_default() += if is_whole { 1 } else { 100 };
        }
        let wrong = counts.into_iter().filter(|&(_, count)| count != 1);
        seen.insert(client.clone(), wrong.map(|(total, count)| (total.to_string(), json!(count))).collect());
    }
    observed(seen.into(), json!({ "a": {}, "b": {}, "c": {} }))
}

async fn large_and_binary(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let events = [
        ("64 KB of text", json!(["x".repeat(64 * 1024)])),
        ("1 MB of text", json!(["äöü€".repeat(100_000)])),
        ("empty binary", json!([binary([])])),
        ("one byte", json!([binary([0xab])])),
        ("every byte", json!([binary((0..=255).collect::<Vec<u8>>())])),
        ("64 KB of binary", json!([binary(vec![7; 64 * 1024])])),
        ("1 MB of binary", json!([binary(vec![7; 1024 * 1024])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([2, 3]) }], "c": null }, [[binary([4])]], "text"])),
        // The client refuses more than ten.
        ("ten binaries", json!((0..10).map(|byte| binary([byte])).collect::<Vec<_>>())),
        ("binary to a room", json!([binary([1])])),
    ];
    for (event, args) in &events {
        fixture.act("emit", json!({ "event": event, "args": args })).await?;
    }
    let sent: BTreeMap<&str, &Value> = events.iter().map(|(event, args)| (*event, args)).collect();
    let everything = sorted(sent.keys().map(|event| json!(event)));
    let expected = json!({ "a": everything, "b": everything, "c": everything });
    observed(intact(fixture.received().await?, &sent), expected)
}

/// The names of the events that arrived as they were sent; of changed events the whole event.
fn intact(received: Value, sent: &BTreeMap<&str, &Value>) -> Value {
    let event = |event: &Value| {
        let (name, args) = event.as_array().and_then(|event| event.split_first()).unwrap_or((event, &[]));
        let as_sent = name.as_str().and_then(|name| sent.get(name)).and_then(|args| args.as_array());
        if as_sent.is_some_and(|sent| sent == args) { name.clone() } else { event.clone() }
    };
    let clients = received.as_object().cloned().unwrap_or_default().into_iter();
    clients.map(|(client, events)| (client, sorted(events.as_array().into_iter().flatten().map(event)))).collect()
}

/// PostgreSQL folds equal notifications of one transaction into one.
async fn equal(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let emits = (0..100).map(|_| fixture.act("emit", json!({ "event": "again", "args": [1] })));
    futures_util::future::try_join_all(emits).await?;
    let received = fixture.received().await?;
    let counted =
        received.as_object().into_iter().flatten().map(|(name, events)| (name, events.as_array().map(Vec::len)));
    observed(
        counted.collect::<BTreeMap<_, _>>().into_iter().map(|(k, v)| (k.clone(), json!(v))).collect(),
        json!({ "a": 100, "b": 100, "c": 100 }),
    )
}
