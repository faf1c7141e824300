//! Binary in notifications, where every server takes it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use socketio_pg_core::{
    CatchUp, Emitter, Event, Options, Recovery,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use tokio::{sync::mpsc, time::sleep};

use crate::nodes::{Node, Spy};

/// The defaults: for so long a server does not know yet who is there, and for twice the time-out
/// one that left may still be.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

fn options() -> Options {
    Options::default().inline_binary(true)
}

async fn pair(database: &MemoryDatabase, other: Options) -> [Node; 2] {
    let mut nodes = [Node::with_options(database, options()).await, Node::with_options(database, other).await];
    for node in &mut nodes {
        node.wait_for_peer().await;
    }
    sleep(INTERVAL).await;
    nodes
}

fn is_inline(node: &Node) -> bool {
    node.cluster.health().namespaces.iter().all(|namespace| namespace.inline_binary)
}

/// Collects the binary that other servers emit as `e`.
fn collect(node: &Node) -> mpsc::UnboundedReceiver<Bytes> {
    let (sender, receiver) = mpsc::unbounded_channel();
    node.cluster.of("/").on_server_side("e", move |data: Bytes| {
        let _ = sender.send(data);
        std::future::ready(())
    });
    receiver
}

async fn emit(node: &Node, data: &Bytes) {
    node.cluster.of("/").server_side_emit("e", data).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn small_binary_needs_no_row_and_large_binary_does() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database, options()).await;
    let mut heard = collect(&other);
    for bytes in [0, 1, 1024, 5700] {
        let data = Bytes::from(vec![7; bytes]);
        emit(&one, &data).await;
        assert_eq!(heard.recv().await.unwrap(), data);
    }
    assert_eq!(database.attachments(), 0);
    let data = Bytes::from(vec![7; 6000]);
    emit(&one, &data).await;
    assert_eq!(heard.recv().await.unwrap(), data);
    assert_eq!(database.attachments(), 1);
}

#[tokio::test(start_paused = true)]
async fn binary_and_text_stay_in_the_order_of_their_sender() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database, options()).await;
    let mut heard = collect(&other);
    let all: Vec<_> = (0..200_usize).map(|number| Bytes::from(vec![7; [1, 6000, 30][number % 3] + number])).collect();
    let emitting = all.iter().map(|data| emit(&one, data));
    futures_util::future::join_all(emitting).await;
    for data in all {
        assert_eq!(heard.recv().await.unwrap().len(), data.len());
    }
}

#[tokio::test(start_paused = true)]
async fn equal_events_arrive_each_and_the_sender_ignores_its_own() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database, options()).await;
    let (mut own, mut heard) = (collect(&one), collect(&other));
    let data = Bytes::from_static(b"same");
    futures_util::future::join_all((0..50).map(|_| emit(&one, &data))).await;
    for _ in 0..50 {
        assert_eq!(heard.recv().await.unwrap(), data);
    }
    assert!(own.try_recv().is_err(), "a server-side event is for the other servers");
}

