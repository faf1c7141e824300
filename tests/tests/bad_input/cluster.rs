//! Bad input and more than one client: reports, members, namespaces, the other nodes.

use std::time::Duration;

use serde_json::json;
use socketio_pg_core::{
    InvalidMessage,
    protocol::DecodeErrorKind::{AttachmentId, Json},
};
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, binary, database, require};
use socketio_pg_tokio_postgres::{Cluster, Event, Options, PostgresAdapter};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::sync::mpsc;

use crate::{
    Result,
    case::{DATA, message, packed},
    fixture::{Fixture, is_report, rust_server},
    tables::all_cases,
    wire::{CHANNEL, Wire},
};

#[tokio::test]
async fn each_kind_is_reported_once_for_each_sender_and_counted_every_time() -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let senders = ["one", "two", "three"];
    for round in 0..20 {
        for sender in senders {
            fixture.wire.notify(&format!(r#"{{"type":3,"data":{round},"uid":"{sender}","nsp":"/"}}"#)).await;
            fixture.wire.notify(&format!(r#"{{"uid":"{sender}","type":3,"attachmentId":"no{round}"}}"#)).await;
        }
        fixture.wire.notify(&format!("neither {round}")).await;
    }
    assert!(fixture.until_good().await?.is_empty());
    assert_eq!(fixture.counts().await?, (20 * 7, 0));
    let reports = fixture.reports(7).await?;
    assert_eq!(reports.len(), 7, "{reports:#?}");
    for sender in senders {
        for kind in [Json, AttachmentId] {
            let is_it = |report: &&String| is_report(report, InvalidMessage::Undecodable(kind), Some(sender));
            assert_eq!(reports.iter().filter(is_it).count(), 1, "{kind:?} of {sender}");
        }
    }
    fixture.end().await
}

#[tokio::test]
async fn a_message_is_for_the_namespace_that_it_names_whatever_its_channel() -> Result {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let options = NodeOptions::new(database.url()).namespace("/").namespace("/other");
    let server = Node::start(&rust_server(), &options).await?;
    let wire = Wire::connect(&database).await;
    let clients = ClientHost::shared().await?;
    let main = clients.connect(server.port(), &Connect::default()).await?;
    let other = clients.connect(server.port(), &Connect::to("/other")).await?;
    let of = |nsp: &str, name: &str| {
        message(3, &DATA.replace("case", name))
            .replace(r#""nsp":"/""#, &format!(r#""nsp":"{nsp}""#))
            .replace("$uid", r#""x""#)
    };
    wire.notify_on("socket.io#/other", &of("/", "for main, on the other channel")).await;
    wire.notify_on("socket.io#/other", &of("/nobody's", "for nobody")).await;
    wire.notify_on(CHANNEL, &of("/other", "for the other, on the main channel")).await;
    wire.notify_on(CHANNEL, &of("/", "last")).await;
    wire.notify_on("socket.io#/other", &of("/other", "last")).await;
    for (client, name) in [(&main, "for main, on the other channel"), (&other, "for the other, on the main channel")] {
        client.wait_for_packet("last").await?;
        let received: Vec<_> = client.received().await?.into_iter().map(|packet| packet.event).collect();
        assert_eq!(received, [name, "last"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_table_that_cannot_be_read_costs_its_attachments_and_nothing_else() -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let good = packed(&message(3, DATA).replace("$uid", r#""x""#));
    let id = fixture.wire.insert(Some(&good)).await;
    fixture.wire.execute("ALTER TABLE socket_io_attachments RENAME TO elsewhere").await;
    fixture.wire.notify(&format!(r#"{{"uid":"x","type":3,"attachmentId":"{id}"}}"#)).await;
    fixture.wire.notify(&message(3, &DATA.replace("case", "inline")).replace("$uid", r#""x""#)).await;
    fixture.client.wait_for_packet("inline").await?;
    let reports = fixture.reports(1).await?;
    assert!(is_report(&reports[0], InvalidMessage::AttachmentUnreadable, Some("x")), "{reports:?}");
    assert!(reports[0].contains("socket_io_attachments"), "{reports:?}");

    fixture.wire.execute("ALTER TABLE elsewhere RENAME TO socket_io_attachments").await;
    let got = fixture.until_good().await?;
    assert_eq!(got.iter().map(|packet| packet.event.as_str()).collect::<Vec<_>>(), ["inline"]);
    assert_eq!(fixture.counts().await?, (1, 0));
    fixture.end().await
}

/// Node.js has no client here, because bad input could crash it.
#[tokio::test]
async fn rust_and_node_still_hear_each_other_after_all_of_it() -> Result {
    let Some(mut fixture) = Fixture::start(&rust_server(), ClientHost::shared().await?).await? else { return Ok(()) };
    let options = NodeOptions::new(fixture.database.url());
    let node = Node::start(&Kind::NodeServer, &options).await?;
    fixture.server.wait_for_server_count("/", 2).await?;
    for case in all_cases() {
        fixture.send(&case).await;
    }
    fixture.until_good().await?;
    // Node.js has heard all messages when it has heard this one. It need not be the last that it
    // fetches: a failed fetch ends its connection, and a fetch that begins just then opens another
    // one at once, before those that wait.
    let last = json!({ "event": "last", "args": [binary([0])] });
    fixture.server.call("serverSideEmit", last).await?;
    node.wait_for_server_side("/", "last").await?;
    node.call("idle", json!({})).await?;

    let far = ClientHost::shared().await?.connect(node.port(), &Connect::default()).await?;
    exchange(&fixture.server, &fixture.client, &far, "from Rust").await?;
    exchange(&node, &fixture.client, &far, "from Node").await?;
    node.close().await?;
    fixture.end().await
}

async fn exchange(from: &Node, near: &Client, far: &Client, text: &str) -> Result {
    from.call("emit", json!({ "event": "exchange", "args": [text] })).await?;
    for client in [near, far] {
        assert_eq!(client.wait_for_packet("exchange").await?, [json!(text)]);
    }
    Ok(())
}

#[tokio::test]
async fn members_are_bounded_and_forgotten_when_they_fall_silent() -> Result {
    const FORGED: u64 = 2500;
    const MAX: u64 = 20;
    let Some(database) = database() else { return Ok(()) };
    let options = Options::default()
        .max_nodes(MAX as usize)
        .heartbeat_interval(Duration::from_secs(1))
        // Long enough for a busy machine to read all of them before the first is forgotten.
        .heartbeat_timeout(Duration::from_secs(10));
    let node = Member::join(&database.url(), options.clone()).await;
    let mut events = node.cluster.events();
    let wire = Wire::connect(&database).await;
    wire.execute(&format!(
        r#"SELECT count(pg_notify('{CHANNEL}', '{{"type":2,"uid":"forged ' || i || '","nsp":"/"}}'))
           FROM generate_series(1, {FORGED}) AS i"#
    ))
    .await;
    // Messages of a sender that is not remembered are handled too.
    wire.notify(r#"{"type":9,"data":{"packet":["last"]},"uid":"not remembered","nsp":"/"}"#).await;
    node.heard().await;
    assert_eq!(node.cluster.of("/").server_count() as u64, 1 + MAX);
    assert_eq!(node.cluster.counts().dropped, FORGED - MAX + 1);

    let (mut joined, mut overloaded, mut left) = (0, Vec::new(), 0);
    while left < MAX {
        match events.next().await.unwrap() {
            Event::NodeJoined { .. } => joined += 1,
            Event::NodeLeft { closed: false, .. } => left += 1,
            Event::Overloaded { what, .. } => overloaded.push(what),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(joined, MAX);
    // Reported for the first, and then for every thousandth.
    assert_eq!(overloaded.len(), 3, "{overloaded:?}");
    assert!(overloaded.iter().all(|what| what.contains("Options::max_nodes")), "{overloaded:?}");

    assert_eq!(node.cluster.of("/").server_count(), 1);
    let _real = Member::join(&database.url(), options).await;
    let joined = events.next().await.unwrap();
    assert!(matches!(joined, Event::NodeJoined { .. }), "{joined:?}");
    Ok(())
}

#[tokio::test]
async fn a_handler_that_panics_on_its_arguments_costs_only_that_message() -> Result {
    let Some(database) = database() else { return Ok(()) };
    let node = Member::join(&database.url(), Options::default()).await;
    node.cluster.of("/").on_server_side("first", |list: Vec<u64>| {
        let first = list[0];
        async move { assert!(first > 0) }
    });
    let wire = Wire::connect(&database).await;
    for argument in ["[]", "[0]", "[1]"] {
        wire.notify(&format!(r#"{{"type":9,"data":{{"packet":["first",{argument}]}},"uid":"x","nsp":"/"}}"#)).await;
    }
    wire.notify(r#"{"type":9,"data":{"packet":["last"]},"uid":"x","nsp":"/"}"#).await;
    node.heard().await;
    Ok(())
}

/// A node in this process, without clients.
struct Member {
    cluster: Cluster,
    _io: SocketIo<PostgresAdapter<Emitter>>,
    last: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
}

impl Member {
    async fn join(url: &str, options: Options) -> Self {
        let cluster = Cluster::connect(url, options).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        let (sender, last) = mpsc::unbounded_channel();
        cluster.of("/").on_server_side("last", move |_: ()| {
            let _ = sender.send(());
            std::future::ready(())
        });
        Self { cluster, _io: io, last: tokio::sync::Mutex::new(last) }
    }

    /// Waits for the event `last`.
    async fn heard(&self) {
        let last = async { self.last.lock().await.recv().await };
        tokio::time::timeout(socketio_pg_tests::time_limit(), last).await.expect("the last message comes").unwrap();
    }
}
