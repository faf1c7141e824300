//! README's server beside a Node.js server, in one cluster, with a client on each: whatever Node.js
//! sees of the two, and whatever the two clients get, is the same, field for field.
//!
//! The scenarios of the conformance suite need namespaces of their own and a server that takes
//! commands. README's server has neither, so it takes part here.

use std::{
    error::Error,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require, time_limit};
use socketio_pg_throwaway::Database;

use crate::programs::{BACKENDS, Running, programs};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A Node.js server that acts, and README's server. The clients stand for their servers.
struct Cluster {
    /// Of README's server.
    backend: &'static str,
    node: Node,
    clients: [Client; 2],
    /// When each client connected: not before, and not after, in milliseconds.
    connected: [[u64; 2]; 2],
    // Dropped in this order: the servers are connected to the database.
    _readme: Running,
    _database: Database,
}

impl Cluster {
    /// For each backend, with clients that connect in this way. Empty when a tool is missing on the
    /// machine, which is then reported.
    async fn of_each_backend(how: &Connect) -> Result<Vec<Self>> {
        let mut clusters = Vec::new();
        for (backend, program) in BACKENDS.into_iter().zip(programs()) {
            let Some(database) = require(&NODE).then(database).flatten() else { return Ok(Vec::new()) };
            let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
            let readme = Running::start(program, &[("DATABASE_URL", &database.url())]).await;
            node.wait_for_server_count("/", 2).await?;
            let host = ClientHost::shared().await?;
            let mut connected = [[0; 2]; 2];
            let mut clients = Vec::new();
            for (port, times) in [node.port(), readme.port].into_iter().zip(&mut connected) {
                times[0] = now();
                clients.push(host.connect(port, how).await?);
                times[1] = now();
            }
            let clients = <[Client; 2]>::try_from(clients).map_err(|_| "there are two clients")?;
            // What README's handler does for its own.
            let join = json!({ "rooms": [clients[0].id()], "join": ["chat"] });
            let cluster = Self { backend, node, clients, connected, _readme: readme, _database: database };
            cluster.act("socketsJoin", join).await?;
            clusters.push(cluster);
        }
        Ok(clusters)
    }

    async fn act(&self, op: &str, command: Value) -> Result<Value> {
        Ok(self.node.call(op, command).await?)
    }

    /// One of the sockets, as Node.js describes it. `None` when there is no such socket.
    async fn described(&self, client: &Client) -> Result<Option<Value>> {
        let found = self.act("fetchSockets", json!({})).await?;
        Ok(found.as_array().into_iter().flatten().find(|socket| socket["id"] == client.id()).cloned())
    }

    /// The rooms of both sockets: the room of each first, named `own`, and the others sorted, because
    /// Rust does not keep the order of joining.
    async fn rooms(&self) -> Result<[Value; 2]> {
        let mut both = [Value::Null, Value::Null];
        for (client, rooms) in self.clients.iter().zip(&mut both) {
            *rooms = self.described(client).await?.ok_or("it is connected")?["rooms"].take();
            assert_eq!(rooms[0], client.id(), "README's server is on {}", self.backend);
            let mut others = rooms.as_array().cloned().unwrap_or_default().split_off(1);
            others.sort_by_key(ToString::to_string);
            *rooms = std::iter::once(json!("own")).chain(others).collect();
        }
        Ok(both)
    }

