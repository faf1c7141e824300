//! A node in Python, written from the specification alone, in one cluster with Node.js and Rust.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use socketio_pg_tests::{
    Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, barrier, binary, database, python_node, require,
};
use socketio_pg_throwaway::Database;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;

/// A Python, a Node.js and a Rust server that know each other, with a client each. Python's is
/// virtual.
struct Cluster {
    servers: [Node; 3],
    clients: [Client; 3],
    kinds: [Kind; 3],
    options: NodeOptions,
    _database: Database,
}

impl Cluster {
    /// `None` when a tool is missing on the machine, which is then reported.
    async fn start(backend: &str) -> Result<Option<Self>> {
        Self::start_with(backend, |options| options).await
    }

    async fn start_with(backend: &str, set: fn(NodeOptions) -> NodeOptions) -> Result<Option<Self>> {
        if !require(&NODE) {
            return Ok(None);
        }
        let Some(python) = python_node(env!("CARGO_TARGET_TMPDIR")) else { return Ok(None) };
        let Some(database) = database() else { return Ok(None) };
        let program = PathBuf::from(env!("CARGO_BIN_EXE_test-node"));
        let rust = Kind::RustServer { program, backend: backend.to_owned() };
        let kinds = [python, Kind::NodeServer, rust];
        let options = set(NodeOptions::new(database.url()));

        let [python, node, rust] = &kinds;
        let (python, node, rust) =
            tokio::try_join!(Node::start(python, &options), Node::start(node, &options), Node::start(rust, &options))?;
        let clients = ClientHost::shared().await?;
        let how = Connect::default();
        let (of_python, of_node, of_rust) = tokio::try_join!(
            python.add_socket(json!({})),
            clients.connect(node.port(), &how),
            clients.connect(rust.port(), &how),
        )?;
        let (servers, clients) = ([python, node, rust], [of_python, of_node, of_rust]);
        let cluster = Self { servers, clients, kinds, options, _database: database };
        cluster.wait_for_server_count(3).await?;
        Ok(Some(cluster))
    }

    async fn wait_for_server_count(&self, count: usize) -> Result {
        for server in &self.servers {
            server.wait_for_server_count("/", count).await?;
        }
        Ok(())
    }

    /// Returns once the clients have everything that was sent to them so far.
    async fn settle(&self) -> Result {
        barrier(&self.servers.each_ref(), "/", &self.clients.each_ref()).await
    }

    /// The names of the events that each client got, sorted because Node.js keeps no order.
    async fn received(&self) -> Result<[Vec<String>; 3]> {
        self.settle().await?;
        let mut received = [const { Vec::new() }; 3];
        for (names, client) in received.iter_mut().zip(&self.clients) {
            names.extend(client.received().await?.into_iter().map(|packet| packet.event));
            names.sort();
        }
        Ok(received)
    }

    /// What the Python node could not use of what it heard.
    async fn problems(&self) -> Result<Value> {
        self.servers[0].call("problems", json!({})).await
    }
}

fn sorted(value: &Value) -> Vec<Value> {
    let mut values = value.as_array().unwrap().clone();
    values.sort_by_key(Value::to_string);
    values
}

#[tokio::test]
async fn python_node_and_rust_do_everything_with_each_other() -> Result {
    everything("tokio-postgres").await
}

#[tokio::test]
async fn python_node_and_rust_on_diesel_do_everything_with_each_other() -> Result {
    everything("diesel").await
}

async fn everything(backend: &str) -> Result {
    let Some(cluster) = Cluster::start(backend).await? else { return Ok(()) };
    each_broadcasts_to_each(&cluster).await?;
    rooms_select(&cluster).await?;
    acknowledgements_come_back(&cluster).await?;
    each_finds_all_sockets(&cluster).await?;
    servers_answer_each_other(&cluster).await?;
    each_disconnects_a_socket_of_another(&cluster).await?;
    assert_eq!(cluster.problems().await?, json!({}), "nothing that Node and Rust say is strange to Python");
    Ok(())
}

