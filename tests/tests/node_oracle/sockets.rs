//! `fetchSockets`, `localSockets`, `setData`.

use serde_json::{Value, json};
use socketio_pg_tests::Connect;

use crate::{Outcome, Pair, refusal, sorted};

#[tokio::test]
async fn the_sockets_of_both_servers_are_described_in_full() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let how = Connect::to(&pair.nsp)
        .auth(json!({ "token": "t" }))
        .query(json!({ "version": "7" }))
        .headers(json!({ "x-tenant": "acme" }))
        .transports(&["polling"]);
    let far = pair.clients.connect(pair.other.port(), &how).await?;
    let near = pair.connect(&pair.one).await?;
    pair.other.call("socketsJoin", json!({ "rooms": [far.id()], "join": ["red"] })).await?;
    pair.other.call("setData", json!({ "socket": far.id(), "data": { "name": "far" } })).await?;

    let found = pair.one.call("fetchSockets", json!({ "timeout": 10_000 })).await?;
    assert_eq!(ids(&found), sorted(&json!([far.id(), near.id()])));
    let described = found.as_array().and_then(|all| all.iter().find(|socket| socket["id"] == far.id())).expect("far");
    assert_eq!(sorted(&described["rooms"]), sorted(&json!([far.id(), "red"])));
    assert_eq!(described["data"], json!({ "name": "far" }));
    let handshake = &described["handshake"];
    assert_eq!(handshake["auth"], json!({ "token": "t" }));
    assert_eq!(handshake["headers"]["x-tenant"], "acme");
    assert_eq!(handshake["query"]["version"], "7");
    assert_eq!(handshake["query"]["transport"], "polling");
    for key in ["time", "address", "xdomain", "secure", "issued", "url"] {
        assert!(!handshake[key].is_null(), "no {key} in {handshake}");
    }

    let red = pair.one.call("fetchSockets", json!({ "rooms": ["red"] })).await?;
    assert_eq!(ids(&red), [far.id()]);
    let not_red = pair.one.call("fetchSockets", json!({ "except": ["red"] })).await?;
    assert_eq!(ids(&not_red), [near.id()]);
    let local = pair.one.call("fetchSockets", json!({ "local": true })).await?;
    assert_eq!(ids(&local), [near.id()]);
    assert_eq!(ids(&pair.one.call("localSockets", json!({})).await?), [near.id()]);
    Ok(())
}

#[tokio::test]
async fn what_a_node_cannot_do_it_refuses() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let far = pair.connect(&pair.other).await?;

    for (op, fields, text) in [
        ("dance", json!({}), "unknown op: dance"),
        ("events", json!({}), "unknown op: events"),
        ("toString", json!({}), "unknown op: toString"),
        ("emit", json!({ "nsp": "/none", "event": "e" }), "no such namespace: /none"),
        ("emit", json!({ "from": far.id(), "event": "e" }), "no such socket on this node"),
        ("emit", json!({ "event": "disconnect" }), "reserved event name"),
        ("emitWithAck", json!({ "event": "disconnect" }), "reserved event name"),
        ("setData", json!({ "socket": far.id(), "data": {} }), "no such socket on this node"),
        ("remote", json!({ "target": "nobody", "do": "emit", "event": "e" }), "no such socket"),
        ("remote", json!({ "target": far.id(), "do": "dance" }), "remote cannot do: dance"),
    ] {
        let refused = refusal(pair.one.call(op, fields.clone()).await);
        assert!(refused.contains(text), "{op} {fields}: {refused}");
    }
    Ok(())
}

fn ids(sockets: &Value) -> Vec<&str> {
    let mut ids: Vec<_> = sockets.as_array().into_iter().flatten().filter_map(|socket| socket["id"].as_str()).collect();
    ids.sort_unstable();
    ids
}