/// Node.js and servers without the option tell the same: nothing.
#[tokio::test(start_paused = true)]
async fn a_server_without_the_option_is_reported_and_gets_attachments_until_it_leaves() {
    let database = MemoryDatabase::default();
    let mut one = Node::with_options(&database, options()).await;
    sleep(INTERVAL).await;
    assert!(is_inline(&one));
    let other = Node::start(&database).await;
    let uid = other.cluster.of("/").uid().unwrap();
    let is_told = |event: &Event| match event {
        Event::NodeNeedsAttachments { namespace, node } => namespace == "/" && *node == uid,
        _ => false,
    };
    one.wait_for(is_told).await;

    let mut heard = collect(&other);
    let data = Bytes::from_static(b"x");
    emit(&one, &data).await;
    assert_eq!(heard.recv().await.unwrap(), data);
    assert_eq!(database.attachments(), 1);

    other.cluster.close().await;
    one.wait_for(|event| matches!(event, Event::NodeLeft { .. })).await;
    assert!(!is_inline(&one), "it may still be there");
    sleep(2 * TIMEOUT).await;
    assert!(is_inline(&one));
    emit(&one, &data).await;
    assert_eq!(database.attachments(), 1, "nobody needs attachments any more");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_who_is_there_writes_rows() {
    let database = MemoryDatabase::default();
    let mut one = Node::with_options(&database, options()).await;
    let data = Bytes::from_static(b"x");
    emit(&one, &data).await;
    assert_eq!(database.attachments(), 1, "it has just joined");
    sleep(INTERVAL).await;
    emit(&one, &data).await;
    assert_eq!(database.attachments(), 1);

    database.refuse_sessions(true);
    database.break_sessions();
    one.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    sleep(10 * TIMEOUT).await;
    // The first was deleted meanwhile.
    let before = database.attachments();
    emit(&one, &data).await;
    assert_eq!(database.attachments() - before, 1, "it hears nothing");
    assert!(!is_inline(&one));
    database.refuse_sessions(false);
    one.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    assert!(!is_inline(&one), "one may have joined meanwhile");
    sleep(INTERVAL).await;
    assert!(is_inline(&one));
}

/// The log has the notification, and the node reads it there once.
#[tokio::test(start_paused = true)]
async fn what_was_missed_while_disconnected_is_read_from_the_log() {
    let database = MemoryDatabase::default();
    let options = options().catch_up(CatchUp::last(Duration::from_secs(60)));
    let mut node = Node::with_options(&database, options.clone()).await;
    let mut heard = collect(&node);
    let emitter = Emitter::<MemoryBackend>::with_options(&options);
    let emit = async |data: &'static str| {
        let data = Bytes::from_static(data.as_bytes());
        emitter.server_side_emit("e", &data, &database.backend()).await.unwrap();
    };
    emit("before").await;
    assert_eq!(heard.recv().await.unwrap(), "before");
    sleep(INTERVAL).await;
    database.refuse_sessions(true);
    database.break_sessions();
    node.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    emit("missed").await;
    database.refuse_sessions(false);
    let gap = node.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    assert!(matches!(gap, Event::Gap { recovery: Recovery::Complete { messages: 1 }, .. }), "{gap:?}");
    emit("after").await;
    assert_eq!(heard.recv().await.unwrap(), "missed");
    assert_eq!(heard.recv().await.unwrap(), "after");
    assert_eq!(database.attachments(), 0);
}

/// Nodes that see each other's sessions send no heartbeats, and remember what was said in the last.
#[tokio::test(start_paused = true)]
async fn it_lasts_while_no_heartbeats_are_sent() {
    let database = MemoryDatabase::default();
    let options = options().watch_sessions(true);
    let mut nodes =
        [Node::with_options(&database, options.clone()).await, Node::with_options(&database, options).await];
    for node in &mut nodes {
        node.wait_for_peer().await;
    }
    sleep(Duration::from_secs(60)).await;
    let before = database.batches();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(database.batches() - before, 0, "transactions in an hour");
    assert!(nodes.iter().all(is_inline));
}

