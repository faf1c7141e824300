//! A Rust server and a Node.js server in one cluster, with real clients, end to end.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, binary, database, require};
use socketio_pg_throwaway::Database;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;

fn rust_server() -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: "tokio-postgres".to_owned() }
}

/// A Rust and a Node.js server that know each other, with a client each.
struct Cluster {
    rust: Node,
    node: Node,
    rust_client: Client,
    node_client: Client,
    options: NodeOptions,
    _database: Database,
}

impl Cluster {
    /// `None` when a tool is missing on the machine, which is then reported.
    async fn start() -> Result<Option<Self>> {
        if !require(&NODE) {
            return Ok(None);
        }
        let Some(database) = database() else { return Ok(None) };
        let options = NodeOptions::new(database.url());
        let (rust, node_server) = (rust_server(), Kind::NodeServer);
        let (rust, node) = tokio::try_join!(Node::start(&rust, &options), Node::start(&node_server, &options))?;
        tokio::try_join!(rust.wait_for_server_count("/", 2), node.wait_for_server_count("/", 2))?;
        let clients = ClientHost::shared().await?;
        let (how_rust, how_node) = (Connect::default(), Connect::default());
        let (rust_client, node_client) =
            tokio::try_join!(clients.connect(rust.port(), &how_rust), clients.connect(node.port(), &how_node))?;
        Ok(Some(Self { rust, node, rust_client, node_client, options, _database: database }))
    }

    /// Both directions: the server that acts, and the client on the other side.
    fn directions(&self) -> [(&Node, &Client, &Client); 2] {
        [(&self.rust, &self.rust_client, &self.node_client), (&self.node, &self.node_client, &self.rust_client)]
    }
}

