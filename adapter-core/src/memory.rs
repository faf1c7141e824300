//! A backend without a database: nodes of one process, for tests and simulations.
//!
//! It keeps what PostgreSQL promises (a batch is one transaction, in order; equal notifications of one batch on one channel
//! are folded into one; a session hears what is committed while it listens) and can be made to fail.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use crate::backend::{Backend, BackendError, Content, ErrorKind, Incoming, Listener, Outgoing};

/// A database that nodes share. Clones are the same database.
#[derive(Clone, Debug, Default)]
pub struct MemoryDatabase {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    attachments: BTreeMap<i64, (Instant, Vec<u8>)>,
    last_id: i64,
    sessions: BTreeMap<u64, Session>,
    last_session: u64,
    is_down: bool,
    published: u64,
    batches: u64,
}

#[derive(Debug)]
struct Session {
    channels: BTreeSet<String>,
    incoming: mpsc::UnboundedSender<Incoming>,
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

    /// How many notifications were committed.
    pub fn published(&self) -> u64 {
        self.state.lock().published
    }

    /// How many batches they came in.
    pub fn batches(&self) -> u64 {
        self.state.lock().batches
    }

    /// Publishes a payload as a stranger would.
    pub fn notify(&self, channel: &str, payload: &str) {
        self.state.lock().deliver(channel, payload);
    }
}

impl State {
    fn deliver(&mut self, channel: &str, payload: &str) {
        self.published += 1;
        for session in self.sessions.values().filter(|session| session.channels.contains(channel)) {
            let incoming = Incoming { channel: channel.to_owned(), payload: payload.to_owned() };
            // A session that is just being dropped hears nothing.
            let _ = session.incoming.send(incoming);
        }
    }
}

/// One node's way to a [`MemoryDatabase`].
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

    fn name(&self) -> &'static str {
        "memory"
    }

    async fn prepare(&self, _table: &str, _create: bool) -> Result<(), BackendError> {
        self.reach().map(drop)
    }

    async fn publish(&self, _table: &str, batch: &[Outgoing]) -> Result<(), BackendError> {
        // A commit takes a moment, in which more is queued.
        tokio::task::yield_now().await;
        let mut state = self.reach()?;
        let too_long =
            |outgoing: &Outgoing| matches!(&outgoing.content, Content::Inline(payload) if payload.len() > 7999);
        if batch.iter().any(too_long) {
            return Err(BackendError::new(ErrorKind::Other, "payload string too long"));
        }
        state.batches += 1;
        let mut seen = HashSet::new();
        for Outgoing { channel, content } in batch {
            let payload = match content {
                Content::Inline(payload) => payload.clone(),
                Content::Attachment { body, before_id, after_id } => {
                    state.last_id += 1;
                    let id = state.last_id;
                    state.attachments.insert(id, (Instant::now(), body.clone()));
                    format!("{before_id}{id}{after_id}")
                }
            };
            if seen.insert((channel, payload.clone())) {
                state.deliver(channel, &payload);
            }
        }
        Ok(())
    }

    async fn fetch(&self, _table: &str, ids: &[i64]) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        tokio::task::yield_now().await;
        let state = self.reach()?;
        Ok(ids.iter().map(|id| state.attachments.get(id).map(|(_, body)| body.clone())).collect())
    }

    async fn sweep(&self, _table: &str, age: Duration) -> Result<u64, BackendError> {
        let mut state = self.reach()?;
        let before = state.attachments.len();
        state.attachments.retain(|_, (created, _)| created.elapsed() <= age);
        Ok((before - state.attachments.len()) as u64)
    }

    fn close(&self) {}

    async fn connect_listener(&self) -> Result<MemoryListener, BackendError> {
        let mut state = self.reach()?;
        let (sender, incoming) = mpsc::unbounded_channel();
        state.last_session += 1;
        let id = state.last_session;
        state.sessions.insert(id, Session { channels: BTreeSet::new(), incoming: sender });
        Ok(MemoryListener { database: self.database.clone(), id, incoming })
    }
}

/// A listening session of a [`MemoryDatabase`].
#[derive(Debug)]
pub struct MemoryListener {
    database: MemoryDatabase,
    id: u64,
    incoming: mpsc::UnboundedReceiver<Incoming>,
}

impl MemoryListener {
    fn with_session<T>(&self, work: impl FnOnce(&mut Session) -> T) -> Result<T, BackendError> {
        self.database.state.lock().sessions.get_mut(&self.id).map(work).ok_or_else(broken)
    }
}

impl Listener for MemoryListener {
    async fn listen(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.with_session(|session| session.channels.extend(channels.iter().cloned()))
    }

    async fn unlisten(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.with_session(|session| session.channels.retain(|channel| !channels.contains(channel)))
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        self.incoming.recv().await.ok_or_else(broken)
    }

    fn try_next(&mut self) -> Option<Incoming> {
        self.incoming.try_recv().ok()
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        self.with_session(|_| ())
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.database.state.lock().sessions.remove(&self.id);
    }
}

fn unreachable() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the database is down")
}

fn broken() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the session was broken")
}
