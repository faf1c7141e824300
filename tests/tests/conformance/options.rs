//! Another prefix, another table and another threshold.

use crate::{
    scenario::{Outcome, Scenario, observed},
    scene::{Scene, Stage},
};
use serde_json::{Value, json};
use socketio_pg_tests::binary;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("prefix, table and threshold of one's own", of_ones_own).on(Stage::Custom)]
}

async fn of_ones_own(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    let events = [
        ("short", json!(["needle-short"])),
        ("long", json!([format!("needle-long {}", "x".repeat(400))])),
        ("binary", json!(["needle-binary", binary([1])])),
    ];
    for (event, args) in &events {
        scene.act("emit", json!({ "event": event, "args": args })).await?;
        for client in cast.all() {
            assert_eq!(Value::from(client.wait_for_packet(event).await?), *args, "{event}");
        }
    }
    let mut stored = Vec::new();
    for needle in ["needle-short", "needle-long", "needle-binary"] {
        let query = format!("SELECT count(*) FROM app_attachments WHERE position('{needle}'::bytea IN payload) > 0");
        stored.push(scene.database().execute(&query).unwrap_or_else(|error| panic!("{error}")));
    }
    observed(json!(stored), json!(["0", "1", "1"]))
}