/// Waits for one packet on both clients and compares its arguments.
async fn both_get(cluster: &Cluster, event: &str, expected: &[Value]) -> Result {
    for client in [&cluster.rust_client, &cluster.node_client] {
        assert_eq!(client.wait_for_packet(event).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_broadcast_reaches_the_clients_of_both() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    let long = "ä".repeat(20_000);
    let payloads = [
        ("small", json!(["world", 1, true, null, { "a": [1.5] }])),
        ("large", json!([long])),
        ("binary", json!([binary([0, 1, 2, 255]), { "deep": [binary(vec![7; 70_000])] }, "text"])),
        ("nothing", json!([])),
    ];
    for (actor, _, _) in cluster.directions() {
        for (event, args) in &payloads {
            actor.call("emit", json!({ "event": event, "args": args })).await?;
            both_get(&cluster, event, args.as_array().unwrap()).await?;
        }
    }
    Ok(())
}

/// The names of the events that a client got before the last one, and after an earlier `last`, in
/// alphabetical order.
async fn before_last(client: &Client) -> Result<Vec<String>> {
    let mut events: Vec<_> = client.received().await?.into_iter().map(|packet| packet.event).collect();
    events.pop();
    let mut events = events.rsplit(|event| event == "last").next().unwrap_or_default().to_vec();
    events.sort();
    Ok(events)
}

#[tokio::test]
async fn rooms_and_exceptions_hold_across() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    for (actor, near, far) in cluster.directions() {
        actor.call("socketsJoin", json!({ "rooms": [far.id()], "join": ["far", "all"] })).await?;
        actor.call("socketsJoin", json!({ "rooms": [near.id()], "join": ["near", "all"] })).await?;

        actor.call("emit", json!({ "event": "to-far", "rooms": ["far"] })).await?;
        actor.call("emit", json!({ "event": "to-both", "rooms": ["far", "all"] })).await?;
        actor.call("emit", json!({ "event": "not-near", "except": ["near"] })).await?;
        actor.call("emit", json!({ "event": "all-but-far", "rooms": ["all"], "except": ["far"] })).await?;
        actor.call("emit", json!({ "event": "from-near", "from": near.id() })).await?;
        actor.call("emit", json!({ "event": "private", "rooms": [far.id()] })).await?;
        actor.call("emit", json!({ "event": "last" })).await?;

        near.wait_for_packet("last").await?;
        far.wait_for_packet("last").await?;
        assert_eq!(before_last(near).await?, ["all-but-far", "to-both"]);
        assert_eq!(before_last(far).await?, ["from-near", "not-near", "private", "to-both", "to-far"]);

        actor.call("socketsLeave", json!({ "leave": ["far", "near", "all"] })).await?;
        let rooms = actor.call("fetchSockets", json!({})).await?;
        for socket in rooms.as_array().unwrap() {
            assert_eq!(socket["rooms"], json!([socket["id"]]));
        }
    }
    Ok(())
}

#[tokio::test]
async fn fetch_sockets_tells_of_both() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    for (actor, near, far) in cluster.directions() {
        let sockets = actor.call("fetchSockets", json!({})).await?;
        let mut ids: Vec<_> = sockets.as_array().unwrap().iter().map(|socket| socket["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        let mut expected = [near.id(), far.id()];
        expected.sort_unstable();
        assert_eq!(ids, expected);
        for socket in sockets.as_array().unwrap() {
            assert_eq!(socket["rooms"], json!([socket["id"]]));
            let handshake = &socket["handshake"];
            assert_eq!(handshake["query"]["EIO"], "4", "{handshake}");
            assert_eq!(handshake["address"], "127.0.0.1", "{handshake}");
            assert!(handshake["headers"]["host"].as_str().unwrap().starts_with("127.0.0.1:"), "{handshake}");
            assert!(handshake["url"].as_str().unwrap().starts_with("/socket.io/?"), "{handshake}");
            assert!(handshake["issued"].as_u64().unwrap() > 1_700_000_000_000, "{handshake}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn acknowledgements_come_back_across() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    cluster.rust_client.reply("q", json!(["from rust", "not passed on"])).await?;
    cluster.node_client.reply("q", json!([{ "from": "node", "bin": binary([1, 2]) }])).await?;
    for (actor, _, _) in cluster.directions() {
        let answer = actor.call("emitWithAck", json!({ "event": "q", "args": [1], "timeout": 10_000 })).await?;
        assert_eq!(answer["error"], json!(null));
        let mut responses = answer["responses"].as_array().unwrap().clone();
        responses.sort_by_key(Value::to_string);
        assert_eq!(responses, [json!("from rust"), json!({ "from": "node", "bin": binary([1, 2]) })]);
    }
    cluster.node_client.never_reply("q").await?;
    for (actor, _, _) in cluster.directions() {
        let answer = actor.call("emitWithAck", json!({ "event": "q", "timeout": 3000 })).await?;
        assert_eq!(answer, json!({ "responses": ["from rust"], "error": "operation has timed out" }));
    }
    Ok(())
}

#[tokio::test]
async fn clients_are_disconnected_across() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    cluster.rust.call("disconnectSockets", json!({ "rooms": [cluster.node_client.id()], "close": false })).await?;
    assert_eq!(cluster.node_client.wait_for_disconnect().await?, "io server disconnect");
    cluster.node.call("disconnectSockets", json!({ "close": true })).await?;
    assert_eq!(cluster.rust_client.wait_for_disconnect().await?, "io server disconnect");
    Ok(())
}

#[tokio::test]
async fn servers_emit_to_each_other() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    for (requester, other) in [(&cluster.rust, &cluster.node), (&cluster.node, &cluster.rust)] {
        let args = json!(["a", 1, binary([9])]);
        requester.call("serverSideEmit", json!({ "event": "news", "args": args })).await?;
        assert_eq!(other.wait_for_server_side("/", "news").await?, args);
        other.call("replyServerSide", json!({ "event": "count", "with": [42] })).await?;
        let answer = requester.call("serverSideEmitWithAck", json!({ "event": "count", "args": [] })).await?;
        assert_eq!(answer, json!({ "responses": [42], "error": null }));
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_leaves_is_forgotten_and_one_that_is_killed_is_no_longer_waited_for() -> Result {
    let Some(Cluster { rust, node, options, _database, .. }) = Cluster::start().await? else { return Ok(()) };
    for third in [Kind::NodeServer, rust_server()] {
        let third = Node::start(&third, &options).await?;
        tokio::try_join!(rust.wait_for_server_count("/", 3), node.wait_for_server_count("/", 3))?;
        third.close().await?;
        tokio::try_join!(rust.wait_for_server_count("/", 2), node.wait_for_server_count("/", 2))?;
    }
    // After a kill there is no close message. A request meanwhile times out. When the node counts
    // as dead, requests do not wait for it.
    let quick = options
        .channel_prefix("quick")
        .heartbeat_interval(Duration::from_millis(300))
        .heartbeat_timeout(Duration::from_millis(1500));
    let (rust_kind, node_kind) = (rust_server(), Kind::NodeServer);
    let (rust, node, third) = tokio::try_join!(
        Node::start(&rust_kind, &quick),
        Node::start(&node_kind, &quick),
        Node::start(&node_kind, &quick)
    )?;
    tokio::try_join!(rust.wait_for_server_count("/", 3), node.wait_for_server_count("/", 3))?;
    third.kill().await?;
    let waiting = rust.call("serverSideEmitWithAck", json!({ "event": "anyone" }));
    node.call("replyServerSide", json!({ "event": "anyone", "with": ["here"] })).await?;
    let answer = waiting.await?;
    assert!(answer["error"].is_null() || answer["error"] == "timeout reached: missing 1 responses", "{answer}");
    tokio::try_join!(rust.wait_for_server_count("/", 2), node.wait_for_server_count("/", 2))?;
    assert_eq!(rust.call("fetchSockets", json!({})).await?, json!([]));
    assert_eq!(node.call("fetchSockets", json!({})).await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn our_emitter_reaches_both_and_nodes_reaches_us() -> Result {
    let Some(cluster) = Cluster::start().await? else { return Ok(()) };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_test-node"));
    let ours = Kind::RustEmitter { program, backend: "tokio-postgres".to_owned() };
    let ours = Node::start(&ours, &cluster.options).await?;
    let args = json!(["a", binary([1, 2]), 3]);
    ours.call("emit", json!({ "event": "ours", "args": args })).await?;
    both_get(&cluster, "ours", args.as_array().unwrap()).await?;

    // Equal events of one transaction are two events; events of a transaction that is rolled back
    // are not sent.
    let twice = json!({ "op": "emit", "event": "twice", "args": [1] });
    let transaction = |commit: bool| json!({ "ops": [twice, twice], "commit": commit });
    ours.call("transaction", transaction(false)).await?;
    ours.call("transaction", transaction(true)).await?;
    ours.call("serverSideEmit", json!({ "event": "ours-too", "args": [1] })).await?;
    for server in [&cluster.rust, &cluster.node] {
        assert_eq!(server.wait_for_server_side("/", "ours-too").await?, json!([1]));
    }
    for client in [&cluster.rust_client, &cluster.node_client] {
        client.wait_for_packet("twice").await?;
        client.wait_for_packet("twice").await?;
        assert_eq!(client.received().await?.iter().filter(|packet| packet.event == "twice").count(), 2);
    }

    // Node.js's own emitter names no namespace: Node.js's adapter 0.5.0 drops all its messages,
    // Rust takes the namespace from the channel.
    let theirs = Node::start(&Kind::NodeEmitter, &cluster.options).await?;
    theirs.call("emit", json!({ "event": "theirs", "args": args })).await?;
    assert_eq!(cluster.rust_client.wait_for_packet("theirs").await?, *args.as_array().unwrap());
    assert!(!cluster.node_client.received().await?.iter().any(|packet| packet.event == "theirs"));
    Ok(())
}
