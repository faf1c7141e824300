//! A backend without a database: nodes of one process, for tests and simulations. It is written as
//! [writing a backend](crate::backend#writing-a-backend) says.
//!
//! It keeps PostgreSQL's promises (a batch is one transaction, in order; equal notifications of one
//! batch on one channel are folded into one; a session gets what is committed while it listens) and
//! can be made to fail.

mod listener;
mod state;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

pub use self::{listener::MemoryListener, state::Call};
pub use crate::env::{Determined, WallClock};

use self::state::{Held, Session, State, milliseconds};
use crate::{
    api::emitter::PublishOn,
    backend::{
        Backend, BackendError, CatchUp, Content, ErrorKind, FetchLimits, Incoming, LogQuery, LogRow, OutboxBatch,
        OutboxProgress, OutboxState, Outgoing, Position, Row, SweepBatch, TableReport,
        emission::Emission,
        outbox_sql::MARGIN,
        table::{DEFAULT_LOG, DEFAULT_OUTBOX, TableName, TableSpec},
    },
};

/// A database that nodes share. Clones are the same database.
#[derive(Clone, Debug, Default)]
pub struct MemoryDatabase {
    state: Arc<Mutex<State>>,
    held: Arc<watch::Sender<Held>>,
}

impl MemoryDatabase {
    /// A backend of one node.
    pub fn backend(&self) -> MemoryBackend {
        MemoryBackend { database: self.clone() }
    }

    /// Breaks every listening session.
    pub fn break_sessions(&self) {
        self.state.lock().sessions.clear();
    }

    /// Stops the database, which breaks every session, or starts it again.
    pub fn set_down(&self, is_down: bool) {
        let mut state = self.state.lock();
        state.is_down = is_down;
        if is_down {
            state.sessions.clear();
        }
    }

    /// Breaks every listening session and refuses new ones, while everything else works; or accepts
    /// sessions again.
    pub fn refuse_sessions(&self, refuses: bool) {
        let mut state = self.state.lock();
        state.refuses_sessions = refuses;
        if refuses {
            state.sessions.clear();
        }
    }

    /// Refuses every channel with this text in its name, as a database refuses a character that its
    /// encoding does not have.
    pub fn refuse_channels_with(&self, text: impl Into<String>) {
        self.state.lock().refused_text = Some(text.into());
    }

    /// Sets the clock of the database this many milliseconds ahead of its beginning, or behind.
    pub fn set_clock(&self, milliseconds: i64) {
        self.state.lock().clock.offset = milliseconds;
    }

    /// Restarts the database at once, as after a crash: every session breaks, the last rows of the
    /// log are lost, and the attachments table, which is unlogged, is empty.
    pub fn crash(&self, lost_rows: usize) {
        let mut state = self.state.lock();
        state.sessions.clear();
        state.crashes += 1;
        state.attachments.clear();
        state.rows_before_crash = i64::try_from(state.log.len()).unwrap_or(i64::MAX);
        let kept = state.log.len().saturating_sub(lost_rows);
        state.log[kept..].fill(None);
    }

    /// Empties the catch-up log, as an administrator might.
    pub fn empty_log(&self) {
        let mut state = self.state.lock();
        state.history += 1;
        state.log.fill(None);
    }

    /// How many sessions listen.
    pub fn sessions(&self) -> usize {
        self.state.lock().sessions.len()
    }

    /// How many attachments there are.
    pub fn attachments(&self) -> usize {
        self.state.lock().attachments.len()
    }

    /// How many messages are in the catch-up log. Marks are not counted.
    pub fn logged(&self) -> usize {
        self.state.lock().log.iter().flatten().filter(|(_, row)| row.payload.starts_with('{')).count()
    }

    /// Makes fetches of attachments wait, or continues them.
    pub fn hold_fetches(&self, are_held: bool) {
        self.held.send_modify(|held| held.fetches = are_held);
    }

    /// Makes reading the log wait, or continues it.
    pub fn hold_log(&self, is_held: bool) {
        self.held.send_modify(|held| held.log = is_held);
    }

    /// Makes publications that write the log wait, as a lock on its table does, or continues them.
    pub fn hold_log_writes(&self, are_held: bool) {
        self.held.send_modify(|held| held.log_writes = are_held);
    }

    /// How many notifications the sessions have not taken yet.
    pub fn unread(&self) -> usize {
        self.state.lock().sessions.values().map(|session| session.unread.load(Ordering::Relaxed)).sum()
    }

