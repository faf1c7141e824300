//! `emit`, and the selection of sockets that get the event.

use serde_json::{Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
};
use crate::harness::Error;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("emit to all", to_all),
        Scenario::new("emit to rooms and except rooms", rooms),
        Scenario::new("emit as a socket's broadcast", as_a_socket),
        Scenario::new("emit with flags", flags),
        Scenario::new("private messages by socket id", private),
        Scenario::new("reserved event names", reserved),
    ]
}

async fn to_all(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    for (event, args) in [("world", json!(["hello", 1, true, null, { "a": [1.5] }])), ("nothing", json!([]))] {
        fixture.act("emit", json!({ "event": event, "args": args })).await?;
    }
    let both = json!([["nothing"], ["world", "hello", 1, true, null, { "a": [1.5] }]]);
    observed(fixture.received().await?, json!({ "a": both, "b": both, "c": both }))
}

/// `a` is in red, `b` in red and blue, `c` in blue: each gets an event once, even if it is in
/// several of its rooms.
async fn rooms(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (client, rooms) in clients.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    for (event, rooms, except) in [
        ("red", json!(["red"]), json!([])),
        ("red or blue", json!(["red", "blue"]), json!([])),
        ("not red", json!([]), json!(["red"])),
        ("neither", json!([]), json!(["red", "blue"])),
        ("blue and not red", json!(["blue"]), json!(["red"])),
        ("red and not b", json!(["red"]), json!([clients.b.id()])),
        ("no such room", json!(["green"]), json!([])),
        ("all but no such room", json!([]), json!(["green"])),
    ] {
        fixture.act("emit", json!({ "event": event, "rooms": rooms, "except": except })).await?;
    }
    let expected = json!({
        "a": [["all but no such room"], ["red and not b"], ["red or blue"], ["red"]],
        "b": [["all but no such room"], ["red or blue"], ["red"]],
        "c": [["all but no such room"], ["blue and not red"], ["not red"], ["red or blue"]],
    });
    observed(fixture.received().await?, expected)
}

async fn as_a_socket(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for client in [&clients.a, &clients.b] {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": ["red"] })).await?;
    }
    let from = clients.a.id();
    fixture.act("emit", json!({ "event": "to the others", "from": from })).await?;
    fixture.act("emit", json!({ "event": "to red", "from": from, "rooms": ["red"] })).await?;
    fixture.act("emit", json!({ "event": "to nobody in red", "from": from, "except": ["red"] })).await?;
    fixture.act("emit", json!({ "event": "to c", "from": from, "rooms": [clients.c.id(), from] })).await?;
    let expected = json!({
        "a": [],
        "b": [["to red"], ["to the others"]],
        "c": [["to c"], ["to nobody in red"], ["to the others"]],
    });
    observed(fixture.received().await?, expected)
}

async fn flags(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let all = clients.all().map(|client| &**client);
    // A server may drop a volatile event while something else is on its way to the client, even a
    // heartbeat. So it is sent again until each client got one.
    for attempt in 0..VOLATILE_ATTEMPTS {
        fixture.settle(&all).await?;
        fixture.act("emit", json!({ "event": "volatile", "args": [attempt], "volatile": true })).await?;
        fixture.settle(&all).await?;
        let so_far = fixture.received_so_far().await?;
        let mut received = so_far.as_object().into_iter().flat_map(|clients| clients.values());
        if received.all(|events| events.as_array().is_some_and(|events| !events.is_empty())) {
            break;
        }
    }
    for (event, flag) in [
        ("compressed", json!({ "compress": true })),
        ("uncompressed", json!({ "compress": false })),
        ("with a timeout", json!({ "timeout": 1000 })),
        ("local", json!({ "local": true })),
    ] {
        let mut command = flag;
        command["event"] = event.into();
        fixture.act("emit", command).await?;
    }
    let mut seen = fixture.received().await?;
    for events in seen.as_object_mut().into_iter().flat_map(|clients| clients.values_mut()) {
        volatile_as_one(events);
    }
    let everywhere = json!([["compressed"], ["uncompressed"], ["volatile"], ["with a timeout"]]);
    let here = json!([["compressed"], ["local"], ["uncompressed"], ["volatile"], ["with a timeout"]]);
    observed(seen, json!({ "a": here, "b": everywhere, "c": everywhere }))
}

/// How often a volatile event is sent at most.
const VOLATILE_ATTEMPTS: u32 = 100;

/// Attempts count as one event; an attempt that came twice stays.
fn volatile_as_one(events: &mut Value) {
    let mut attempts = Vec::new();
    events.as_array_mut().into_iter().for_each(|events| {
        events.retain_mut(|event| {
            if event[0] != "volatile" || attempts.contains(event) {
                return true;
            }
            attempts.push(event.take());
            *event = json!(["volatile"]);
            attempts.len() == 1
        });
    });
}

/// Every server to every client, by the room that is named like the socket.
async fn private(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (server, from) in fixture.servers().iter().zip(["one", "two", "three"]) {
        for client in clients.all() {
            fixture
                .call(server, "emit", json!({ "event": from, "args": [client.id()], "rooms": [client.id()] }))
                .await?;
        }
    }
    let from_each = |name: &str| json!([["one", name], ["three", name], ["two", name]]);
    observed(fixture.received().await?, json!({ "a": from_each("a"), "b": from_each("b"), "c": from_each("c") }))
}

/// A client never gets an event whose name Socket.IO reserves: the caller gets an error.
async fn reserved(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    const WORDS: [&str; 2] = ["is a reserved event name", "ReservedEvent { event: "];
    let mut refused = Vec::new();
    let commands = [
        ("emit", json!({ "event": "disconnect" })),
        ("emit", json!({ "event": "connect_error", "args": [{ "message": "" }], "rooms": [clients.b.id()] })),
        ("emit", json!({ "event": "newListener", "local": true })),
        ("emitWithAck", json!({ "event": "connect" })),
        ("remote", json!({ "target": clients.c.id(), "do": "emit", "event": "disconnecting" })),
        ("serverSideEmit", json!({ "event": "connection" })),
        ("serverSideEmitWithAck", json!({ "event": "new_namespace" })),
    ];
    for (op, fields) in commands.clone() {
        refused.push(match fixture.act(op, fields).await {
            Ok(_) => json!("sent"),
            // socketioxide prints some errors of adapters with `Debug`.
            Err(Error::Refused { text }) if WORDS.iter().any(|words| text.contains(words)) => json!("refused"),
            Err(error) => return Err(error),
        });
    }
    fixture.act("emit", json!({ "event": "connection" })).await?;
    let heard = json!([["connection"]]);
    let expected = json!([vec!["refused"; commands.len()], { "a": heard, "b": heard, "c": heard }]);
    observed(Value::Array(vec![refused.into(), fixture.received().await?]), expected)
}
