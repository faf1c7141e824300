//! The one road out: an ordered queue, drained into batches.
//!
//! Whatever was queued while the previous batch was in flight goes out as the next one. So a lone message waits for nobody,
//! a storm costs one commit for each batch, and the order of a sender's messages is the order in which they were queued.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use socketio_pg_protocol::budget::MAX_PAYLOAD;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    backend::{Backend, BackendError, Content, ErrorKind, Outgoing},
    error::Error,
    event::Events,
};

/// The most notifications in a batch: beyond some hundreds a batch only gets slower, not cheaper.
const MAX_BATCH: usize = 512;

/// The most bytes in a batch, so that attachments do not pile up into one huge statement.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Puts messages into the queue.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    outgoing: Outgoing,
    done: oneshot::Sender<Result<(), Error>>,
}

/// A message in the queue. Dropping it does not take the message back.
#[must_use]
pub(crate) struct Published(oneshot::Receiver<Result<(), Error>>);

impl Published {
    /// Waits until the message is committed.
    pub(crate) async fn committed(self) -> Result<(), Error> {
        self.0.await.unwrap_or(Err(Error::Closed))
    }

    /// Lets the message go without waiting; a failure is only logged.
    pub(crate) fn detach(self) {
        // The publisher logs each failed batch itself.
        drop(self);
    }
}

impl Publisher {
    /// Starts the publisher. It ends when all its handles are dropped and the queue is empty.
    pub(crate) fn start<B: Backend>(
        backend: Arc<B>,
        table: String,
        capacity: usize,
        events: Arc<Events>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(capacity.min(Semaphore::MAX_PERMITS));
        (Self { queue }, tokio::spawn(run(backend, table, jobs, events)))
    }

    /// How many messages wait for their batch.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Queues a message, waiting while the queue is full.
    pub(crate) async fn queue(&self, outgoing: Outgoing) -> Result<Published, Error> {
        let (done, committed) = oneshot::channel();
        self.queue.send(Job { outgoing, done }).await.map_err(|_| Error::Closed)?;
        Ok(Published(committed))
    }

    /// Queues a message without waiting, for places that cannot wait; fails when the queue is full.
    pub(crate) fn try_queue(&self, outgoing: Outgoing) -> Result<Published, Error> {
        let (done, committed) = oneshot::channel();
        self.queue.try_send(Job { outgoing, done }).map_err(|_| Error::Closed)?;
        Ok(Published(committed))
    }
}

async fn run<B: Backend>(backend: Arc<B>, table: String, mut jobs: mpsc::Receiver<Job>, events: Arc<Events>) {
    let mut queued = Vec::new();
    while !queued.is_empty() || jobs.recv_many(&mut queued, MAX_BATCH).await > 0 {
        let (mut batch, done) = take_batch(&mut queued);
        make_distinct(&mut batch);
        for (result, done) in publish(&*backend, &table, &batch, &events).await.into_iter().zip(done) {
            // The sender may have stopped waiting.
            let _ = done.send(result);
        }
        // Top up from what came meanwhile, so that the next batch is as large as it can be.
        while queued.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            queued.push(job);
        }
    }
}

/// Takes the next batch off the front, within the byte limit but never empty.
fn take_batch(queued: &mut Vec<Job>) -> (Vec<Outgoing>, Vec<oneshot::Sender<Result<(), Error>>>) {
    let mut bytes = 0;
    let mut count = 0;
    let mut full_size_payloads = HashSet::new();
    for job in queued.iter().take(MAX_BATCH) {
        bytes += size(&job.outgoing);
        if count > 0 && bytes > MAX_BATCH_BYTES {
            break;
        }
        // A payload that has no room left cannot be told from its twin: the twin goes into the next batch.
        if let Content::Inline(payload) = &job.outgoing.content
            && payload.len() + MAX_PADDING > MAX_PAYLOAD
            && !full_size_payloads.insert((job.outgoing.channel.as_str(), payload.as_str()))
        {
            break;
        }
        count += 1;
    }
    queued.drain(..count).map(|job| (job.outgoing, job.done)).unzip()
}

fn size(outgoing: &Outgoing) -> usize {
    match &outgoing.content {
        Content::Inline(payload) => payload.len(),
        Content::Attachment { body, .. } => body.len(),
    }
}

