//! `emitWithAck`: the acknowledgements of the clients of all servers.

use crate::{
    scenario::{Outcome, Scenario, observed},
    scene::{Scene, Stage, unordered},
};
use serde_json::{Map, Value, json};
use socketio_pg_tests::{Error, binary};
use std::time::Duration;

/// For acknowledgements that must come: long enough for a busy machine.
const IN_TIME: u64 = 15_000;
/// For acknowledgements that must not come.
const TOO_SHORT: u64 = 1500;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("acknowledgements: small values", small_values),
        Scenario::new("acknowledgements: large and binary", large_and_binary),
        Scenario::new("acknowledgements: who is asked", selectors),
        Scenario::new("acknowledgements: some come too late", too_late),
        Scenario::new("acknowledgements: no client", nobody),
        Scenario::new("acknowledgements: local", local),
        Scenario::new("acknowledgements: a node dies meanwhile", a_node_dies).on(Stage::Mortal),
    ]
}

/// The acknowledgements, in any order, and why some are missing.
async fn ask(scene: &Scene, mut command: Value) -> Result<Value, Error> {
    command["event"] = "ask".into();
    if command.get("timeout").is_none() {
        command["timeout"] = IN_TIME.into();
    }
    let mut answer = scene.act("emitWithAck", command).await?;
    answer["responses"] = unordered(scene.named(answer["responses"].take()));
    Ok(answer)
}

async fn answers(scene: &Scene, replies: &[(&str, Value)]) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, reply) in replies {
        for client in cast.all() {
            client.reply("ask", reply.clone()).await?;
        }
        // The acknowledgement repeats the argument of the event.
        seen.insert((*name).to_owned(), ask(scene, json!({ "args": reply })).await?);
        let first = reply.get(0).unwrap_or(&Value::Null);
        expected.insert((*name).to_owned(), json!({ "responses": [first, first, first], "error": null }));
    }
    observed(seen.into(), expected.into())
}

async fn small_values(scene: Scene) -> Outcome {
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
    answers(&scene, &replies).await
}

async fn large_and_binary(scene: Scene) -> Outcome {
    let replies = [
        ("binary", json!([binary([1, 2, 3])])),
        ("empty binary", json!([binary([])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([2]) }], "c": null }])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    answers(&scene, &replies).await
}

async fn selectors(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    for client in cast.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    for (client, rooms) in cast.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        scene.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    let mut seen = Map::new();
    for (name, command) in [
        ("a room", json!({ "rooms": ["red"] })),
        ("two rooms", json!({ "rooms": ["red", "blue"] })),
        ("not a room", json!({ "except": ["red"] })),
        ("a room and not another", json!({ "rooms": ["blue"], "except": ["red"] })),
        ("a remote socket", json!({ "rooms": [cast.c.id()] })),
        ("a local socket", json!({ "rooms": [cast.a.id()] })),
        ("as a socket", json!({ "from": cast.a.id() })),
        ("volatile", json!({ "volatile": true, "rooms": ["blue"] })),
    ] {
        seen.insert(name.to_owned(), ask(&scene, command).await?["responses"].take());
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

async fn too_late(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    cast.a.reply("ask", json!(["a"])).await?;
    cast.b.reply("ask", json!(["b"])).await?;
    cast.c.never_reply("ask").await?;
    let remote = ask(&scene, json!({ "timeout": TOO_SHORT })).await?;
    cast.a.never_reply("ask").await?;
    cast.c.reply_after("ask", json!(["c"]), Duration::from_secs(120)).await?;
    let both = ask(&scene, json!({ "timeout": TOO_SHORT })).await?;
    cast.c.reply_after("ask", json!(["c"]), Duration::from_millis(20)).await?;
    let patient = ask(&scene, json!({ "rooms": [cast.b.id(), cast.c.id()] })).await?;
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

async fn nobody(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let before = ask(&scene, json!({})).await?;
    let cast = scene.cast().await?;
    let room = ask(&scene, json!({ "rooms": ["empty"] })).await?;
    let except = ask(&scene, json!({ "except": cast.all().map(|client| client.id()) })).await?;
    let nobody = json!({ "responses": [], "error": null });
    observed(
        json!({ "no client": before, "an empty room": room, "all left out": except }),
        json!({ "no client": nobody, "an empty room": nobody, "all left out": nobody }),
    )
}

async fn local(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    for client in cast.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    let seen = ask(&scene, json!({ "local": true, "timeout": TOO_SHORT })).await?;
    observed(seen, json!({ "responses": ["a"], "error": null }))
}

/// The killed server has sent its count of clients, which then can never acknowledge.
async fn a_node_dies(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let cast = scene.cast().await?;
    let dying = scene.start_another().await?;
    scene.wait_for_servers(4).await?;
    let lost = scene.connect("d", &dying, socketio_pg_tests::Connect::to(&scene.nsp)).await?;
    for client in cast.all() {
        client.reply("ask", json!([client.id()])).await?;
    }
    lost.never_reply("ask").await?;
    let (answer, ()) = tokio::try_join!(ask(&scene, json!({ "timeout": 6000 })), async {
        for client in cast.all().into_iter().chain([&lost]) {
            client.wait_for_packet("ask").await?;
        }
        dying.node.kill().await
    })?;
    scene.wait_for_servers(3).await?;
    let afterwards = ask(&scene, json!({})).await?;
    observed(
        json!({ "meanwhile": answer, "afterwards": afterwards }),
        json!({
            "meanwhile": { "responses": ["a", "b", "c"], "error": null },
            "afterwards": { "responses": ["a", "b", "c"], "error": null },
        }),
    )
}
