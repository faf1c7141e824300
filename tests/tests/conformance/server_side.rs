//! `serverSideEmit`, with and without acknowledgement.

use crate::{
    scenario::{Outcome, Scenario, observed},
    scene::{Scene, Stage, sorted, unordered},
};
use serde_json::{Map, Value, json};
use socketio_pg_tests::{Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("serverSideEmit", without_answer),
        Scenario::new("serverSideEmit: large and binary", large_and_binary),
        Scenario::new("serverSideEmit with answers", small_answers),
        Scenario::new("serverSideEmit: large and binary answers", large_and_binary_answers),
        Scenario::new("serverSideEmit: a node never answers", never),
        Scenario::new("serverSideEmit: alone in the cluster", alone).on(Stage::Mortal),
        Scenario::new("serverSideEmit: a node leaves meanwhile", leaves).on(Stage::Mortal),
        Scenario::new("serverSideEmit: a node dies meanwhile", dies).on(Stage::Mortal),
    ]
}

/// What each server got of the events that the first one emitted.
async fn heard(scene: &Scene, events: &[(&str, Value)]) -> Result<Value, Error> {
    for (event, args) in events {
        scene.act("serverSideEmit", json!({ "event": event, "args": args })).await?;
    }
    // Each server tells the others that it has nothing more to send: two events more for each.
    for server in scene.servers() {
        scene.call(server, "serverSideEmit", json!({ "event": "over", "args": [binary([0])] })).await?;
    }
    for server in scene.servers() {
        for _ in 0..2 {
            server.wait_for_server_side(&scene.nsp, "over").await?;
        }
    }
    let events = |index: usize| {
        let events = scene.server_side_events(index).into_iter();
        sorted(events.filter(|event| event[0] != "over"))
    };
    Ok(json!({ "one": events(0), "two": events(1), "three": events(2) }))
}

fn all_but_the_sender(events: &[(&str, Value)]) -> Value {
    let events = sorted(events.iter().map(|(event, args)| crate::composition::one_list(&json!(event), args)));
    json!({ "one": [], "two": events, "three": events })
}

async fn without_answer(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let events = [
        ("nothing", json!([])),
        ("text", json!(["ä\u{2028}😀"])),
        ("several", json!([1, -1.5, true, null, [], {}])),
        ("nested", json!([{ "a": [{ "b": null }] }])),
        ("ünïcode", json!([1])),
    ];
    observed(heard(&scene, &events).await?, all_but_the_sender(&events))
}

async fn large_and_binary(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let events = [
        ("binary", json!([binary([1, 2])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([]) }] }, null])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    observed(heard(&scene, &events).await?, all_but_the_sender(&events))
}

async fn ask(scene: &Scene, args: Value) -> Result<Value, Error> {
    let mut answer = scene.act("serverSideEmitWithAck", json!({ "event": "ask", "args": args })).await?;
    answer["responses"] = unordered(answer["responses"].take());
    Ok(answer)
}

async fn answers(scene: &Scene, replies: &[(&str, Value)]) -> Outcome {
    scene.wait_for_servers(3).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, reply) in replies {
        for server in scene.servers() {
            scene.call(server, "replyServerSide", json!({ "event": "ask", "with": reply })).await?;
        }
        seen.insert((*name).to_owned(), ask(scene, reply.clone()).await?);
        let first = reply.get(0).unwrap_or(&Value::Null);
        expected.insert((*name).to_owned(), json!({ "responses": [first, first], "error": null }));
    }
    observed(seen.into(), expected.into())
}

async fn small_answers(scene: Scene) -> Outcome {
    let replies = [
        ("none", json!([])),
        ("several", json!(["first", "second"])),
        ("null", json!([null])),
        ("false", json!([false])),
        ("zero", json!([0])),
        ("a number", json!([-1.5])),
        ("an empty string", json!([""])),
        ("a string", json!(["ä\u{2028}😀"])),
        ("a list", json!([[1, [2, null]]])),
        ("an object", json!([{ "a": { "b": [true] } }])),
    ];
    answers(&scene, &replies).await
}

async fn large_and_binary_answers(scene: Scene) -> Outcome {
    let replies = [
        ("binary", json!([binary([1, 2, 3])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([2]) }] }])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    answers(&scene, &replies).await
}

/// After 5 s the sender gets the acknowledgements that came.
async fn never(scene: Scene) -> Outcome {
    scene.wait_for_servers(3).await?;
    let [_, second, third] = scene.servers();
    scene.call(second, "replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
    scene.call(third, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let one = ask(&scene, json!([])).await?;
    scene.call(second, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let none = ask(&scene, json!([])).await?;
    observed(
        json!({ "one does not": one, "none does": none }),
        json!({
            "one does not": { "responses": ["here"], "error": "timeout reached: missing 1 responses" },
            "none does": { "responses": [], "error": "timeout reached: missing 2 responses" },
        }),
    )
}

async fn alone(scene: Scene) -> Outcome {
    let server = scene.start_alone().await?;
    let answer = scene.call(&server, "serverSideEmitWithAck", json!({ "event": "ask", "args": [1] })).await?;
    scene.call(&server, "serverSideEmit", json!({ "event": "anyone", "args": [1] })).await?;
    let count = scene.call(&server, "serverCount", json!({})).await?;
    server.node.close().await?;
    observed(json!([answer, count]), json!([{ "responses": [], "error": null }, 1]))
}

/// It gets the event and never acknowledges; after its close message, requests do not wait for it.
async fn leaves(scene: Scene) -> Outcome {
    with_another(scene, false).await
}

/// It gets the event and never acknowledges; once it counts as dead, requests do not wait for it.
async fn dies(scene: Scene) -> Outcome {
    with_another(scene, true).await
}

async fn with_another(scene: Scene, dies: bool) -> Outcome {
    scene.wait_for_servers(3).await?;
    let other = scene.start_another().await?;
    scene.wait_for_servers(4).await?;
    for server in scene.servers() {
        scene.call(server, "replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
    }
    scene.call(&other, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let (answer, ()) = tokio::try_join!(ask(&scene, json!([])), async {
        other.wait_for_server_side(&scene.nsp, "ask").await?;
        if dies { other.node.kill().await } else { other.node.close().await }
    })?;
    observed(answer, json!({ "responses": ["here", "here"], "error": null }))
}
