//! Requests of all kinds: where their responses go, and to which request each belongs.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    cluster::Settings,
    fixture::{Clients, Fixture},
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::Error;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("requests of all kinds", of_all_kinds).on(Settings::Custom),
        Scenario::new("two requests at the same time", at_the_same_time),
    ]
}

/// The kit's Rust servers have a reply channel with these settings, and this asks twice.
async fn of_all_kinds(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (client, name) in clients.all().into_iter().zip(["a", "b", "c"]) {
        client.reply("ask", json!([name])).await?;
    }
    for server in fixture.servers() {
        fixture.call(server, "replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
    }
    let first = answers(&fixture).await?;
    let second = answers(&fixture).await?;
    let expected = json!({
        "sockets": ["a", "b", "c"],
        "acks": { "responses": ["a", "b", "c"], "error": null },
        "answers": { "responses": ["here", "here"], "error": null },
    });
    observed(json!([first, second]), json!([expected, expected]))
}

async fn answers(fixture: &Fixture) -> Result<Value, Error> {
    let sockets = fixture.named(fixture.act("fetchSockets", json!({})).await?);
    // A Node.js cluster passes its own attachments on to its workers, so one response may come twice.
    let sockets: BTreeSet<&str> =
        sockets.as_array().into_iter().flatten().filter_map(|socket| socket["id"].as_str()).collect();
    let mut acks = fixture.act("emitWithAck", json!({ "event": "ask" })).await?;
    acks["responses"] = super::unordered(acks["responses"].take());
    let answers = fixture.act("serverSideEmitWithAck", json!({ "event": "ask" })).await?;
    Ok(json!({ "sockets": sockets, "acks": acks, "answers": answers }))
}

/// The first one is answered while the second one waits.
async fn at_the_same_time(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let Clients { b, .. } = fixture.clients().await?;
    b.reply_after("first", json!(["of the first"]), Duration::from_millis(300)).await?;
    b.reply_after("second", json!(["of the second"]), Duration::from_millis(600)).await?;
    let ask =
        |event: &'static str| fixture.act("emitWithAck", json!({ "event": event, "rooms": [b.id()], "timeout": 3000 }));
    let (first, second) = tokio::try_join!(ask("first"), ask("second"))?;
    observed(
        json!([first, second]),
        json!([
            { "responses": ["of the first"], "error": null },
            { "responses": ["of the second"], "error": null },
        ]),
    )
}
