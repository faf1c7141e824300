//! The queue of messages to publish, drained into batches.
//!
//! Messages that are queued while a batch is in flight become the next batch. So a lone message
//! does not wait, a storm costs one commit for each batch, and the order of a sender's messages is
//! the order in which it queued them. A message is queued at once, even while the queue is full:
//! senders wait behind their message, not before it. While the queue is empty, a message is
//! published by its sender's own task: see [`fast_path`](crate::outbound::fast_path).
//!
//! A table may hang, as one that another session has locked does. Heartbeats do not wait behind what
//! hangs there: other nodes would take this one for dead.

mod batch;
#[cfg(all(test, feature = "model"))]
mod model;
mod trouble;

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{self, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    backend::{Backend, BackendError, CatchUp, ErrorKind, Outgoing, has_timed_out, in_time},
    error::Error,
    observe::event::Events,
    outbound::{
        effect::Effect,
        fast_path::{FastPath, Publishing},
    },
    queue::{self, queue},
    sync::{AtomicBool, AtomicUsize, Notify, oneshot},
};
use batch::{Needs, is_attachment, make_distinct, size, take_batch, take_heartbeats};
use trouble::{Complaints, Hanging};

/// How many messages of a batch are tried alone while the server refuses each for a reason of its
/// own.
const MAX_REFUSED: usize = 3;

/// How long a batch waits for heartbeats that passed the one before it.
const LAST_HEARTBEATS: Duration = Duration::from_secs(1);

/// Puts messages into the queue.
pub(crate) struct Publisher<B> {
    queue: queue::Sender<Job>,
    backlog: Arc<Backlog>,
    fast_path: Arc<FastPath>,
    writer: Arc<BatchWriter<B>>,
}

/// How many messages are in the queue, and which tasks wait because there are too many.
struct Backlog {
    /// All messages. Only shown, not limited.
    waiting: atomic::AtomicUsize,
    /// How many of them are responses to other nodes. Only these are limited: a task that emits
    /// waits for the commit.
    answers: AtomicUsize,
    capacity: usize,
    shrank: Notify,
    has_ended: AtomicBool,
}

/// What publishes batches.
struct BatchWriter<B> {
    backend: Arc<B>,
    tables: Tables,
    /// How long a batch may take.
    limit: Duration,
    /// The same while a table hangs that it needs, and after which heartbeats pass a batch.
    limit_while_hanging: Duration,
    /// Which tables hang, as when they are locked: then what does not need them does not wait with what
    /// does.
    hanging: Hanging,
    complaints: parking_lot::Mutex<Complaints>,
    events: Arc<Events>,
}

/// How long a batch may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) full: Duration,
    /// While a table hangs that it needs.
    pub(crate) while_hanging: Duration,
}

/// The tables that publishing writes to.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) attachments: String,
    pub(crate) log: Option<CatchUp>,
}

impl Tables {
    async fn publish<B: Backend>(&self, backend: &B, batch: &[Outgoing]) -> Result<(), BackendError> {
        let log = self.log.as_ref().filter(|_| batch.iter().any(|outgoing| outgoing.is_logged));
        backend.publish(&self.attachments, log, batch).await
    }
}

#[derive(Debug)]
struct Job {
    outgoing: Outgoing,
    queued: Instant,
    is_response: bool,
    is_heartbeat: bool,
    /// Why it is not sent any more. It stays in its place, so that its effect runs in its turn.
    given_up: Option<Error>,
    done: Done,
}

/// The sender that gets the result of a message, and the effect on this node.
#[derive(Debug)]
struct Done {
    effect: Effect,
    sender: oneshot::Sender<Result<(), Error>>,
}

impl Done {
    fn finish(self, result: Result<(), Error>) {
        self.effect.run(&result);
        // The sender may have stopped waiting.
        let _ = self.sender.send(result);
    }
}

/// A batch in flight, and between its messages those that were given up, with the reason. If it is
/// dropped, it is not known whether its messages were published.
struct BatchInFlight(Vec<(Done, Option<Error>)>);

impl BatchInFlight {
    fn finish(mut self, results: Vec<Result<(), Error>>) {
        let mut results = results.into_iter();
        for (done, given_up) in std::mem::take(&mut self.0) {
            let result = given_up.map(Err).or_else(|| results.next());
            done.finish(result.unwrap_or_else(|| Err(Error::aborted())));
        }
    }
}

impl Drop for BatchInFlight {
    fn drop(&mut self) {
        for (done, given_up) in self.0.drain(..) {
            done.finish(Err(given_up.unwrap_or_else(Error::aborted)));
        }
    }
}

