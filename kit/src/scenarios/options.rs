//! Another prefix, another table and another threshold.

use serde_json::{Map, Value, json};

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::binary;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("prefix, table and threshold of one's own", of_ones_own).on(Settings::Custom)]
}

async fn of_ones_own(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let events = [
        ("short", json!(["needle-short"])),
        ("long", json!([format!("needle-long {}", "x".repeat(400))])),
        ("binary", json!(["small", binary([1])])),
        ("large binary", json!(["needle-binary", binary([1; 400])])),
    ];
    let (mut received, mut sent) = (Map::new(), Map::new());
    for (event, args) in &events {
        fixture.act("emit", json!({ "event": event, "args": args })).await?;
        let mut by_client = Vec::new();
        for client in clients.all() {
            by_client.push(Value::from(client.wait_for_packet(event).await?));
        }
        received.insert((*event).to_owned(), by_client.into());
        sent.insert((*event).to_owned(), json!([args, args, args]));
    }
    // Small binary may travel in the notification, where all servers take it.
    let mut stored = Vec::new();
    let table = fixture.table();
    for needle in ["needle-short", "needle-long", "needle-binary"] {
        let query = format!("SELECT count(*) FROM {table} WHERE position('{needle}'::bytea IN payload) > 0");
        stored.push(fixture.stage().execute(&query).await?);
    }
    observed(json!({ "received": received, "rows": stored }), json!({ "received": sent, "rows": ["0", "1", "1"] }))
}