    /// Makes publications wait, or continues them.
    pub fn hold_publications(&self, are_held: bool) {
        self.held.send_modify(|held| held.publications = are_held);
    }

    /// Makes each LISTEN wait, or continues them.
    pub fn hold_listens(&self, are_held: bool) {
        self.held.send_modify(|held| held.listens = are_held);
    }

    /// Makes the listening sessions hang, as a network does that loses all packets: nothing comes on
    /// them, and no question is answered, on new ones neither. Or continues them.
    pub fn hang_sessions(&self, hang: bool) {
        self.state.lock().loses_all = hang;
        self.held.send_modify(|held| held.sessions = hang);
    }

    /// Makes each look at the sessions wait, or continues them.
    pub fn hold_looks(&self, are_held: bool) {
        self.held.send_modify(|held| held.looks = are_held);
    }

    /// Refuses whatever is published, as a full notification queue does.
    pub fn refuse_publications(&self, refuses: bool) {
        self.state.lock().refuses_publications = refuses;
    }

    /// Makes the next call of this kind panic, as a driver with a defect, or code of the application
    /// that it calls.
    pub fn panic_at_next(&self, call: Call) {
        self.state.lock().panics_at = Some(call);
    }

    /// Refuses batches with messages for the log, as a full disk does.
    pub fn refuse_log(&self, refuses: bool) {
        self.state.lock().refuses_log = refuses;
    }

    /// Refuses batches with attachments, as a table on a full disk would.
    pub fn refuse_attachments(&self, refuses: bool) {
        self.state.lock().refuses_attachments = refuses;
    }

    async fn released(&self, is_held: impl Fn(&Held) -> bool) -> Result<(), BackendError> {
        self.held.subscribe().wait_for(|held| !is_held(held)).await.map(drop).map_err(|_| unreachable())
    }

    /// Writes this many rows into the catch-up log, without notifying nodes.
    pub fn fill_log(&self, rows: u64) {
        let mut state = self.state.lock();
        let now = state.clock.now();
        for number in 0..rows {
            let row = Incoming { channel: String::new(), payload: number.to_string() };
            state.log.push(Some((now, row)));
        }
    }

    /// Makes each batch of a sweep take this long.
    pub fn slow_sweeps(&self, each: Duration) {
        self.state.lock().sweeps_take = each;
    }

    /// How many notifications were committed.
    pub fn published(&self) -> u64 {
        self.state.lock().published
    }

    /// How many bytes these notifications had, and the attachments that were committed.
    pub fn published_bytes(&self) -> u64 {
        self.state.lock().published_bytes
    }

    /// How many batches were tried.
    pub fn attempts(&self) -> u64 {
        self.state.lock().attempts
    }

    /// How many batches were committed.
    pub fn batches(&self) -> u64 {
        self.state.lock().batches
    }

    /// Keeps the rows of the outbox from being deleted, as a trigger might.
    pub fn keep_rows(&self, are_kept: bool) {
        self.state.lock().keeps_rows = are_kept;
    }

    /// How many messages are in the outbox.
    pub fn outbox(&self) -> usize {
        self.state.lock().outbox.len()
    }

    /// How many messages were ever written into the outbox.
    pub fn rows_written(&self) -> i64 {
        self.state.lock().last_row
    }

    /// How many of these were published.
    pub fn rows_published(&self) -> i64 {
        let state = self.state.lock();
        state.last_row - state.outbox.len() as i64
    }

    /// How often writers into the outbox woke the servers.
    pub fn wakes(&self) -> u64 {
        self.state.lock().wakes
    }

    /// Publishes a payload as an unknown sender would.
    pub fn notify(&self, channel: &str, payload: &str) {
        self.state.lock().deliver(channel, payload);
    }
}

impl<'a> PublishOn<&'a MemoryBackend> for MemoryBackend {
    async fn publish_on(connection: &'a MemoryBackend, emission: Emission) -> Result<(), BackendError> {
        let Some(target) = emission.outbox else {
            return connection.publish(&emission.table, emission.log.as_ref(), &[emission.outgoing]).await;
        };
        tokio::task::yield_now().await;
        let mut state = connection.reach()?;
        let now = state.clock.now();
        state.last_row += 1;
        let id = state.last_row;
        state.outbox.insert(id, (now, emission.outgoing));
        if state.turn_left() < MARGIN {
            state.wakes += 1;
            state.deliver(&target.wake_channel, "");
        }
        Ok(())
    }
}

/// The backend of one node on a [`MemoryDatabase`].
#[derive(Clone, Debug)]
pub struct MemoryBackend {
    database: MemoryDatabase,
}