/// A message in the queue. Dropping it does not take the message back.
#[must_use]
pub(crate) struct Published(oneshot::Receiver<Result<(), Error>>);

impl Published {
    /// Waits until the message is committed.
    pub(crate) async fn committed(self) -> Result<(), Error> {
        self.0.await.unwrap_or(Err(Error::Closed))
    }

    /// Stops waiting; a failure is only logged.
    pub(crate) fn detach(self) {
        // The publisher logs each failed batch itself.
        drop(self);
    }
}

impl<B: Backend> Publisher<B> {
    /// Starts the publisher. It ends when this is dropped and the queue is empty.
    pub(crate) fn start(
        backend: Arc<B>,
        tables: Tables,
        capacity: usize,
        limits: Limits,
        events: Arc<Events>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (publisher, publishing) = Self::new(backend, tables, capacity, limits, events);
        (publisher, tokio::spawn(publishing))
    }

    fn new(
        backend: Arc<B>,
        tables: Tables,
        capacity: usize,
        limits: Limits,
        events: Arc<Events>,
    ) -> (Self, impl Future<Output = ()> + use<B>) {
        let (queue, jobs) = queue();
        let backlog = Arc::new(Backlog {
            waiting: atomic::AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            capacity,
            shrank: Notify::new(),
            has_ended: AtomicBool::new(false),
        });
        let writer = Arc::new(BatchWriter {
            backend,
            tables,
            limit: limits.full,
            limit_while_hanging: limits.while_hanging,
            hanging: Hanging::default(),
            complaints: Default::default(),
            events,
        });
        let fast_path = Arc::new(FastPath::new());
        let publishing = run(writer.clone(), jobs, CloseOnDrop(backlog.clone()), fast_path.clone());
        (Self { queue, backlog, fast_path, writer }, publishing)
    }

    /// Begins to publish a message: messages that are queued afterwards come behind it.
    ///
    /// The future ends once it is committed; dropping it does not take the message back. `effect`
    /// runs in the order of the queue, when the message is committed or has failed, also when the
    /// sender no longer waits. It is returned when the publisher has ended.
    pub(crate) fn begin(
        self: &Arc<Self>,
        outgoing: Outgoing,
        effect: Effect,
    ) -> Result<impl Future<Output = Result<(), Error>> + use<B>, Effect> {
        enum Begun<D> {
            Direct(D),
            Queued(Published),
        }
        let publish = |outgoing| -> Publishing {
            let writer = self.writer.clone();
            Box::pin(async move { writer.publish(&[outgoing]).await.pop().unwrap_or(Err(Error::Closed)) })
        };
        // An attachment may take long, and messages gather meanwhile: the publisher's task handles
        // those better.
        let begun = if is_attachment(&outgoing) {
            Err((outgoing, effect))
        } else {
            self.fast_path.begin((outgoing, effect), publish)
        };
        let begun = match begun {
            Ok(direct) => {
                // Weak: a sender that keeps the future and does not poll it must not keep the
                // publisher. When that ends, it hands over what senders have begun.
                let publisher = Arc::downgrade(self);
                let take_over = move || publisher.upgrade().is_none_or(|publisher| publisher.take_over());
                Begun::Direct(self.fast_path.drive(direct, take_over))
            }
            Err((outgoing, effect)) => Begun::Queued(self.queue(outgoing, effect)?),
        };
        Ok(async move {
            match begun {
                Begun::Direct(driving) => driving.await,
                Begun::Queued(published) => published.committed().await,
            }
        })
    }

