//! `serverSideEmit`, with and without acknowledgement.

use serde_json::{Map, Value, json};

use super::{
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    sorted, unordered,
};
use crate::harness::{Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("serverSideEmit", without_answer),
        Scenario::new("serverSideEmit: large and binary", large_and_binary),
        Scenario::new("serverSideEmit with answers", small_answers),
        Scenario::new("serverSideEmit: large and binary answers", large_and_binary_answers),
        Scenario::new("serverSideEmit: a node never answers", never),
        Scenario::new("serverSideEmit: alone in the cluster", alone).on(Settings::ShortHeartbeats),
        Scenario::new("serverSideEmit: a node leaves meanwhile", leaves).on(Settings::ShortHeartbeats),
        Scenario::new("serverSideEmit: a node dies meanwhile", dies).on(Settings::ShortHeartbeats),
    ]
}

/// What each server got of the events that the first one emitted.
async fn heard(fixture: &Fixture, events: &[(&str, Value)]) -> Result<Value, Error> {
    for (event, args) in events {
        fixture.act("serverSideEmit", json!({ "event": event, "args": args })).await?;
    }
    // Each server tells the others that it has nothing more to send: two events more for each.
    for server in fixture.servers() {
        fixture.call(server, "serverSideEmit", json!({ "event": "over", "args": [binary([0])] })).await?;
    }
    for server in fixture.servers() {
        for _ in 0..2 {
            server.wait_for_server_side(&fixture.nsp, "over").await?;
        }
    }
    let events = |index: usize| {
        let events = fixture.server_side_events(index).into_iter();
        sorted(events.filter(|event| event[0] != "over"))
    };
    Ok(json!({ "one": events(0), "two": events(1), "three": events(2) }))
}

fn all_but_the_sender(events: &[(&str, Value)]) -> Value {
    let events = sorted(events.iter().map(|(event, args)| super::one_list(&json!(event), args)));
    json!({ "one": [], "two": events, "three": events })
}

async fn without_answer(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let events = [
        ("nothing", json!([])),
        ("text", json!(["ä\u{2028}😀"])),
        ("several", json!([1, -1.5, true, null, [], {}])),
        ("nested", json!([{ "a": [{ "b": null }] }])),
        ("ünïcode", json!([1])),
    ];
    observed(heard(&fixture, &events).await?, all_but_the_sender(&events))
}

async fn large_and_binary(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let events = [
        ("binary", json!([binary([1, 2])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([]) }] }, null])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    observed(heard(&fixture, &events).await?, all_but_the_sender(&events))
}

async fn ask(fixture: &Fixture, args: Value) -> Result<Value, Error> {
    let mut answer = fixture.act("serverSideEmitWithAck", json!({ "event": "ask", "args": args })).await?;
    answer["responses"] = unordered(answer["responses"].take());
    Ok(answer)
}

async fn answers(fixture: &Fixture, replies: &[(&str, Value)]) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, reply) in replies {
        for server in fixture.servers() {
            fixture.call(server, "replyServerSide", json!({ "event": "ask", "with": reply })).await?;
        }
        seen.insert((*name).to_owned(), ask(fixture, reply.clone()).await?);
        let first = reply.get(0).unwrap_or(&Value::Null);
        expected.insert((*name).to_owned(), json!({ "responses": [first, first], "error": null }));
    }
    observed(seen.into(), expected.into())
}

async fn small_answers(fixture: Fixture) -> Outcome {
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
    answers(&fixture, &replies).await
}

async fn large_and_binary_answers(fixture: Fixture) -> Outcome {
    let replies = [
        ("binary", json!([binary([1, 2, 3])])),
        ("nested binary", json!([{ "a": [binary([1]), { "b": binary([2]) }] }])),
        ("large text", json!(["x".repeat(20_000)])),
        ("large binary", json!([binary(vec![7; 100_000])])),
    ];
    answers(&fixture, &replies).await
}

/// After 5 s the sender gets the acknowledgements that came.
async fn never(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let [_, second, third] = fixture.servers();
    fixture.call(second, "replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
    fixture.call(third, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let one = ask(&fixture, json!([])).await?;
    fixture.call(second, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let none = ask(&fixture, json!([])).await?;
    observed(
        json!({ "one does not": one, "none does": none }),
        json!({
            "one does not": { "responses": ["here"], "error": "timeout reached: missing 1 responses" },
            "none does": { "responses": [], "error": "timeout reached: missing 2 responses" },
        }),
    )
}

async fn alone(fixture: Fixture) -> Outcome {
    let server = fixture.start_alone().await?;
    let answer = fixture.call(&server, "serverSideEmitWithAck", json!({ "event": "ask", "args": [1] })).await?;
    fixture.call(&server, "serverSideEmit", json!({ "event": "anyone", "args": [1] })).await?;
    let count = fixture.call(&server, "serverCount", json!({})).await?;
    server.node.close().await?;
    observed(json!([answer, count]), json!([{ "responses": [], "error": null }, 1]))
}

/// It gets the event and never acknowledges; after its close message, requests do not wait for it.
async fn leaves(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    observed(with_another(&fixture, false).await?, all_but_the_other())
}

/// It gets the event and never acknowledges; once it counts as dead, requests do not wait for it.
async fn dies(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let mut answer = Value::Null;
    // A request waits for 5 s. On a busy machine, the death may be noticed after that.
    for _ in 0..3 {
        answer = with_another(&fixture, true).await?;
        if answer == all_but_the_other() {
            break;
        }
        fixture.wait_for_servers(3).await?;
    }
    observed(answer, all_but_the_other())
}

fn all_but_the_other() -> Value {
    json!({ "responses": ["here", "here"], "error": null })
}

async fn with_another(fixture: &Fixture, dies: bool) -> Result<Value, Error> {
    let other = fixture.start_another().await?;
    fixture.wait_for_servers(4).await?;
    for server in fixture.servers() {
        fixture.call(server, "replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
    }
    fixture.call(&other, "replyServerSide", json!({ "event": "ask", "never": true })).await?;
    let (answer, ()) = tokio::try_join!(ask(fixture, json!([])), async {
        other.wait_for_server_side(&fixture.nsp, "ask").await?;
        if dies { other.node.kill().await } else { other.node.close().await }
    })?;
    Ok(answer)
}
