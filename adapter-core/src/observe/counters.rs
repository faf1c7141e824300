//! What a node counts and remembers: the one source of its counts, its health and its metrics.
//!
//! Always on: a hot path only adds to an atomic number.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    backend::BackendError,
    env::Clock,
    observe::{
        classes::{Dropped, InvalidMessage},
        health::{Counts, Failure, LinkHealth, OutboxHealth},
    },
};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Returns the count before.
    pub(crate) fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a node counts and remembers.
#[derive(Debug)]
pub(crate) struct Counters {
    clock: Clock,
    pub(crate) published: Count,
    pub(crate) published_bytes: Count,
    /// Messages of this node that PostgreSQL did not take.
    pub(crate) unpublished: Count,
    pub(crate) batches: Count,
    pub(crate) received: Count,
    pub(crate) received_bytes: Count,
    pub(crate) attachments: Count,
    pub(crate) attachment_bytes: Count,
    pub(crate) reconnects: Count,
    pub(crate) gaps: Count,
    /// Old rows that were deleted, and how often deleting them failed.
    pub(crate) swept: Count,
    pub(crate) sweep_failures: Count,
    /// How many tables have old rows that are not deleted as fast as they come.
    pub(crate) sweeps_behind: AtomicUsize,
    /// Rows of the outbox that this node published, those that it could not, and how often
    /// publishing them failed.
    pub(crate) outbox_published: Count,
    pub(crate) outbox_refused: Count,
    pub(crate) outbox_failures: Count,
    outbox: Mutex<OutboxHealth>,
    rejected: [Count; InvalidMessage::LABELS.len()],
    dropped: [Count; Dropped::ALL.len()],
    /// Messages that have arrived and are not handled yet, and the bytes of their notifications.
    pub(crate) waiting: AtomicUsize,
    pub(crate) waiting_bytes: AtomicUsize,
    /// In microseconds since 1970.
    last_heard: AtomicU64,
    /// Until when all that other nodes published was heard.
    all_heard_until: Mutex<Instant>,
    link: Mutex<Link>,
    publishing: Mutex<Publishing>,
    #[cfg(feature = "metrics")]
    histograms: crate::observe::histograms::Histograms,
}

#[derive(Debug)]
struct Link {
    is_listening: bool,
    since: SystemTime,
    last_error: Option<Failure>,
}

/// What is counted of publishing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Publishing {
    pub(crate) last_error: Option<Failure>,
    pub(crate) consecutive_failures: u64,
    /// Since when a batch is under way.
    batch_since: Option<Instant>,
}

impl Default for Counters {
    fn default() -> Self {
        let clock = Clock::of_node();
        let now = clock.now();
        Self {
            clock,
            published: Count::default(),
            published_bytes: Count::default(),
            unpublished: Count::default(),
            batches: Count::default(),
            received: Count::default(),
            received_bytes: Count::default(),
            attachments: Count::default(),
            attachment_bytes: Count::default(),
            reconnects: Count::default(),
            gaps: Count::default(),
            swept: Count::default(),
            sweep_failures: Count::default(),
            sweeps_behind: AtomicUsize::new(0),
            outbox_published: Count::default(),
            outbox_refused: Count::default(),
            outbox_failures: Count::default(),
            outbox: Mutex::default(),
            rejected: Default::default(),
            dropped: Default::default(),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            last_heard: AtomicU64::new(microseconds(now)),
            all_heard_until: Mutex::new(Instant::now()),
            link: Mutex::new(Link { is_listening: false, since: now, last_error: None }),
            publishing: Mutex::default(),
            #[cfg(feature = "metrics")]
            histograms: crate::observe::histograms::Histograms::default(),
        }
    }
}

/// The listening connection.
impl Counters {
    /// The time by the node's wall clock.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Notes that something came from the server; returns when.
    pub(crate) fn heard(&self) -> SystemTime {
        let now = self.now();
        self.last_heard.store(microseconds(now), Ordering::Relaxed);
        now
    }

    /// Notes until when all that other nodes published was heard.
    pub(crate) fn heard_all_until(&self, until: Instant) {
        *self.all_heard_until.lock() = until;
    }

    pub(crate) fn all_heard_until(&self) -> Instant {
        *self.all_heard_until.lock()
    }

    pub(crate) fn listens(&self) {
        let since = self.heard();
        let mut link = self.link.lock();
        link.is_listening = true;
        link.since = since;
    }

    pub(crate) fn disconnected(&self, reason: &str) {
        let mut link = self.link.lock();
        let now = self.now();
        if std::mem::replace(&mut link.is_listening, false) {
            link.since = now;
        }
        link.last_error = Some(Failure { at: now, error: reason.to_owned() });
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.link.lock().is_listening
    }

    pub(crate) fn link(&self) -> LinkHealth {
        let link = self.link.lock();
        LinkHealth {
            is_listening: link.is_listening,
            since: link.since,
            last_heard: SystemTime::UNIX_EPOCH + Duration::from_micros(self.last_heard.load(Ordering::Relaxed)),
            last_error: link.last_error.clone(),
        }
    }
}