    /// How many messages wait for their batch.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.waiting.load(Ordering::Relaxed)
    }

    /// Queues a response to another node, without waiting.
    pub(crate) fn queue_response(&self, outgoing: Outgoing, effect: Effect) -> Result<(), Effect> {
        let (mut job, published) = Job::new(outgoing, effect);
        job.is_response = true;
        self.backlog.answers.fetch_add(1, Ordering::Relaxed);
        self.send(job).inspect_err(|_| self.backlog.answered(1))?;
        published.detach();
        Ok(())
    }

    /// Waits while there are too many responses in the queue, however much else the application
    /// sends.
    pub(crate) async fn wait_for_capacity(&self) -> Result<(), Error> {
        if self.backlog.wait_for_capacity().await { Ok(()) } else { Err(Error::Closed) }
    }

    /// Queues heartbeats that go out in one transaction where they fit into one, without waiting.
    pub(crate) fn queue_together(&self, outgoing: Vec<(Outgoing, Effect)>) -> Result<(), Error> {
        let job = |(outgoing, effect)| Job { is_heartbeat: true, ..Job::new(outgoing, effect).0 };
        let jobs: Vec<_> = outgoing.into_iter().map(job).collect();
        let count = jobs.len();
        self.backlog.waiting.fetch_add(count, Ordering::Relaxed);
        let sent = self.fast_path.occupy(|| self.queue.send_all(jobs));
        // The effects that are returned run here. They belong to messages of the node itself, so
        // they do not run code of the application.
        sent.map_err(|_| self.not_sent(count))
    }

    /// Queues a message without waiting. The effect is returned when the publisher has ended.
    pub(crate) fn queue(&self, outgoing: Outgoing, effect: Effect) -> Result<Published, Effect> {
        let (job, published) = Job::new(outgoing, effect);
        self.send(job)?;
        Ok(published)
    }

    /// False when the publisher's task has ended.
    fn take_over(&self) -> bool {
        self.fast_path.occupy(|| self.queue.nudge())
    }

    fn send(&self, job: Job) -> Result<(), Effect> {
        self.backlog.waiting.fetch_add(1, Ordering::Relaxed);
        let mut job = Some(job);
        if self.fast_path.occupy(|| self.queue.send_from(&mut job)) {
            return Ok(());
        }
        self.not_sent(1);
        // The caller may hold locks, under which no effect may run.
        Err(job.map(|job| job.done.effect).unwrap_or_default())
    }

    fn not_sent(&self, count: usize) -> Error {
        self.backlog.waiting.fetch_sub(count, Ordering::Relaxed);
        Error::Closed
    }
}

/// The task finishes what a sender has begun, and then what is in the queue.
impl<B> Drop for Publisher<B> {
    fn drop(&mut self) {
        self.fast_path.occupy(|| self.queue.nudge());
    }
}

impl Backlog {
    /// Waits while there are more responses than there may be. False when the publisher has ended.
    async fn wait_for_capacity(&self) -> bool {
        loop {
            let mut shrank = pin!(self.shrank.notified());
            // Registered before the check, so that no removal from the queue is missed.
            shrank.as_mut().enable();
            if self.has_ended.load(Ordering::Acquire) {
                return false;
            }
            if self.answers.load(Ordering::Relaxed) <= self.capacity {
                return true;
            }
            shrank.await;
        }
    }

    fn took(&self, taken: Taken) {
        self.waiting.fetch_sub(taken.all, Ordering::Relaxed);
        self.answered(taken.answers);
    }

    fn answered(&self, count: usize) {
        let before = self.answers.fetch_sub(count, Ordering::Relaxed);
        if before > self.capacity {
            self.shrank.notify_waiters();
        }
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.shrank.notify_waiters();
    }
}

/// How many jobs left the queue.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    answers: usize,
}

impl Taken {
    fn count<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Self {
        jobs.into_iter().fold(Self::default(), |Self { all, answers }, job| Self {
            all: all + 1,
            answers: answers + usize::from(job.is_response),
        })
    }
}

impl Job {
    fn new(outgoing: Outgoing, effect: Effect) -> (Self, Published) {
        let (sender, committed) = oneshot::channel();
        let done = Done { effect, sender };
        (
            Self { outgoing, queued: Instant::now(), is_response: false, is_heartbeat: false, given_up: None, done },
            Published(committed),
        )
    }
}

/// The end is noted even for a task that was aborted before it began.
async fn run<B: Backend>(
    writer: Arc<BatchWriter<B>>,
    mut jobs: queue::Receiver<Job>,
    end: CloseOnDrop,
    fast_path: Arc<FastPath>,
) {
    let backlog: &Backlog = &end.0;
    let mut queued = VecDeque::new();
    while !queued.is_empty() || jobs.take(&mut queued).await {
        let may_hang = writer.tables.log.is_some();
        with_heartbeats(&writer, (&mut jobs, &mut queued, backlog), may_hang, fast_path.take_over()).await;
        backlog.took(finish_given_up(&mut queued));
        if queued.is_empty() {
            fast_path.leave_if(|| jobs.is_empty());
            continue;
        }
        let (mut batch, in_flight, taken) = take_batch(&mut queued, writer.hanging.tables() != Needs::NO_TABLE);
        backlog.took(taken);
        make_distinct(&mut batch);
        let may_hang = Needs::of_all(&batch) != Needs::NO_TABLE;
        let results =
            with_heartbeats(&writer, (&mut jobs, &mut queued, backlog), may_hang, writer.publish(&batch)).await;
        let trouble = results.iter().find_map(|result| match result {
            Err(Error::Publish(error) | Error::Unconfirmed(error)) if !is_about_content(error) => Some(error.clone()),
            _ => None,
        });
        in_flight.finish(results);
        // Taken last, so that the next batch is as large as it can be.
        jobs.take_now(&mut queued);
        if let Some(error) = trouble {
            // Nothing more hangs where nothing of this batch did.
            let needs = Needs::of_all(&batch);
            let hanging = Some(writer.hanging.tables()).filter(|tables| tables.intersects(needs));
            let count = give_up_waiting(&mut queued, writer.limit, hanging.unwrap_or_default(), &error);
            writer.gave_up(count, needs, &error);
        }
        if queued.is_empty() {
            fast_path.leave_if(|| jobs.is_empty());
        }
    }
}