async fn each_broadcasts_to_each(cluster: &Cluster) -> Result {
    let events = [
        ("small", json!(["wörld", 1, -1.5, true, null, { "a": [{}] }])),
        ("nothing", json!([])),
        ("20 KB", json!(["x".repeat(20_000), { "ä": "€".repeat(100) }])),
        ("binary", json!([binary([0, 1, 255]), { "deep": [binary([])] }, 1])),
        ("70 KB of binary", json!([binary(vec![7; 70_000])])),
    ];
    for server in &cluster.servers {
        for (event, args) in &events {
            server.call("emit", json!({ "event": event, "args": args })).await?;
            for client in &cluster.clients {
                assert_eq!(Value::from(client.wait_for_packet(event).await?), *args, "{event}");
            }
        }
    }
    let all = cluster.received().await?;
    for names in all {
        assert_eq!(names.len(), 3 * events.len(), "each once: {names:?}");
    }
    Ok(())
}

async fn rooms_select(cluster: &Cluster) -> Result {
    let ids = cluster.clients.each_ref().map(Client::id);
    for (index, server) in cluster.servers.iter().enumerate() {
        // Each server moves the socket of the next one.
        let (next, last) = (ids[(index + 1) % 3], ids[(index + 2) % 3]);
        server.call("socketsJoin", json!({ "rooms": [next], "join": ["red", "blue"] })).await?;
        server.call("socketsJoin", json!({ "rooms": [last], "join": ["blue"] })).await?;
        cluster.settle().await?;
        let name = |what: &str| format!("{what} {index}");
        server.call("emit", json!({ "event": name("red"), "rooms": ["red"] })).await?;
        server.call("emit", json!({ "event": name("red or blue"), "rooms": ["red", "blue"] })).await?;
        server.call("emit", json!({ "event": name("not red"), "except": ["red"] })).await?;
        server.call("emit", json!({ "event": name("blue not red"), "rooms": ["blue"], "except": ["red"] })).await?;
        server.call("emit", json!({ "event": name("private"), "rooms": [last] })).await?;
        server.call("emit", json!({ "event": name("from"), "from": ids[index] })).await?;
        let received = cluster.received().await?;
        let of_now = |client: usize| {
            let names = received[client % 3].iter().filter_map(|it| it.strip_suffix(&format!(" {index}")));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of_now(index), ["not red"]);
        assert_eq!(of_now(index + 1), ["from", "red", "red or blue"]);
        assert_eq!(of_now(index + 2), ["blue not red", "from", "not red", "private", "red or blue"]);
        server.call("socketsLeave", json!({ "leave": ["red", "blue"] })).await?;
    }
    Ok(())
}

async fn acknowledgements_come_back(cluster: &Cluster) -> Result {
    let answers = json!([{ "bytes": binary([1]) }, "y".repeat(20_000), ["a", "list"]]);
    let all = sorted(&answers);
    let answers = answers.as_array().unwrap();
    for (client, answer) in cluster.clients.iter().zip(answers) {
        client.reply("ask", json!([answer, "not passed on"])).await?;
    }
    for server in &cluster.servers {
        let answer = server.call("emitWithAck", json!({ "event": "ask", "args": [1], "timeout": 15_000 })).await?;
        assert_eq!(answer["error"], Value::Null);
        assert_eq!(sorted(&answer["responses"]), all);
        let no_client =
            server.call("emitWithAck", json!({ "event": "ask", "rooms": ["empty"], "timeout": 15_000 })).await?;
        assert_eq!(no_client, json!({ "responses": [], "error": null }));
        for (client, answer) in cluster.clients.iter().zip(answers) {
            let ask = json!({ "target": client.id(), "do": "emitWithAck", "event": "ask", "timeout": 15_000 });
            assert_eq!(server.call("remote", ask).await?, json!({ "responses": [answer], "error": null }));
        }
    }
    cluster.clients[0].never_reply("ask").await?;
    cluster.clients[1].reply("ask", json!([])).await?;
    for server in &cluster.servers {
        let answer = server.call("emitWithAck", json!({ "event": "ask", "timeout": 3000 })).await?;
        assert_eq!(answer["error"], "operation has timed out");
        assert_eq!(sorted(&answer["responses"]), [json!(["a", "list"]), json!(null)]);
    }
    Ok(())
}

