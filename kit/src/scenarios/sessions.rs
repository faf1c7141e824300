//! A node that loses the session on which it listens.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::{Connect, Error};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("the listening session is ended", ended).on(Settings::ShortHeartbeats)]
}

/// The sessions that listen in the namespace, by their last statement: one that has sent another
/// statement since then is not found.
async fn listening(fixture: &Fixture) -> Result<Vec<String>, Error> {
    let channel = format!("\"{}#{}\"", fixture.prefix(), fixture.nsp).replace('\'', "''");
    let sql = format!(
        "SELECT string_agg(pid::text, ',') FROM pg_stat_activity \
         WHERE datname = current_database() AND query ILIKE '%LISTEN%' AND position('{channel}' IN query) > 0 \
         AND pid <> pg_backend_pid()"
    );
    let pids = fixture.stage().execute(&sql).await?;
    Ok(pids.unwrap_or_default().split(',').filter(|pid| !pid.is_empty()).map(str::to_owned).collect())
}

async fn ended(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let before = listening(&fixture).await?;
    let other = fixture.start_another_like_the_second().await?;
    let client = fixture.connect("d", &other, Connect::to(&fixture.nsp)).await?;
    let new = listening(&fixture).await?;
    for pid in new.iter().filter(|pid| !before.contains(pid)) {
        fixture.stage().execute(&format!("SELECT pg_terminate_backend({pid})")).await?;
    }
    let deadline = Instant::now() + fixture.patience();
    let mut hears = false;
    while !hears && Instant::now() < deadline {
        // What is sent while the node does not listen is lost.
        fixture.act("emit", json!({ "event": "again" })).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        hears = !client.received().await?.is_empty();
    }
    client.disconnect().await?;
    other.node().close().await?;
    fixture.wait_for_servers(3).await?;
    observed(json!({ "hears again": hears }), json!({ "hears again": true }))
}
