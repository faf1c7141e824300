//! Nodes that publish an outbox, on a database in memory, with paused time.

use std::time::Duration;

use socketio_pg_core::{
    Cluster, Emitter as ClusterEmitter, Event, EventStream, Options, Outbox, PostgresAdapter,
    backend::{Backend, OutboxBatch},
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

struct Node {
    cluster: Cluster<MemoryBackend>,
    received: mpsc::UnboundedReceiver<u64>,
    events: EventStream,
    _io: SocketIo<Adapter>,
}

fn options() -> Options {
    Options::default().outbox(Outbox::default())
}

async fn node(database: &MemoryDatabase, options: Options) -> Node {
    let cluster = Cluster::connect(database.backend(), options).await.unwrap();
    let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await.unwrap();
    let (number, received) = mpsc::unbounded_channel();
    cluster.of("/").on_server_side("e", move |(value, padding): (u64, Option<String>)| {
        if padding.is_some() {
            return std::future::ready(());
        }
        let _ = number.send(value);
        std::future::ready(())
    });
    let events = cluster.events();
    Node { cluster, received, events, _io: io }
}

impl Node {
    /// Fails unless exactly these numbers come next, before so much time is over.
    async fn assert_received(&mut self, numbers: impl IntoIterator<Item = u64>, within: Duration) {
        let deadline = Instant::now() + within;
        for expected in numbers {
            let received = tokio::time::timeout_at(deadline, self.received.recv()).await;
            assert_eq!(received.ok().flatten(), Some(expected));
        }
    }

    async fn reason_to_be_behind(&mut self) -> String {
        let waiting = async {
            loop {
                if let Event::OutboxBehind { table, reason } = self.events.next().await.expect("the node lives") {
                    assert_eq!(table, "socket_io_outbox");
                    return reason;
                }
            }
        };
        timeout(Duration::from_secs(120), waiting).await.expect("the event comes")
    }

    fn is_publishing(&self) -> bool {
        self.cluster.health().outbox.expect("it has one").is_publishing
    }
}

/// A process that emits, and is no node.
struct Worker {
    emitter: ClusterEmitter<MemoryBackend>,
    backend: MemoryBackend,
}

impl Worker {
    fn new(database: &MemoryDatabase) -> Self {
        Self { emitter: ClusterEmitter::with_options(&options()), backend: database.backend() }
    }

    async fn emit(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.emitter.server_side_emit("e", &(number, None::<String>), &self.backend).await.unwrap();
        }
    }
}

/// Takes the turn as a node that does not publish.
async fn take_turn(database: &MemoryDatabase, turn: i64, time: Duration) -> i64 {
    let batch = OutboxBatch {
        outbox: "socket_io_outbox",
        attachments: "socket_io_attachments",
        log: None,
        turn,
        take_turn: Some(time),
        after: 0,
        limit: 0,
        wants_xid: false,
    };
    let progress = database.backend().publish_outbox(&batch).await.unwrap();
    assert!(progress.is_ours);
    progress.turn
}

#[tokio::test(start_paused = true)]
async fn what_is_written_reaches_every_server_once_and_in_order() {
    let database = MemoryDatabase::default();
    let mut nodes = [
        node(&database, options()).await,
        node(&database, options()).await,
        // It need not have the option.
        node(&database, Options::default()).await,
    ];
    let worker = Worker::new(&database);
    worker.emit(0..1200).await;
    assert_eq!(database.outbox(), 1200);
    for node in &mut nodes {
        node.assert_received(0..1200, Duration::from_secs(2)).await;
    }
    assert_eq!(database.outbox(), 0);
    sleep(Duration::from_secs(60)).await;
    assert!(nodes.iter_mut().all(|node| node.received.try_recv().is_err()), "nothing comes twice");
    let published: u64 = nodes.iter().map(|node| node.cluster.counts().outbox_published).sum();
    assert_eq!(published, 1200);
    assert!(nodes[2].cluster.health().outbox.is_none());
}

