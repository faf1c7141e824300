//! The table "Rooms and sockets".

use serde_json::{Value, json};
use socketio_pg_tests::Client;

use crate::cluster::{Actor, Both, ByClient, Result};

/// The rooms after Node.js has done this, and Rust has handled it.
async fn by_node(both: &Both, op: &str, command: Value) -> Result<ByClient> {
    both.node.call(op, command).await?;
    both.rooms(Actor::Js).await
}

pub(crate) async fn join_and_leave(both: &Both) -> Result {
    let (io, cluster) = (&both.io, &both.cluster);
    let (socket, js) = (both.socket(), both.js[0].id());

    let left = by_node(both, "remote", json!({ "target": js, "do": "leave", "leave": ["a"] })).await?;
    let joined = by_node(both, "remote", json!({ "target": js, "do": "join", "join": ["a"] })).await?;
    // socket.join("a"), socket.leave("a")
    socket.leave("a");
    both.same_rooms(&left).await?;
    socket.join("a");
    both.same_rooms(&joined).await?;

    let joined = by_node(both, "socketsJoin", json!({ "rooms": ["a"], "join": ["b"] })).await?;
    both.reset().await?;
    // io.in("a").socketsJoin("b")
    io.within("a").join("b").await?;
    both.same_rooms(&joined).await?;
    both.reset().await?;
    cluster.of("/").to("a").sockets_join(["b"]).await?;
    both.same_rooms(&joined).await?;

    let left = by_node(both, "socketsLeave", json!({ "rooms": ["a"], "leave": ["b"] })).await?;
    assert_ne!(left, joined);
    by_node(both, "socketsJoin", json!({ "rooms": ["a"], "join": ["b"] })).await?;
    // io.in("a").socketsLeave("b")
    io.within("a").leave("b").await?;
    both.same_rooms(&left).await?;
    by_node(both, "socketsJoin", json!({ "rooms": ["a"], "join": ["b"] })).await?;
    cluster.of("/").to("a").sockets_leave(["b"]).await?;
    both.same_rooms(&left).await
}

pub(crate) async fn are_found(both: &Both) -> Result {
    let cluster = &both.cluster;
    let mut by_node = both.node.call("fetchSockets", json!({ "rooms": ["a"] })).await?;
    // await io.in("a").fetchSockets()
    let mut sockets = cluster.of("/").to("a").fetch_sockets().await?;
    sockets.sort_by_key(|found| found.id.to_string());
    let by_node = by_node.as_array_mut().ok_or("it answers with a list")?;
    by_node.sort_by_key(|found| found["id"].to_string());
    assert_eq!((by_node.len(), sockets.len()), (2, 2));
    for (found, by_node) in sockets.iter().zip(by_node) {
        assert_eq!(json!(found.id), by_node["id"]);
        assert_eq!(json!(found.handshake), by_node["handshake"]);
        assert_eq!(json!(found.data), by_node["data"]);
        assert!(found.rooms.contains(&"a".to_owned()) && found.rooms.contains(&found.id.to_string()));
    }
    // (await io.in("a").fetchSockets()).length
    assert_eq!(cluster.of("/").to("a").socket_count().await?, 2);
    Ok(())
}

pub(crate) async fn of_this_server(both: &Both) -> Result {
    let (io, socket) = (&both.io, both.socket());
    // socket.rooms
    let rooms = socket.rooms();
    assert!(rooms.contains(&"a".into()) && !rooms.contains(&"b".into()), "{rooms:?}");

    // io.of("/").sockets
    let sockets = io.sockets();
    let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id.to_string()).collect();
    let mut expected: Vec<_> = both.rust[..2].iter().map(|client| client.id().to_owned()).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);

    // io.of("/").adapter.rooms, .sids
    let local: Vec<_> = io.sockets().iter().flat_map(|socket| socket.rooms()).collect();
    let of_all = io.rooms().await?;
    for room in ["a", "b", "c"] {
        assert!(local.contains(&room.into()) && of_all.contains(&room.into()), "{room}: {local:?}, {of_all:?}");
    }

    // io.of("/").adapter.on("create-room", …), delete-room, join-room, leave-room
    let (join, leave) = (|room| socket.join(room), |room| socket.leave(room));
    socket.on_disconnect(async || {});
    join("new");
    leave("new");
    assert!(!socket.rooms().contains(&"new".into()));
    Ok(())
}

/// What became of the clients that were in `a`, and of those that were not.
async fn fates(both: &Both, actor: Actor) -> Result<ByClient> {
    let mut fates = ByClient::new();
    for (name, client) in both.clients(actor) {
        let fate = if name.ends_with('1') { Some(client.wait_for_disconnect().await?) } else { client.ended().await? };
        fates.insert(name, json!(fate));
    }
    Ok(fates)
}

pub(crate) async fn disconnect(both: &mut Both) -> Result {
    both.reset().await?;
    both.node.call("disconnectSockets", json!({ "rooms": ["a"] })).await?;
    let by_node = fates(both, Actor::Js).await?;
    both.connect().await?;
    let (io, cluster) = (both.io.clone(), both.cluster.clone());
    // io.in("a").disconnectSockets()
    io.within("a").disconnect().await?;
    assert_eq!(fates(both, Actor::Rust).await?, by_node);

    both.connect().await?;
    both.node.call("disconnectSockets", json!({ "rooms": ["a"], "close": true })).await?;
    let by_node = fates(both, Actor::Js).await?;
    both.connect().await?;
    // io.in("a").disconnectSockets(true)
    cluster.of("/").to("a").disconnect_sockets(true).await?;
    assert_eq!(fates(both, Actor::Rust).await?, by_node);
    both.connect().await
}

/// A socket of the other server.
pub(crate) async fn of_one_socket(both: &mut Both) -> Result {
    let data = "text";
    let act = |client: &Client, action: &str| json!({ "target": client.id(), "do": action });
    let (_, emitted) = both.node_emits("remote", act(&both.rust[0], "emit")).await?;
    let mut join = act(&both.rust[0], "join");
    join["join"] = json!(["b"]);
    let joined = by_node(both, "remote", join).await?;
    let mut disconnect = act(&both.rust[0], "disconnect");
    disconnect["close"] = json!(true);
    both.node.call("remote", disconnect).await?;
    let reason = both.rust[0].wait_for_disconnect().await?;
    both.connect().await?;

    let cluster = &both.cluster;
    let found = cluster.of("/").fetch_sockets().await?.into_iter().find(|it| it.id.to_string() == both.js[0].id());
    let found = found.ok_or("it is found")?;
    // remote.emit("e", data), remote.join("b"), remote.disconnect(true)
    let remote = cluster.of("/").socket(&found.id);
    remote.emit("e", &data).await?;
    both.same(emitted).await?;
    remote.sockets_join(["b"]).await?;
    both.same_rooms(&joined).await?;
    remote.disconnect_sockets(true).await?;
    assert_eq!(both.js[0].wait_for_disconnect().await?, reason);
    Ok(())
}
