//! What an admin does to sockets.

use serde_json::{Value, json};
use socketio_pg_tests::{Client, Connect};

use crate::{
    Result,
    cluster::{Cluster, Server, admin},
};

/// The rooms of a socket of a server, without the room of its own id.
async fn rooms(server: &Server, client: &Client) -> Result<Vec<Value>> {
    let all = server.node.call("localSockets", json!({ "nsp": "/chat", "rooms": [client.id()] })).await?;
    let all = all.as_array().unwrap().clone();
    let socket = all.into_iter().find(|socket| socket["id"] == client.id()).expect("the client is connected");
    let rooms = socket["rooms"].as_array().unwrap().iter();
    Ok(rooms.filter(|room| **room != json!(client.id())).cloned().collect())
}

/// Waits for the packet that is sent last, so that what was sent before has come.
async fn settled(cluster: &Cluster, server: &Server, clients: &[&Client]) -> Result {
    for other in &cluster.servers {
        other
            .node
            .call("emit", json!({ "nsp": "/chat", "event": "settled", "args": [server.name, other.name] }))
            .await?;
        for client in clients {
            client.wait_for_packet_with("settled", |args| args == [server.name, other.name]).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_admin_on_any_server_acts_on_sockets_of_any_server() -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    for server in &cluster.servers {
        let (admin, _) = cluster.admin(server, &admin()).await?;
        for target in &cluster.servers {
            let case = format!("an admin on {} and a client on {}", server.name, target.name);
            let client = cluster.client(target, &Connect::to("/chat")).await?;
            let other = cluster.client(target, &Connect::to("/chat")).await?;
            admin.emit("join", json!(["/chat", "room", client.id()])).await?;
            admin.emit("join", json!(["/chat", 42, client.id()])).await?;
            admin.emit("join", json!(["/chat", "all"])).await?;
            admin.emit("emit", json!(["/chat", "room", "to-room", { "a": [1] }, "two"])).await?;
            admin.emit("emit", json!(["/chat", 42, "to-number"])).await?;
            admin.emit("emit", json!(["/chat", client.id(), "to-one", "x".repeat(20_000)])).await?;
            admin.emit("emit", json!(["/chat", null, "to-all", null])).await?;

            assert_eq!(client.wait_for_packet("to-room").await?, [json!({ "a": [1] }), json!("two")], "{case}");
            client.wait_for_packet("to-number").await?;
            assert_eq!(client.wait_for_packet("to-one").await?, [json!("x".repeat(20_000))], "{case}");
            for either in [&client, &other] {
                assert_eq!(either.wait_for_packet("to-all").await?, [Value::Null], "{case}");
            }
            let names: Vec<_> = other.received().await?.into_iter().map(|packet| packet.event).collect();
            assert!(!names.iter().any(|name| ["to-room", "to-number", "to-one"].contains(&&**name)), "{names:?}");

            admin.emit("leave", json!(["/chat", "room", client.id()])).await?;
            admin.emit("leave", json!(["/chat", "all"])).await?;
            admin.emit("emit", json!(["/chat", null, "left"])).await?;
            client.wait_for_packet("left").await?;
            settled(&cluster, server, &[&client, &other]).await?;
            assert_eq!(rooms(target, &client).await?, [json!(42)], "{case}");
            assert_eq!(rooms(target, &other).await?, Vec::<Value>::new(), "{case}");

            admin.emit("_disconnect", json!(["/chat", false, client.id()])).await?;
            assert_eq!(client.wait_for_disconnect().await?, "io server disconnect", "{case}");
            assert_eq!(other.ended().await?, None, "{case}");

            // With `close`, the client loses its other namespaces as well.
            let main = cluster.clients.connect_over(&other, &Connect::to("/")).await?;
            admin.emit("_disconnect", json!(["/chat", true, other.id()])).await?;
            other.wait_for_disconnect().await?;
            main.wait_for_disconnect().await?;
        }
        let mut all = Vec::new();
        for target in &cluster.servers {
            all.push(cluster.client(target, &Connect::to("/chat")).await?);
        }
        admin.emit("_disconnect", json!(["/chat", false])).await?;
        for client in all {
            assert_eq!(client.wait_for_disconnect().await?, "io server disconnect", "{}", server.name);
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_a_rust_server_cannot_do_is_told_and_the_next_operation_works() -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    for server in cluster.servers.iter().filter(|server| server.name.starts_with("rust")) {
        let (admin, _) = cluster.admin(server, &admin()).await?;
        let client = cluster.client(cluster.server("node-1"), &Connect::to("/chat")).await?;
        let error = |text: &str| vec![json!({ "error": text })];
        let cases = [
            ("emit", json!([]), "argument 1 (namespace) must be a string"),
            ("emit", json!([{ "a": 1 }, null, "e"]), "argument 1 (namespace) must be a string"),
            ("emit", json!(["/chat", null, { "deep": [[[[]]]] }]), "argument 3 (event) must be a string"),
            (
                "emit",
                json!(["/chat", null, "disconnect"]),
                "`disconnect` is a reserved event name: give the event another one, and check names that come from clients",
            ),
            ("join", json!(["/chat"]), "argument 2 (room) must be a string or a whole number"),
            (
                "_disconnect",
                json!(["/chat", true, ""]),
                "argument 3 (filter) must be the name of a room or the id of a socket, or null for all sockets",
            ),
            (
                "leave",
                json!(["/absent", "room"]),
                "this server does not have the namespace /absent: connect to a server that has it, or add it to this one \
                 with `io.ns`",
            ),
        ];
        for (event, args, expected) in cases {
            assert_eq!(admin.ask(event, args.clone()).await?, Ok(error(expected)), "{event} {args}");
        }
        assert_eq!(admin.ask("emit", json!(["/chat", null, "works"])).await?, Ok(vec![json!({})]));
        client.wait_for_packet("works").await?;
        assert_eq!(client.ended().await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn an_admin_may_look_only_where_the_server_is_read_only() -> Result {
    let options = json!({ "auth": false, "readonly": true });
    let Some(cluster) = Cluster::start(options, |options| options).await? else { return Ok(()) };
    for server in &cluster.servers {
        let (admin, _) = cluster.admin(server, &admin()).await?;
        let features = json!({ "supportedFeatures": ["AGGREGATED_EVENTS", "ALL_EVENTS"] });
        assert_eq!(admin.wait_for_packet("config").await?, [features], "{}", server.name);
        let client = cluster.client(server, &Connect::to("/chat")).await?;
        for (event, args) in [
            ("emit", json!(["/chat", null, "forbidden"])),
            ("join", json!(["/chat", "forbidden"])),
            ("_disconnect", json!(["/chat", true])),
        ] {
            admin.emit(event, args).await?;
        }
        // The server has read them when it has read what this client sends after them.
        admin.disconnect().await?;
        settled(&cluster, server, &[&client]).await?;
        assert_eq!(rooms(server, &client).await?, Vec::<Value>::new());
        let names: Vec<_> = client.received().await?.into_iter().map(|packet| packet.event).collect();
        assert!(!names.contains(&"forbidden".to_owned()), "{names:?}");
    }
    Ok(())
}
