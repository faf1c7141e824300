//! Attachments of other nodes, fetched before they are handled, within a limit on their number and
//! on their bytes together.
//!
//! Each query reserves room before it starts, in the order of arrival, so what is first in line
//! never waits for what is behind it. A row that does not fit into its query's room stays in the
//! table until it is first in line, when it is fetched alone: apart from the room, at most one such
//! row is in memory. A row that is larger than an attachment may be is never fetched.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use socketio_pg_protocol::{Message, NodeId, notification::Header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;

use crate::{
    backend::{Backend, BackendError, ErrorKind, FetchLimits, Row, in_time},
    env,
    observe::{classes::InvalidMessage, event::Events},
    options::Options,
};

/// How many attachments are fetched before they are handled.
const FETCH_AHEAD: usize = 64;

/// The most attachments in one query.
const MAX_FETCH: usize = 16;

/// The most bytes that one query brings.
const QUERY_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes in an attachment that is read before it is first in line. Reading makes a value
/// of each byte in the worst case, some 30 times as large: so little may be read ahead.
const MAX_READ_AHEAD: usize = 16 * 1024;

/// The pauses before attachments are fetched again, when the database could not be reached.
const MIN_FETCH_PAUSE: Duration = Duration::from_millis(50);
const MAX_FETCH_PAUSE: Duration = Duration::from_secs(1);

/// Room is counted in KiB, so that its numbers fit into a semaphore's.
const KIB: usize = 1024;

/// An attachment to fetch.
#[derive(Debug)]
pub(crate) struct FetchJob {
    pub(crate) channel: String,
    pub(crate) header: Header,
    pub(crate) done: oneshot::Sender<Fetched>,
}

/// The result of fetching an attachment.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It was fetched; its room is released when it has been handled.
    Message { message: Box<Message>, room: Room },
    /// It was fetched, and is large: it is read when it is first in line.
    Body { channel: String, header: Header, body: Vec<u8>, room: Room },
    /// It did not fit: [`fetch_alone`] fetches it when it is first in line.
    Later { channel: String, header: Header },
    /// It is not a message; that was reported.
    Unusable,
}

/// A reservation in the number and in the bytes of attachments fetched ahead.
#[derive(Debug)]
pub(crate) struct Room {
    _place: OwnedSemaphorePermit,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// What fetching attachments needs. Cheap to clone.
pub(crate) struct Fetcher<B> {
    backend: Arc<B>,
    table: Arc<str>,
    events: Arc<Events>,
    max_attachment_bytes: usize,
    /// How many bytes of attachments may wait in all.
    max_inbox_bytes: usize,
    query_timeout: Duration,
    /// How long rows stay in the table at least.
    cleanup_interval: Duration,
}

impl<B> Clone for Fetcher<B> {
    fn clone(&self) -> Self {
        Self { backend: self.backend.clone(), table: self.table.clone(), events: self.events.clone(), ..*self }
    }
}

impl<B: Backend> Fetcher<B> {
    pub(crate) fn new(backend: Arc<B>, options: &Options, events: Arc<Events>) -> Self {
        Self {
            backend,
            table: options.table.as_str().into(),
            events,
            max_attachment_bytes: options.max_attachment_bytes,
            max_inbox_bytes: options.max_inbox_bytes,
            query_timeout: options.query_timeout,
            cleanup_interval: options.cleanup_interval,
        }
    }

    /// Fetches attachments in batches, before they are handled.
    pub(crate) async fn fetch_ahead(self, mut wanted: mpsc::UnboundedReceiver<FetchJob>) {
        let ahead = Arc::new(Semaphore::new(FETCH_AHEAD));
        let in_all = kib(self.max_inbox_bytes).max(1);
        let bytes = Arc::new(Semaphore::new(in_all as usize));
        let room = kib(QUERY_BYTES).min(in_all);
        // The queries end with this task.
        let mut queries = JoinSet::new();
        let mut start = async |batch| {
            while queries.try_join_next().is_some() {}
            // The semaphore is never closed.
            let Ok(room) = bytes.clone().acquire_many_owned(room).await else { return };
            queries.spawn(self.clone().query(batch, room));
        };
        while let Some(first) = wanted.recv().await {
            let mut batch = VecDeque::new();
            let mut next = Some(first);
            while let Some(want) = next {
                // PostgreSQL counts a row once, also when it is asked for twice.
                if batch
                    .iter()
                    .any(|(other, _): &(FetchJob, _)| other.header.attachment_id == want.header.attachment_id)
                {
                    start(std::mem::take(&mut batch)).await;
                }
                // Wait for a place only with an empty batch: what is in the batch may be what the
                // place waits for.
                let place = if batch.is_empty() {
                    ahead.clone().acquire_owned().await.ok()
                } else {
                    match ahead.clone().try_acquire_owned() {
                        Ok(place) => Some(place),
                        Err(_) => {
                            start(std::mem::take(&mut batch)).await;
                            ahead.clone().acquire_owned().await.ok()
                        }
                    }
                };
                let Some(place) = place else { return };
                batch.push_back((want, place));
                next = if batch.len() < MAX_FETCH { wanted.try_recv().ok() } else { None };
            }
            start(batch).await;
        }
    }

