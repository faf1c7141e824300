//! `emitWithAck`: the acknowledgements of the clients of all servers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    unordered,
};
use crate::harness::{Error, binary};

/// For acknowledgements that must come: long enough for a busy machine.
const IN_TIME: u64 = 15_000;
/// For acknowledgements of which some must not come, and the others must.
const TOO_SHORT: u64 = 5000;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("acknowledgements: small values", small_values),
        Scenario::new("acknowledgements: large and binary", large_and_binary),
        Scenario::new("acknowledgements: who is asked", selectors),
        Scenario::new("acknowledgements: some come too late", too_late),
        Scenario::new("acknowledgements: no client", no_client),
        Scenario::new("acknowledgements: local", local),
        Scenario::new("acknowledgements: a node dies meanwhile", a_node_dies).on(Settings::ShortHeartbeats),
    ]
}

/// The acknowledgements, in any order, and why some are missing.
async fn ask(fixture: &Fixture, mut command: Value) -> Result<Value, Error> {
    command["event"] = "ask".into();
    if command.get("timeout").is_none() {
        command["timeout"] = IN_TIME.into();
    }
    let mut answer = fixture.act("emitWithAck", command).await?;
    answer["responses"] = unordered(fixture.named(answer["responses"].take()));
    Ok(answer)
}

async fn answers(fixture: &Fixture, replies: &[(&str, Value)]) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, reply) in replies {
        for client in clients.all() {
            client.reply("ask", reply.clone()).await?;
        }
        // The acknowledgement repeats the argument of the event.
        seen.insert((*name).to_owned(), ask(fixture, json!({ "args": reply })).await?);
        let first = reply.get(0).unwrap_or(&Value::Null);
        expected.insert((*name).to_owned(), json!({ "responses": [first, first, first], "error": null }));
    }
    observed(seen.into(), expected.into())
}

async fn small_values(fixture: Fixture) -> Outcome {
    let replies = [
        ("none", json!([])),
        ("several", json!(["first", "second", 3])),
        ("null", json!([null])),
        ("false", json!([false])),
        ("true", json!([true])),
        ("zero", json!([0])),
        ("a number", json!([-1.5])),
        ("a large number", json!([9_007_199_254_740_991_u64])),
        ("an empty string", json!([""])),
        ("a string", json!(["ä\u{2028}\0😀"])),
        ("an empty list", json!([[]])),
        ("a list", json!([[1, [2, null]]])),
        ("an empty object", json!([{}])),
        ("an object", json!([{ "a": { "b": [true] }, "": 1 }])),
    ];
    answers(&fixture, &replies).await
}

async fn large_and_binary(fixture: Fixture) -> Outcome {
    let replies = [
        ("binary", json!([binary([1, 2, 3])])),
        ("empty binary", json!([binary([])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([2]) }], "c": null }])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    answers(&fixture, &replies).await
}

async fn selectors(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for client in clients.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    for (client, rooms) in clients.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    let mut seen = Map::new();
    for (name, command) in [
        ("a room", json!({ "rooms": ["red"] })),
        ("two rooms", json!({ "rooms": ["red", "blue"] })),
        ("not a room", json!({ "except": ["red"] })),
        ("a room and not another", json!({ "rooms": ["blue"], "except": ["red"] })),
        ("a remote socket", json!({ "rooms": [clients.c.id()] })),
        ("a local socket", json!({ "rooms": [clients.a.id()] })),
        ("as a socket", json!({ "from": clients.a.id() })),
        ("volatile", json!({ "volatile": true, "rooms": ["blue"] })),
    ] {
        seen.insert(name.to_owned(), ask(&fixture, command).await?["responses"].take());
    }
    let expected = json!({
        "a room": ["a", "b"],
        "two rooms": ["a", "b", "c"],
        "not a room": ["c"],
        "a room and not another": ["c"],
        "a remote socket": ["c"],
        "a local socket": ["a"],
        "as a socket": ["b", "c"],
        "volatile": ["b", "c"],
    });
    observed(seen.into(), expected)
}

async fn too_late(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    clients.a.reply("ask", json!(["a"])).await?;
    clients.b.reply("ask", json!(["b"])).await?;
    clients.c.never_reply("ask").await?;
    let remote = ask(&fixture, json!({ "timeout": TOO_SHORT })).await?;
    clients.a.never_reply("ask").await?;
    clients.c.reply_after("ask", json!(["c"]), Duration::from_secs(120)).await?;
    let both = ask(&fixture, json!({ "timeout": TOO_SHORT })).await?;
    clients.c.reply_after("ask", json!(["c"]), Duration::from_millis(20)).await?;
    let patient = ask(&fixture, json!({ "rooms": [clients.b.id(), clients.c.id()] })).await?;
    let timed_out = "operation has timed out";
    observed(
        json!({ "a remote one": remote, "a local and a remote one": both, "none": patient }),
        json!({
            "a remote one": { "responses": ["a", "b"], "error": timed_out },
            "a local and a remote one": { "responses": ["b"], "error": timed_out },
            "none": { "responses": ["b", "c"], "error": null },
        }),
    )
}

async fn no_client(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let before = ask(&fixture, json!({})).await?;
    let clients = fixture.clients().await?;
    let room = ask(&fixture, json!({ "rooms": ["empty"] })).await?;
    let except = ask(&fixture, json!({ "except": clients.all().map(|client| client.id()) })).await?;
    let no_client = json!({ "responses": [], "error": null });
    observed(
        json!({ "no client": before, "an empty room": room, "all left out": except }),
        json!({ "no client": no_client, "an empty room": no_client, "all left out": no_client }),
    )
}

async fn local(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for client in clients.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    let seen = ask(&fixture, json!({ "local": true, "timeout": TOO_SHORT })).await?;
    observed(seen, json!({ "responses": ["a"], "error": null }))
}

/// The killed server has sent its count of clients, which then can never acknowledge.
async fn a_node_dies(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let dying = fixture.start_another().await?;
    fixture.wait_for_servers(4).await?;
    let lost = fixture.connect("d", &dying, crate::harness::Connect::to(&fixture.nsp)).await?;
    for client in clients.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    lost.never_reply("ask").await?;
    let (answer, ()) = tokio::try_join!(ask(&fixture, json!({ "timeout": 12_000 })), async {
        for client in clients.all().into_iter().chain([&lost]) {
            client.wait_for_packet("ask").await?;
        }
        dying.node.kill().await
    })?;
    fixture.wait_for_servers(3).await?;
    let afterwards = ask(&fixture, json!({})).await?;
    observed(
        json!({ "meanwhile": answer, "afterwards": afterwards }),
        json!({
            "meanwhile": { "responses": ["a", "b", "c"], "error": null },
            "afterwards": { "responses": ["a", "b", "c"], "error": null },
        }),
    )
}
