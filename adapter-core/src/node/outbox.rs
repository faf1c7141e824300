//! Publishes what emitters have written into the outbox, when it is this node's turn.
//!
//! See [`outbox_sql`](crate::backend::outbox_sql) for who publishes when. Here is what a node does:
//! it rests until a writer wakes it, or a look shows rows that no server publishes; then it takes the
//! turn and publishes in short intervals; some time after the last row it gives the turn up, waits
//! for the writers who had found it taken and are still open, and rests again.

mod writers;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    backend::{
        Backend, BackendError, Content, Outbox, OutboxBatch, OutboxProgress, OutboxState, Outgoing, has_timed_out,
        in_time, outbox::wake_channel,
    },
    env,
    observe::event::{Event, Events},
    options::Options,
};
use writers::{Floor, Guard};

/// For how long a turn is taken, and after how much of it it is taken again.
const TURN: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_secs(1);

/// How long after the last row the turn is not taken again.
const LINGER: Duration = Duration::from_secs(1);

/// How often a node looks after its turn for the rows of writers who had found it taken.
const GUARD_INTERVAL: Duration = Duration::from_millis(200);

/// How often a node that rests looks at the outbox: between half and the whole of it.
const LOOK_INTERVAL: Duration = Duration::from_secs(8);

/// How long a node that did not publish last leaves to the one that did, when a writer wakes all.
const COURTESY: Duration = Duration::from_millis(200);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a node that starts waits for its first namespace, which is to hear what has waited.
const START: Duration = Duration::from_secs(5);

/// How many rows are published in a transaction at most.
const MAX_BATCH: i64 = 500;

/// How long rows may wait before that is reported, and after how many failures in a row.
const OLD: Duration = Duration::from_secs(10);
const FAILURES: u64 = 3;

/// How a node that publishes the outbox is woken.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// By a writer.
    pub(crate) written: Notify,
    /// By a namespace that has joined.
    pub(crate) joined: Notify,
}

/// Publishes the outbox whenever it is this node's turn, until it is told to stop. Then it gives up
/// the turn, and wakes another node.
pub(crate) async fn publish_outbox<B: Backend>(
    backend: Arc<B>,
    outbox: Outbox,
    options: Options,
    wake: Arc<Wake>,
    events: Arc<Events>,
    mut stop: watch::Receiver<bool>,
) {
    let mut publisher = OutboxPublisher {
        backend,
        outbox,
        options,
        wake,
        events,
        turn: 0,
        taken: None,
        limit: MAX_BATCH,
        floor: Floor::default(),
        was_last: false,
        pause: COURTESY,
        failed_looks: 0,
        failed_batches: 0,
        is_behind: false,
        oldest: None,
        full_since: None,
    };
    tokio::select! {
        biased;
        _ = stop.wait_for(|is_stopped| *is_stopped) => return,
        // A process may have no namespace.
        _ = timeout(START, publisher.wake.joined.notified()) => {}
    }
    // Dropping a statement halfway would close its connection: it ends by itself, or in time.
    loop {
        let is_stopped = tokio::select! {
            biased;
            _ = stop.wait_for(|is_stopped| *is_stopped) => true,
            () = publisher.rest() => false,
        };
        if is_stopped {
            break;
        }
        let is_stopped = publisher.publish(&mut stop).await;
        publisher.events.counters().outbox_is_publishing(false);
        if is_stopped {
            break;
        }
    }
    publisher.give_up_turn().await;
}

/// The turn of this node, as it took it last.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Before it asked for it: until a turn after this, it certainly has it.
    asked: Instant,
    /// After it got it: a turn after this, it certainly has it no more.
    answered: Instant,
}

/// See [`publish_outbox`].
struct OutboxPublisher<B> {
    backend: Arc<B>,
    outbox: Outbox,
    options: Options,
    wake: Arc<Wake>,
    events: Arc<Events>,
    /// Until when the turn was taken, by the clock of the database.
    turn: i64,
    taken: Option<Taken>,
    limit: i64,
    floor: Floor,
    /// Whether this node was the last to publish, as far as it knows.
    was_last: bool,
    /// How long it rests at most until its next look: between half and the whole of it.
    pause: Duration,
    /// Failures in a row.
    failed_looks: u64,
    failed_batches: u64,
    /// Whether it was reported that rows wait.
    is_behind: bool,
    /// The oldest row that was seen by looks, and since when.
    oldest: Option<(i64, Instant)>,
    /// Since when every batch was full.
    full_since: Option<Instant>,
}

/// What comes after a batch.
enum Next {
    /// Another batch, or a look first, after a pause.
    Batch(Duration),
    Look(Duration),
    Rest,
}

