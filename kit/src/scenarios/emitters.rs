//! Emitting without sockets: this project's emitter and its functions in PostgreSQL, and the
//! official emitter.

use serde_json::{Map, Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    stage::Emitter,
};
use crate::harness::{Connect, Error, Node, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("Rust emitter", |fixture: Fixture| async move {
            let emitter = fixture.emitter(Emitter::Rust).await?;
            every_operation(&fixture, &emitter).await
        }),
        Scenario::new("Rust emitter: transactions", |fixture: Fixture| async move {
            let emitter = fixture.emitter(Emitter::Rust).await?;
            transactions(&fixture, &emitter).await
        }),
        Scenario::new("SQL functions", |fixture: Fixture| async move {
            let functions = fixture.emitter(Emitter::SqlFunctions).await?;
            every_operation(&fixture, &functions).await
        }),
        Scenario::new("SQL functions: transactions", |fixture: Fixture| async move {
            let functions = fixture.emitter(Emitter::SqlFunctions).await?;
            transactions(&fixture, &functions).await
        }),
        Scenario::new("Rust emitter into the outbox", |fixture: Fixture| async move {
            let emitter = fixture.emitter(Emitter::RustIntoOutbox).await?;
            every_operation(&fixture, &emitter).await
        }),
        Scenario::new("Rust emitter into the outbox: transactions", |fixture: Fixture| async move {
            let emitter = fixture.emitter(Emitter::RustIntoOutbox).await?;
            transactions(&fixture, &emitter).await
        }),
        Scenario::new("SQL functions into the outbox", |fixture: Fixture| async move {
            let functions = fixture.emitter(Emitter::SqlFunctionsIntoOutbox).await?;
            every_operation(&fixture, &functions).await
        }),
        Scenario::new("SQL functions into the outbox: transactions", |fixture: Fixture| async move {
            let functions = fixture.emitter(Emitter::SqlFunctionsIntoOutbox).await?;
            transactions(&fixture, &functions).await
        }),
        Scenario::new("official emitter", |fixture: Fixture| async move {
            let emitter = fixture.emitter(Emitter::Official).await?;
            every_operation(&fixture, &emitter).await
        }),
        Scenario::new("emitters: rooms named by numbers", rooms_named_by_numbers),
    ]
}

async fn say(fixture: &Fixture, emitter: &Node, op: &str, mut fields: Value) -> Result<(), Error> {
    fields["nsp"] = fixture.nsp.as_str().into();
    emitter.call(op, fields).await.map(drop)
}

async fn every_operation(fixture: &Fixture, emitter: &Node) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let [_, b, c] = clients.all();
    for (op, fields) in [
        ("socketsJoin", json!({ "join": ["red", "blue"], "rooms": [b.id(), c.id()] })),
        ("socketsLeave", json!({ "leave": ["blue"], "rooms": [c.id()] })),
        ("emit", json!({ "event": "to all", "args": [1, { "a": null }] })),
        ("emit", json!({ "event": "nothing", "args": [] })),
        ("emit", json!({ "event": "to red", "rooms": ["red"] })),
        ("emit", json!({ "event": "to red or blue", "rooms": ["red", "blue"] })),
        ("emit", json!({ "event": "not to blue", "except": ["blue"] })),
        ("emit", json!({ "event": "to red not blue", "rooms": ["red"], "except": ["blue"] })),
        ("emit", json!({ "event": "to b", "rooms": [b.id()], "compress": true })),
        ("emit", json!({ "event": "binary", "args": [{ "bytes": binary([1, 2]) }] })),
        ("emit", json!({ "event": "large", "args": ["x".repeat(9000)] })),
        ("serverSideEmit", json!({ "event": "news", "args": ["a", binary([1])] })),
        ("serverSideEmit", json!({ "event": "over", "args": [] })),
    ] {
        say(fixture, emitter, op, fields).await?;
    }
    let mut received = fixture.received().await?;
    for (_, events) in received.as_object_mut().into_iter().flatten() {
        for event in events.as_array_mut().into_iter().flatten() {
            if event[0] == "large" {
                event[1] = json!(event[1].as_str().map(str::len));
            }
        }
    }

    // A client that stays connected to each server shows when all of them have heard.
    let [_, _, third] = fixture.servers();
    let d = fixture.connect("d", third, Connect::to(&fixture.nsp)).await?;
    say(fixture, emitter, "disconnectSockets", json!({ "rooms": [c.id()], "close": true })).await?;
    fixture.settle(&[&*clients.a, &**b, &d]).await?;
    let mut still_there = Vec::new();
    let mut server_side = Map::new();
    for (index, (name, server)) in ["one", "two", "three"].into_iter().zip(fixture.servers()).enumerate() {
        let sockets = fixture.named(fixture.call(server, "localSockets", json!({})).await?);
        still_there.extend(sockets.as_array().into_iter().flatten().map(|socket| socket["id"].clone()));
        server_side.insert(name.to_owned(), super::sorted(fixture.server_side_events(index)));
    }

    let (all, large) = (json!(["to all", 1, { "a": null }]), json!(["large", 9000]));
    let bytes = json!(["binary", { "bytes": binary([1, 2]) }]);
    let events = json!([["news", "a", binary([1])], ["over"]]);
    observed(
        json!({ "received": received, "still there": super::sorted(still_there), "server side": server_side }),
        json!({
            "received": {
                "a": [bytes, large, ["not to blue"], ["nothing"], all],
                "b": [bytes, large, ["nothing"], all, ["to b"], ["to red or blue"], ["to red"]],
                "c": [bytes, large, ["not to blue"], ["nothing"], all, ["to red not blue"], ["to red or blue"], ["to red"]],
            },
            "still there": ["a", "b", "d"],
            "server side": { "one": events, "two": events, "three": events },
        }),
    )
}