/// A forged heartbeat that says the opposite does not keep binary from a server on Node.js.
#[tokio::test(start_paused = true)]
async fn who_says_once_that_it_needs_rows_gets_them() {
    let database = MemoryDatabase::default();
    let node = Node::with_options(&database, options()).await;
    sleep(INTERVAL).await;
    let heartbeat = |binary: &str| {
        let text = format!(r#"{{"type":2,{binary}"uid":"node.js","nsp":"/"}}"#);
        database.notify("socket.io#/", &text);
    };
    for binary in [r#""binary":"packed","#, "", r#""binary":"packed","#] {
        heartbeat(binary);
    }
    sleep(Duration::from_millis(1)).await;
    emit(&node, &Bytes::from_static(b"x")).await;
    assert_eq!(database.attachments(), 1);
}

/// Servers on Node.js hear what is sent on such a channel, and nobody hears them.
#[tokio::test(start_paused = true)]
async fn on_a_channel_whose_name_is_cut_binary_is_written_into_rows() {
    let database = MemoryDatabase::default();
    let node = Node::with_options(&database, options()).await;
    let long = format!("/{}", "n".repeat(60));
    node.io.ns(long.clone(), async || {}).await.unwrap();
    sleep(INTERVAL).await;
    let data = Bytes::from_static(b"x");
    node.cluster.of(&long).server_side_emit("e", &data).await.unwrap();
    assert_eq!(database.attachments(), 1);
    let emitter = Emitter::<MemoryBackend>::with_options(&options()).of(&long);
    emitter.server_side_emit("e", &data, &database.backend()).await.unwrap();
    assert_eq!(database.attachments(), 2);
}

/// A threshold that is lower than a heartbeat does not make this server look like one on Node.js.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_inline_however_low_the_threshold() {
    let database = MemoryDatabase::default();
    let [one, other] = pair(&database, options().payload_threshold(1)).await;
    assert_eq!(database.attachments(), 0);
    assert!(is_inline(&one) && is_inline(&other));
    emit(&other, &Bytes::from_static(b"x")).await;
    assert_eq!(database.attachments(), 1);
    other.cluster.close().await;
    assert_eq!(database.attachments(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_tells_of_it_only_with_the_option_and_only_in_heartbeats() {
    let database = MemoryDatabase::default();
    let mut spy = Spy::on(&database, "socket.io#/").await;
    let one = Node::with_options(&database, options()).await;
    assert_eq!(spy.next_of(1).await["binary"], "packed");
    let _other = Node::start(&database).await;
    let of_the_other = spy.next_of(1).await;
    assert_eq!(of_the_other.get("binary"), None);
    assert_eq!(spy.next_of(2).await["binary"], "packed");
    one.cluster.of("/").server_side_emit("e", "text").await.unwrap();
    assert_eq!(spy.next_of(9).await.get("binary"), None);
}

#[tokio::test(start_paused = true)]
async fn an_emitter_packs_if_it_is_told_to() {
    let database = MemoryDatabase::default();
    let node = Node::with_options(&database, options()).await;
    let mut heard = collect(&node);
    let mut spy = Spy::on(&database, "socket.io#/").await;
    let data = Bytes::from_static(b"x");
    let emit = async |options: &Options| {
        let backend = database.backend();
        Emitter::<MemoryBackend>::with_options(options).server_side_emit("e", &data, &backend).await.unwrap();
    };
    emit(&options()).await;
    assert_eq!(heard.recv().await.unwrap(), data);
    spy.next_of(1).await;
    let packed = spy.next().await;
    assert!(packed["packed"].is_string() && packed.get("type").is_none(), "{packed}");
    assert_eq!((&packed["uid"], packed["nonce"].is_string()), (&Value::from("emitter"), true));
    emit(&Options::default()).await;
    assert_eq!(heard.recv().await.unwrap(), data);
    assert_eq!(database.attachments(), 1);
}

/// As JavaScript may do it in another program: it is not a message, and costs nothing else.
#[tokio::test(start_paused = true)]
async fn what_is_packed_wrong_is_reported_and_costs_nothing_else() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database, options()).await;
    let mut heard = collect(&other);
    for packed in [r#""?""#, "17", "null", r#""wQ==""#, r#""gaR0eXBlAw==""#] {
        database.notify("socket.io#/", &format!(r#"{{"packed":{packed},"uid":"stranger","nsp":"/"}}"#));
    }
    let data = Bytes::from_static(b"x");
    emit(&one, &data).await;
    assert_eq!(heard.recv().await.unwrap(), data);
    let rejected = other.wait_for(|event| matches!(event, Event::Rejected { .. })).await;
    let Event::Rejected { sender, .. } = &rejected else { unreachable!() };
    assert_eq!(sender.as_ref().map(|sender| sender.as_str()), Some("stranger"), "{rejected:?}");
    assert_eq!(other.cluster.health().counts.rejected, 5);
}
