//! Binary in notifications: no rows while no server needs them, and rows while one on Node.js does.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::json;
use socketio_pg_tests::{
    Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, binary, database, python_server, require, time_limit,
};
use socketio_pg_throwaway::Database;

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;

/// Attachments that this cluster needs stay in the table: nothing is deleted while a test runs.
const NEVER: Duration = Duration::from_secs(3600);

fn rust(backend: &str) -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() }
}

fn options(database: &Database) -> NodeOptions {
    let options = NodeOptions::new(database.url()).cleanup_interval(NEVER);
    options.heartbeat_interval(Duration::from_millis(500)).heartbeat_timeout(Duration::from_secs(3))
}

fn rows(database: &Database) -> usize {
    let count = database.execute("SELECT count(*) FROM socket_io_attachments").unwrap().unwrap();
    count.parse().unwrap()
}

/// A server, and a client of it.
struct Member {
    server: Node,
    client: Client,
}

impl Member {
    async fn start(kind: &Kind, options: &NodeOptions) -> Result<Self> {
        let server = Node::start(kind, options).await?;
        let client = ClientHost::shared().await?.connect(server.port(), &Connect::default()).await?;
        Ok(Self { server, client })
    }
}

async fn know_each_other(members: &[&Member]) -> Result {
    for member in members {
        member.server.wait_for_server_count("/", members.len()).await?;
    }
    Ok(())
}

/// Each server emits an event with binary, which the clients of all servers get.
async fn exchange(members: &[&Member], round: &str) -> Result {
    for (number, member) in members.iter().enumerate() {
        let event = format!("e{round}-{number}");
        let args = json!([binary([0, 1, 2, 255]), { "deep": [binary(vec![7; 1024])] }, "text"]);
        member.server.call("emit", json!({ "event": event, "args": args })).await?;
        for other in members {
            assert_eq!(other.client.wait_for_packet(&event).await?, *args.as_array().unwrap());
        }
    }
    Ok(())
}

/// Exchanges events until no server needs a row for its own. A server does so at first, and for a
/// while after one has left that needed them.
async fn until_inline(database: &Database, members: &[&Member]) -> Result {
    let begun = Instant::now();
    for round in 0.. {
        let before = rows(database);
        exchange(members, &format!("{before}-{round}")).await?;
        if rows(database) == before {
            break;
        }
        assert!(begun.elapsed() < time_limit(), "there are still rows");
    }
    Ok(())
}

async fn play(with_python: bool) -> Result {
    if !require(&NODE) {
        return Ok(());
    }
    let Some(database) = database() else { return Ok(()) };
    let packed = options(&database).inline_binary(true);
    let mut kinds = vec![rust("tokio-postgres"), rust("diesel")];
    if with_python {
        let Some(python) = python_server(env!("CARGO_TARGET_TMPDIR")) else { return Ok(()) };
        kinds.push(python);
    }
    let mut members = Vec::new();
    for kind in &kinds {
        members.push(Member::start(kind, &packed).await?);
    }
    let members: Vec<&Member> = members.iter().collect();
    know_each_other(&members).await?;
    until_inline(&database, &members).await?;

    // The official adapter joins: what is sent from now on reaches its clients too.
    let node = Member::start(&Kind::NodeServer, &options(&database)).await?;
    let with_node: Vec<&Member> = members.iter().copied().chain([&node]).collect();
    know_each_other(&with_node).await?;
    let before = rows(&database);
    exchange(&with_node, "with-node").await?;
    assert_eq!(rows(&database) - before, with_node.len(), "a row for each event");

    // It leaves: nobody needs rows any more.
    node.server.close().await?;
    know_each_other(&members).await?;
    until_inline(&database, &members).await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_rust_need_no_rows_until_one_on_node_joins() -> Result {
    play(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_python_takes_part() -> Result {
    play(true).await
}

/// A server that was started without the option, as in the middle of a deploy.
#[tokio::test(flavor = "multi_thread")]
async fn one_server_without_the_option_gets_rows() -> Result {
    if !require(&NODE) {
        return Ok(());
    }
    let Some(database) = database() else { return Ok(()) };
    let with = Member::start(&rust("tokio-postgres"), &options(&database).inline_binary(true)).await?;
    let without = Member::start(&rust("diesel"), &options(&database)).await?;
    know_each_other(&[&with, &without]).await?;
    exchange(&[&with, &without], "mixed").await?;
    assert_eq!(rows(&database), 2);
    Ok(())
}