impl<B: Backend> OutboxPublisher<B> {
    /// Returns when there may be something to publish.
    async fn rest(&mut self) {
        if self.failed_batches > 0 {
            // A writer who wakes this node again and again does not make it fail again and again.
            sleep(PAUSE).await;
        }
        let mut pause = std::mem::replace(&mut self.pause, LOOK_INTERVAL).mul_f64(env::jitter());
        loop {
            tokio::select! {
                () = self.wake.written.notified() => {
                    if !self.was_last {
                        sleep(COURTESY.mul_f64(env::jitter())).await;
                    }
                    return;
                }
                () = sleep(pause) => {}
            }
            match self.look(i64::MIN).await {
                Ok(state) => {
                    self.seen(&state);
                    // While it is disconnected its own clients would miss what it publishes.
                    let is_listening = self.events.counters().link().is_listening;
                    if state.oldest.is_some() && state.turn_left <= 0 && is_listening {
                        return;
                    }
                    pause = LOOK_INTERVAL.mul_f64(env::jitter());
                    if !is_listening {
                        pause = PAUSE;
                    } else if state.turn_left > 0 {
                        // Another node publishes. If it dies, its turn ends without anybody being
                        // woken.
                        let turn_left = Duration::from_millis(state.turn_left.unsigned_abs());
                        pause = pause.min(turn_left + PAUSE.mul_f64(env::jitter()));
                    }
                }
                Err(_) => pause = PAUSE,
            }
        }
    }

