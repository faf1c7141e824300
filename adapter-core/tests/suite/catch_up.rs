//! Nodes with a catch-up log, on a database in memory, with paused time.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use socketio_pg_core::{
    CatchUp, Cluster, Dropped, Event, EventStream, Options, PostgresAdapter, Recovery,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::sync::mpsc;

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

/// How far the log goes back.
const RETENTION: Duration = Duration::from_secs(120);

/// Two nodes, one of which emits and the other collects.
struct Pair {
    database: MemoryDatabase,
    sender: Cluster<MemoryBackend>,
    receiver: Cluster<MemoryBackend>,
    received: mpsc::UnboundedReceiver<u64>,
    events: EventStream,
    _servers: [SocketIo<Adapter>; 2],
}

impl Pair {
    async fn start() -> Self {
        Self::with_options(Options::default().catch_up(CatchUp::last(RETENTION))).await
    }

    async fn with_options(options: Options) -> Self {
        let database = MemoryDatabase::default();
        let (receiver, receiving) = node(&database, options.clone()).await;
        let (number, received) = mpsc::unbounded_channel();
        receiver.of("/").on_server_side("e", move |(value, _): (u64, String)| {
            let _ = number.send(value);
            std::future::ready(())
        });
        let events = receiver.events();
        let (sender, sending) = node(&database, options).await;
        let mut pair = Self { database, sender, receiver, received, events, _servers: [receiving, sending] };
        pair.wait_for(|event| matches!(event, Event::NodeJoined { .. })).await;
        pair
    }

    async fn emit(&self, number: u64) {
        self.emit_with(number, String::new()).await;
    }

    async fn emit_with(&self, number: u64, text: String) {
        self.sender.of("/").server_side_emit("e", &(number, text)).await.unwrap();
    }

    /// Fails unless exactly these numbers come next.
    async fn assert_received(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for expected in numbers {
            let received = tokio::time::timeout(Duration::from_secs(600), self.received.recv()).await;
            assert_eq!(received.ok().flatten(), Some(expected));
        }
    }

    async fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let waiting = async {
            loop {
                let event = self.events.next().await.expect("the node lives");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(600), waiting).await.expect("the event comes")
    }

    async fn recovery(&mut self) -> Recovery {
        match self.wait_for(|event| matches!(event, Event::Gap { .. })).await {
            Event::Gap { recovery, .. } => recovery,
            _ => unreachable!("it was waited for a gap"),
        }
    }

    async fn recovery_after_break(&mut self) -> Recovery {
        self.database.break_sessions();
        self.recovery().await
    }