/// A number and its digits name two rooms: `b` is in 42, `c` in "42" and -7.
async fn rooms_named_by_numbers(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let [_, b, c] = clients.all();
    let mut to_b = Vec::new();
    let mut to_c = Vec::new();
    // Not the official emitter: servers on Node.js ignore what it sends.
    for (name, which) in [("Rust", Emitter::Rust), ("SQL", Emitter::SqlFunctions)] {
        let emitter = fixture.emitter(which).await?;
        let (large, event) = (name.repeat(3000), format!("large of {name}"));
        for (op, fields) in [
            ("socketsJoin", json!({ "join": [42], "rooms": [b.id()] })),
            ("socketsJoin", json!({ "join": ["42", -7], "rooms": [c.id()] })),
            ("emit", json!({ "event": "42", "args": [name], "rooms": [42] })),
            ("emit", json!({ "event": "digits", "args": [name], "rooms": ["42"] })),
            ("emit", json!({ "event": "both", "args": [name], "rooms": [42, "42"], "except": [-7] })),
            ("emit", json!({ "event": event, "args": [large], "rooms": [42] })),
        ] {
            say(&fixture, &emitter, op, fields).await?;
        }
        // A server on Node.js may read it after the next messages.
        b.wait_for_packet(&event).await?;
        for (op, fields) in [
            ("socketsLeave", json!({ "leave": [42, -7], "rooms": [-7, 42] })),
            ("emit", json!({ "event": "left", "args": [1], "rooms": [-7] })),
        ] {
            say(&fixture, &emitter, op, fields).await?;
        }
        to_b.extend([json!(["42", name]), json!([event, large]), json!(["both", name])]);
        to_c.push(json!(["digits", name]));
    }
    let expected = json!({ "a": [], "b": super::sorted(to_b), "c": super::sorted(to_c) });
    observed(fixture.received().await?, expected)
}

/// Events are sent if, and only if, the transaction commits; equal events are two.
async fn transactions(fixture: &Fixture, emitter: &Node) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    for (event, commit) in [("never", false), ("committed", true)] {
        let emit = json!({ "op": "emit", "nsp": fixture.nsp, "event": event, "args": [1] });
        let large = json!({ "op": "emit", "nsp": fixture.nsp, "event": event, "args": [binary([2])] });
        say(fixture, emitter, "transaction", json!({ "ops": [emit, emit, large, large], "commit": commit })).await?;
    }
    let once = |arg: Value| json!(["committed", arg]);
    let four = json!([once(json!(1)), once(json!(1)), once(binary([2])), once(binary([2]))]);
    observed(fixture.received().await?, json!({ "a": four, "b": four, "c": four }))
}