async fn each_finds_all_sockets(cluster: &Cluster) -> Result {
    let data = json!({ "user": "ada", "list": [1, 2.5, null, true], "long": "x".repeat(9000) });
    for (server, client) in cluster.servers.iter().zip(&cluster.clients) {
        server.call("setData", json!({ "socket": client.id(), "data": data })).await?;
        server.call("socketsJoin", json!({ "rooms": [client.id()], "join": ["here"], "local": true })).await?;
    }
    let bytes = binary([1, 2]);
    let visitor = json!({ "rooms": ["visitors"], "data": { "bytes": bytes }, "query": { "q": "1" } });
    let visitor = cluster.servers[0].add_socket(visitor).await?;
    for server in &cluster.servers {
        let here = server.call("fetchSockets", json!({ "rooms": ["here"] })).await?;
        let mut ids: Vec<&str> = here.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
        let mut expected = cluster.clients.each_ref().map(Client::id);
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        for socket in here.as_array().unwrap() {
            assert_eq!(socket["data"], data);
            assert_eq!(sorted(&socket["rooms"]).len(), 2, "{socket}");
            assert!(socket["handshake"]["query"].is_object(), "{socket}");
        }
        let visitors = server.call("fetchSockets", json!({ "rooms": ["visitors"] })).await?;
        assert_eq!(visitors[0]["data"], json!({ "bytes": bytes }), "binary of Python's is an attachment");
        assert_eq!(visitors[0]["handshake"]["query"], json!({ "q": "1" }));
        assert_eq!(server.call("fetchSockets", json!({ "rooms": ["nobody's"] })).await?, json!([]));
    }
    // Node.js sends a short buffer inline, as an object.
    cluster.servers[1]
        .call("setData", json!({ "socket": cluster.clients[1].id(), "data": { "bytes": bytes } }))
        .await?;
    let of_node = cluster.servers[0].call("fetchSockets", json!({ "rooms": [cluster.clients[1].id()] })).await?;
    assert_eq!(of_node[0]["data"], json!({ "bytes": bytes }));
    visitor.disconnect().await
}

async fn servers_answer_each_other(cluster: &Cluster) -> Result {
    let answers = [json!("from Python"), json!({ "bytes": binary([1]) }), json!(["one", "value"])];
    for (server, answer) in cluster.servers.iter().zip(&answers) {
        server.call("replyServerSide", json!({ "event": "ask", "with": [answer] })).await?;
        server.call("replyServerSide", json!({ "event": "empty", "with": [] })).await?;
    }
    for (index, server) in cluster.servers.iter().enumerate() {
        let others = || (0..3).filter(|&other| other != index);
        for args in [json!(["news", { "a": null }]), json!([binary([9]), "x".repeat(9000)])] {
            server.call("serverSideEmit", json!({ "event": "tell", "args": args })).await?;
            for other in others() {
                assert_eq!(cluster.servers[other].wait_for_server_side("/", "tell").await?, args);
            }
        }
        let answer = server.call("serverSideEmitWithAck", json!({ "event": "ask", "args": [1] })).await?;
        let expected: Value = others().map(|other| answers[other].clone()).collect();
        assert_eq!(answer["error"], Value::Null);
        assert_eq!(sorted(&answer["responses"]), sorted(&expected));
        let empty = server.call("serverSideEmitWithAck", json!({ "event": "empty" })).await?;
        assert_eq!(empty, json!({ "responses": [null, null], "error": null }));
    }
    let told = |server: &Node| server.events().iter().filter(|it| it["name"] == "tell").count();
    assert_eq!(cluster.servers.each_ref().map(told), [4, 4, 4], "never its own");
    Ok(())
}