    async fn query(self, batch: Batch, mut room: OwnedSemaphorePermit) {
        let ids: Vec<i64> = batch.iter().map(|(want, _)| want.header.attachment_id).collect();
        let together = room.num_permits() * KIB;
        // An attachment that fits alone but not into this batch is fetched when it is first in
        // line.
        let limits = FetchLimits { each: self.max_attachment_bytes.min(together), together };
        let rows = self.fetch(&ids, limits).await;
        for ((FetchJob { channel, header, done }, place), row) in batch.into_iter().zip(rows) {
            let fetched = match row {
                Ok(Row::TooLarge { bytes }) if bytes <= self.max_attachment_bytes as u64 => {
                    Fetched::Later { channel, header }
                }
                row => {
                    let size = if let Ok(Row::Body(body)) = &row { body.len() } else { 0 };
                    let bytes = room.split((kib(size) as usize).min(room.num_permits()));
                    let room = Room { _place: place, _bytes: bytes };
                    match row {
                        Ok(Row::Body(body)) if body.len() > MAX_READ_AHEAD => {
                            Fetched::Body { channel, header, body, room }
                        }
                        row => match self.read(&channel, &header, row) {
                            Some(message) => Fetched::Message { message: Box::new(message), room },
                            None => Fetched::Unusable,
                        },
                    }
                }
            };
            // The inbox may have ended, and then the result is not needed.
            let _ = done.send(fetched);
        }
    }

    /// Fetches an attachment that is first in line.
    pub(crate) async fn fetch_alone(&self, channel: &str, header: &Header) -> Option<Message> {
        let limits = FetchLimits { each: self.max_attachment_bytes, together: self.max_attachment_bytes };
        let row = self.fetch(&[header.attachment_id], limits).await.pop()?;
        self.read(channel, header, row)
    }

    async fn fetch(&self, ids: &[i64], limits: FetchLimits) -> Vec<Result<Row, String>> {
        let started = Instant::now();
        let span = tracing::debug_span!("fetch_attachments", attachments = ids.len());
        let rows = self.fetch_patiently(ids, limits).instrument(span).await;
        let took = started.elapsed();
        self.events.counters().fetched(took);
        tracing::debug!(attachments = ids.len(), ?took, "fetched attachments");
        match rows {
            Ok(rows) => {
                for row in &rows {
                    if let Row::Body(body) = row {
                        self.events.counters().attachment(body.len());
                    }
                }
                rows.into_iter().map(Ok).collect()
            }
            Err(error) => {
                let reason = error.to_string();
                ids.iter().map(|_| Err(reason.clone())).collect()
            }
        }
    }

    /// Tries again while the database cannot be reached, for as long as nodes leave the rows in the
    /// table: their notification has arrived, so a gap would not show that they are lost.
    async fn fetch_patiently(&self, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        let started = Instant::now();
        let mut pause = MIN_FETCH_PAUSE;
        loop {
            match in_time(self.query_timeout, self.backend.fetch(&self.table, ids, limits)).await {
                // The server's own time-outs, or that of a lock, may be shorter than this node's.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout)
                        && started.elapsed() < self.cleanup_interval =>
                {
                    tracing::debug!(%error, ?pause, "attachments cannot be fetched, trying again");
                }
                rows => return rows,
            }
            tokio::time::sleep(pause.mul_f64(env::jitter())).await;
            pause = (2 * pause).min(MAX_FETCH_PAUSE);
        }
    }

    /// The message in a row. Where there is none, reports why, and returns `None`.
    ///
    /// Whatever is in a row, it does not end the task that reads it.
    pub(crate) fn read(&self, channel: &str, header: &Header, row: Result<Row, String>) -> Option<Message> {
        catch_unwind(AssertUnwindSafe(|| self.try_read(channel, header, row))).unwrap_or_else(|_| {
            tracing::error!(channel, "an attachment made its decoder panic, and is lost");
            None
        })
    }

    fn try_read(&self, channel: &str, header: &Header, row: Result<Row, String>) -> Option<Message> {
        let (id, max_bytes) = (header.attachment_id, self.max_attachment_bytes);
        let (kind, reason) = match row {
            Ok(Row::Body(body)) => match Message::from_msgpack(&body) {
                Ok(message) if message.uid.is_none() || header.uid.is_none() || header.uid == message.uid => {
                    return Some(message);
                }
                // The header named the sender, and a node does not fetch its own attachments.
                Ok(message) => {
                    let [header, own] =
                        [&header.uid, &message.uid].map(|uid| uid.as_ref().map_or("an unknown node", NodeId::as_str));
                    (
                        InvalidMessage::AttachmentOfAnother,
                        format!("attachment {id} is of {own:?}, and its header of {header:?}"),
                    )
                }
                Err(error) => (InvalidMessage::Undecodable(error.kind()), error.to_string()),
            },
            Ok(Row::Gone) => (InvalidMessage::AttachmentGone, format!("attachment {id} is gone from the table")),
            Ok(Row::TooLarge { bytes }) => {
                let reason = format!(
                    "attachment {id} has {bytes} bytes, more than Options::max_attachment_bytes ({max_bytes}), and was not \
                     fetched: raise it if such messages are yours"
                );
                (InvalidMessage::TooLarge, reason)
            }
            Err(reason) => (InvalidMessage::AttachmentUnreadable, reason),
        };
        self.events.rejected(channel, header.uid.as_ref(), kind, reason);
        None
    }
}

type Batch = VecDeque<(FetchJob, OwnedSemaphorePermit)>;

/// Rounded up; a number that is out of range counts as unlimited.
fn kib(bytes: usize) -> u32 {
    let most = Semaphore::MAX_PERMITS.try_into().unwrap_or(u32::MAX);
    bytes.div_ceil(KIB).try_into().unwrap_or(most).min(most)
}
