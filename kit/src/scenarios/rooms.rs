//! `socketsJoin`, `socketsLeave` and `disconnectSockets`.

use serde_json::{Map, Value, json};

use super::{
    capability::Capability,
    fixture::{Clients, Fixture},
    scenario::{Outcome, Scenario, observed},
    sorted,
};
use crate::harness::{Connect, Error};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("socketsJoin by every selector", join),
        Scenario::new("socketsLeave by every selector", leave),
        Scenario::new("rooms named like sockets", named_like_sockets),
        Scenario::new("rooms named by numbers", named_by_numbers),
        Scenario::new("disconnectSockets by every selector", disconnect),
        Scenario::new("disconnectSockets from a namespace", from_a_namespace).needs(Capability::SharedConnections),
        Scenario::new("disconnectSockets closes connections", closes).needs(Capability::SharedConnections),
    ]
}

/// Every way to select sockets: `a` is in red, `b` in red and blue, `c` in blue.
fn selectors(clients: &Clients) -> [(&'static str, Value); 9] {
    [
        ("all", json!({})),
        ("a room", json!({ "rooms": ["red"] })),
        ("two rooms", json!({ "rooms": ["red", "blue"] })),
        ("not a room", json!({ "except": ["red"] })),
        ("a room and not another", json!({ "rooms": ["blue"], "except": ["red"] })),
        ("a socket", json!({ "rooms": [clients.c.id()] })),
        ("not a socket", json!({ "except": [clients.b.id()] })),
        ("local", json!({ "local": true })),
        ("the others than a socket", json!({ "from": clients.a.id() })),
    ]
}

/// The sockets that each selects.
const SELECTED: [&[&str]; 9] =
    [&["a", "b", "c"], &["a", "b"], &["a", "b", "c"], &["c"], &["c"], &["c"], &["a", "c"], &["a"], &["b", "c"]];

async fn in_red_and_blue(fixture: &Fixture) -> Result<Clients, Error> {
    let clients = fixture.clients().await?;
    for (client, rooms) in clients.all().into_iter().zip([json!(["red"]), json!(["red", "blue"]), json!(["blue"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    Ok(clients)
}

/// The rooms of each client, without its own, as the acting server fetches them.
async fn rooms_of_each(fixture: &Fixture) -> Result<Value, Error> {
    let found = fixture.named(fixture.act("fetchSockets", json!({})).await?);
    let rooms = |socket: &Value| {
        let rooms = socket["rooms"].as_array().into_iter().flatten();
        let name = socket["id"].as_str().unwrap_or_default().to_owned();
        let others = rooms.filter(|room| **room != socket["id"]).cloned();
        (name, sorted(others))
    };
    Ok(found.as_array().into_iter().flatten().map(rooms).collect::<Map<_, _>>().into())
}

async fn join(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = in_red_and_blue(&fixture).await?;
    let mut expected = [vec!["red"], vec!["blue", "red"], vec!["blue"]];
    for ((name, mut command), selected) in selectors(&clients).into_iter().zip(SELECTED) {
        command["join"] = json!([name, "common"]);
        fixture.act("socketsJoin", command).await?;
        for (rooms, client) in expected.iter_mut().zip(["a", "b", "c"]) {
            rooms.extend(selected.contains(&client).then_some(name));
        }
    }
    let [a, b, c] = expected.map(|rooms| sorted(rooms.into_iter().chain(["common"]).map(Value::from)));
    observed(rooms_of_each(&fixture).await?, json!({ "a": a, "b": b, "c": c }))
}

async fn leave(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = in_red_and_blue(&fixture).await?;
    let names = selectors(&clients).map(|(name, _)| name);
    fixture.act("socketsJoin", json!({ "join": names })).await?;
    for (name, mut command) in selectors(&clients) {
        command["leave"] = json!([name, "no such room"]);
        fixture.act("socketsLeave", command).await?;
    }
    let remaining = |client: &str, others: &[&str]| {
        let kept = names.iter().zip(SELECTED).filter(|(_, selected)| !selected.contains(&client));
        sorted(kept.map(|(&name, _)| name).chain(others.iter().copied()).map(Value::from))
    };
    let expected = json!({
        "a": remaining("a", &["red"]),
        "b": remaining("b", &["red", "blue"]),
        "c": remaining("c", &["blue"]),
    });
    observed(rooms_of_each(&fixture).await?, expected)
}

/// A room that is named like a socket's id contains that socket, and the sockets that joined it.
async fn named_like_sockets(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    // c joins the room of a
    fixture.act("socketsJoin", json!({ "rooms": [clients.c.id()], "join": [clients.a.id()] })).await?;
    fixture.act("emit", json!({ "event": "to a", "rooms": [clients.a.id()] })).await?;
    fixture.act("emit", json!({ "event": "not to a", "except": [clients.a.id()] })).await?;
    let rooms = rooms_of_each(&fixture).await?;
    fixture.act("socketsLeave", json!({ "rooms": [clients.c.id()], "leave": [clients.a.id()] })).await?;
    fixture.act("emit", json!({ "event": "to a alone", "rooms": [clients.a.id()] })).await?;
    let expected = json!({
        "rooms": { "a": [], "b": [], "c": ["a"] },
        "received": { "a": [["to a alone"], ["to a"]], "b": [["not to a"]], "c": [["to a"]] },
    });
    observed(json!({ "rooms": rooms, "received": fixture.received().await? }), expected)
}

/// A number and its digits name two rooms: `a` is in 42 and 7, `b` in 42, `c` in "42".
async fn named_by_numbers(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (client, rooms) in clients.all().into_iter().zip([json!([42, 7]), json!([42]), json!(["42"])]) {
        fixture.act("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
    }
    // When all have responded, all servers have them in their rooms.
    rooms_of_each(&fixture).await?;
    for (event, rooms, except) in [
        ("42", json!([42]), json!([])),
        ("the digits", json!(["42"]), json!([])),
        ("not 42", json!([]), json!([42])),
        ("not the digits", json!([]), json!(["42"])),
        ("7 and not 42", json!([7]), json!([42])),
        ("both", json!([42, "42"]), json!([])),
        ("c and not 42", json!([clients.c.id(), 7]), json!([42])),
    ] {
        for (server, from) in fixture.servers().iter().zip(["one", "two", "three"]) {
            fixture
                .call(server, "emit", json!({ "event": event, "args": [from], "rooms": rooms, "except": except }))
                .await?;
        }
    }
    let rooms = rooms_of_each(&fixture).await?;
    fixture.act("socketsLeave", json!({ "leave": ["42"] })).await?;
    fixture.act("emit", json!({ "event": "still 42", "rooms": [42] })).await?;
    fixture.act("socketsLeave", json!({ "leave": [42], "rooms": [42] })).await?;
    fixture.act("emit", json!({ "event": "no longer 42", "rooms": [42, "42"] })).await?;
    fixture.act("remote", json!({ "target": clients.c.id(), "do": "join", "join": [-9] })).await?;
    fixture.act("emit", json!({ "event": "-9", "rooms": [-9] })).await?;
    let left = rooms_of_each(&fixture).await?;

    let heard = |events: &[&str], alone: &[&str]| {
        let from_all = events.iter().flat_map(|event| ["one", "two", "three"].map(|from| json!([event, from])));
        sorted(from_all.chain(alone.iter().map(|event| json!([event]))))
    };
    let expected = json!({
        "rooms": { "a": [42, 7], "b": [42], "c": ["42"] },
        "left": { "a": [7], "b": [], "c": [-9] },
        "received": {
            "a": heard(&["42", "not the digits", "both"], &["still 42"]),
            "b": heard(&["42", "not the digits", "both"], &["still 42"]),
            "c": heard(&["the digits", "not 42", "both", "c and not 42"], &["-9"]),
        },
    });
    observed(json!({ "rooms": rooms, "left": left, "received": fixture.received().await? }), expected)
}

/// For each selector, which of three new clients are disconnected.
async fn disconnect(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (index, selected) in SELECTED.into_iter().enumerate() {
        for close in [false, true] {
            let fixture = fixture.in_namespace(&fixture.nsp);
            let clients = in_red_and_blue(&fixture).await?;
            let (name, mut command) = selectors(&clients)[index].clone();
            command["close"] = close.into();
            fixture.act("disconnectSockets", command).await?;

            let still_there = fixture.named(fixture.act("fetchSockets", json!({})).await?);
            let is_there = |name: &str| still_there.as_array().is_some_and(|all| all.iter().any(|it| it["id"] == name));
            let mut gone = Map::new();
            for (name, client) in ["a", "b", "c"].into_iter().zip(clients.all()) {
                if is_there(name) {
                    client.disconnect().await?;
                    client.wait_for_disconnect().await?;
                } else {
                    gone.insert(name.to_owned(), client.wait_for_disconnect().await?.into());
                }
            }
            fixture.wait_for_no_sockets().await?;
            let name = format!("{name}{}", if close { ", closing" } else { "" });
            seen.insert(name.clone(), gone.into());
            expected.insert(name, selected.iter().map(|client| (*client, "io server disconnect")).collect());
        }
    }
    observed(seen.into(), expected.into())
}

/// The connection stays open: the client's other namespace is not affected.
async fn from_a_namespace(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let mut reasons = Vec::new();
    let mut others = Vec::new();
    for client in clients.all() {
        others.push(fixture.connect_over(client, "/").await?);
    }
    let main = fixture.in_namespace("/");
    main.wait_for_servers(3).await?;
    for other in &others {
        main.act("disconnectSockets", json!({ "rooms": [other.id()], "close": false })).await?;
        reasons.push(other.wait_for_disconnect().await?);
    }
    fixture.act("emit", json!({ "event": "still there" })).await?;
    let heard = json!([["still there"]]);
    observed(
        json!({ "reasons": reasons, "received": fixture.received().await? }),
        json!({ "reasons": vec!["io server disconnect"; 3], "received": { "a": heard, "b": heard, "c": heard } }),
    )
}

/// The whole connection ends, and so do the client's other namespaces.
async fn closes(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let main = fixture.in_namespace("/");
    main.wait_for_servers(3).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, server) in ["a", "b", "c"].into_iter().zip(fixture.servers()) {
        for transport in ["websocket", "polling"] {
            let how = Connect::to(&fixture.nsp).transports(&[transport]);
            let client = fixture.connect(name, server, how).await?;
            let other = fixture.connect_over(&client, "/").await?;
            main.act("disconnectSockets", json!({ "rooms": [other.id()], "close": true })).await?;
            let reasons = [other.wait_for_disconnect().await?, client.wait_for_disconnect().await?];
            seen.insert(format!("{name} by {transport}"), json!(reasons));
            expected.insert(format!("{name} by {transport}"), json!(["io server disconnect", "io server disconnect"]));
        }
    }
    observed(seen.into(), expected.into())
}