/// Waits for work that may hang at a table. Heartbeats are published meanwhile, on another connection.
async fn with_heartbeats<B: Backend, T>(
    writer: &BatchWriter<B>,
    (jobs, queued, backlog): (&mut queue::Receiver<Job>, &mut VecDeque<Job>, &Backlog),
    may_hang: bool,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if !may_hang {
        return work.await;
    }
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(writer.limit_while_hanging) => {}
        }
        jobs.take_now(queued);
        let (batch, in_flight, taken) = take_heartbeats(queued);
        if batch.is_empty() {
            continue;
        }
        backlog.took(taken);
        let mut publishing = pin!(async { in_flight.finish(writer.publish_heartbeats(batch).await) });
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            () = &mut publishing => continue,
        };
        // A close message may be next, and a heartbeat must not come behind it.
        let _ = tokio::time::timeout(LAST_HEARTBEATS, publishing).await;
        return done;
    }
}

/// The last failures may not have been told.
impl<B> Drop for BatchWriter<B> {
    fn drop(&mut self) {
        let messages = self.complaints.lock().close();
        if messages > 0 {
            tracing::warn!(messages, "messages were not published, before the node closed");
        }
    }
}

/// Marks the publisher as ended, however its task ends: nothing will be published any more.
struct CloseOnDrop(Arc<Backlog>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// After a failure, gives up messages that have waited in the queue for longer than a batch may
/// take. Otherwise the queue in front of a dead link would be drained one time-out after the other.
/// Gives up all that need a table that hangs, too: they would hang where the last ones did. Returns how
/// many.
fn give_up_waiting(queued: &mut VecDeque<Job>, limit: Duration, hanging: Needs, error: &BackendError) -> usize {
    let now = Instant::now();
    let would_hang = |outgoing: &Outgoing| hanging.intersects(Needs::of(outgoing));
    let mut count = 0;
    for job in queued.iter_mut() {
        if job.given_up.is_none() && (now - job.queued >= limit || would_hang(&job.outgoing)) {
            job.given_up = Some(not_tried(error));
            count += 1;
        }
    }
    count
}

/// Finishes the messages at the front that are given up. Returns how many.
fn finish_given_up(queued: &mut VecDeque<Job>) -> Taken {
    let mut taken = Taken::default();
    while let Some(error) = queued.front_mut().and_then(|job| job.given_up.take()) {
        let Some(job) = queued.pop_front() else { break };
        taken.all += 1;
        taken.answers += usize::from(job.is_response);
        job.done.finish(Err(error));
    }
    taken
}

impl<B: Backend> BatchWriter<B> {
    /// Publishes a batch. When PostgreSQL refuses it for its content, each message is tried alone,
    /// so that only messages that cannot be sent fail.
    async fn publish(&self, batch: &[Outgoing]) -> Vec<Result<(), Error>> {
        let limit = self.hanging.limit(Needs::of_all(batch), self.limit, self.limit_while_hanging);
        match self.publish_together(batch, limit).await {
            Ok(()) => vec![Ok(()); batch.len()],
            Err(error) if batch.len() > 1 && is_about_content(&error) => self.publish_each(batch, limit).await,
            Err(error) => {
                let is_about_content = batch.iter().all(|outgoing| is_about(outgoing, &error));
                vec![Err(self.failed(error, batch, is_about_content)); batch.len()]
            }
        }
    }

    async fn publish_each(&self, batch: &[Outgoing], limit: Duration) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(batch.len());
        let mut is_any_published = false;
        let mut refused = 0;
        // What is not tried any more, and why: all messages, or those that need these tables.
        let mut given_up: Option<(Option<Needs>, BackendError)> = None;
        for outgoing in batch {
            if let Some((tables, error)) = &given_up
                && tables.is_none_or(|tables| tables.intersects(Needs::of(outgoing)))
            {
                self.events.counters().not_published(1, error, true);
                results.push(Err(not_tried(error)));
                continue;
            }
            let error = match self.publish_together(std::slice::from_ref(outgoing), limit).await {
                Ok(()) => {
                    is_any_published = true;
                    results.push(Ok(()));
                    continue;
                }
                Err(error) => error,
            };
            let is_of_all = !is_about_content(&error);
            let is_its_own = !is_of_all && (is_any_published || is_about(outgoing, &error));
            refused += usize::from(!is_its_own);
            if is_of_all || refused == MAX_REFUSED {
                // A table may hang, or refuse, while notifications do not. A link that is dead is so for
                // all.
                let needs = Needs::of(outgoing);
                let is_dead = error.kind() == ErrorKind::Connection && !has_timed_out(&error);
                let before = given_up.take().map_or(Some(Needs::NO_TABLE), |(tables, _)| tables);
                let tables = before.filter(|_| !is_dead && needs != Needs::NO_TABLE).map(|before| before.and(needs));
                given_up = Some((tables, BackendError::new(error.kind(), error.to_string())));
            }
            results.push(Err(self.failed(error, std::slice::from_ref(outgoing), is_its_own)));
        }
        results
    }

    /// Publishes heartbeats that do not wait behind a batch which hangs. A failure is told only to the
    /// rules of the namespaces, which try again: there may be no second connection.
    async fn publish_heartbeats(&self, batch: Vec<Outgoing>) -> Vec<Result<(), Error>> {
        // It may have to connect first.
        let limit = self.limit_while_hanging.saturating_mul(2).min(self.limit);
        let published = in_time(limit, self.tables.publish(&*self.backend, &batch)).await;
        vec![published.map_err(Error::of_publication); batch.len()]
    }

    async fn publish_together(&self, batch: &[Outgoing], limit: Duration) -> Result<(), BackendError> {
        let started = tokio::time::Instant::now();
        let _under_way = self.events.counters().batch_begins(started);
        let span = tracing::debug_span!("publish", messages = batch.len());
        let published = in_time(limit, self.tables.publish(&*self.backend, batch)).instrument(span).await;
        let needs = Needs::of_all(batch);
        self.hanging.note(needs, &published);
        published?;
        if let Some(untold) = self.complaints.lock().end(needs) {
            tracing::info!(untold, "messages are published again");
        }
        let took = started.elapsed();
        let bytes = batch.iter().map(size).sum();
        self.events.counters().batch_published(batch.len(), bytes, took);
        tracing::debug!(messages = batch.len(), bytes, ?took, "published a batch");
        Ok(())
    }

    /// Messages that had not been tried are not sent any more.
    fn gave_up(&self, messages: usize, needs: Needs, error: &BackendError) {
        if messages > 0 {
            self.complain(error, messages, needs);
            // What failed has counted already.
            self.events.counters().not_published(messages, error, true);
        }
    }

    /// Tells of messages that were not published, or were not sent behind such.
    fn complain(&self, error: &BackendError, messages: usize, needs: Needs) {
        if let Some(messages) = self.complaints.lock().add(messages, needs) {
            tracing::warn!(%error, messages, "messages were not published");
        }
    }

    fn failed(&self, error: BackendError, batch: &[Outgoing], is_about_content: bool) -> Error {
        self.complain(&error, batch.len(), Needs::of_all(batch));
        self.events.counters().not_published(batch.len(), &error, is_about_content);
        Error::of_publication(error)
    }
}

fn is_about_content(error: &BackendError) -> bool {
    error.kind().is_about_content()
}

/// Whether the failure of a message is its own fault, or that of a table that it needs. PostgreSQL has
/// no reason to refuse what is inline and not logged, as it was checked before: then the server is the
/// reason, such as a full notification queue.
fn is_about(outgoing: &Outgoing, error: &BackendError) -> bool {
    let needs_table = is_attachment(outgoing) || outgoing.is_logged;
    is_about_content(error) && (error.kind() != ErrorKind::Other || needs_table)
}

/// The error of a message that was not sent because of what failed before it.
fn not_tried(error: &BackendError) -> Error {
    let reason = format!("it was not sent, as what was sent before it failed: {error}");
    Error::Publish(Arc::new(BackendError::new(error.kind(), reason).unsent()))
}
