//! `remote`: operations on one socket that may be connected anywhere.

use serde_json::{Map, Value, json};

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario, observed},
    sorted,
};
use crate::harness::{Error, binary};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("remote sockets: emit", emit),
        Scenario::new("remote sockets: emitWithAck", |fixture| async move {
            let replies = [json!(["text", "not passed on"]), json!([["a", "list"]]), json!([])];
            emit_with_ack(fixture, &replies).await
        }),
        Scenario::new("remote sockets: binary acknowledgements", |fixture| async move {
            emit_with_ack(fixture, &[json!([{ "bytes": binary([1]) }])]).await
        }),
        Scenario::new("remote sockets: join and leave", join_and_leave),
        Scenario::new("remote sockets: disconnect", disconnect),
        Scenario::new("remote sockets: one that is not there", not_there),
    ]
}

const SERVERS: [&str; 3] = ["one", "two", "three"];
const CLIENTS: [&str; 3] = ["a", "b", "c"];

async fn emit(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (name, server) in SERVERS.into_iter().zip(fixture.servers()) {
        for client in clients.all() {
            for (event, args) in
                [(name.to_owned(), json!([client.id(), 1])), (format!("{name} B"), json!([binary([1])]))]
            {
                let command = json!({ "target": client.id(), "do": "emit", "event": event, "args": args });
                fixture.call(server, "remote", command).await?;
            }
        }
    }
    let heard = |name: &str| {
        let from = |server: &str| [json!([server, name, 1]), json!([format!("{server} B"), binary([1])])];
        sorted(SERVERS.into_iter().flat_map(from))
    };
    // Sorted by the text with the ids in it.
    let received = fixture.received().await?;
    let received = CLIENTS.map(|name| sorted(received[name].as_array().cloned().unwrap_or_default()));
    observed(json!(received), json!(CLIENTS.map(heard)))
}

async fn emit_with_ack(fixture: Fixture, replies: &[Value]) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (server_name, server) in SERVERS.into_iter().zip(fixture.servers()) {
        for (client_name, client) in CLIENTS.into_iter().zip(clients.all()) {
            let ask = |timeout: u64| json!({ "target": client.id(), "do": "emitWithAck", "event": "ask", "args": [1], "timeout": timeout });
            let (mut answers, mut answers_expected) = (Vec::new(), Vec::new());
            for reply in replies {
                client.reply("ask", reply.clone()).await?;
                answers.push(fixture.call(server, "remote", ask(15_000)).await?);
                let first = reply.get(0).unwrap_or(&Value::Null);
                answers_expected.push(json!({ "responses": [first], "error": null }));
            }
            client.never_reply("ask").await?;
            answers.push(fixture.call(server, "remote", ask(100)).await?);
            answers_expected.push(json!({ "responses": [], "error": "operation has timed out" }));
            seen.insert(format!("{server_name} asks {client_name}"), json!(answers));
            expected.insert(format!("{server_name} asks {client_name}"), json!(answers_expected));
        }
    }
    observed(seen.into(), expected.into())
}

async fn join_and_leave(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    for (name, server) in SERVERS.into_iter().zip(fixture.servers()) {
        for client in clients.all() {
            let rooms = json!([name, format!("{name} too"), format!("not {name}")]);
            fixture.call(server, "remote", json!({ "target": client.id(), "do": "join", "join": rooms })).await?;
            let command = json!({ "target": client.id(), "do": "leave", "leave": [format!("not {name}")] });
            fixture.call(server, "remote", command).await?;
        }
    }
    let all: Vec<_> = clients.all().map(|client| &**client).into();
    fixture.settle(&all).await?;
    let mut seen = Vec::new();
    for server in fixture.servers() {
        let sockets = fixture.named(fixture.call(server, "localSockets", json!({})).await?);
        seen.extend(
            sockets
                .as_array()
                .into_iter()
                .flatten()
                .map(|socket| json!([socket["id"], sorted(socket["rooms"].as_array().into_iter().flatten().cloned())])),
        );
    }
    let expected = CLIENTS.map(|client| {
        let rooms = ["one", "one too", "two", "two too", "three", "three too", client];
        json!([client, sorted(rooms.map(Value::from))])
    });
    observed(json!(seen), json!(expected))
}

/// Each server disconnects a client of each.
async fn disconnect(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let (mut seen, mut expected) = (Map::new(), Map::new());
    for (name, server) in SERVERS.into_iter().zip(fixture.servers()) {
        for close in [false, true] {
            let fixture = fixture.in_namespace(&fixture.nsp);
            let clients = fixture.clients().await?;
            let mut reasons = Vec::new();
            for client in clients.all() {
                let command = json!({ "target": client.id(), "do": "disconnect", "close": close });
                fixture.call(server, "remote", command).await?;
                reasons.push(client.wait_for_disconnect().await?);
            }
            seen.insert(format!("{name} closing {close}"), json!(reasons));
            expected.insert(format!("{name} closing {close}"), json!(vec!["io server disconnect"; 3]));
        }
    }
    observed(seen.into(), expected.into())
}

async fn not_there(fixture: Fixture) -> Outcome {
    fixture.wait_for_servers(3).await?;
    let clients = fixture.clients().await?;
    clients.b.disconnect().await?;
    fixture.wait_for_disconnected(1, &clients.b).await?;
    let mut texts = Vec::new();
    for target in [clients.b.id(), "nobody"] {
        let refused = fixture.act("remote", json!({ "target": target, "do": "emit", "event": "e" })).await;
        texts.push(match refused {
            Err(Error::Refused { text }) => text.starts_with("no such socket"),
            other => other.map(|_| false)?,
        });
    }
    observed(json!(texts), json!([true, true]))
}
