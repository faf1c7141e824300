//! The order of events from one server.

use serde_json::{Value, json};

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::Client;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("order of small and large events", alternating).on(Settings::Custom)]
}

const EVENTS: u64 = 100;

/// Emitted without waiting for the event before, over all connections that a server has.
async fn alternating(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let emits = (0..EVENTS).map(|number| {
        let size = if number % 2 == 0 { 2000 } else { 10 };
        fixture.act("emit", json!({ "event": "numbered", "args": [number, "x".repeat(size)] }))
    });
    futures_util::future::try_join_all(emits).await?;
    let seen = json!({ "b": is_in_order(&clients.b).await?, "c": is_in_order(&clients.c).await? });
    observed(seen, json!({ "b": true, "c": true }))
}

async fn is_in_order(client: &Client) -> Result<bool, crate::harness::Error> {
    for number in 0..EVENTS {
        client.wait_for_packet_with("numbered", |args| args.first() == Some(&json!(number))).await?;
    }
    let mut numbers: Vec<u64> = Vec::new();
    for packet in client.received().await? {
        let number = packet.args.first().and_then(Value::as_u64);
        numbers.extend(number.filter(|number| !numbers.contains(number)));
    }
    Ok(numbers.is_sorted())
}
