//! What a [`MemoryDatabase`](super::MemoryDatabase) holds: tables, sessions, its clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socketio_pg_protocol::SessionId;
use tokio::{sync::mpsc, time::Instant};

use crate::backend::{BackendError, CatchUp, Content, ErrorKind, Incoming, Outgoing, outbox_sql::LONGEST_TURN};

/// Work that waits until the test releases it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) fetches: bool,
    pub(super) log: bool,
    pub(super) log_writes: bool,
    pub(super) publications: bool,
    pub(super) listens: bool,
    pub(super) looks: bool,
    pub(super) sessions: bool,
}

/// What a backend is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To publish a batch.
    Publish,
    /// To open a listening session.
    ConnectListener,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By id, with the time of writing by the clock of the database.
    pub(super) attachments: BTreeMap<i64, (Duration, Vec<u8>)>,
    pub(super) last_id: i64,
    /// By number, with the time of writing. Rows are committed in their order.
    pub(super) outbox: BTreeMap<i64, (Duration, Outgoing)>,
    pub(super) last_row: i64,
    /// Until when a node publishes the outbox, in milliseconds by the clock of the database.
    pub(super) turn: i64,
    pub(super) transactions: i64,
    /// Time and message; the id is one more than the index. Rows are committed in their order.
    pub(super) log: Vec<Option<(Duration, Incoming)>>,
    /// How often the log was emptied.
    pub(super) history: u64,
    pub(super) clock: DatabaseClock,
    pub(super) crashes: u64,
    /// How many rows the log had at the last crash.
    pub(super) rows_before_crash: i64,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) last_session: u64,
    pub(super) is_down: bool,
    pub(super) refuses_sessions: bool,
    pub(super) refuses_attachments: bool,
    pub(super) refuses_publications: bool,
    pub(super) refuses_log: bool,
    /// What is delivered to sessions is lost.
    pub(super) loses_all: bool,
    /// The next call of this panics, as a driver with a defect does.
    pub(super) panics_at: Option<Call>,
    pub(super) keeps_rows: bool,
    pub(super) sweeps_take: Duration,
    /// A text that a channel's name must not contain.
    pub(super) refused_text: Option<String>,
    pub(super) published: u64,
    pub(super) published_bytes: u64,
    pub(super) attempts: u64,
    pub(super) batches: u64,
    pub(super) wakes: u64,
}

/// The wall clock of the database, since 1970.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    pub(super) start: Option<Instant>,
    /// How many milliseconds it was set ahead, or behind.
    pub(super) offset: i64,
}

impl DatabaseClock {
    pub(super) fn now(&mut self) -> Duration {
        const BEGIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let time = BEGIN + self.start.get_or_insert_with(Instant::now).elapsed();
        let by = Duration::from_millis(self.offset.unsigned_abs());
        if self.offset < 0 { time.saturating_sub(by) } else { time.saturating_add(by) }
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) channels: BTreeSet<String>,
    pub(super) incoming: mpsc::UnboundedSender<Incoming>,
    pub(super) unread: Arc<AtomicUsize>,
    /// The name in its last look, and when that was.
    pub(super) seen: Option<(SessionId, Duration)>,
}

impl State {
    /// Commits a batch: its attachments, its rows of the log, its notifications.
    pub(super) fn commit<'a>(&mut self, log: Option<&CatchUp>, batch: impl IntoIterator<Item = &'a Outgoing>) {
        let mut seen = HashSet::new();
        let now = self.clock.now();
        let retention = log.map_or(Duration::ZERO, CatchUp::retention);
        for Outgoing { channel, content, is_logged } in batch {
            let payload = match content {
                Content::Inline(payload) => payload.clone(),
                Content::Attachment { body, before_id, after_id } => {
                    self.last_id += 1;
                    let id = self.last_id;
                    self.published_bytes += body.len() as u64;
                    self.attachments.insert(id, (now.saturating_add(retention), body.clone()));
                    format!("{before_id}{id}{after_id}")
                }
            };
            if log.is_some() && *is_logged {
                let row = Incoming { channel: channel.clone(), payload: payload.clone() };
                self.log.push(Some((now, row)));
            }
            if seen.insert((channel, payload.clone())) {
                self.deliver(channel, &payload);
            }
        }
    }

    /// For how many milliseconds a node has the turn to publish the outbox; not above zero where
    /// none has.
    pub(super) fn turn_left(&mut self) -> i64 {
        match self.turn - milliseconds(self.clock.now()) {
            left if left > LONGEST_TURN => 0,
            left => left,
        }
    }

    /// Panics, if that is wanted.
    pub(super) fn called(&mut self, call: Call) {
        if self.panics_at.take_if(|at| *at == call).is_some() {
            panic!("as a driver with a defect");
        }
    }

    pub(super) fn check(&self, channel: &str) -> Result<(), BackendError> {
        let is_refused =
            channel.contains('\0') || self.refused_text.as_ref().is_some_and(|text| channel.contains(text.as_str()));
        if is_refused { Err(BackendError::new(ErrorKind::Other, "no such name is possible here")) } else { Ok(()) }
    }

    pub(super) fn deliver(&mut self, channel: &str, payload: &str) {
        self.published += 1;
        self.published_bytes += payload.len() as u64;
        let hears = |session: &&Session| !self.loses_all && session.channels.contains(channel);
        for session in self.sessions.values().filter(hears) {
            let incoming = Incoming { channel: channel.to_owned(), payload: payload.to_owned() };
            session.unread.fetch_add(1, Ordering::Relaxed);
            // A session that is just being dropped gets nothing.
            let _ = session.incoming.send(incoming);
        }
    }
}

pub(super) fn milliseconds(time: Duration) -> i64 {
    time.as_millis().try_into().unwrap_or(i64::MAX)
}