/// Disconnects all clients.
async fn each_disconnects_a_socket_of_another(cluster: &Cluster) -> Result {
    for (index, server) in cluster.servers.iter().enumerate() {
        let client = &cluster.clients[(index + 1) % 3];
        server.call("disconnectSockets", json!({ "rooms": [client.id()], "close": index == 0 })).await?;
        assert_eq!(client.wait_for_disconnect().await?, "io server disconnect");
    }
    for server in &cluster.servers {
        assert_eq!(server.call("localSockets", json!({})).await?, json!([]));
    }
    Ok(())
}

#[tokio::test]
async fn a_python_node_that_leaves_is_forgotten_and_one_that_is_killed_is_no_longer_waited_for() -> Result {
    let quick = |options: NodeOptions| {
        options.heartbeat_interval(Duration::from_millis(500)).heartbeat_timeout(Duration::from_millis(2500))
    };
    let Some(cluster) = Cluster::start_with("tokio-postgres", quick).await? else { return Ok(()) };
    // Each server leaves once; the Python node is among those that notice.
    for kind in &cluster.kinds {
        let leaving = Node::start(kind, &cluster.options).await?;
        cluster.wait_for_server_count(4).await?;
        leaving.close().await?;
        cluster.wait_for_server_count(3).await?;
        let leaving = Node::start(kind, &cluster.options).await?;
        cluster.wait_for_server_count(4).await?;
        leaving.hang_up().await?;
        cluster.wait_for_server_count(3).await?;

        let dying = Node::start(kind, &cluster.options).await?;
        cluster.wait_for_server_count(4).await?;
        dying.call("replyServerSide", json!({ "event": "ask", "never": true })).await?;
        for server in &cluster.servers {
            server.call("replyServerSide", json!({ "event": "ask", "with": ["here"] })).await?;
        }
        let [python, node, rust] = &cluster.servers;
        let ask = || json!({ "event": "ask" });
        let (of_python, of_node, of_rust, ()) = tokio::try_join!(
            python.call("serverSideEmitWithAck", ask()),
            node.call("serverSideEmitWithAck", ask()),
            rust.call("serverSideEmitWithAck", ask()),
            async {
                for _ in 0..3 {
                    dying.wait_for_server_side("/", "ask").await?;
                }
                dying.kill().await
            },
        )?;
        // The request waits for the killed node until it counts as dead, which is before the 5 s
        // are over.
        for answer in [of_python, of_node, of_rust] {
            assert_eq!(answer, json!({ "responses": ["here", "here"], "error": null }), "{kind:?}");
        }
        cluster.wait_for_server_count(3).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_python_node_keeps_the_order_of_small_and_large_events() -> Result {
    let Some(cluster) = Cluster::start("tokio-postgres").await? else { return Ok(()) };
    let [python, _, rust] = &cluster.servers;
    let [of_python, _, of_rust] = &cluster.clients;
    for (sender, receiver) in [(python, of_rust), (rust, of_python)] {
        let emit = |number: usize| {
            let text = "x".repeat(if number.is_multiple_of(2) { 20_000 } else { 1 });
            sender.call("emit", json!({ "event": "numbered", "args": [number, text] }))
        };
        // Sent without waiting for the event before.
        futures_util::future::try_join_all((0..50).map(emit)).await?;
        cluster.settle().await?;
        let packets = receiver.received().await?.into_iter().filter(|packet| packet.event == "numbered");
        let numbers: Vec<Value> = packets.map(|packet| packet.args[0].clone()).collect();
        // What the receiver's own server had sent before may come first, or is still on its way.
        let last: Vec<Value> = numbers[numbers.len() - 50..].to_vec();
        assert_eq!(last, (0..50).map(Value::from).collect::<Vec<_>>());
    }
    Ok(())
}

/// On its own: this input makes Node.js disconnect its clients, or respond wrongly.
#[tokio::test]
async fn a_python_node_counts_bad_input_and_goes_on() -> Result {
    let Some(python) = python_node(env!("CARGO_TARGET_TMPDIR")) else { return Ok(()) };
    let Some(database) = database() else { return Ok(()) };
    let node = Node::start(&python, &NodeOptions::new(database.url())).await?;
    let socket = node.add_socket(json!({})).await?;

    let from_emitter = |kind: &str, data: &str| format!(r#"{{"type":{kind},"data":{data},"uid":"emitter","nsp":"/"}}"#);
    let opts = r#""opts":{"rooms":[],"except":[],"flags":{}}"#;
    for (payload, problem) in [
        ("no JSON".to_owned(), "unreadable"),
        (r#"{"type":NaN}"#.to_owned(), "unreadable"),
        ("[1]".to_owned(), "malformed"),
        (r#"{"type":3}"#.to_owned(), "malformed"),
        (r#"{"type":true,"uid":"emitter","nsp":"/"}"#.to_owned(), "malformed"),
        (from_emitter("3", "{}"), "malformed"),
        (from_emitter("3", r#"{"packet":{"type":2,"data":["e"]},"opts":{"rooms":"abc"}}"#), "malformed"),
        (from_emitter("3", &format!(r#"{{"packet":{{"type":1}},{opts}}}"#)), "malformed"),
        (from_emitter("3", &format!(r#"{{"packet":{{"type":2,"data":[]}},{opts}}}"#)), "malformed"),
        (from_emitter("4", &format!(r#"{{"rooms":"abc",{opts}}}"#)), "malformed"),
        (from_emitter("7", &format!("{{{opts}}}")), "malformed"),
        (from_emitter("9", r#"{"packet":{}}"#), "malformed"),
        (from_emitter("14", "{}"), "unknown type"),
        (r#"{"uid":"x","type":3,"attachmentId":"99999"}"#.to_owned(), "unreadable"),
        (r#"{"uid":"x","type":3,"attachmentId":"many"}"#.to_owned(), "malformed"),
    ] {
        let count = async || Ok(node.call("problems", json!({})).await?[problem].as_u64().unwrap_or_default());
        let before: Result<u64> = count().await;
        notify(&database, &payload);
        // After it in the same queue.
        notify(&database, &from_emitter("9", r#"{"packet":["over"]}"#));
        node.wait_for_server_side("/", "over").await?;
        let after: Result<u64> = count().await;
        assert_eq!(after?, before? + 1, "{payload}");
    }
    let problems = node.call("problems", json!({})).await?;

    // Unusual input that is valid: keys in any order, unknown keys, no namespace, rooms that are
    // not strings.
    for payload in [
        r#"{"x":1,"uid":"emitter","data":{"opts":{},"y":2,"packet":{"data":["e",1],"id":7,"type":2.0}},"type":3.0}"#,
        r#"{"type":3,"data":{"packet":{"type":2,"data":["e",2]},"opts":{"except":[7,null,"\ud800"]}},"uid":"emitter"}"#,
        // Messages for other nodes are not problems either.
        r#"{"type":3,"data":{},"uid":"emitter","nsp":"/other"}"#,
        r#"{"type":3,"uid":"emitter","nsp":"/other","attachmentId":"99999"}"#,
        &format!(r#"{{"type":3,"uid":"{}","attachmentId":"99999"}}"#, node.uid()),
        &from_emitter("9", r#"{"packet":["over"]}"#),
    ] {
        notify(&database, payload);
    }
    node.wait_for_server_side("/", "over").await?;
    assert_eq!(node.call("problems", json!({})).await?, problems);
    let received: Vec<Value> = socket.received().await?.into_iter().map(|it| json!([it.event, it.args])).collect();
    assert_eq!(received, [json!(["e", [1]]), json!(["e", [2]])]);
    Ok(())
}

/// Notifies as any role may that is connected to the database.
fn notify(database: &Database, payload: &str) {
    let quoted = payload.replace('\'', "''");
    database.execute(&format!("SELECT pg_notify('socket.io#/', '{quoted}')")).unwrap();
}
