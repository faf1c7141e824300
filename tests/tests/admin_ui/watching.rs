//! What an admin sees of the cluster.

use serde_json::{Value, json};
use socketio_pg_tests::{Client, Connect, Parser};

use crate::{
    Result,
    cluster::{Cluster, admin, kinds, rust},
};

/// A list of sockets in an order of its own, without admins, and without what differs between two
/// clients of one program.
fn comparable(list: &[Value]) -> Vec<Value> {
    let mut list: Vec<_> = list.iter().filter(|socket| socket["nsp"] != "/admin").cloned().collect();
    for socket in &mut list {
        let rooms = socket["rooms"].as_array_mut().unwrap();
        rooms.sort_by_key(Value::to_string);
    }
    list.sort_by_key(|socket| format!("{} {}", socket["nsp"], socket["id"]));
    list
}

#[tokio::test]
async fn every_admin_sees_every_server_and_the_same_sockets() -> Result {
    for parser in [Parser::Common, Parser::MsgPack] {
        every_admin_sees_the_same(parser).await?;
    }
    Ok(())
}

async fn every_admin_sees_the_same(parser: Parser) -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options.parser(parser)).await? else {
        return Ok(());
    };
    let mut expected = Vec::new();
    let mut clients = Vec::new();
    for server in &cluster.servers {
        for (nsp, transport) in [("/", "websocket"), ("/chat", "polling")] {
            let how = Connect::to(nsp).parser(parser).transports(&[transport]).query(json!({ "who": server.name }));
            let how = how.headers(json!({ "x-forwarded-for": "192.0.2.7" })).auth(json!({ "secret": 1 }));
            let client = cluster.client(server, &how).await?;
            let join = json!({ "nsp": nsp, "rooms": [client.id()], "join": ["room", 42] });
            server.node.call("socketsJoin", join).await?;
            let data = json!({ "user": server.name, "deep": { "list": [1, null, "ä"] } });
            server.node.call("setData", json!({ "nsp": nsp, "socket": client.id(), "data": data })).await?;
            expected.push((client.id().to_owned(), nsp, transport, server.name));
            clients.push(client);
        }
    }
    let mut lists = Vec::new();
    for server in &cluster.servers {
        let how = admin().parser(parser);
        let (admin, list) = cluster.admin(server, &how).await?;
        let admin_itself = list.iter().find(|socket| socket["id"] == admin.id()).expect("an admin is a socket");
        assert!(admin_itself["handshake"]["auth"].is_null(), "the password of an admin is shown to others");
        lists.push((server.name, comparable(&list)));
        for (name, _) in kinds() {
            let stats = admin.wait_for_packet_with("server_stats", |args| args[0]["serverId"] == name).await?;
            let pid = cluster.server(name).node.pid();
            assert_eq!(stats[0]["pid"], pid, "{name}: {stats:?}");
            assert!(stats[0]["uptime"].as_f64().unwrap() >= 0.0 && stats[0]["hostname"].is_string(), "{stats:?}");
        }
        clients.push(admin);
    }
    for (server, list) in &lists {
        assert_eq!(list.len(), expected.len(), "the list of {server}");
        for (id, nsp, transport, name) in &expected {
            let socket = list.iter().find(|socket| socket["id"] == **id).expect("each client is in each list");
            assert_eq!(socket["nsp"], *nsp);
            // A Node.js server forgets the transport when the test replaces `socket.data`.
            if name.starts_with("rust") {
                assert_eq!(socket["transport"], *transport);
                assert_eq!(socket["clientId"], id[..12]);
            }
            assert_eq!(socket["data"], json!({ "user": name, "deep": { "list": [1, null, "ä"] } }));
            assert_eq!(socket["handshake"]["address"], "192.0.2.7");
            assert_eq!(socket["handshake"]["query"]["who"], *name);
            assert!(socket["handshake"]["issued"].as_u64().unwrap() > 1_700_000_000_000);
            let rooms = socket["rooms"].as_array().unwrap();
            assert!(rooms.len() == 3 && rooms.contains(&json!(42)) && rooms.contains(&json!("room")), "{rooms:?}");
        }
        assert_eq!(list, &lists[0].1, "{server} tells something else than {}", lists[0].0);
    }
    Ok(())
}