/// Publishing.
impl Counters {
    /// Counts a batch, or a message alone, that was committed.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "times go nowhere else"))]
    pub(crate) fn batch_published(&self, messages: usize, bytes: usize, took: Duration) {
        #[cfg(feature = "metrics")]
        self.histograms.published(messages, took);
        self.batches.add(1);
        self.published.add(messages as u64);
        self.published_bytes.add(bytes as u64);
        self.publishing.lock().consecutive_failures = 0;
    }

    /// Counts messages that were not published. A message that is refused for what it contains does
    /// not count as a failure to publish.
    pub(crate) fn not_published(&self, messages: usize, error: &BackendError, is_about_content: bool) {
        self.unpublished.add(messages as u64);
        let mut publishing = self.publishing.lock();
        publishing.last_error = Some(Failure { at: self.now(), error: error.to_string() });
        if !is_about_content {
            publishing.consecutive_failures += 1;
        }
    }

    pub(crate) fn publishing(&self) -> Publishing {
        self.publishing.lock().clone()
    }

    /// A batch is under way until the result is dropped.
    pub(crate) fn batch_begins(&self, now: Instant) -> BatchUnderWay<'_> {
        self.publishing.lock().batch_since = Some(now);
        BatchUnderWay(self)
    }

    /// Whether the latest batch has failed, or one has been under way for this long.
    pub(crate) fn cannot_publish(&self, patience: Duration) -> bool {
        let publishing = self.publishing.lock();
        let is_stuck = publishing.batch_since.is_some_and(|since| since.elapsed() >= patience);
        is_stuck || publishing.consecutive_failures > 0
    }
}

/// Of batches, one at a time is under way.
pub(crate) struct BatchUnderWay<'a>(&'a Counters);

impl Drop for BatchUnderWay<'_> {
    fn drop(&mut self) {
        self.0.publishing.lock().batch_since = None;
    }
}

/// The outbox.
impl Counters {
    /// Notes for how long the oldest row of the outbox has waited.
    pub(crate) fn outbox_waits(&self, waited: Duration) {
        self.outbox.lock().oldest_ms = waited.as_millis().try_into().unwrap_or(u64::MAX);
    }

    /// Notes whether it is this node's turn to publish the outbox.
    pub(crate) fn outbox_is_publishing(&self, is_publishing: bool) {
        self.outbox.lock().is_publishing = is_publishing;
    }

    pub(crate) fn outbox_failed(&self, error: &BackendError) {
        self.outbox_failures.add(1);
        let mut outbox = self.outbox.lock();
        outbox.is_publishing = false;
        outbox.last_error = Some(Failure { at: self.now(), error: error.to_string() });
    }

    pub(crate) fn outbox(&self) -> OutboxHealth {
        self.outbox.lock().clone()
    }
}

/// Attachments.
impl Counters {
    /// Counts a query for attachments that PostgreSQL has answered.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "times go nowhere else"))]
    pub(crate) fn fetched(&self, took: Duration) {
        #[cfg(feature = "metrics")]
        self.histograms.fetched(took);
    }

    /// Counts an attachment that was fetched.
    pub(crate) fn attachment(&self, bytes: usize) {
        self.attachments.add(1);
        self.attachment_bytes.add(bytes as u64);
    }
}

/// What was not handled.
impl Counters {
    pub(crate) fn rejected(&self, kind: InvalidMessage) {
        self.rejected[kind.index()].add(1);
    }

    /// How often each kind was counted, in the order of [`InvalidMessage::LABELS`].
    pub(crate) fn rejected_by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        InvalidMessage::LABELS.into_iter().zip(self.rejected.iter().map(Count::get))
    }

    /// Returns the count before.
    pub(crate) fn dropped(&self, what: Dropped) -> u64 {
        self.dropped[what as usize].add(1)
    }

    pub(crate) fn dropped_so_far(&self, what: Dropped) -> u64 {
        self.dropped[what as usize].get()
    }

    pub(crate) fn dropped_by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Dropped::ALL.into_iter().map(|what| (what.as_str(), self.dropped_so_far(what)))
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            rejected: self.rejected.iter().map(Count::get).sum(),
            dropped: self.dropped.iter().map(Count::get).sum(),
            published: self.published.get(),
            unpublished: self.unpublished.get(),
            received: self.received.get(),
            reconnects: self.reconnects.get(),
            gaps: self.gaps.get(),
            swept: self.swept.get(),
            sweep_failures: self.sweep_failures.get(),
            outbox_published: self.outbox_published.get(),
            outbox_refused: self.outbox_refused.get(),
            outbox_failures: self.outbox_failures.get(),
            rejected_by_kind: self.rejected_by_kind().collect(),
            dropped_by_class: self.dropped_by_class().collect(),
        }
    }
}

fn microseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_micros().try_into().unwrap_or(u64::MAX)
}