    /// Emits an event to the selected sockets and then one to all. Both clients get the second; tells
    /// whether they got the first.
    async fn both_get(&self, mut command: Value) -> Result<bool> {
        command["event"] = json!("maybe");
        self.act("emit", command).await?;
        self.act("emit", json!({ "event": "always" })).await?;
        let mut got = Vec::new();
        for client in &self.clients {
            client.wait_for_packet("always").await?;
            let received = client.received().await?;
            // Messages of one sender keep their order: the first came before the second, or not.
            let after = received.iter().rev().skip_while(|packet| packet.event != "always").nth(1);
            got.push(after.is_some_and(|packet| packet.event == "maybe"));
        }
        assert_eq!(got[0], got[1], "the client of Node.js, the client of README's server on {}", self.backend);
        Ok(got[0])
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// A description without what must differ: the id, the port, the key of the WebSocket, the time, and
/// `t`, which a client adds so that nothing is cached.
fn comparable(mut socket: Value, client: &Client, [not_before, not_after]: [u64; 2]) -> Value {
    assert_eq!(socket["id"], client.id());
    assert_eq!(socket["rooms"][0], client.id());
    socket["id"] = json!("own");
    socket["rooms"][0] = json!("own");
    let handshake = &mut socket["handshake"];
    let issued = handshake["issued"].as_u64().unwrap_or_default();
    assert!((not_before..=not_after).contains(&issued), "{issued} is not from {not_before} to {not_after}");
    handshake["issued"] = json!("when it connected");
    handshake["time"] = json!(shape(handshake["time"].as_str().unwrap_or_default()));
    let headers = &mut handshake["headers"];
    let host = headers["host"].as_str().unwrap_or_default();
    headers["host"] = json!(host.split(':').next());
    if let Some(t) = handshake["query"]["t"].as_str().map(str::to_owned) {
        let url = handshake["url"].as_str().unwrap_or_default().replace(&format!("&t={t}"), "&t=");
        handshake["url"] = json!(url);
        handshake["query"]["t"] = json!("");
    }
    let headers = &mut handshake["headers"];
    if let Some(key) = headers["sec-websocket-key"].as_str() {
        headers["sec-websocket-key"] = json!(key.len());
    }
    socket
}

/// How a time is written, such as `Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)`.
/// The zone is the process's own.
fn shape(time: &str) -> String {
    let (time, zone) = time.split_once(" GMT").unwrap_or((time, "none"));
    let letter = |char: char| match char {
        'A'..='Z' => 'A',
        'a'..='z' => 'a',
        '0'..='9' => '0',
        other => other,
    };
    let zone = if zone.starts_with(['+', '-']) { " GMT" } else { zone };
    time.chars().map(letter).chain(zone.chars()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn node_describes_a_socket_of_readmes_server_as_its_own() -> Result {
    let connections = [
        Connect::default()
            .auth(json!({ "token": "t", "nested": { "list": [1, null, "ä"] } }))
            .query(json!({ "version": "7", "odd name": "ä&b" }))
            .headers(json!({ "x-tenant": "acme", "cookie": "one=1; two=2" })),
        Connect::default(),
        Connect::default().transports(&["polling"]).auth(json!({ "token": "t" })),
        Connect::default().transports(&["polling", "websocket"]),
    ];
    for how in connections {
        for cluster in Cluster::of_each_backend(&how).await? {
            // A handshake is issued when its client connects, and not when it is first asked for.
            while now() <= cluster.connected[1][1] {
                tokio::task::yield_now().await;
            }
            let mut both = Vec::new();
            for (client, connected) in cluster.clients.iter().zip(cluster.connected) {
                let socket = cluster.described(client).await?.ok_or("it is connected")?;
                both.push(comparable(socket, client, connected));
            }
            assert_eq!(both[0]["handshake"]["address"], "127.0.0.1");
            assert_eq!(both[0]["rooms"], json!(["own", "chat"]));
            assert_eq!(both[0]["handshake"]["time"], "Aaa Aaa 00 0000 00:00:00 GMT");
            assert_eq!(both[0], both[1], "by Node.js, by README's server on {}", cluster.backend);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_nodes_reach_the_clients_of_readmes_server_and_the_other_way_round() -> Result {
    for cluster in Cluster::of_each_backend(&Connect::default()).await? {
        let [in_node, in_readme] = &cluster.clients;
        let large = "large ".repeat(2000);
        for args in [json!(["text", 1.5, { "list": [null, true] }]), json!([{ "$bin": "AAEC/w==" }]), json!([large])] {
            cluster.act("emit", json!({ "event": "news", "args": args })).await?;
            for client in &cluster.clients {
                assert_eq!(json!(client.wait_for_packet("news").await?), args);
            }
        }
        // The handler of README's server, and what an application on Node.js does in its place.
        in_readme.emit("message", json!(["by README's server"])).await?;
        for client in &cluster.clients {
            assert_eq!(client.wait_for_packet("message").await?, [json!("by README's server")]);
        }
        in_node.emit("message", json!(["by Node.js"])).await?;
        let is_it = |event: &Value| event["event"] == "packet" && event["socket"] == in_node.id();
        let event = cluster.node.wait_for_event("a message of the client", is_it).await?;
        cluster.act("emit", json!({ "rooms": ["chat"], "event": "message", "args": event["args"] })).await?;
        for client in &cluster.clients {
            assert_eq!(client.wait_for_packet("message").await?, [json!("by Node.js")]);
            client.reply("ask", json!(["answer"])).await?;
        }
        let answers = cluster.act("emitWithAck", json!({ "event": "ask", "args": ["?"] })).await?;
        assert_eq!(answers["responses"], json!(["answer", "answer"]), "{answers}");
        // Nothing else, nothing twice.
        assert_eq!(in_node.received().await?, in_readme.received().await?, "README's server is on {}", cluster.backend);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_readmes_server_join_and_leave_as_node_says() -> Result {
    for cluster in Cluster::of_each_backend(&Connect::default()).await? {
        let expect = |rooms: Value| [rooms.clone(), rooms];
        assert_eq!(cluster.rooms().await?, expect(json!(["own", "chat"])));
        // All at once, in both servers; and by a handle of one socket, as it may be on any server.
        cluster.act("socketsJoin", json!({ "join": ["red", "blue"] })).await?;
        assert_eq!(cluster.rooms().await?, expect(json!(["own", "blue", "chat", "red"])));
        assert!(cluster.both_get(json!({ "rooms": ["red"] })).await?);
        assert!(!cluster.both_get(json!({ "rooms": ["red"], "except": ["blue"] })).await?);
        cluster.act("socketsLeave", json!({ "leave": ["red", "chat"] })).await?;
        assert_eq!(cluster.rooms().await?, expect(json!(["own", "blue"])));
        assert!(!cluster.both_get(json!({ "rooms": ["red"] })).await?);
        for (op, rooms) in [("join", json!([7, "7"])), ("leave", json!(["blue", 7]))] {
            for client in &cluster.clients {
                cluster.act("remote", json!({ "target": client.id(), "do": op, op: rooms })).await?;
            }
        }
        assert_eq!(cluster.rooms().await?, expect(json!(["own", "7"])));
        assert!(cluster.both_get(json!({ "rooms": ["7"] })).await?);
        assert!(!cluster.both_get(json!({ "rooms": [7] })).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_readmes_server_are_disconnected_as_node_says() -> Result {
    for one_by_one in [true, false] {
        for close in [true, false] {
            for cluster in Cluster::of_each_backend(&Connect::default()).await? {
                if one_by_one {
                    for client in &cluster.clients {
                        let command = json!({ "target": client.id(), "do": "disconnect", "close": close });
                        cluster.act("remote", command).await?;
                    }
                } else {
                    cluster.act("disconnectSockets", json!({ "close": close })).await?;
                }
                let mut reasons = Vec::new();
                for client in &cluster.clients {
                    reasons.push(client.wait_for_disconnect().await?);
                }
                assert_eq!(
                    reasons[0], reasons[1],
                    "by Node.js, by README's server on {}, with close {close}",
                    cluster.backend
                );
                // They are gone from the answers of their servers when these have handled it.
                let deadline = Instant::now() + time_limit();
                for client in &cluster.clients {
                    while cluster.described(client).await?.is_some() {
                        assert!(Instant::now() < deadline, "{} is still there", client.id());
                    }
                }
            }
        }
    }
    Ok(())
}