/// What an admin is told of a socket, in the order in which the page needs it: each packet is
/// waited for.
async fn follows(admin: &Client, nsp: &str, id: &str, gone: bool) -> Result {
    let of_room = |room: &str| {
        let expected = [json!(nsp), json!(room), json!(id)];
        move |args: &[Value]| args[..3] == expected && args[3].as_str().is_some_and(|time| time.ends_with('Z'))
    };
    if gone {
        let is_it = |args: &[Value]| args[0] == nsp && args[1] == id && args[2].is_string() && args[3].is_string();
        admin.wait_for_packet_with("socket_disconnected", is_it).await?;
        admin.wait_for_packet_with("room_left", of_room("stays")).await?;
        admin.wait_for_packet_with("room_left", of_room(id)).await?;
    } else {
        let is_it = |args: &[Value]| args[0]["id"] == id && args[0]["nsp"] == nsp;
        let told = admin.wait_for_packet_with("socket_connected", is_it).await?;
        assert!(told[0]["rooms"].as_array().unwrap().contains(&json!(id)), "{told:?}");
        assert_eq!(told[0]["transport"], "websocket");
        assert!(told[0]["clientId"].as_str().is_some_and(|client| client.len() == 12), "{told:?}");
        assert!(told[1].as_str().unwrap().ends_with('Z'), "{told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_admin_is_told_what_happens_to_sockets_of_every_server() -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    let mut admins = Vec::new();
    for server in &cluster.servers {
        admins.push((server.name, cluster.admin(server, &admin()).await?.0));
    }
    for server in &cluster.servers {
        for nsp in ["/", "/chat"] {
            let client = cluster.client(server, &Connect::to(nsp)).await?;
            for (_, admin) in &admins {
                follows(admin, nsp, client.id(), false).await?;
            }
            let sockets = |field: &str| json!({ "nsp": nsp, "rooms": [client.id()], field: ["goes", "stays", 42] });
            server.node.call("socketsJoin", sockets("join")).await?;
            for (_, admin) in &admins {
                for room in [json!("goes"), json!("stays"), json!(42)] {
                    let expected = [json!(nsp), room, json!(client.id())];
                    admin.wait_for_packet_with("room_joined", |args| args[..3] == expected).await?;
                }
            }
            let leave = json!({ "nsp": nsp, "rooms": [client.id()], "leave": ["goes", 42] });
            server.node.call("socketsLeave", leave).await?;
            for (_, admin) in &admins {
                for room in [json!("goes"), json!(42)] {
                    let expected = [json!(nsp), room, json!(client.id())];
                    admin.wait_for_packet_with("room_left", |args| args[..3] == expected).await?;
                }
            }
            if server.name.starts_with("rust") {
                let data = json!({ "nsp": nsp, "socket": client.id(), "data": { "user": "ada" } });
                server.node.call("setData", data).await?;
                for (_, admin) in &admins {
                    let expected = json!({ "id": client.id(), "nsp": nsp, "data": { "user": "ada" } });
                    admin.wait_for_packet_with("socket_updated", |args| args[0] == expected).await?;
                }
            }
            client.disconnect().await?;
            for (_, admin) in &admins {
                follows(admin, nsp, client.id(), true).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_transport_is_told() -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    let (admin, _) = cluster.admin(cluster.server("node-1"), &admin()).await?;
    for server in &cluster.servers {
        let client = cluster.client(server, &Connect::default().transports(&["polling", "websocket"])).await?;
        let is_it = |args: &[Value]| args[0]["id"] == client.id();
        let connected = admin.wait_for_packet_with("socket_connected", is_it).await?;
        // A Rust server may have looked after the change.
        if connected[0]["transport"] == "polling" {
            let updated = json!({ "id": client.id(), "nsp": "/", "transport": "websocket" });
            admin.wait_for_packet_with("socket_updated", |args| args[0] == updated).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn servers_that_died_do_not_keep_the_list_from_an_admin() -> Result {
    // They count as alive for longer than the test takes.
    let long = std::time::Duration::from_secs(600);
    let adapt = |options: socketio_pg_tests::NodeOptions| options.heartbeat_timeout(long);
    let Some(mut cluster) = Cluster::start(json!({ "auth": false }), adapt).await? else { return Ok(()) };
    let client = cluster.client(cluster.server("rust-diesel"), &Connect::to("/chat")).await?;
    for dead in ["node-2", "rust-tokio-postgres"] {
        cluster.server(dead).node.kill().await?;
    }
    cluster.servers.retain(|server| ["node-1", "rust-diesel"].contains(&server.name));
    let remote = cluster.client(cluster.server("node-1"), &Connect::default()).await?;
    let (_admin, list) = cluster.admin(cluster.server("rust-diesel"), &admin()).await?;
    let ids: Vec<_> = comparable(&list).iter().map(|socket| socket["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [remote.id(), client.id()]);
    Ok(())
}

#[tokio::test]
async fn a_server_without_the_admin_ui_is_listed_with_its_sockets_only() -> Result {
    let Some(mut cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    cluster.add("plain", &rust("tokio-postgres"), None).await?;
    let plain = cluster.server("plain");
    let client = cluster.client(plain, &Connect::to("/chat")).await?;
    for data in [json!({ "a": 1 }), json!([1]), json!(7), json!("text")] {
        plain.node.call("setData", json!({ "nsp": "/chat", "socket": client.id(), "data": data })).await?;
        for server in cluster.servers.iter().filter(|server| server.name != "plain") {
            let (_admin, list) = cluster.admin(server, &admin()).await?;
            let socket = list.iter().find(|socket| socket["id"] == client.id()).expect("it is listed");
            assert!(socket["handshake"]["issued"].as_u64().unwrap() > 0 && socket["clientId"].is_null(), "{socket}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn in_production_only_numbers_are_told() -> Result {
    let options = json!({ "auth": false, "mode": "production", "readonly": true });
    let Some(cluster) = Cluster::start(options, |options| options).await? else { return Ok(()) };
    for server in &cluster.servers {
        let admin = cluster.client(server, &admin()).await?;
        assert_eq!(admin.wait_for_packet("config").await?, [json!({ "supportedFeatures": ["AGGREGATED_EVENTS"] })]);
        let client = cluster.client(server, &Connect::to("/chat").transports(&["polling"])).await?;
        for (name, _) in kinds() {
            let is_it = |args: &[Value]| {
                let counts = |nsp: &str| {
                    let all = args[0]["namespaces"].as_array().unwrap();
                    all.iter().find(|it| it["name"] == nsp).map(|it| it["socketsCount"].clone())
                };
                let here = u64::from(name == server.name);
                args[0]["serverId"] == name
                    && counts("/chat") == Some(json!(here))
                    && args[0]["pollingClientsCount"] == here
                    && args[0]["clientsCount"].as_u64() >= Some(2 * here)
            };
            admin.wait_for_packet_with("server_stats", is_it).await?;
        }
        let is_connection = |event: &Value| event["type"] == "rawConnection" && event["count"].as_u64() > Some(0);
        let of_server = |args: &[Value]| args[0]["serverId"] == server.name;
        let counts = |args: &[Value]| args[0]["aggregatedEvents"].as_array().unwrap().iter().any(is_connection);
        let all = admin.received().await?;
        let is_counted =
            all.iter().filter(|it| it.event == "server_stats").any(|it| of_server(&it.args) && counts(&it.args));
        assert!(is_counted, "{} does not count the client that came", server.name);
        let names: Vec<_> = admin.received().await?.into_iter().map(|packet| packet.event).collect();
        assert!(names.iter().all(|name| ["config", "server_stats"].contains(&&**name)), "{names:?}");
        client.disconnect().await?;
        // The other servers' turns begin without clients.
        admin.disconnect().await?;
    }
    Ok(())
}

#[tokio::test]
async fn servers_with_admins_leave_in_order() -> Result {
    let Some(cluster) = Cluster::start(json!({ "auth": false }), |options| options).await? else { return Ok(()) };
    for name in ["rust-tokio-postgres", "rust-diesel"] {
        let server = cluster.server(name);
        let _admin = cluster.admin(server, &admin()).await?;
        server.node.terminate().await?;
    }
    for name in ["node-1", "node-2"] {
        cluster.server(name).node.wait_for_server_count("/admin", 2).await?;
    }
    Ok(())
}
