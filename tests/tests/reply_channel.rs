//! Responses on the requester's own channel: between Rust servers, with Node.js servers and workers
//! of a Node.js cluster in the same cluster.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    backend::{Backend, BackendError, Content, Listener, Outgoing},
};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require, time_limit};
use socketio_pg_tokio_postgres::{TokioPostgresBackend, TokioPostgresListener};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{sync::mpsc, time::timeout};

type Result<T = ()> = std::result::Result<T, socketio_pg_tests::Error>;

const CHANNEL: &str = "socket.io#/";
const TABLE: &str = "socket_io_attachments";

fn rust_server(backend: &str) -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() }
}

/// Records what is sent on a channel.
struct Spy {
    backend: TokioPostgresBackend,
    listener: TokioPostgresListener,
    channel: String,
}

impl Spy {
    async fn on(url: &str, channel: &str) -> Self {
        let backend = TokioPostgresBackend::try_from(url).unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(&[channel.to_owned()]).await.unwrap();
        Self { backend, listener, channel: channel.to_owned() }
    }

    /// The messages so far, except heartbeats.
    async fn heard(&mut self) -> Vec<Value> {
        let last = r#"{"type":0}"#;
        let end =
            Outgoing { channel: self.channel.clone(), content: Content::Inline(last.to_owned()), is_logged: false };
        self.backend.publish(TABLE, None, &[end]).await.unwrap();
        let mut heard = Vec::new();
        loop {
            let incoming = timeout(time_limit(), self.listener.next()).await.expect("the last one comes").unwrap();
            if incoming.payload == last {
                return heard;
            }
            let message: Value = serde_json::from_str(&incoming.payload).unwrap();
            if !matches!(message["type"].as_u64(), Some(1 | 2)) {
                heard.push(message);
            }
        }
    }

    /// The types of the responses among them, in ascending order.
    async fn answers(&mut self) -> Vec<u64> {
        let types = self.heard().await.into_iter().filter_map(|message| message["type"].as_u64());
        let mut answers: Vec<_> = types.filter(|kind| matches!(kind, 8 | 10 | 11 | 12)).collect();
        answers.sort_unstable();
        answers
    }
}

/// Two Rust servers, a Node.js server and two workers of a Node.js cluster, each with a client that
/// acknowledges `q`.
struct Servers {
    requester: Node,
    other: Node,
    node: Node,
    workers: Node,
    options: NodeOptions,
    _database: socketio_pg_throwaway::Database,
}

impl Servers {
    async fn start(backends: [&str; 2]) -> Result<Option<Self>> {
        if !require(&NODE) {
            return Ok(None);
        }
        let Some(database) = database() else { return Ok(None) };
        let options = NodeOptions::new(database.url());
        let [requester, other] = backends.map(rust_server);
        let (node, workers) = (Kind::NodeServer, Kind::NodeCluster { workers: 2 });
        let (requester, other, node, workers) = tokio::try_join!(
            Node::start(&requester, &options),
            Node::start(&other, &options),
            Node::start(&node, &options),
            Node::start(&workers, &options)
        )?;
        for server in [&requester, &other, &node] {
            server.wait_for_server_count("/", 5).await?;
        }
        let clients = ClientHost::shared().await?;
        let ports = [requester.port(), other.port(), node.port()].into_iter().chain(workers.worker_ports());
        for (index, port) in ports.enumerate() {
            clients.connect(port, &Connect::default()).await?.reply("q", json!([index])).await?;
        }
        let reply = |index: usize| json!({ "event": "s", "with": [index] });
        other.call("replyServerSide", reply(1)).await?;
        node.call("replyServerSide", reply(2)).await?;
        for worker in 0..2 {
            let mut reply = reply(3 + worker);
            reply["worker"] = json!(worker);
            workers.call("replyServerSide", reply).await?;
        }
        Ok(Some(Self { requester, other, node, workers, options, _database: database }))
    }
}

fn sorted(answer: &Value) -> Vec<u64> {
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let mut responses: Vec<_> =
        answer["responses"].as_array().unwrap().iter().map(|response| response.as_u64().unwrap()).collect();
    responses.sort_unstable();
    responses
}