    /// Publishes until nothing is left to be published, or another node does it. Returns whether it
    /// is told to stop.
    async fn publish(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let mut last_row = Instant::now();
        let mut guard = Guard::default();
        self.taken = None;
        self.floor = Floor::default();
        self.full_since = None;
        let mut next = Next::Batch(Duration::ZERO);
        loop {
            let (pause, looks) = match next {
                Next::Batch(pause) => (pause, false),
                Next::Look(pause) => (pause, true),
                Next::Rest => return false,
            };
            if *stop.borrow() {
                return true;
            }
            if !pause.is_zero() {
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|is_stopped| *is_stopped) => return true,
                    () = sleep(pause) => {}
                }
            }
            if !self.events.counters().link().is_listening {
                // Its own clients would miss what it publishes.
                self.give_up_turn().await;
                self.pause = PAUSE;
                return false;
            }
            let is_due = self.taken.is_none_or(|taken| taken.asked.elapsed() >= RENEWAL);
            let takes_turn = is_due && last_row.elapsed() < LINGER;
            let is_over = self.taken.is_none_or(|taken| taken.answered.elapsed() >= TURN);
            if takes_turn {
                guard = Guard::default();
            } else if is_over && guard.begins() {
                // Numbers may have begun again: the table may be another one.
                self.floor = Floor::default();
            }
            let wants_xid = !takes_turn && guard.wants_xid();
            let mut has_seen_rows = false;
            // Most of the time there is nothing, and a look costs PostgreSQL a fraction of a batch.
            if looks && !takes_turn && !wants_xid {
                let Ok(state) = self.look(self.floor.after()).await else { return false };
                self.seen(&state);
                if state.oldest.is_none() {
                    next = if !is_over {
                        Next::Look(self.outbox.interval())
                    } else if guard.is_over(state.open_since, 0) {
                        Next::Rest
                    } else {
                        Next::Look(GUARD_INTERVAL)
                    };
                    continue;
                }
                has_seen_rows = true;
            }
            let Ok((progress, taken)) = self.batch(takes_turn, wants_xid).await else { return false };
            let is_still_ours = self.taken.is_some_and(|taken| taken.answered.elapsed() < TURN);
            if !progress.is_ours && is_still_ours && progress.turn == self.turn {
                // A node of an earlier version that looked in had the lock for a moment.
                next = Next::Batch(self.outbox.interval());
                continue;
            }
            if !progress.is_ours {
                // Another node publishes, or is just taking the turn, and may die of it.
                self.taken = None;
                self.was_last = false;
                self.pause = TURN + PAUSE;
                return false;
            }
            if takes_turn {
                self.taken = Some(taken);
                self.was_last = true;
            }
            let is_full = progress.rows >= self.limit;
            self.floor.advance(&progress, is_full);
            self.published(&progress, is_full);
            let took = taken.answered.duration_since(taken.asked);
            if is_full && took < self.options.query_timeout / 10 {
                self.limit = (self.limit * 2).min(MAX_BATCH);
            }
            if progress.rows > 0 {
                last_row = Instant::now();
                guard = Guard::default();
            }
            next = if is_full {
                Next::Batch(Duration::ZERO)
            } else if progress.rows > 0 {
                Next::Batch(self.outbox.interval())
            } else if has_seen_rows {
                // Something keeps them: see `KEPT`.
                Next::Look(GUARD_INTERVAL)
            } else if takes_turn || !is_over {
                Next::Look(self.outbox.interval())
            } else if guard.is_over(progress.open_since, progress.xid) {
                Next::Rest
            } else {
                Next::Look(GUARD_INTERVAL)
            };
        }
    }

    async fn look(&mut self, after: i64) -> Result<OutboxState, BackendError> {
        let looking = self.backend.look_at_outbox(self.outbox.table_name(), after);
        match in_time(self.options.query_timeout, looking).await {
            Ok(state) => {
                self.failed_looks = 0;
                Ok(state)
            }
            Err(error) => {
                self.failed_looks += 1;
                self.failed(&error, self.failed_looks);
                Err(error)
            }
        }
    }

    /// Publishes a batch. Also returns when it was asked for, and answered.
    async fn batch(&mut self, takes_turn: bool, wants_xid: bool) -> Result<(OutboxProgress, Taken), BackendError> {
        let asked = Instant::now();
        match self.send(takes_turn.then_some(TURN), self.limit, wants_xid).await {
            // Only rows that were seen make a node send a batch, unless it takes the turn.
            Ok(progress) => {
                self.failed_batches = 0;
                if progress.is_ours {
                    self.turn = progress.turn;
                }
                Ok((progress, Taken { asked, answered: Instant::now() }))
            }
            Err(error) => {
                if has_timed_out(&error) {
                    self.limit = (self.limit / 10).max(1);
                }
                self.failed_batches += 1;
                self.failed(&error, self.failed_batches);
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        take_turn: Option<Duration>,
        limit: i64,
        wants_xid: bool,
    ) -> Result<OutboxProgress, BackendError> {
        let batch = OutboxBatch {
            outbox: self.outbox.table_name(),
            attachments: &self.options.table,
            log: self.options.catch_up.as_ref(),
            turn: self.turn,
            take_turn,
            after: self.floor.after(),
            limit,
            wants_xid,
        };
        in_time(self.options.query_timeout, self.backend.publish_outbox(&batch)).await
    }

    /// Ends the turn of this node, if it has it, and wakes the others.
    async fn give_up_turn(&mut self) {
        if self.taken.take().is_none_or(|taken| taken.answered.elapsed() >= TURN) {
            return;
        }
        let given_up = self.send(Some(Duration::ZERO), 0, false).await;
        if given_up.is_ok_and(|progress| progress.is_ours) {
            let channel = wake_channel(&self.options.channel_prefix);
            let wake = [Outgoing { channel, content: Content::Inline(String::new()), is_logged: false }];
            // Otherwise they see at their next look that the turn is over.
            let _ = in_time(self.options.query_timeout, self.backend.publish(&self.options.table, None, &wake)).await;
        }
    }

    fn published(&mut self, progress: &OutboxProgress, is_full: bool) {
        let counters = self.events.counters();
        counters.outbox_published.add(progress.rows.unsigned_abs());
        counters.outbox_is_publishing(self.taken.is_some_and(|taken| taken.answered.elapsed() < TURN));
        if progress.refused > 0 {
            let (refused, last, table) = (progress.refused, progress.last, self.outbox.table_name());
            tracing::error!(refused, last, table, "rows of the outbox were too long to be notified, and are lost");
            counters.outbox_refused.add(progress.refused.unsigned_abs());
        }
        if is_full {
            // What is left is hardly older than what was taken.
            counters.outbox_waits(Duration::from_millis(progress.waited.unsigned_abs()));
            if self.full_since.get_or_insert_with(Instant::now).elapsed() >= OLD {
                self.fell_behind(|| "more is written than is published".to_owned());
            }
        } else {
            self.full_since = None;
        }
    }

    /// Notes what a look at the outbox showed.
    fn seen(&mut self, state: &OutboxState) {
        let waited = Duration::from_millis(state.waited.unsigned_abs());
        self.events.counters().outbox_waits(if state.oldest.is_some() { waited } else { Duration::ZERO });
        self.oldest = match (self.oldest.take(), state.oldest) {
            (_, None) => None,
            (Some((seen, since)), Some(oldest)) if seen == oldest => Some((seen, since)),
            (_, Some(oldest)) => Some((oldest, Instant::now())),
        };
        match self.oldest {
            None => self.caught_up(),
            // Not by its own time: it may have been written long before its transaction ended.
            Some((_, since)) if since.elapsed() >= OLD => {
                let is_own = self.taken.is_some_and(|taken| taken.answered.elapsed() < TURN);
                let by_another = state.turn_left > 0 && !is_own;
                let reason = if by_another { "a server has the turn and does not publish" } else { KEPT };
                self.fell_behind(|| reason.to_owned());
            }
            Some(_) => {}
        }
    }

    fn failed(&mut self, error: &BackendError, in_a_row: u64) {
        self.taken = None;
        self.pause = PAUSE;
        self.events.counters().outbox_failed(error);
        tracing::warn!(%error, table = self.outbox.table_name(), "the outbox could not be published");
        if in_a_row >= FAILURES {
            self.fell_behind(|| format!("publishing failed {in_a_row} times in a row: {error}"));
        }
    }

    fn fell_behind(&mut self, reason: impl FnOnce() -> String) {
        if !std::mem::replace(&mut self.is_behind, true) {
            let table = self.outbox.table_name().to_owned();
            self.events.emit(Event::OutboxBehind { table, reason: reason() });
        }
    }

    fn caught_up(&mut self) {
        if std::mem::replace(&mut self.is_behind, false) {
            tracing::info!(table = self.outbox.table_name(), "nothing waits in the outbox any more");
        }
    }
}

/// Why a row that this node may publish stays.
const KEPT: &str = "the oldest row cannot be deleted: does a trigger or row security keep it?";
