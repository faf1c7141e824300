//! Namespaces with names of all kinds.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    capability::Capability,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    stage::Stage,
};
use crate::harness::{Connect, Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("namespaces are apart", apart),
        Scenario::new(UNICODE, everything),
        Scenario::new(ODD, everything).needs(Capability::QuestionMarks),
        Scenario::new(DYNAMIC, dynamic).needs(Capability::DynamicNamespaces),
        Scenario::new(LONG, long),
        Scenario::new(QUOTE, quote),
    ]
}

const UNICODE: &str = "a namespace in Unicode";
const ODD: &str = "a namespace with odd characters";
const DYNAMIC: &str = "a dynamic namespace";
const LONG: &str = "a namespace of over 63 bytes";
const QUOTE: &str = "a namespace with a quote";

/// The namespace of a scenario about its name.
pub(crate) fn special(scenario: &str) -> Option<String> {
    Some(match scenario {
        UNICODE => "/räume/雪😀".to_owned(),
        ODD => r"/A b#;\'%?{}/c".to_owned(),
        // Its channel is cut in the middle of a character.
        LONG => format!("/{}", "lang-ä".repeat(12)),
        QUOTE => r#"/quote"end"#.to_owned(),
        _ => return None,
    })
}

/// Events and rooms of one namespace do not affect another.
async fn apart(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let main = fixture.in_namespace("/");
    main.wait_for_servers(3).await?;
    for (name, server) in ["a", "b", "c"].into_iter().zip(main.servers()) {
        main.connect(name, server, Connect::to("/")).await?;
    }
    for fixture in [&fixture, &main] {
        fixture.act("socketsJoin", json!({ "join": ["red"] })).await?;
        fixture.act("emit", json!({ "event": "to red", "args": [fixture.nsp], "rooms": ["red"] })).await?;
        fixture.act("emit", json!({ "event": "to all", "args": [fixture.nsp, binary([1])] })).await?;
    }
    fixture.act("emit", json!({ "event": "to c", "rooms": [clients.c.id()] })).await?;
    main.act("emit", json!({ "event": "to nobody", "rooms": [clients.c.id()] })).await?;
    // Other scenarios use the main namespace, too.
    let mut in_main = main.received().await?;
    for (_, events) in in_main.as_object_mut().into_iter().flatten() {
        if let Some(events) = events.as_array_mut() {
            events.retain(|event| event[0].as_str().is_some_and(|name| name.starts_with("to ")));
        }
    }
    let all = |nsp: &str| json!([["to all", nsp, binary([1])], ["to red", nsp]]);
    let (own, main_events) = (all(&fixture.nsp), all("/"));
    let mut with_c = own.clone();
    with_c.as_array_mut().into_iter().for_each(|events| events.insert(1, json!(["to c"])));
    observed(
        json!({ "own": fixture.received().await?, "main": in_main }),
        json!({
            "own": { "a": own, "b": own, "c": with_c },
            "main": { "a": main_events, "b": main_events, "c": main_events },
        }),
    )
}

/// One of each kind of operation.
async fn everything(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    fixture.act("socketsJoin", json!({ "rooms": [clients.c.id()], "join": ["zimmer ü"] })).await?;
    // A later message of a Node.js server may overtake the one that makes sockets join.
    let deadline = Instant::now() + fixture.patience();
    while fixture.act("fetchSockets", json!({ "rooms": ["zimmer ü"] })).await?.as_array().is_none_or(Vec::is_empty) {
        if Instant::now() > deadline {
            return Err(Error::refused("`socketsJoin` has no effect: `fetchSockets` finds no socket in the room"));
        }
    }
    for (server, from) in fixture.servers().iter().zip(["one", "two", "three"]) {
        fixture.call(server, "emit", json!({ "event": "grüße", "args": [from] })).await?;
        fixture.call(server, "emit", json!({ "event": "large", "args": [from, "x".repeat(9000)] })).await?;
        fixture.call(server, "emit", json!({ "event": "to a room", "args": [from], "rooms": ["zimmer ü"] })).await?;
        fixture.call(server, "replyServerSide", json!({ "event": "ask", "with": [1] })).await?;
    }
    clients.c.reply("ask", json!(["c"])).await?;
    let acks = fixture.act("emitWithAck", json!({ "event": "ask", "rooms": ["zimmer ü"] })).await?;
    let answers = fixture.act("serverSideEmitWithAck", json!({ "event": "ask" })).await?;
    let found = fixture.named(fixture.act("fetchSockets", json!({ "rooms": ["zimmer ü"] })).await?);
    let received = fixture.received().await?;
    let counts = |name: &str| received[name].as_array().map(Vec::len);
    let seen = json!({
        "acks": acks, "answers": answers, "found": found[0]["id"],
        "received": [counts("a"), counts("b"), counts("c")],
    });
    let expected = json!({
        "acks": { "responses": ["c"], "error": null },
        "answers": { "responses": [1, 1], "error": null },
        "found": "c",
        "received": [6, 6, 10],
    });
    observed(seen, expected)
}