    /// Fails unless the recovery is incomplete for a reason that contains `why`.
    async fn assert_incomplete(&mut self, messages: u64, why: &str) {
        let recovery = self.recovery().await;
        let Recovery::Incomplete { messages: late, reason } = recovery else { panic!("{recovery:?}") };
        assert_eq!(late, messages, "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
}

async fn node(database: &MemoryDatabase, options: Options) -> (Cluster<MemoryBackend>, SocketIo<Adapter>) {
    let cluster = Cluster::connect(database.backend(), options).await.unwrap();
    let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await.unwrap();
    (cluster, io)
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_once_in_order_and_before_what_comes_live() {
    let mut pair = Pair::start().await;
    for number in 0..10 {
        pair.emit(number).await;
    }
    pair.assert_received(0..10).await;
    pair.database.break_sessions();
    // More than one page of the log.
    for number in 10..2500 {
        pair.emit(number).await;
    }
    assert_eq!(pair.recovery().await, Recovery::Complete { messages: 2490 });
    for number in 2500..2510 {
        pair.emit(number).await;
    }
    pair.assert_received(10..2510).await;
    assert!(pair.received.try_recv().is_err());
    assert_eq!(pair.receiver.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_namespace_joined_is_not_caught_up_with() {
    let mut pair = Pair::start().await;
    let options = Options::default().catch_up(CatchUp::last(RETENTION));
    let late = Cluster::connect(pair.database.backend(), options).await.unwrap();
    // By now it knows its position in the log, before what follows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.emit(0).await;
    let (_, io) = SocketIo::builder().with_adapter::<Adapter>(late.clone()).build_layer();
    let (number, mut received) = mpsc::unbounded_channel();
    late.of("/").on_server_side("e", move |(value, _): (u64, String)| {
        let _ = number.send(value);
        std::future::ready(())
    });
    io.ns("/", async || {}).await.unwrap();
    pair.emit(1).await;
    assert_eq!(received.recv().await, Some(1));
    let mut events = late.events();
    pair.database.break_sessions();
    pair.emit(2).await;
    assert_eq!(received.recv().await, Some(2));
    loop {
        if let Event::Gap { recovery, .. } = events.next().await.unwrap() {
            assert_eq!(recovery, Recovery::Complete { messages: 1 });
            break;
        }
    }
    assert!(received.try_recv().is_err());
    pair.assert_received(0..3).await;
}

#[tokio::test(start_paused = true)]
async fn a_break_right_after_joining_is_not_said_to_be_caught_up_with() {
    let database = MemoryDatabase::default();
    let options = Options::default().catch_up(CatchUp::last(RETENTION));
    let cluster = Cluster::connect(database.backend(), options).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut events = cluster.events();
    let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
    // It listens, but does not know its position yet.
    let mut joining = Box::pin(io.ns("/", async || {}));
    while futures_util::poll!(&mut joining).is_pending() {
        tokio::task::yield_now().await;
    }
    database.break_sessions();
    loop {
        if let Event::Gap { recovery, .. } = events.next().await.unwrap() {
            assert!(
                matches!(&recovery, Recovery::Incomplete { reason, .. } if reason.contains("1 new channel")),
                "{recovery:?}"
            );
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_with_breaks_anywhere_loses_nothing_and_doubles_nothing() {
    let seed = std::env::var("CATCH_UP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("CATCH_UP_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut pair = Pair::start().await;
    // The node knows its position in the log once it has recovered completely.
    while !matches!(pair.recovery_after_break().await, Recovery::Complete { .. }) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let mut sent = 0;
    for _ in 0..500 {
        for _ in 0..random.random_range(0..30) {
            let text = if random.random_ratio(1, 10) { "x".repeat(9000) } else { String::new() };
            pair.emit_with(sent, text).await;
            sent += 1;
        }
        match random.random_range(0..4) {
            0 => tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await,
            1 => {
                for _ in 0..random.random_range(0..20) {
                    tokio::task::yield_now().await;
                }
            }
            2 => pair.database.set_down(true),
            _ => {}
        }
        pair.database.break_sessions();
        pair.database.set_down(false);
    }
    pair.assert_received(0..sent).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(pair.received.try_recv().is_err(), "something came twice");
    assert_eq!(pair.receiver.counts().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_disconnected_for_longer_than_the_log_goes_back_says_so() {
    let mut pair = Pair::start().await;
    pair.database.refuse_sessions(true);
    pair.emit(1).await;
    tokio::time::sleep(2 * RETENTION).await;
    pair.emit(2).await;
    pair.database.refuse_sessions(false);
    pair.assert_incomplete(1, "the log goes back for 120s").await;
    pair.assert_received([2]).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_live_as_long_as_the_log() {
    let mut pair = Pair::start().await;
    pair.database.refuse_sessions(true);
    pair.emit_with(1, "x".repeat(9000)).await;
    // Twice as long as attachments are kept otherwise.
    tokio::time::sleep(RETENTION * 3 / 4).await;
    pair.database.refuse_sessions(false);
    assert_eq!(pair.recovery().await, Recovery::Complete { messages: 1 });
    pair.assert_received([1]).await;
    // But not for ever.
    tokio::time::sleep(8 * RETENTION).await;
    assert_eq!(pair.database.logged(), 0);
    assert_eq!(pair.database.attachments(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_the_database_is_told_and_what_is_there_is_caught_up_with() {
    let mut pair = Pair::start().await;
    pair.database.refuse_sessions(true);
    for number in 0..3 {
        pair.emit(number).await;
    }
    pair.database.crash(1);
    pair.database.refuse_sessions(false);
    pair.assert_incomplete(2, "crashed").await;
    pair.assert_received([0, 1]).await;
    // From then on recovery is complete.
    pair.database.break_sessions();
    pair.emit(3).await;
    assert_eq!(pair.recovery().await, Recovery::Complete { messages: 1 });
    pair.assert_received([3]).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_of_after_a_crash_keep_their_place() {
    let mut pair = Pair::start().await;
    pair.database.refuse_sessions(true);
    pair.emit_with(0, "x".repeat(9_000)).await;
    pair.database.crash(0);
    pair.emit(1).await;
    pair.emit_with(2, "x".repeat(9_000)).await;
    pair.emit(3).await;
    pair.database.refuse_sessions(false);
    // The attachment of the first one is gone.
    pair.assert_incomplete(3, "crashed").await;
    pair.assert_received([1, 2, 3]).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_emptied_is_told() {
    let mut pair = Pair::start().await;
    pair.database.refuse_sessions(true);
    pair.emit(1).await;
    pair.database.empty_log();
    pair.emit(2).await;
    pair.database.refuse_sessions(false);
    pair.assert_incomplete(0, "another catch-up log than before the break").await;
    pair.emit(3).await;
    pair.assert_received([3]).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_is_told_with_how_long_the_node_waited() {
    let mut pair = Pair::start().await;
    pair.database.hold_log(true);
    pair.database.break_sessions();
    pair.assert_incomplete(0, "the log could not be read: PostgreSQL took longer than 5s").await;
}

#[tokio::test(start_paused = true)]
async fn only_what_must_not_be_lost_is_logged() {
    let pair = Pair::start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.sender.of("/").fetch_sockets().await.unwrap();
    assert_eq!(pair.database.logged(), 0);
    assert!(pair.database.published() > 20, "there were heartbeats");
    pair.emit(1).await;
    pair.sender.of("/").to("room").emit("e", &1).await.unwrap();
    assert_eq!(pair.database.logged(), 2);
    pair.sender.close().await;
    assert_eq!(pair.database.logged(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_left_while_another_was_disconnected_is_not_taken_for_alive() {
    let mut pair = Pair::start().await;
    pair.database.break_sessions();
    pair.emit(1).await;
    pair.sender.close().await;
    // Messages of the log are handled while the rest is read, so either may be reported first.
    let (mut recovered, mut has_left) = (None, false);
    while recovered.is_none() || !has_left {
        match pair.wait_for(|event| matches!(event, Event::Gap { .. } | Event::NodeLeft { closed: true, .. })).await {
            Event::Gap { recovery, .. } => recovered = Some(recovery),
            _ => has_left = true,
        }
    }
    assert_eq!(recovered, Some(Recovery::Complete { messages: 2 }));
    pair.assert_received([1]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_node_with_a_shorter_retention_deleted_is_told() {
    let mut pair = Pair::start().await;
    let short = Options::default().catch_up(CatchUp::last(Duration::from_secs(1)));
    let (hasty, _server) = node(&pair.database, short).await;
    // The node knows its position in the log once it has recovered completely.
    while !matches!(pair.recovery_after_break().await, Recovery::Complete { .. }) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    pair.database.refuse_sessions(true);
    pair.emit(1).await;
    // Not as long as the log of this node goes back, and longer than the row is kept.
    tokio::time::sleep(RETENTION * 3 / 4).await;
    pair.emit(2).await;
    pair.database.refuse_sessions(false);
    pair.assert_incomplete(1, "were deleted").await;
    pair.assert_received([2]).await;
    drop(hasty);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_log_is_read_is_kept_within_the_limit_and_told_beyond_it() {
    let options = Options::default().catch_up(CatchUp::last(RETENTION)).max_inbox_bytes(100_000);
    let mut pair = Pair::with_options(options).await;
    pair.emit(0).await;
    pair.assert_received(0..1).await;
    pair.database.hold_log(true);
    pair.database.break_sessions();
    while pair.database.sessions() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in 1..=1000 {
        pair.emit_with(number, "x".repeat(900)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // None of it waits where nothing limits it.
    assert_eq!(pair.database.unread(), 0);
    pair.database.hold_log(false);
    let dropped = pair.wait_for(|event| matches!(event, Event::Overloaded { .. })).await;
    assert!(matches!(dropped, Event::Overloaded { class: Dropped::Messages, .. }), "{dropped:?}");
    pair.assert_incomplete(0, "did not fit into Options::max_inbox_bytes").await;
    let kept = pair.received.recv().await;
    assert_eq!(kept, Some(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let kept = 1 + std::iter::from_fn(|| pair.received.try_recv().ok()).count();
    assert!((50..105).contains(&kept), "{kept} of 1000 were kept");
    pair.emit(2000).await;
    pair.assert_received([2000]).await;
}

#[tokio::test(start_paused = true)]
async fn late_messages_that_do_not_fit_into_the_inbox_are_told() {
    let options = Options::default().catch_up(CatchUp::last(RETENTION)).max_inbox_bytes(100_000);
    let mut pair = Pair::with_options(options).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    pair.database.refuse_sessions(true);
    for number in 0..1000 {
        pair.emit_with(number, "x".repeat(900)).await;
    }
    pair.database.refuse_sessions(false);
    let recovery = pair.recovery().await;
    let dropped = pair.receiver.counts().dropped_by_class["messages"];
    assert!(dropped > 0);
    let Recovery::Incomplete { messages, reason } = recovery else { panic!("{recovery:?}") };
    assert_eq!(messages, 1000 - dropped, "{reason}");
    assert!(reason.contains(&format!("{dropped} messages of the log")), "{reason}");
    assert!(reason.contains("max_inbox_bytes"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_in_a_namespace_that_joined_during_the_break_is_told() {
    let mut pair = Pair::start().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let [receiving, sending] = &pair._servers;
    sending.ns("/new", async || {}).await.unwrap();
    pair.database.refuse_sessions(true);
    let joining = tokio::spawn({
        let receiving = receiving.clone();
        async move { receiving.ns("/new", async || {}).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.sender.of("/new").server_side_emit("e", &(1, "")).await.unwrap();
    pair.database.refuse_sessions(false);
    pair.assert_incomplete(0, "1 new channel").await;
    joining.await.unwrap().unwrap();
}