impl MemoryBackend {
    fn reach(&self) -> Result<parking_lot::MutexGuard<'_, State>, BackendError> {
        let state = self.database.state.lock();
        if state.is_down { Err(unreachable()) } else { Ok(state) }
    }
}

impl Backend for MemoryBackend {
    type Listener = MemoryListener;

    async fn inspect_table(&self, table: &TableName) -> Result<TableReport, BackendError> {
        // By its default name, as there is only one table of each kind in memory.
        let is = |name| TableName::parse(name).is_ok_and(|named| named == *table);
        let spec = match () {
            () if is(DEFAULT_LOG) => TableSpec::LOG,
            () if is(DEFAULT_OUTBOX) => TableSpec::OUTBOX,
            () => TableSpec::ATTACHMENTS,
        };
        self.reach().map(|_| TableReport::usable(&spec))
    }

    async fn create(&self, _table: &TableName, _statements: &str) -> Result<(), BackendError> {
        self.reach().map(drop)
    }

    async fn publish(&self, _table: &str, log: Option<&CatchUp>, batch: &[Outgoing]) -> Result<(), BackendError> {
        // A commit takes a moment, in which more messages are queued.
        tokio::task::yield_now().await;
        let writes_log = log.is_some() && batch.iter().any(|outgoing| outgoing.is_logged);
        self.database.released(|held| held.publications || held.log_writes && writes_log).await?;
        let mut state = self.reach()?;
        state.called(Call::Publish);
        state.attempts += 1;
        if state.refuses_publications {
            return Err(BackendError::new(ErrorKind::Other, "too many notifications in the NOTIFY queue"));
        }
        if state.refuses_log && writes_log {
            return Err(BackendError::new(ErrorKind::Other, "could not extend file: no space left on device"));
        }
        let is_attachment = |outgoing: &Outgoing| matches!(outgoing.content, Content::Attachment { .. });
        if state.refuses_attachments && batch.iter().any(is_attachment) {
            return Err(BackendError::new(ErrorKind::Other, "could not extend file: no space left on device"));
        }
        let too_long =
            |outgoing: &Outgoing| matches!(&outgoing.content, Content::Inline(payload) if payload.len() > 7999);
        if batch.iter().any(too_long) {
            return Err(BackendError::new(ErrorKind::Other, "payload string too long"));
        }
        batch.iter().try_for_each(|outgoing| state.check(&outgoing.channel))?;
        state.batches += 1;
        state.commit(log, batch);
        Ok(())
    }