async fn only_nodes_answers_go_to_everyone(backends: [&str; 2]) -> Result {
    let Some(servers) = Servers::start(backends).await? else { return Ok(()) };
    let url = servers.options.database_url();
    let mut shared = Spy::on(url, CHANNEL).await;
    let sockets = servers.requester.call("fetchSockets", json!({})).await?;
    assert_eq!(sockets.as_array().unwrap().len(), 5, "{sockets}");
    let heard = shared.heard().await;
    let request = heard.iter().find(|message| message["type"] == 7).unwrap();
    let reply_to = request["replyTo"].as_str().unwrap();
    assert_eq!(heard.iter().filter(|message| message["type"] == 8).count(), 3, "{heard:?}");

    // Each request again, now with a listener on the other channel too.
    let mut replies = Spy::on(url, reply_to).await;
    let sockets = servers.requester.call("fetchSockets", json!({})).await?;
    assert_eq!(sockets.as_array().unwrap().len(), 5, "{sockets}");
    let acks = servers.requester.call("emitWithAck", json!({ "event": "q", "timeout": 10_000 })).await?;
    assert_eq!(sorted(&acks), [0, 1, 2, 3, 4]);
    let answers = servers.requester.call("serverSideEmitWithAck", json!({ "event": "s" })).await?;
    assert_eq!(sorted(&answers), [1, 2, 3, 4]);
    assert_eq!(shared.answers().await, [8, 8, 8, 10, 10, 10, 11, 11, 11, 12, 12, 12]);
    assert_eq!(replies.answers().await, [8, 10, 11, 12]);

    // Responses to Node.js go to the channel of the namespace.
    servers.workers.wait_for_worker_server_count(0, "/", 4).await?;
    let sockets = servers.workers.call("fetchSockets", json!({ "worker": 0 })).await?;
    assert_eq!(sockets.as_array().unwrap().len(), 4, "all but the Node server's, which workers do not hear: {sockets}");
    servers.workers.close().await?;
    servers.node.wait_for_server_count("/", 3).await?;
    let sockets = servers.node.call("fetchSockets", json!({})).await?;
    assert_eq!(sockets.as_array().unwrap().len(), 3, "{sockets}");
    assert_eq!(replies.answers().await, [0_u64; 0]);
    drop(servers.other);
    Ok(())
}

#[tokio::test]
async fn only_nodes_answers_go_to_everyone_when_tokio_postgres_asks() -> Result {
    only_nodes_answers_go_to_everyone(["tokio-postgres", "diesel"]).await
}

#[tokio::test]
async fn only_nodes_answers_go_to_everyone_when_diesel_asks() -> Result {
    only_nodes_answers_go_to_everyone(["diesel", "tokio-postgres"]).await
}

/// A response takes another channel than earlier messages, but does not overtake them, on a real
/// server.
async fn an_answer_stays_behind_what_was_said_before_it<B>()
where
    B: Backend + TryFrom<String, Error = BackendError>,
{
    let Some(database) = database() else { return };
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let cluster = Cluster::<B>::connect(database.url(), Options::default()).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await.unwrap();
        nodes.push((cluster, io));
    }
    let [(one, _), (other, _)] = &nodes[..] else { unreachable!("there are two") };
    let knowing = async {
        while one.of("/").server_count() < 2 || other.of("/").server_count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(time_limit(), knowing).await.unwrap();

    let (sender, mut heard) = mpsc::unbounded_channel();
    one.of("/").on_server_side("progress", move |(number, _): (u64, String)| {
        let _ = sender.send(number);
        std::future::ready(())
    });
    let namespace = other.of("/");
    other.of("/").on_server_side_with_ack("work", move |number: u64| {
        let namespace = namespace.clone();
        async move {
            // Some of them are attachments, which have to be fetched; some responses too.
            let text = |every: u64| if number.is_multiple_of(every) { "x".repeat(9000) } else { String::new() };
            namespace.server_side_emit("progress", &(number, text(3))).await.unwrap();
            (number, text(4))
        }
    });
    for number in 0..200 {
        let asking = one.of("/").server_side_emit_with_ack::<_, (u64, String)>("work", &number).await.unwrap();
        let (answers, outcome) = asking.all().await;
        outcome.unwrap();
        assert_eq!(answers[0].0, number);
        assert_eq!(heard.try_recv(), Ok(number), "the answer came first");
    }
}

#[tokio::test]
async fn an_answer_stays_behind_what_was_said_before_it_on_tokio_postgres() {
    an_answer_stays_behind_what_was_said_before_it::<TokioPostgresBackend>().await;
}

#[tokio::test]
async fn an_answer_stays_behind_what_was_said_before_it_on_diesel() {
    an_answer_stays_behind_what_was_said_before_it::<DieselBackend>().await;
}