/// The most spaces that [`make_distinct`] can need: one for each equal payload before.
const MAX_PADDING: usize = MAX_BATCH;

/// PostgreSQL folds equal notifications of one transaction into one. White space after a JSON value means nothing, so
/// equal payloads are given different lengths by trailing spaces.
fn make_distinct(batch: &mut [Outgoing]) {
    // Next free length by a hash of channel and payload: a collision costs a superfluous space and nothing else.
    let mut free_length: HashMap<u64, usize> = HashMap::new();
    let hasher = RandomState::new();
    for outgoing in batch {
        if let Content::Inline(payload) = &mut outgoing.content {
            let key = hasher.hash_one((outgoing.channel.as_str(), payload.trim_end_matches(' ')));
            let free = free_length.entry(key).or_default();
            let padding = free.saturating_sub(payload.len());
            payload.extend(std::iter::repeat_n(' ', padding));
            *free = payload.len() + 1;
        }
    }
}

/// Publishes a batch. When PostgreSQL refuses it for what is in it, each message is tried alone, so that one that cannot
/// be sent takes no other down.
async fn publish<B: Backend>(backend: &B, table: &str, batch: &[Outgoing], events: &Events) -> Vec<Result<(), Error>> {
    match publish_together(backend, table, batch, events).await {
        Ok(()) => vec![Ok(()); batch.len()],
        Err(error) if batch.len() > 1 && is_about_content(&error) => {
            let mut results = Vec::with_capacity(batch.len());
            for outgoing in batch {
                let result = publish_together(backend, table, std::slice::from_ref(outgoing), events).await;
                results.push(result.map_err(|error| failed(error, 1, events)));
            }
            results
        }
        Err(error) => vec![Err(failed(error, batch.len(), events)); batch.len()],
    }
}

async fn publish_together<B: Backend>(
    backend: &B,
    table: &str,
    batch: &[Outgoing],
    events: &Events,
) -> Result<(), BackendError> {
    backend.publish(table, batch).await?;
    let bytes = batch.iter().map(size).sum();
    events.meters().batch_published(batch.len(), bytes);
    tracing::debug!(messages = batch.len(), bytes, "published a batch");
    Ok(())
}

fn is_about_content(error: &BackendError) -> bool {
    !matches!(error.kind(), ErrorKind::Connection | ErrorKind::Configuration)
}

fn failed(error: BackendError, messages: usize, events: &Events) -> Error {
    tracing::warn!(%error, messages, "messages were not published");
    events.meters().not_published(messages, &error, is_about_content(&error));
    Error::Publish(Arc::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(channel: &str, payload: impl Into<String>) -> Outgoing {
        Outgoing { channel: channel.to_owned(), content: Content::Inline(payload.into()) }
    }

    fn job(outgoing: Outgoing) -> Job {
        Job { outgoing, done: oneshot::channel().0 }
    }

    #[test]
    fn equal_payloads_of_one_batch_are_kept_apart() {
        let mut batch =
            vec![inline("a", "{}"), inline("a", "{}"), inline("b", "{}"), inline("a", "{} "), inline("a", "{}")];
        make_distinct(&mut batch);
        let distinct: HashSet<_> = batch.iter().map(|outgoing| format!("{outgoing:?}")).collect();
        assert_eq!(distinct.len(), 5);
        assert_eq!(batch[2], inline("b", "{}"));
    }

    #[test]
    fn a_full_payload_and_its_twin_go_into_two_batches() {
        let full = "x".repeat(MAX_PAYLOAD);
        let mut queued = vec![job(inline("a", full.clone())), job(inline("a", full.clone())), job(inline("a", "{}"))];
        assert_eq!(take_batch(&mut queued).0, [inline("a", full.clone())]);
        assert_eq!(take_batch(&mut queued).0, [inline("a", full), inline("a", "{}")]);
        assert!(queued.is_empty());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty() {
        let huge = || Outgoing {
            channel: "a".to_owned(),
            content: Content::Attachment {
                body: vec![0; MAX_BATCH_BYTES + 1],
                before_id: String::new(),
                after_id: String::new(),
            },
        };
        let mut queued = vec![job(huge()), job(huge())];
        assert_eq!(take_batch(&mut queued).0.len(), 1);
        assert_eq!(take_batch(&mut queued).0.len(), 1);
    }
}