#[tokio::test(start_paused = true)]
async fn writers_wake_the_servers_only_while_these_rest() {
    let database = MemoryDatabase::default();
    let mut nodes = [node(&database, options()).await, node(&database, options()).await];
    let worker = Worker::new(&database);
    sleep(Duration::from_secs(60)).await;
    for round in 0..3 {
        let before = database.wakes();
        worker.emit([round * 1000]).await;
        // Without a poll of seconds.
        nodes[0].assert_received([round * 1000], Duration::from_millis(400)).await;
        for number in 1..1000 {
            worker.emit([round * 1000 + number]).await;
            sleep(Duration::from_millis(5)).await;
        }
        nodes[0].assert_received(round * 1000 + 1..round * 1000 + 1000, Duration::from_millis(100)).await;
        assert_eq!(database.wakes(), before + 1, "only the first of a thousand wakes them");
        assert_eq!(nodes.iter().filter(|node| node.is_publishing()).count(), 1);
        sleep(Duration::from_secs(30)).await;
        assert!(!nodes.iter().any(Node::is_publishing));
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_server_that_publishes_leaves_another_goes_on_at_once() {
    let database = MemoryDatabase::default();
    let mut nodes = vec![node(&database, options()).await, node(&database, options()).await];
    let worker = Worker::new(&database);
    worker.emit([0]).await;
    for node in &mut nodes {
        node.assert_received([0], Duration::from_secs(1)).await;
    }
    let publishing = nodes.iter().position(Node::is_publishing).expect("one publishes");
    let mut other = nodes.remove(1 - publishing);
    let wakes = database.wakes();
    // Nobody is woken for it, and the node that has the turn leaves.
    worker.emit([1]).await;
    assert_eq!(database.wakes(), wakes);
    nodes[0].cluster.close().await;
    other.assert_received([1], Duration::from_millis(400)).await;
    assert!(other.is_publishing());
}

#[tokio::test(start_paused = true)]
async fn when_the_server_that_publishes_dies_another_goes_on_within_seconds() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    sleep(Duration::from_secs(20)).await;
    // As of a node that was killed right after it took the turn.
    take_turn(&database, 0, Duration::from_secs(2)).await;
    let wakes = database.wakes();
    Worker::new(&database).emit(0..3).await;
    assert_eq!(database.wakes(), wakes);
    node.assert_received(0..3, Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_server_is_published_when_one_starts() {
    let database = MemoryDatabase::default();
    Worker::new(&database).emit(0..3).await;
    sleep(Duration::from_secs(3600)).await;
    let mut node = node(&database, options()).await;
    node.assert_received(0..3, Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_the_turn_and_publishes_nothing_is_reported() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    sleep(Duration::from_secs(20)).await;
    let mut turn = take_turn(&database, 0, Duration::from_secs(9)).await;
    Worker::new(&database).emit([7]).await;
    for _ in 0..10 {
        sleep(Duration::from_secs(3)).await;
        turn = take_turn(&database, turn, Duration::from_secs(9)).await;
    }
    let reason = node.reason_to_be_behind().await;
    assert!(reason.contains("has the turn and does not publish"), "{reason}");
    let health = node.cluster.health().outbox.unwrap();
    assert!(health.oldest_ms > 10_000 && !health.is_publishing, "{health:?}");
    assert!(node.cluster.health().is_ready(), "its clients can do without the outbox");
    node.assert_received([7], Duration::from_secs(30)).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(node.cluster.health().outbox.unwrap().oldest_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn failures_are_reported_and_nothing_is_lost() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    let worker = Worker::new(&database);
    worker.emit([0]).await;
    node.assert_received([0], Duration::from_secs(1)).await;
    worker.emit([1]).await;
    database.set_down(true);
    let reason = node.reason_to_be_behind().await;
    assert!(reason.contains("failed 3 times in a row"), "{reason}");
    assert!(node.cluster.health().outbox.unwrap().last_error.is_some());
    database.set_down(false);
    node.assert_received([1], Duration::from_secs(20)).await;
    assert!(node.cluster.counts().outbox_failures >= 3);
    // It is reported again the next time.
    sleep(Duration::from_secs(30)).await;
    database.set_down(true);
    node.reason_to_be_behind().await;
}

/// Looks work, and batches fail: the reason says why, and writers do not make a node fail in a tight
/// loop.
#[tokio::test(start_paused = true)]
async fn batches_that_fail_are_reported_with_their_error_and_pause() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    let worker = Worker::new(&database);
    worker.emit([0]).await;
    node.assert_received([0], Duration::from_secs(1)).await;
    sleep(Duration::from_secs(30)).await;
    database.refuse_attachments(true);
    worker.emitter.server_side_emit("e", &(1_u64, "x".repeat(10_000)), &worker.backend).await.unwrap();
    let started = Instant::now();
    for number in 2..1002 {
        worker.emit([number]).await;
        sleep(Duration::from_millis(10)).await;
    }
    let reason = node.reason_to_be_behind().await;
    assert!(reason.contains("times in a row: could not extend file"), "{reason}");
    let failures = node.cluster.counts().outbox_failures;
    assert!((3..=started.elapsed().as_secs()).contains(&failures), "{failures} failures in {:?}", started.elapsed());
    database.refuse_attachments(false);
    node.assert_received(2..1002, Duration::from_secs(20)).await;
}

#[tokio::test(start_paused = true)]
async fn rows_that_something_keeps_are_reported() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    database.keep_rows(true);
    Worker::new(&database).emit([7]).await;
    let reason = node.reason_to_be_behind().await;
    assert!(reason.contains("cannot be deleted"), "{reason}");
    assert!(node.cluster.health().outbox.unwrap().oldest_ms > 9_000);
    database.keep_rows(false);
    node.assert_received([7], Duration::from_secs(20)).await;
}

#[tokio::test(start_paused = true)]
async fn while_publishing_is_held_up_nothing_is_doubled_and_nothing_overtakes() {
    let database = MemoryDatabase::default();
    let mut nodes = [node(&database, options()).await, node(&database, options()).await];
    let worker = Worker::new(&database);
    for round in 0..20 {
        database.hold_publications(round % 2 == 0);
        worker.emit(round * 50..round * 50 + 50).await;
        sleep(Duration::from_secs(4)).await;
    }
    database.hold_publications(false);
    for node in &mut nodes {
        node.assert_received(0..1000, Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_leaves_in_time_while_its_batch_is_held_up() {
    let database = MemoryDatabase::default();
    let leaving = node(&database, options()).await;
    let worker = Worker::new(&database);
    worker.emit([0]).await;
    sleep(Duration::from_millis(500)).await;
    database.hold_publications(true);
    worker.emit([1]).await;
    sleep(Duration::from_millis(500)).await;
    timeout(Duration::from_secs(8), leaving.cluster.close()).await.expect("it leaves in time");
    database.hold_publications(false);
    let mut other = node(&database, options()).await;
    other.assert_received([1], Duration::from_secs(20)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hears_nothing_any_more_leaves_the_rows_where_they_are() {
    let database = MemoryDatabase::default();
    let mut node = node(&database, options()).await;
    let worker = Worker::new(&database);
    worker.emit([1]).await;
    node.assert_received([1], Duration::from_secs(10)).await;
    assert!(node.is_publishing());
    database.refuse_sessions(true);
    for number in 2..10 {
        worker.emit([number]).await;
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(30)).await;
    assert!(database.outbox() >= 7, "{} rows wait: its own clients would miss what it publishes", database.outbox());
    database.refuse_sessions(false);
    node.assert_received(2..10, Duration::from_secs(60)).await;
}
