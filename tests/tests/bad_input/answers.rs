//! Invalid responses to a server's own requests.

use serde_json::{Value, json};
use socketio_pg_tests::{ClientHost, Kind};

use crate::{
    Result,
    fixture::{Fixture, rust_server},
    wire::Wire,
};

const PUPPET: &str = "puppet";

/// A Rust server with a client, and a node that is only a connection to the database.
async fn with_puppet() -> Result<Option<Fixture>> {
    let Some(fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(None) };
    fixture.wire.listen().await;
    say(&fixture.wire, PUPPET, 2, &Value::Null).await;
    fixture.server.wait_for_server_count("/", 2).await?;
    Ok(Some(fixture))
}

async fn say(wire: &Wire, uid: &str, kind: u64, data: &Value) {
    wire.notify(&json!({ "type": kind, "data": data, "uid": uid, "nsp": "/" }).to_string()).await;
}

/// Waits for a request of the server; returns its id.
async fn request(wire: &mut Wire, kind: u64) -> Value {
    wire.hear(kind).await["data"]["requestId"].take()
}

#[tokio::test]
async fn sockets_that_cannot_be_read_are_reported_and_those_that_can_are_fetched() -> Result {
    let Some(mut fixture) = with_puppet().await? else { return Ok(()) };
    let bad = [
        json!({}),
        json!({ "sockets": null }),
        json!({ "sockets": {} }),
        json!({ "sockets": [null] }),
        json!({ "sockets": [{}] }),
        json!({ "sockets": [{ "id": 7 }] }),
        json!({ "sockets": [{ "id": "s", "rooms": {} }] }),
    ];
    let answer = async {
        let id = request(&mut fixture.wire, 7).await;
        for mut data in bad.clone() {
            data["requestId"] = id.clone();
            say(&fixture.wire, PUPPET, 8, &data).await;
        }
        // Responses to other requests.
        say(&fixture.wire, PUPPET, 10, &json!({ "requestId": id, "packet": 1 })).await;
        say(&fixture.wire, PUPPET, 11, &json!({ "requestId": id, "clientCount": 1 })).await;
        say(&fixture.wire, PUPPET, 12, &json!({ "requestId": id, "packet": 1 })).await;
        // A response of a node that the request does not wait for is accepted, but does not end the
        // request.
        let stranger = json!({ "requestId": id, "sockets": [{ "id": "a stranger's", "handshake": 7, "data": [] }] });
        say(&fixture.wire, "stranger", 8, &stranger).await;
        let sockets = json!([{ "id": "the puppet's", "rooms": [null, 7, "r"], "handshake": null, "x": {} }]);
        for _ in 0..2 {
            say(&fixture.wire, PUPPET, 8, &json!({ "requestId": id, "sockets": sockets, "x": 1 })).await;
        }
    };
    let (fetched, ()) = tokio::join!(fixture.server.call("fetchSockets", json!({})), answer);
    let fetched = fetched?;
    let mut ids: Vec<_> = fetched.as_array().unwrap().iter().map(|socket| socket["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut expected = ["a stranger's", "the puppet's", fixture.client.id()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let puppets = fetched.as_array().unwrap().iter().find(|socket| socket["id"] == "the puppet's").unwrap();
    assert_eq!(puppets["rooms"], json!([7, "r"]));
    assert_eq!(fixture.counts().await?, (bad.len() as u64, 0));
    assert!(fixture.until_good().await?.is_empty());
    fixture.end().await
}

#[tokio::test]
async fn client_counts_that_cannot_be_read_are_reported_and_a_second_one_is_ignored() -> Result {
    let Some(mut fixture) = with_puppet().await? else { return Ok(()) };
    fixture.client.reply("question", json!(["ours"])).await?;
    let bad = [
        json!({}),
        json!({ "clientCount": null }),
        json!({ "clientCount": "2" }),
        json!({ "clientCount": -1 }),
        json!({ "clientCount": 0.5 }),
        json!({ "clientCount": [2] }),
    ];
    let answer = async {
        let id = request(&mut fixture.wire, 3).await;
        let count =
            async |count: u64| say(&fixture.wire, PUPPET, 11, &json!({ "requestId": id, "clientCount": count })).await;
        let ack =
            async |packet: &str| say(&fixture.wire, PUPPET, 12, &json!({ "requestId": id, "packet": packet })).await;
        ack("before the count").await;
        for mut data in bad.clone() {
            data["requestId"] = id.clone();
            say(&fixture.wire, PUPPET, 11, &data).await;
        }
        count(2).await;
        count(7).await;
        ack("after the count").await;
        ack("beyond the count").await;
        count(0).await;
    };
    let asking = fixture.server.call("emitWithAck", json!({ "event": "question", "timeout": 20_000 }));
    let (answered, ()) = tokio::join!(asking, answer);
    let answered = answered?;
    let mut responses: Vec<_> = answered["responses"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    responses.sort_unstable();
    assert_eq!(responses, ["after the count", "before the count", "ours"]);
    assert_eq!(answered["error"], Value::Null);
    assert_eq!(fixture.counts().await?, (bad.len() as u64, 0));
    fixture.client.wait_for_packet("question").await?;
    assert!(fixture.until_good().await?.iter().all(|packet| packet.event == "question"));
    fixture.end().await
}

/// Node.js counts its clients. These take the packet for invalid and disconnect, so their
/// acknowledgements never come.
#[tokio::test]
async fn a_question_that_is_no_event_is_counted_by_node_with_its_clients_and_by_rust_with_none() -> Result {
    for (kind, count) in [(Kind::NodeServer, 1), (rust_server(), 0)] {
        // A host of its own, because its process ends with the client.
        let Some(mut fixture) = Fixture::start(&kind, &ClientHost::start().await?).await? else { return Ok(()) };
        fixture.wire.listen().await;
        let packet = json!({ "type": 4, "data": ["question"] });
        let question =
            json!({ "packet": packet, "requestId": "r", "opts": { "rooms": [], "except": [], "flags": {} } });
        say(&fixture.wire, PUPPET, 3, &question).await;
        assert_eq!(fixture.wire.hear(11).await["data"], json!({ "requestId": "r", "clientCount": count }));
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_reported_and_each_server_answers_once() -> Result {
    let Some(mut fixture) = with_puppet().await? else { return Ok(()) };
    let answer = async {
        let id = request(&mut fixture.wire, 9).await;
        for bad in [json!(null), json!([]), json!({ "packet": 1 }), json!({ "requestId": [id], "packet": 1 })] {
            say(&fixture.wire, PUPPET, 10, &bad).await;
        }
        say(&fixture.wire, PUPPET, 10, &json!({ "requestId": "another's", "packet": "not for us" })).await;
        say(&fixture.wire, PUPPET, 8, &json!({ "requestId": id, "sockets": [] })).await;
        say(&fixture.wire, "stranger", 10, &json!({ "requestId": id, "packet": "a stranger's" })).await;
        say(&fixture.wire, PUPPET, 10, &json!({ "requestId": id })).await;
        say(&fixture.wire, PUPPET, 10, &json!({ "requestId": id, "packet": "again" })).await;
    };
    let asking = fixture.server.call("serverSideEmitWithAck", json!({ "event": "question" }));
    let (answered, ()) = tokio::join!(asking, answer);
    assert_eq!(answered?, json!({ "responses": ["a stranger's", null], "error": null }));
    // The one without an id responds to nothing.
    assert_eq!(fixture.counts().await?, (3, 0));
    assert!(fixture.until_good().await?.is_empty());
    fixture.end().await
}