    async fn mark(&self, _log: &str, channel: &str, payload: &str) -> Result<Position, BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.reach()?;
        state.deliver(channel, payload);
        let snapshot = state.log.len().to_string();
        let row = Incoming { channel: channel.to_owned(), payload: payload.to_owned() };
        let now = state.clock.now();
        state.log.push(Some((now, row)));
        let id = i64::try_from(state.log.len()).unwrap_or(i64::MAX);
        let (history, crashes) = (state.history.to_string(), state.crashes.to_string());
        Ok(Position { snapshot, taken: now, history, crashes, id })
    }

    async fn read_log(&self, query: &LogQuery<'_>) -> Result<Vec<LogRow>, BackendError> {
        tokio::task::yield_now().await;
        self.database.released(|held| held.log).await?;
        let state = self.reach()?;
        let first = number(&query.since.snapshot)?.max(query.after);
        let last = number(&query.until.snapshot)?;
        let rows = (1..).zip(&state.log).filter(|(id, _)| (first + 1..=last).contains(id));
        let row = |(id, row): (i64, &Option<(Duration, Incoming)>)| {
            let incoming = row.as_ref()?.1.clone();
            Some(LogRow { id, incoming, is_before_crash: id <= state.rows_before_crash })
        };
        let rows = rows.filter_map(row).filter(|row| query.channels.contains(&row.incoming.channel));
        Ok(rows.take(usize::try_from(query.limit).unwrap_or(0)).collect())
    }

    async fn fetch(&self, _table: &str, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        tokio::task::yield_now().await;
        self.database.released(|held| held.fetches).await?;
        let state = self.reach()?;
        let mut fits = BTreeSet::new();
        let mut sum = 0;
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let bytes = state.attachments.get(id).map_or(0, |(_, body)| body.len());
            if bytes <= limits.each {
                sum += bytes;
                if sum <= limits.together {
                    fits.insert(id);
                }
            }
        }
        let row = |id: &i64| match state.attachments.get(id) {
            None => Row::Gone,
            Some((_, body)) if fits.contains(id) => Row::Body(body.clone()),
            Some((_, body)) => Row::TooLarge { bytes: body.len() as u64 },
        };
        Ok(ids.iter().map(row).collect())
    }

    async fn sweep_batch(&self, table: &str, batch: SweepBatch) -> Result<u64, BackendError> {
        let takes = self.reach()?.sweeps_take;
        if takes > Duration::ZERO {
            tokio::time::sleep(takes).await;
        }
        let mut state = self.reach()?;
        let old = state.clock.now().saturating_sub(batch.age);
        let mut left = batch.limit;
        let mut is_swept = |created: Duration| {
            let is_swept = created < old && left > 0;
            left -= u64::from(is_swept);
            is_swept
        };
        // By its default name, as there is only one table of each kind in memory.
        if table == DEFAULT_LOG {
            for row in &mut state.log {
                row.take_if(|(created, _)| is_swept(*created));
            }
        } else {
            state.attachments.retain(|_, (created, _)| !is_swept(*created));
        }
        Ok(batch.limit - left)
    }

    async fn publish_outbox(&self, batch: &OutboxBatch<'_>) -> Result<OutboxProgress, BackendError> {
        tokio::task::yield_now().await;
        self.database.released(|held| held.publications).await?;
        let mut state = self.reach()?;
        let is_ours = batch.turn == state.turn || state.turn_left() <= 0;
        let now = state.clock.now();
        let mut progress = OutboxProgress { is_ours, open_since: state.transactions + 1, ..OutboxProgress::default() };
        if is_ours {
            if let Some(time) = batch.take_turn_milliseconds() {
                state.turn = milliseconds(now) + time;
            }
            let is_attachment =
                |(_, outgoing): &(Duration, Outgoing)| matches!(outgoing.content, Content::Attachment { .. });
            if state.refuses_attachments && state.outbox.values().any(is_attachment) {
                return Err(BackendError::new(ErrorKind::Other, "could not extend file: no space left on device"));
            }
            let limit = if state.keeps_rows { 0 } else { usize::try_from(batch.limit).unwrap_or(0) };
            let ids: Vec<i64> =
                state.outbox.range(batch.after.saturating_add(1)..).map(|(id, _)| *id).take(limit).collect();
            let rows: Vec<_> = ids.iter().filter_map(|id| state.outbox.remove(id)).collect();
            state.commit(batch.log, rows.iter().map(|(_, outgoing)| outgoing));
            progress.rows = rows.len() as i64;
            progress.last = ids.last().copied().unwrap_or(0);
            progress.waited = rows.first().map_or(0, |(written, _)| milliseconds(now.saturating_sub(*written)));
            if progress.rows > 0 || batch.wants_xid {
                state.transactions += 1;
                progress.xid = state.transactions;
            }
        }
        progress.turn = state.turn;
        Ok(progress)
    }

    async fn look_at_outbox(&self, _outbox: &str, after: i64) -> Result<OutboxState, BackendError> {
        tokio::task::yield_now().await;
        let mut state = self.reach()?;
        let turn_left = state.turn_left().max(0);
        let now = state.clock.now();
        let oldest = state.outbox.range(after.saturating_add(1)..).next();
        let waited = oldest.map_or(0, |(_, (written, _))| milliseconds(now.saturating_sub(*written)));
        let oldest = oldest.map(|(id, _)| *id);
        let open_since = state.transactions + 1;
        Ok(OutboxState { oldest, waited, turn_left, may_take_turn: true, open_since })
    }

    fn close(&self) {}

    async fn connect_listener(&self) -> Result<MemoryListener, BackendError> {
        let mut state = self.reach()?;
        state.called(Call::ConnectListener);
        if state.refuses_sessions {
            return Err(unreachable());
        }
        let (sender, incoming) = mpsc::unbounded_channel();
        state.last_session += 1;
        let id = state.last_session;
        let unread = Arc::<AtomicUsize>::default();
        let session = Session { channels: BTreeSet::new(), incoming: sender, unread: unread.clone(), seen: None };
        state.sessions.insert(id, session);
        Ok(MemoryListener { database: self.database.clone(), id, incoming, unread })
    }
}

fn number(snapshot: &str) -> Result<i64, BackendError> {
    snapshot.parse().map_err(|error| BackendError::new(ErrorKind::Other, error))
}

fn unreachable() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the database is down").unsent()
}

fn broken() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the session was broken")
}
