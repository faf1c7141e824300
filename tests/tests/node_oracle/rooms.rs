//! `socketsJoin`, `socketsLeave`, `disconnectSockets`, and how a server reports connections and
//! disconnections.

use serde_json::json;
use socketio_pg_tests::{Connect, Error};

use crate::{Outcome, Pair, Server, refusal, sorted};

#[tokio::test]
async fn sockets_join_and_leave_rooms_at_the_word_of_another_server() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, b, c] = pair.connect_three().await?;

    pair.one.call("socketsJoin", json!({ "join": ["red", "blue"] })).await?;
    pair.one.call("socketsJoin", json!({ "join": ["local"], "local": true })).await?;
    pair.one.call("socketsLeave", json!({ "leave": ["blue", "no such room"], "except": [b.id()] })).await?;
    pair.settle(&[&a, &b, &c]).await?;

    assert_eq!(rooms_of(&pair.one, a.id()).await?, expected(a.id(), &["local", "red"]));
    assert_eq!(rooms_of(&pair.one, b.id()).await?, expected(b.id(), &["blue", "local", "red"]));
    assert_eq!(rooms_of(&pair.other, c.id()).await?, expected(c.id(), &["red"]));
    Ok(())
}

#[tokio::test]
async fn a_server_says_who_connects_and_disconnects() -> Outcome {
    let Some(pair) = Pair::start().await? else { return Ok(()) };
    let [a, _b, c] = pair.connect_three().await?;
    for (server, client) in [(&pair.one, &a), (&pair.other, &c)] {
        let connected = json!({ "event": "connected", "nsp": pair.nsp, "socket": client.id() });
        server.wait_for_event("connected event", |event| *event == connected).await?;
    }

    c.emit("said", json!(["by the client"])).await?;
    let said =
        json!({ "event": "packet", "nsp": pair.nsp, "socket": c.id(), "name": "said", "args": ["by the client"] });
    pair.other.wait_for_event("packet of the client", |event| *event == said).await?;

    c.disconnect().await?;
    assert_eq!(c.wait_for_disconnect().await?, "io client disconnect");
    let disconnected = json!({ "event": "disconnected", "nsp": pair.nsp, "socket": c.id() });
    pair.other.wait_for_event("disconnected event", |event| *event == disconnected).await?;
    assert!(pair.other.events().contains(&disconnected));
    assert!(!pair.one.events().contains(&disconnected), "it was not connected there");
    let answer = c.emit("too late", json!([])).await;
    assert!(refusal(answer).contains("not connected"));
    Ok(())
}

#[tokio::test]
async fn disconnecting_from_a_namespace_spares_the_connection_and_closing_does_not() -> Outcome {
    let Some(pair) = Pair::start_own(|options| options.namespace("/").namespace("/chat")).await? else {
        return Ok(());
    };
    let chat = Connect::to("/chat");

    for (close, other_ends) in [(false, false), (true, true)] {
        let lobby = pair.clients.connect(pair.other.port(), &Connect::default()).await?;
        let chatter = pair.clients.connect_over(&lobby, &chat).await?;
        pair.one.call("disconnectSockets", json!({ "nsp": "/chat", "rooms": [chatter.id()], "close": close })).await?;
        assert_eq!(chatter.wait_for_disconnect().await?, "io server disconnect");
        if other_ends {
            assert_eq!(lobby.wait_for_disconnect().await?, "io server disconnect");
        } else {
            pair.one.call("emit", json!({ "event": "still there", "rooms": [lobby.id()] })).await?;
            lobby.wait_for_packet("still there").await?;
        }
    }

    let [a, b, c] = pair.connect_three().await?;
    pair.other.call("disconnectSockets", json!({ "except": [b.id()] })).await?;
    a.wait_for_disconnect().await?;
    c.wait_for_disconnect().await?;
    pair.settle(&[&b]).await
}

async fn rooms_of(server: &Server, socket: &str) -> Result<Vec<String>, Error> {
    let sockets = server.call("localSockets", json!({})).await?;
    let found = sockets.as_array().and_then(|sockets| sockets.iter().find(|found| found["id"] == socket));
    let found = found.unwrap_or_else(|| panic!("{socket} is not in {sockets}"));
    Ok(sorted(&found["rooms"]).into_iter().map(str::to_owned).collect())
}

/// Every socket of a Node.js server is in a room of its own.
fn expected(socket: &str, rooms: &[&str]) -> Vec<String> {
    let mut rooms: Vec<_> = rooms.iter().chain([&socket]).map(|&room| room.to_owned()).collect();
    rooms.sort();
    rooms
}
