//! `emit`, `join`, `leave`, `disconnect`, `server-side-emit` beside Node.js.

use std::collections::BTreeSet;

use serde_json::json;
use socketio_pg_tests::binary;

use crate::{lock::Lock, program::run, servers::Servers};

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_clients_of_every_server() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture");
    std::fs::write(&file, [0, 159, 146, 150]).unwrap();
    let picture = format!("@{}", file.display());
    run(&url, &["emit", "order", r#"{"id": 17}"#, "null", &picture]).await.with(0);
    for client in &servers.clients {
        let args = client.wait_for_packet("order").await.unwrap();
        assert_eq!(args, [json!({ "id": 17 }), json!(null), binary([0, 159, 146, 150])]);
    }
    run(&url, &["emit", "none"]).await.with(0);
    assert_eq!(servers.clients[1].wait_for_packet("none").await.unwrap(), [json!(null); 0]);
    // Into a room, and then to all: the others did not get the first.
    run(&url, &["emit", "for-room", "1", "--room", "orders"]).await.with(0);
    run(&url, &["emit", "for-all", "2", "--except", "nobody", "--no-compress"]).await.with(0);
    for (number, client) in servers.clients.iter().enumerate() {
        client.wait_for_packet("for-all").await.unwrap();
        let got: BTreeSet<_> = client.received().await.unwrap().into_iter().map(|packet| packet.event).collect();
        assert_eq!(got.contains("for-room"), number == 0);
    }
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_written() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    for (number, client) in servers.clients.iter().enumerate() {
        client.reply("question", json!([number])).await.unwrap();
    }
    let ended = run(&url, &["emit", "question", "1", "--ack"]).await.with(0);
    assert_eq!(ended.stdout.lines().collect::<BTreeSet<_>>(), ["0", "1", "2"].into());
    assert!(ended.stderr.contains("3 of 3 clients acknowledged"), "{}", ended.stderr);
    let answers = run(&url, &["emit", "question", "--ack", "--json", "--room", "orders"]).await.with(0).json();
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0]["server"], &answers[0]["answer"]), (&json!("web-1"), &json!(0)));
    for client in &servers.clients {
        client.never_reply("unknown").await.unwrap();
    }
    let ended = run(&url, &["emit", "unknown", "--ack", "--timeout", "0.3"]).await.with(3);
    assert!(ended.stderr.contains("0 of 3 clients acknowledged within 300ms"), "{}", ended.stderr);
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_join_leave_and_disconnect() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    let ids = async |room: &str| {
        let found = run(&url, &["sockets", "--json", "--room", room]).await.with(0).json();
        found.iter().map(|socket| socket["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let id = |number: usize| servers.clients[number].id().to_owned();
    run(&url, &["join", "vip", "other"]).await.with(0);
    assert_eq!(ids("vip").await.len(), 3);
    run(&url, &["leave", "vip", "--room", "orders"]).await.with(0);
    assert_eq!(ids("vip").await, [id(1), id(2)].into());
    assert_eq!(ids("other").await.len(), 3);
    run(&url, &["disconnect", "--room", &id(2), "--close"]).await.with(0);
    servers.clients[2].wait_for_disconnect().await.unwrap();
    assert_eq!(ids("other").await, [id(0), id(1)].into());
    let ended = run(&url, &["disconnect"]).await.with(2);
    assert!(ended.stderr.contains("--everyone"), "{}", ended.stderr);
    run(&url, &["disconnect", "--everyone"]).await.with(0);
    servers.clients[0].wait_for_disconnect().await.unwrap();
    servers.clients[1].wait_for_disconnect().await.unwrap();
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_respond() {
    let Some(servers) = Servers::start().await else { return };
    let url = servers.url();
    servers.tokio_postgres.cluster.of("/").on_server_side_with_ack("add", async |(a, b): (i64, i64)| a + b);
    servers.diesel.cluster.of("/").on_server_side_with_ack("add", async |(a, b): (i64, i64)| a * b);
    let ended = run(&url, &["server-side-emit", "add", "3", "4", "--ack", "--json", "--timeout", "1"]).await;
    let answers: BTreeSet<_> = ended.json().iter().map(|answer| answer["answer"].to_string()).collect();
    assert!(answers.is_superset(&["7", "12"].map(String::from).into()), "{answers:?}");
    run(&url, &["server-side-emit", "told", r#""now""#]).await.with(0);
    assert_eq!(servers.node.wait_for_server_side("/", "told").await.unwrap(), json!(["now"]));
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_emitted_is_refused() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    for (arguments, phrase) in [
        (&["emit", "order", "hello"][..], r#"write it with quotes, as '"hello"'"#),
        (&["emit", "disconnect"], "reserved event name"),
        (&["emit", "connect", "--ack"], "reserved event name"),
        (&["server-side-emit", "new_namespace", "--ack"], "reserved event name"),
        (&["emit", "order", "@/does/not/exist"], "cannot be read"),
    ] {
        let ended = run(&url, arguments).await.with(1);
        assert!(ended.stderr.contains(phrase), "{}", ended.stderr);
    }
    let ended = run(&url, &["emit", "order", "--ack"]).await.with(3);
    assert!(ended.stderr.contains("no server answered in / "), "{}", ended.stderr);
    let ended = run(&url, &["emit", "order", "--ack", "--outbox"]).await.with(1);
    assert!(ended.stderr.contains("leave out --outbox"), "{}", ended.stderr);
    let ended = run("", &["emit", "order"]).await.with(1);
    assert!(ended.stderr.contains("DATABASE_URL"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_locked_table_is_given_up() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let url = database.url();
    for what in ["table", "outbox"] {
        let sql = run("", &["sql", what, "--outbox"]).await.with(0);
        database.execute(&sql.stdout).unwrap();
    }
    let _locks = [Lock::on(&url, "socket_io_attachments").await, Lock::on(&url, "socket_io_outbox").await];
    let large = format!("\"{}\"", "x".repeat(20_000));
    for arguments in [&["emit", "order", &large][..], &["join", "vip", "--room", "orders", "--outbox"]] {
        let ended = run(&url, arguments).await.with(1);
        let says = "the message was not published";
        assert!(ended.stderr.contains(says) && ended.stderr.contains("socketio-pg doctor"), "{}", ended.stderr);
    }
    // What needs no table does not wait.
    run(&url, &["emit", "order"]).await.with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_used_is_a_matter_for_the_doctor() {
    let Some(database) = socketio_pg_tests::database() else { return };
    let large = format!("\"{}\"", "x".repeat(20_000));
    let missing = &["emit", "order", &large][..];
    database.execute("CREATE TABLE socket_io_outbox (id int)").unwrap();
    for arguments in [missing, &["emit", "order", "--outbox"]] {
        let ended = run(&database.url(), arguments).await.with(1);
        let says = "`socketio-pg doctor` says what is wrong with the database";
        assert!(ended.stderr.contains("was not published") && ended.stderr.contains(says), "{}", ended.stderr);
    }
}
