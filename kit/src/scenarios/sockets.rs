//! `fetchSockets`: how servers describe their sockets.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{
    capability::Capability,
    cluster::Settings,
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    sorted,
    stage::Server,
};
use crate::harness::{Connect, Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("fetchSockets by every selector", selectors),
        Scenario::new("fetchSockets: number and ids", number_and_ids),
        Scenario::new("fetchSockets: rooms", rooms),
        Scenario::new("fetchSockets: handshake", handshake).needs(Capability::Handshakes),
        Scenario::new("fetchSockets: data", data),
        Scenario::new("fetchSockets: binary data", binary_data),
        Scenario::new("fetchSockets: large data", large_data),
        Scenario::new("fetchSockets: clients come and go", come_and_go),
        Scenario::new("fetchSockets: a node is dead", dead_node).on(Settings::ShortHeartbeats),
    ]
}

/// The names of the sockets that a server fetches.
async fn found(fixture: &Fixture, server: &Server, command: Value) -> Result<Value, Error> {
    let sockets = fixture.named(fixture.call(server, "fetchSockets", command).await?);
    Ok(sorted(sockets.as_array().into_iter().flatten().map(|socket| socket["id"].clone())))
}

/// A field of each socket that each server fetches, by the socket's name. Clients stand for their
/// servers.
async fn told(fixture: &Fixture, tell: impl Fn(&Value) -> Value) -> Result<Value, Error> {
    let mut by_server = Map::new();
    for (name, server) in ["one", "two", "three"].into_iter().zip(fixture.servers()) {
        let sockets = fixture.named(fixture.call(server, "fetchSockets", json!({})).await?);
        let sockets = sockets.as_array().cloned().unwrap_or_default().into_iter();
        let told = sockets.map(|socket| (socket["id"].as_str().unwrap_or_default().to_owned(), tell(&socket)));
        by_server.insert(name.to_owned(), told.collect());
    }
    Ok(by_server.into())
}

fn by_every_server(told: Value) -> Value {
    json!({ "one": told, "two": told, "three": told })
}

async fn selectors(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (client, rooms) in clients.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    let mut seen = Map::new();
    for (name, command) in [
        ("all", json!({})),
        ("a room", json!({ "rooms": ["red"] })),
        ("two rooms", json!({ "rooms": ["red", "blue"] })),
        ("not a room", json!({ "except": ["red"] })),
        ("a room and not another", json!({ "rooms": ["blue"], "except": ["red"] })),
        ("a remote socket", json!({ "rooms": [clients.c.id()] })),
        ("not a remote socket", json!({ "except": [clients.c.id()] })),
        ("local", json!({ "local": true })),
        ("the others than a socket", json!({ "from": clients.a.id() })),
        ("no such room", json!({ "rooms": ["green"] })),
        ("with a timeout", json!({ "timeout": 10_000 })),
    ] {
        seen.insert(name.to_owned(), found(&fixture, fixture.actor(), command).await?);
    }
    let expected = json!({
        "all": ["a", "b", "c"],
        "a room": ["a", "b"],
        "two rooms": ["a", "b", "c"],
        "not a room": ["c"],
        "a room and not another": ["c"],
        "a remote socket": ["c"],
        "not a remote socket": ["a", "b"],
        "local": ["a"],
        "the others than a socket": ["b", "c"],
        "no such room": [],
        "with a timeout": ["a", "b", "c"],
    });
    observed(seen.into(), expected)
}

/// Servers that know how answer such a question briefly, others in full: each server counts both
/// kinds of answers.
async fn number_and_ids(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (client, rooms) in clients.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    let selectors = [
        ("all", json!({})),
        ("a room", json!({ "rooms": ["red"] })),
        ("two rooms", json!({ "rooms": ["red", "blue"] })),
        ("a room and not another", json!({ "rooms": ["blue"], "except": ["red"] })),
        ("a socket", json!({ "rooms": [clients.c.id()] })),
        ("not a socket", json!({ "except": [clients.c.id()] })),
        ("no such room", json!({ "rooms": ["green"] })),
    ];
    let mut seen = Map::new();
    for (name, server) in ["one", "two", "three"].into_iter().zip(fixture.servers()) {
        let mut counted = Map::new();
        for (selector, command) in &selectors {
            let count = fixture.call(server, "countSockets", command.clone()).await?;
            let ids = fixture.named(fixture.call(server, "socketIds", command.clone()).await?);
            counted
                .insert((*selector).to_owned(), json!([count, sorted(ids.as_array().into_iter().flatten().cloned())]));
        }
        seen.insert(name.to_owned(), counted.into());
    }
    let expected = json!({
        "all": [3, ["a", "b", "c"]],
        "a room": [2, ["a", "b"]],
        "two rooms": [3, ["a", "b", "c"]],
        "a room and not another": [1, ["c"]],
        "a socket": [1, ["c"]],
        "not a socket": [2, ["a", "b"]],
        "no such room": [0, []],
    });
    observed(seen.into(), by_every_server(expected))
}

/// The one named by its own id first.
async fn rooms(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    fixture.act("socketsJoin", json!({ "join": ["red", "ä b", ""] })).await?;
    let seen = told(&fixture, |socket| {
        let rooms = socket["rooms"].as_array().cloned().unwrap_or_default();
        let (first, others) = rooms.split_first().map(|(first, others)| (first.clone(), others)).unwrap_or_default();
        json!([first, sorted(others.iter().cloned())])
    });
    let rooms = json!(["", "red", "ä b"]);
    observed(seen.await?, by_every_server(json!({ "a": ["a", rooms], "b": ["b", rooms], "c": ["c", rooms] })))
}

