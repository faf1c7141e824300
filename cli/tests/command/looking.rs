//! `nodes`, `sockets` and `watch` beside Node.js.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use socketio_pg_core::Options;
use socketio_pg_tests::{binary, time_limit};

use crate::{
    fake_node::{UID, fake_node},
    lock::Lock,
    program::{Running, run},
    servers::{HangingServer, Servers},
};

fn texts(values: &[Value], key: &str) -> BTreeSet<String> {
    values.iter().map(|value| value[key].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_lists_every_server_and_joins_none_of_them() {
    let Some(servers) = Servers::start().await else { return };
    let nodes = run(&servers.url(), &["nodes", "--json", "--wait", "1.5"]).await.with(0).json();
    let of_main: Vec<_> = nodes.iter().filter(|node| node["namespace"] == "/").cloned().collect();
    assert_eq!(of_main.len(), 3, "{nodes:#?}");
    let rust = |name: &str| of_main.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{nodes:#?}"));
    for (name, uid) in [
        ("web-1", servers.tokio_postgres.cluster.of("/").uid().unwrap()),
        ("web-2", servers.diesel.cluster.of("/").uid().unwrap()),
    ] {
        let node = rust(name);
        assert_eq!(node["uid"], uid.as_str());
        assert_eq!((&node["language"], &node["sockets"]), (&json!("Rust"), &json!(1)));
    }
    let js = of_main.iter().find(|node| node["uid"] == servers.node.uid()).unwrap_or_else(|| panic!("{nodes:#?}"));
    assert_eq!((&js["name"], &js["sockets"]), (&Value::Null, &json!(1)), "Node.js tells no name, and is counted");
    // A Rust server told that it has this namespace too.
    let of_chat: Vec<_> = nodes.iter().filter(|node| node["namespace"] == "/chat").cloned().collect();
    assert_eq!(texts(&of_chat, "name"), ["web-1", "web-2"].map(String::from).into());
    // The command was not counted.
    assert_eq!(servers.tokio_postgres.cluster.of("/").server_count(), 3);
    servers.node.wait_for_server_count("/", 3).await.unwrap();
    let table = run(&servers.url(), &["nodes"]).await.with(0);
    assert!(table.stdout.lines().next().unwrap().starts_with("NAME"), "{}", table.stdout);
    assert!(!table.stdout.contains('\x1b'), "colours without a terminal: {:?}", table.stdout);
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_watch_sees_who_leaves() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let mut watching = Running::start(&url, &["nodes", "--watch", "--json", "--namespace", "/"]);
    watching.wait_for("the server on diesel", |node| node["name"] == "web-2").await;
    servers.diesel.cluster.close().await;
    // Each list has web-1: two of them without web-2 in between.
    loop {
        watching.wait_for("web-1", |node| node["name"] == "web-1").await;
        let next = watching.wait_for("another server", |node| node["namespace"] == "/").await;
        let last = watching.wait_for("another server", |node| node["namespace"] == "/").await;
        if next["name"] != "web-2" && last["name"] != "web-2" {
            break;
        }
    }
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_servers_the_answer_is_incomplete() {
    let Some(database) = socketio_pg_tests::database() else { return };
    for arguments in [&["nodes"][..], &["sockets"], &["sockets", "--count"], &["nodes", "--namespace", "chat"]] {
        let ended = run(&database.url(), arguments).await.with(3);
        assert!(ended.stderr.contains("no server answered in /"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_found_wherever_they_are() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let all = run(&url, &["sockets", "--json"]).await.with(0).json();
    let ids: BTreeSet<_> = servers.clients.iter().map(|client| client.id().to_owned()).collect();
    assert_eq!(texts(&all, "id"), ids);
    let of_node = all.iter().find(|socket| socket["id"] == servers.clients[2].id()).unwrap();
    assert_eq!(of_node["uid"], servers.node.uid());
    assert!(of_node["handshake"]["headers"].is_object(), "{of_node:#}");
    let in_room = run(&url, &["sockets", "--json", "--room", "orders"]).await.with(0).json();
    assert_eq!(texts(&in_room, "id"), [servers.clients[0].id().to_owned()].into());
    assert_eq!(in_room[0]["server"], "web-1");
    let others = run(&url, &["sockets", "--json", "--except", "orders"]).await.with(0).json();
    assert_eq!(others.len(), 2);
    let counted = run(&url, &["sockets", "--count", "--json", "--room", "orders"]).await.with(0).json();
    let counts: BTreeSet<_> = counted.iter().map(|of| (of["name"].to_string(), of["sockets"].to_string())).collect();
    let expected = [("\"web-1\"", "1"), ("\"web-2\"", "0"), ("null", "0")];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count.to_owned())).into());
    let table = run(&url, &["sockets"]).await.with(0).stdout;
    assert!(table.contains("orders"), "{table}");
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let heartbeat = r#"{"type":2,"uid":"00000000000000ff","nsp":"/"}"#;
    let database = servers.database().clone();
    let beating = tokio::spawn(async move {
        loop {
            database.execute(&format!("SELECT pg_notify('socket.io#/', '{heartbeat}')")).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let ended = run(&url, &["sockets", "--json", "--timeout", "5"]).await.with(3);
    assert!(ended.stderr.contains("no answer within 5s from 00000000000000ff"), "{}", ended.stderr);
    assert_eq!(ended.json().len(), 3);
    let ended = run(&url, &["nodes", "--json", "--namespace", "/"]).await.with(3);
    let says = "no answer within 1s to how many sockets they have from 00000000000000ff";
    assert!(ended.stderr.contains(says) && ended.stderr.contains("--wait"), "{}", ended.stderr);
    assert_eq!(ended.json().len(), 4);
    beating.abort();
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slower_than_the_question_is_named() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let slow = HangingServer::start(&url, Options::default().node_name("slow-1")).await;
    let twin = HangingServer::start(&url, Options::default().node_name("web-1")).await;
    run(&url, &["nodes"]).await.with(0);
    run(&url, &["sockets", "--namespace", "/chat"]).await.with(0);
    let hangs = [slow.hang(), twin.hang()];
    let of_twin = "web-1 (2 servers of this name are connected, 1 answered)";
    for arguments in [
        &["nodes", "--json", "--wait", "1.5"][..],
        &["nodes", "--namespace", "/chat", "--wait", "1.5"],
        &["sockets", "--wait", "1.5"],
        &["sockets", "--count", "--namespace", "/chat", "--wait", "1.5"],
    ] {
        let ended = run(&url, arguments).await.with(3);
        for phrase in ["no answer within 1.5s from Rust servers", "slow-1", of_twin, "more time with --wait"] {
            assert!(ended.stderr.contains(phrase), "{arguments:?}: not {phrase:?} in {}", ended.stderr);
        }
        assert!(!ended.stdout.is_empty());
    }
    let ended = run(&url, &["emit", "none", "--ack", "--room", "nobody", "--wait", "1.5"]).await.with(0);
    assert!(ended.stderr.contains("slow-1"), "{}", ended.stderr);
    // Where the namespace is another server's only, they answer in the main one.
    let given_time = run(&url, &["nodes", "--json", "--wait", "6"]);
    let end_of_hang = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(hangs);
    };
    let (nodes, ()) = tokio::join!(given_time, end_of_hang);
    let names: Vec<_> = nodes.with(0).json().into_iter().filter(|node| node["namespace"] == "/").collect();
    assert_eq!(names.iter().filter(|node| node["name"] == "web-1").count(), 2, "{names:#?}");
    assert!(names.iter().any(|node| node["name"] == "slow-1"), "{names:#?}");
    slow.close().await;
    twin.close().await;
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_namespace_is_not_missing() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    servers.diesel.io.delete_ns("/chat");
    let nodes = run(&url, &["nodes", "--json", "--namespace", "/chat"]).await.with(0).json();
    assert_eq!(texts(&nodes, "name"), ["web-1".to_owned()].into());
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_characters_take_their_columns() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    let mut names = ["日本語", "e\u{301}te\u{301}", "👍", "\u{1b}]0;x\u{7}"].into_iter().cycle();
    let node = fake_node(&url, &["/"], move || json!({ "name": names.next(), "language": "x", "sockets": 1 })).await;
    // The names, and how many columns they take.
    for (name, takes) in [("日本語", 6), ("e\u{301}te\u{301}", 3), ("👍", 2), ("\\u{1b}]0;x\\u{7}", 15)] {
        let width = takes.max("NAME".len());
        let table = run(&url, &["nodes", "--wait", "1.5"]).await.with(0).stdout;
        let mut lines = table.lines();
        let column = lines.next().unwrap().find("LANGUAGE").unwrap();
        let line = lines.next().unwrap();
        let expected = format!("{name}{}  x ", " ".repeat(width - takes));
        assert!(line.starts_with(&expected), "{table}");
        assert_eq!(column, width + 2, "{table}");
    }
    node.abort();
}

/// A pager that is not scrolled must not keep the notification queue of the whole server from being
/// emptied.
#[tokio::test(flavor = "multi_thread")]
async fn watch_reads_on_while_nobody_reads_what_it_prints() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut watching = Running::start(&database.url(), &["watch", "--json", "--full", "--namespace", "/"]);
    let emit = async |number: u64, length: usize| {
        let data = json!({ "opts": { "rooms": [], "except": [], "flags": {} },
            "packet": { "type": 2, "data": ["e", number, "x".repeat(length)], "nsp": "/" } });
        let message = json!({ "uid": "emitter", "nsp": "/", "type": 3, "data": data }).to_string();
        client.execute("SELECT pg_notify('socket.io#/', $1)", &[&message]).await.unwrap();
    };
    // It listens when it shows what is emitted.
    let is_of = |line: &Value, number: u64| line.to_string().contains(&format!("[\"e\",{number},"));
    while watching.next_within(Duration::from_millis(100)).await.is_none() {
        emit(0, 0).await;
    }
    // More than waits for a reader, and than a pipe holds.
    for number in 1..=4000 {
        emit(number, 7000).await;
    }
    let usage = async || {
        let row = client.query_one("SELECT pg_notification_queue_usage()", &[]).await.unwrap();
        row.get::<_, f64>(0)
    };
    let emptied = async {
        while usage().await > 0.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(time_limit(), emptied).await.expect("it reads on");
    watching.wait_for("the first of them", |line| is_of(line, 1)).await;
    let told = loop {
        emit(5000, 0).await;
        if let Some(line) = watching.next_within(Duration::from_millis(100)).await
            && line["notShown"].is_u64()
        {
            break line;
        }
    };
    assert!(told["notShown"].as_u64().unwrap() > 1000, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_shows_what_flows() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let mut watching = Running::start(&url, &["watch", "--json", "--event", "order", "--event", "picture"]);
    // It listens when it shows what is emitted.
    let emit = async |event: &str, args: Value| {
        servers.node.call("emit", json!({ "event": event, "args": args, "rooms": ["orders"] })).await.unwrap();
    };
    let first = loop {
        emit("order", json!([{ "id": 17 }])).await;
        let waiting = watching.wait_for("the event", |line| line["name"] == "BROADCAST");
        if let Ok(first) = tokio::time::timeout(Duration::from_millis(500), waiting).await {
            break first;
        }
    };
    assert_eq!(first["uid"], servers.node.uid());
    assert_eq!(first["message"]["data"]["packet"]["data"], json!(["order", { "id": 17 }]));
    assert_eq!(first["message"]["data"]["opts"]["rooms"], json!(["orders"]));
    emit("other", json!([])).await;
    emit("picture", json!([binary([1, 2, 3])])).await;
    let picture = watching.wait_for("the attachment", |line| line["attachment"] == true).await;
    let buffer = json!({ "type": "Buffer", "data": [1, 2, 3] });
    assert_eq!(picture["message"]["data"]["packet"]["data"], json!(["picture", buffer]));
    servers.tokio_postgres.cluster.of("/").to("orders").emit("order", &1).await.unwrap();
    let of_rust = watching.wait_for("the event of Rust", |line| line["server"] == "web-1").await;
    assert_eq!(of_rust["message"]["data"]["packet"]["data"], json!(["order", 1]));
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_counts_what_flows() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let mut watching = Running::start(&url, &["watch", "--top", "--json", "--interval", "0.2"]);
    let namespace = servers.diesel.cluster.of("/");
    let emitting = tokio::spawn(async move {
        while namespace.emit("tick", "0123456789").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let row = watching.wait_for("the event", |row| row["what"] == "BROADCAST tick").await;
    assert_eq!((&row["server"], &row["namespace"]), (&json!("web-2"), &json!("/")));
    assert!(row["messagesPerSecond"].as_f64().unwrap() > 0.0);
    assert!(row["bytesPerSecond"].as_f64() > row["messagesPerSecond"].as_f64());
    emitting.abort();
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_tells_of_itself_cannot_break_the_command() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    // Names that no channel can have, a new namespace in each answer, more sockets than there can be.
    let mut round = 0;
    let node = fake_node(&url, &["/"], move || {
        round += 1;
        json!({ "name": "x\u{1b}[2J", "sockets": u64::MAX, "namespaces": ["/", "/a\u{0}b", format!("/new{round}")] })
    })
    .await;
    let nodes = run(&url, &["nodes", "--wait", "1.5"]).await.with(0);
    assert!(nodes.stdout.contains(UID) && nodes.stdout.contains("x\\u{1b}[2J"), "{}", nodes.stdout);
    assert!(!nodes.stdout.contains('\x1b'), "{:?}", nodes.stdout);
    let counted = run(&url, &["sockets", "--count"]).await.with(0);
    assert!(counted.stdout.contains("18446744073709551615"), "{}", counted.stdout);
    node.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_goes_on_behind_what_it_cannot_read() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    let mut watching = Running::start(&url, &["watch", "--json"]);
    // It listens when it shows what is sent. The table does not exist.
    let attached = r#"{"uid":"a","type":3,"attachmentId":"17"}"#;
    loop {
        database.execute(&format!("SELECT pg_notify('socket.io#/', '{attached}')")).unwrap();
        let waiting = watching.wait_for("the attachment", |line| line["attachment"] == true);
        if let Ok(line) = tokio::time::timeout(Duration::from_millis(500), waiting).await {
            assert!(line["problem"].as_str().unwrap().contains("attachment 17"), "{line}");
            break;
        }
    }
    let event =
        r#"{"type":3,"data":{"packet":{"type":2,"data":["x",E]},"opts":{"rooms":[],"except":[]}},"uid":"a","nsp":"/"}"#;
    let event = event.replace('E', "\n1,\"\u{9b}\"");
    database.execute(&format!("SELECT pg_notify('socket.io#/', '{event}')")).unwrap();
    let line = watching.wait_for("the event", |line| line["name"] == "BROADCAST").await;
    assert_eq!(line["message"]["data"]["packet"]["data"], json!(["x", 1, "\u{9b}"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_goes_on_while_the_attachments_are_locked() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    database.execute("CREATE TABLE socket_io_attachments (id bigint, payload bytea)").unwrap();
    let _lock = Lock::on(&url, "socket_io_attachments").await;
    let mut watching = Running::start(&url, &["watch", "--json", "--all"]);
    let attached = r#"{"uid":"a","type":3,"attachmentId":"17"}"#;
    let heartbeat = r#"{"type":2,"uid":"b","nsp":"/"}"#;
    loop {
        for payload in [attached, heartbeat] {
            database.execute(&format!("SELECT pg_notify('socket.io#/', '{payload}')")).unwrap();
        }
        let waiting = watching.wait_for("the attachment", |line| line["attachment"] == true);
        if let Ok(line) = tokio::time::timeout(Duration::from_secs(8), waiting).await {
            let problem = line["problem"].as_str().unwrap();
            assert!(problem.contains("not read within 5s") && problem.contains("socketio-pg doctor"), "{line}");
            break;
        }
    }
    watching.wait_for("what came behind it", |line| line["uid"] == "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_writes_however_much_flows() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    let flood = r#"SELECT count(pg_notify('socket.io#/', '{"type":2,"uid":"' || n || '","nsp":"/"}')) FROM generate_series(1, 20000) AS n"#;
    let flooding = tokio::task::spawn_blocking({
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = move || {
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                database.execute(flood).unwrap();
            }
        };
        let stop_when_dropped = StopWhenDropped(stop);
        let mut watching = Running::start(&url, &["watch", "--top", "--all", "--json", "--interval", "0.2"]);
        tokio::spawn(async move {
            let _stop = stop_when_dropped;
            for _ in 0..3 {
                watching.wait_for("a row", |row| row["what"] == "HEARTBEAT").await;
            }
        });
        thread
    });
    flooding.await.unwrap();
}

/// Ends the flood when the test has seen enough, or has failed.
struct StopWhenDropped(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