/// The namespace is created with its first client on a server.
async fn dynamic(fixture: Fixture) -> Outcome {
    let fixture = fixture.in_namespace("/dynamic-7");
    fixture.clients().await?;
    fixture.wait_for_servers(3).await?;
    for (server, from) in fixture.servers().iter().zip(["one", "two", "three"]) {
        fixture.call(server, "emit", json!({ "event": "from", "args": [from] })).await?;
        fixture.call(server, "replyServerSide", json!({ "event": "ask", "with": [from] })).await?;
    }
    fixture.act("serverSideEmit", json!({ "event": "news", "args": [1] })).await?;
    let mut answers = fixture.act("serverSideEmitWithAck", json!({ "event": "ask" })).await?;
    answers["responses"] = super::unordered(answers["responses"].take());
    let mut heard = Vec::new();
    for server in &fixture.servers()[1..] {
        heard.push(server.wait_for_server_side(&fixture.nsp, "news").await?);
    }
    let events = json!([["from", "one"], ["from", "three"], ["from", "two"]]);
    observed(
        json!({ "received": fixture.received().await?, "answers": answers, "heard": heard }),
        json!({
            "received": { "a": events, "b": events, "c": events },
            "answers": { "responses": ["three", "two"], "error": null },
            "heard": [[1], [1]],
        }),
    )
}

/// PostgreSQL cuts the channel's name when Node.js listens, and refuses it when Node.js publishes.
async fn long(fixture: Fixture) -> Outcome {
    each_to_each(fixture, |stage, sender, receiver| stage.publishes_on_long_channels(sender, receiver)).await
}

/// Node.js inserts the channel's name into a statement without quoting it, which breaks the
/// statement.
async fn quote(fixture: Fixture) -> Outcome {
    each_to_each(fixture, |stage, sender, receiver| stage.quotes_channels(sender, receiver)).await
}

/// Whether one server, by its index, hears another.
type Hears = fn(&dyn Stage, usize, usize) -> bool;

/// Which servers each client hears. For servers that hear each other, as `hears` says, this makes
/// sure that nothing more arrives. Events of other servers cannot arrive later: these refuse to
/// publish them, or no server listens.
async fn each_to_each(fixture: Fixture, hears: Hears) -> Outcome {
    let clients = fixture.clients().await?;
    for (server, from) in fixture.servers().iter().zip(["one", "two", "three"]) {
        // Not larger: an attachment that cannot be announced ends the primary of a Node.js cluster.
        fixture.call(server, "emit", json!({ "event": "from", "args": [from] })).await?;
    }
    settle(&fixture, &clients, hears).await?;
    let received = fixture.received_so_far().await?;
    let senders = |(name, events): (&String, &Value)| {
        let senders = events.as_array().into_iter().flatten().filter(|event| event[1].is_string());
        (name.clone(), senders.map(|event| json!([event[0], event[1]])).collect())
    };
    let seen: Map<String, Value> = received.as_object().into_iter().flatten().map(senders).collect();
    let all = json!([["from", "one"], ["from", "three"], ["from", "two"]]);
    observed(seen.into(), json!({ "a": all, "b": all, "c": all }))
}

async fn settle(fixture: &Fixture, clients: &super::fixture::Clients, hears: Hears) -> Result<(), Error> {
    for (index, sender) in fixture.servers().iter().enumerate() {
        let marker = format!("marker of {index}");
        fixture.call(sender, "emit", json!({ "event": marker })).await?;
        for (other, client) in clients.all().into_iter().enumerate() {
            if other == index || hears(fixture.stage(), index, other) {
                client.wait_for_packet(&marker).await?;
            }
        }
    }
    Ok(())
}
