//! Runs the examples that belong to one driver, and compares what they print and what clients get.

mod program;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use socketio_pg_tests::{
    CHROMIUM, ClientHost, Connect, Kind, NODE, Node, NodeOptions, Tool, browser_scripts, database, install, require,
};
use socketio_pg_throwaway::Server;
use tokio::net::TcpStream;

use program::{Outcome, Program};

const ANY_PORT: &[&str] = &["127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn worker_emits_to_clients_of_a_node_server() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
    let clients = ClientHost::shared().await?;
    let client = clients.connect(node.port(), &Connect::default()).await?;
    node.call("socketsJoin", json!({ "join": ["report-9"] })).await?;

    let environment = [("DATABASE_URL", &*database.url())];
    let lines = Program::start(env!("CARGO_BIN_EXE_worker"), &["report-9"], &environment)?.succeeded().await?;
    assert_eq!(lines, ["report-9: 33 %", "report-9: 67 %", "report-9: 100 %", "report-9: done"]);
    assert_eq!(client.wait_for_packet("done").await?, [json!("report-9"), json!(3)]);
    // Volatile events may be lost, the last event is not volatile.
    let mut received = client.received().await?;
    assert_eq!(received.pop().map(|packet| packet.event).as_deref(), Some("done"));
    assert!(received.iter().all(|packet| packet.event == "progress"), "{received:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_send_the_event_only_if_they_commit() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url()).namespace("/kitchen")).await?;
    let clients = ClientHost::shared().await?;
    let client = clients.connect(node.port(), &Connect::to("/kitchen")).await?;
    node.call("socketsJoin", json!({ "nsp": "/kitchen", "join": ["cooks"] })).await?;

    // Too large for a notification, so it goes through the attachments table.
    let large = "tea ".repeat(5_000);
    let mut expected = Vec::new();
    for path in [
        env!("CARGO_BIN_EXE_transaction-tokio-postgres"),
        env!("CARGO_BIN_EXE_transaction-diesel"),
        env!("CARGO_BIN_EXE_transaction-sqlx"),
    ] {
        for item in ["tea", &large] {
            let lines = Program::start(path, &[item], &[("DATABASE_URL", &database.url())])?.succeeded().await?;
            let [refused, ordered] = &lines[..] else { panic!("{path}: {lines:?}") };
            assert!(refused.starts_with("\"\" was not ordered, and the kitchen was not told: "), "{path}: {refused}");
            assert_eq!(*ordered, format!("{item:?} was ordered, and the kitchen was told"), "{path}");
            assert_eq!(client.wait_for_packet("order").await?, [json!(item)], "{path}");
            expected.push(json!(item));
        }
    }
    // The refused ones would have come before.
    let received: Vec<_> = client.received().await?.into_iter().flat_map(|packet| packet.args).collect();
    assert_eq!(received, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn outbox_publishes_what_transactions_wrote() -> Outcome {
    for path in [env!("CARGO_BIN_EXE_outbox"), env!("CARGO_BIN_EXE_outbox-diesel")] {
        let Some(database) = database() else { return Ok(()) };
        let lines = Program::start(path, &[], &[("DATABASE_URL", &database.url())])?.succeeded().await?;
        let expected = ["100 orders were committed, 0 events wait", "the kitchen heard of 100 orders"];
        assert_eq!(lines, expected, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_sends_what_plain_sql_changes_to_the_clients_that_watch_it() -> Outcome {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let start = || Program::start(env!("CARGO_BIN_EXE_trigger"), ANY_PORT, &[("DATABASE_URL", &database.url())]);
    // Both install the functions and the triggers, at the same time.
    let (mut one, mut other) = (start()?, start()?);
    let clients = ClientHost::shared().await?;
    let list = clients.connect(one.port().await?, &Connect::default()).await?;
    let cake = clients.connect(other.port().await?, &Connect::default()).await?;
    let row = |id: u32, item: &str, state: &str| json!({ "id": id, "item": item, "state": state });
    let orders = json!([row(1, "tea", "new"), row(2, "cake", "new")]);
    assert_eq!(list.ask("watch", json!([null])).await?, Ok(vec![orders]));
    assert_eq!(cake.ask("watch", json!([2])).await?, Ok(vec![json!([row(2, "cake", "new")])]));

    database.execute("UPDATE orders SET state = 'paid'")?;
    database.execute("INSERT INTO orders (item) VALUES ('soup')")?;
    database.execute("DELETE FROM orders WHERE id = 2")?;

    let change = |operation: &str, new: Value, old: Value, changed: Value| {
        json!([{
            "operation": operation, "schema": "public", "table": "orders", "new": new, "old": old, "changed": changed,
        }])
    };
    let paid = |id, item| change("UPDATE", row(id, item, "paid"), row(id, item, "new"), json!(["state"]));
    let deleted = change("DELETE", Value::Null, row(2, "cake", "paid"), Value::Null);
    let inserted = change("INSERT", row(3, "soup", "new"), Value::Null, Value::Null);
    for (client, expected) in [
        (&list, vec![paid(1, "tea"), paid(2, "cake"), inserted, deleted.clone()]),
        // Of its order only.
        (&cake, vec![paid(2, "cake"), deleted]),
    ] {
        for _ in &expected {
            client.wait_for_packet("order").await?;
        }
        let received: Vec<_> = client.received().await?.into_iter().map(|packet| json!(packet.args)).collect();
        assert_eq!(received, expected);
    }
    one.signal("TERM").await?;
    list.wait_for_disconnect().await?;
    one.succeeded().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_has_a_page_whose_rows_change_in_a_browser() -> Outcome {
    if !require(&NODE) || !require(&CHROMIUM) {
        return Ok(());
    }
    let Some(database) = database() else { return Ok(()) };
    install(&browser_scripts())?;
    let environment = [("DATABASE_URL", &*database.url())];
    let mut server = Program::start(env!("CARGO_BIN_EXE_trigger"), ANY_PORT, &environment)?;
    let port = server.port().await?;
    let script = browser_scripts().join("trigger.mjs");
    let open = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        Program::start("node", &[&script.to_string_lossy(), &url], &[])
    };
    let (mut list, mut cake) = (open("/")?, open("/?order=2")?);
    list.wait_for("shows [1 tea new, 2 cake new]").await?;
    cake.wait_for("shows [2 cake new]").await?;

    for (statement, listed, alone) in [
        ("UPDATE orders SET state = 'paid' WHERE id = 2", "1 tea new, 2 cake paid", Some("2 cake paid")),
        ("INSERT INTO orders (item) VALUES ('<b>soup</b>')", "1 tea new, 2 cake paid, 3 <b>soup</b> new", None),
        ("DELETE FROM orders WHERE id = 2", "1 tea new, 3 <b>soup</b> new", Some("")),
    ] {
        database.execute(statement)?;
        list.wait_for(&format!("shows [{listed}]")).await?;
        if let Some(alone) = alone {
            cake.wait_for(&format!("shows [{alone}]")).await?;
        }
    }

    // Rows that changed while a page was disconnected are read again.
    server.signal("TERM").await?;
    server.succeeded().await?;
    database.execute("UPDATE orders SET state = 'eaten' WHERE id = 3")?;
    let address = format!("127.0.0.1:{port}");
    let mut server = Program::start(env!("CARGO_BIN_EXE_trigger"), &[&address], &environment)?;
    server.port().await?;
    list.wait_for("shows [1 tea new, 3 <b>soup</b> eaten]").await?;
    for page in [list, cake] {
        let lines = page.succeeded().await?;
        assert!(lines.iter().all(|line| line.starts_with("shows ")), "{lines:?}");
    }
    Ok(())
}

const PGBOUNCER: Tool = Tool {
    name: "PgBouncer",
    is_there: || pgbouncer().is_some(),
    remedy: "install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer)",
};

/// Debian installs it in a directory that is only in root's PATH.
fn pgbouncer() -> Option<&'static str> {
    let runs = |place: &&str| Command::new(place).arg("--version").output().is_ok_and(|output| output.status.success());
    ["pgbouncer", "/usr/sbin/pgbouncer"].into_iter().find(runs)
}

/// A PgBouncer in transaction mode. Dropping it kills it and deletes its files.
struct Pooler {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Pooler {
    async fn start(server: u16, database: &str) -> Outcome<Self> {
        let program = pgbouncer().ok_or("PgBouncer is gone")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = std::env::temp_dir().join(format!("socketio-pg-examples-{}-{port}", std::process::id()));
        fs::create_dir(&directory)?;
        let settings = directory.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\n"
        );
        fs::write(&settings, text)?;
        let mut command = Command::new(program);
        command.arg("-q").arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // PgBouncer refuses to run as root.
        if Command::new("id").arg("-u").output()?.stdout == b"0\n" {
            command.args(["-u", "nobody"]);
        }
        let mut pooler = Self { child: command.spawn()?, port, directory };
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = pooler.child.try_wait()? {
                return Err(format!("PgBouncer has ended: {status}").into());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Ok(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pooler_publishes_through_pgbouncer_and_listens_directly() -> Outcome {
    if !require(&PGBOUNCER) || database().is_none() {
        return Ok(());
    }
    let server = Server::builder().start()?;
    let database = server.create_database()?;
    let port = server.port().ok_or("it is private")?;
    let pooler = Pooler::start(port, database.name()).await?;
    let direct = database.url();
    let pooled = direct.replace(&format!(":{port}/"), &format!(":{}/", pooler.port));
    assert_ne!(direct, pooled);

    let environment = [("DATABASE_URL", &*direct), ("POOLER_URL", &*pooled)];
    let lines = Program::start(env!("CARGO_BIN_EXE_pooler"), &[], &environment)?.succeeded().await?;
    let [connected, alone] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(connected, "connected: publishes through the pooler, listens directly");
    assert!(alone.starts_with("with the pooler alone: channel notifications do not arrive through"), "{alone}");
    Ok(())
}