async fn handshake(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let auth = json!({ "token": "t", "nested": { "list": [1, null] } });
    for (name, server) in ["a", "b", "c"].into_iter().zip(fixture.servers()) {
        let how = Connect::to(&fixture.nsp)
            .auth(auth.clone())
            .query(json!({ "odd name": "ä&b", "version": "7" }))
            .headers(json!({ "x-tenant": "acme", "cookie": "one=1; two=2" }));
        fixture.connect(name, server, how).await?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seen = told(&fixture, |socket| {
        let mut handshake = socket["handshake"].clone();
        let issued = handshake["issued"].as_u64().unwrap_or_default() / 1000;
        handshake["issued"] = json!(issued.abs_diff(now) < 60);
        // Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)
        let time = handshake["time"].as_str().unwrap_or_default();
        let words: Vec<&str> = time.split(' ').collect();
        let is_time = words.len() >= 6 && words[4].len() == "00:00:00".len() && words[5].starts_with("GMT");
        handshake["time"] = json!(is_time);
        let headers = &mut handshake["headers"];
        headers["host"] = json!(headers["host"].as_str().is_some_and(|host| host.starts_with("127.0.0.1:")));
        headers["sec-websocket-key"] = json!(headers["sec-websocket-key"].as_str().map(str::len));
        handshake
    });
    let handshake = json!({
        "headers": {
            "host": true,
            "connection": "Upgrade",
            "upgrade": "websocket",
            "cookie": "one=1; two=2",
            "x-tenant": "acme",
            "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
            "sec-websocket-key": 24,
            "sec-websocket-version": "13",
        },
        "time": true,
        "address": "127.0.0.1",
        "xdomain": false,
        "secure": false,
        "issued": true,
        "url": "/socket.io/?odd%20name=%C3%A4%26b&version=7&EIO=4&transport=websocket",
        "query": { "version": "7", "odd name": "ä&b", "EIO": "4", "transport": "websocket" },
        "auth": auth,
    });
    observed(seen.await?, by_every_server(json!({ "a": handshake, "b": handshake, "c": handshake })))
}

/// Sets the same data on a socket of each server, and returns what each server fetches.
async fn with_data(fixture: &Fixture, data: Value) -> Result<Value, Error> {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (server, client) in fixture.servers().iter().zip(clients.all()) {
        fixture.call(server, "setData", json!({ "socket": client.id(), "data": data })).await?;
    }
    told(fixture, |socket| socket["data"].clone()).await
}

async fn data(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let before = fixture.in_namespace(&fixture.nsp);
    let clients = before.clients().await?;
    let unset = told(&before, |socket| socket["data"].clone()).await?;
    for client in clients.all() {
        client.disconnect().await?;
    }
    fixture.wait_for_no_sockets().await?;
    let data = json!({ "user": "ada", "list": [1, 2.5, null, true], "nested": { "ä": "\u{2028}" }, "": "" });
    let set = with_data(&fixture, data.clone()).await?;
    observed(
        json!({ "unset": unset, "set": set }),
        json!({
            "unset": by_every_server(json!({ "a": {}, "b": {}, "c": {} })),
            "set": by_every_server(json!({ "a": data, "b": data, "c": data })),
        }),
    )
}

async fn binary_data(fixture: Fixture) -> Outcome {
    let data = json!({ "bytes": binary([1, 2]), "deep": [{ "bytes": binary([]) }] });
    let seen = with_data(&fixture, data.clone()).await?;
    observed(seen, by_every_server(json!({ "a": data, "b": data, "c": data })))
}

async fn large_data(fixture: Fixture) -> Outcome {
    let data = json!({ "text": "x".repeat(20_000), "bytes": binary(vec![7; 10_000]) });
    let seen = with_data(&fixture, data.clone()).await?;
    observed(seen, by_every_server(json!({ "a": data, "b": data, "c": data })))
}

async fn come_and_go(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let none = found(&fixture, fixture.actor(), json!({})).await?;
    let clients = fixture.clients().await?;
    let [_, second, third] = fixture.servers();
    fixture.connect("b2", second, Connect::to(&fixture.nsp)).await?;
    fixture.connect("c2", third, Connect::to(&fixture.nsp).transports(&["polling"])).await?;
    let all = found(&fixture, fixture.actor(), json!({})).await?;
    for (client, server) in [(&clients.a, 0), (&clients.c, 2)] {
        client.disconnect().await?;
        fixture.wait_for_disconnected(server, client).await?;
    }
    let rest = found(&fixture, fixture.actor(), json!({})).await?;
    observed(json!([none, all, rest]), json!([[], ["a", "b", "b2", "c", "c2"], ["b", "b2", "c2"]]))
}

/// The request waits for the killed server until it counts as dead, 3 s after its last message.
async fn dead_node(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    fixture.clients().await?;
    let expected = json!([["a", "b", "c", "d"], "timeout reached: missing 1 responses", ["a", "b", "c"]]);
    let mut seen = Value::Null;
    // On a busy machine, the request may begin too late, or the others may respond too late.
    for _ in 0..3 {
        let dying = fixture.start_another().await?;
        fixture.wait_for_servers(4).await?;
        fixture.connect("d", &dying, Connect::to(&fixture.nsp)).await?;
        let alive = found(&fixture, fixture.actor(), json!({})).await?;
        dying.node.kill().await?;
        let missed = match found(&fixture, fixture.actor(), json!({ "timeout": 1500 })).await {
            Err(Error::Refused { text }) => json!(text),
            other => other?,
        };
        fixture.wait_for_servers(3).await?;
        let afterwards = found(&fixture, fixture.actor(), json!({})).await?;
        seen = json!([alive, missed, afterwards]);
        if seen == expected {
            break;
        }
    }
    observed(seen, expected)
}
