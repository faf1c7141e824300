//! Deletes old attachments when there may be any, and old rows of the catch-up log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    backend::{Backend, SweepBatch, has_timed_out, in_time},
    observe::event::{Event, Events},
    options::Options,
};

/// After this many intervals without a sweep, there is one in any case: other nodes may have left
/// rows behind.
const IN_ANY_CASE: u32 = 20;

/// Whether attachments of this node or of others were seen lately.
#[derive(Debug, Default)]
pub(crate) struct AttachmentActivity(AtomicBool);

impl AttachmentActivity {
    pub(crate) fn seen(&self) {
        // Mostly it is true already, and reading does not move the cache line between processors.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// How many rows are deleted in a statement: at first, at most, and at least.
const FIRST_BATCH: u64 = 5_000;
const MAX_BATCH: u64 = 50_000;
const MIN_BATCH: u64 = 1;

/// After this many failures in a row they are reported.
const FAILURES: u32 = 3;

/// Deletes old attachments of all nodes from time to time.
pub(crate) async fn sweep<B: Backend>(
    backend: Arc<B>,
    options: Options,
    sightings: Arc<AttachmentActivity>,
    events: Arc<Events>,
) {
    let interval = options.cleanup_interval;
    let mut schedule = Schedule::default();
    let mut sweeper = Sweeper::new(backend, options.table.clone(), interval, false, &options, events);
    loop {
        tokio::time::sleep(interval).await;
        // Also when an earlier sweep left rows behind.
        if schedule.is_due(sightings.take()) || sweeper.is_behind || sweeper.failures > 0 {
            sweeper.sweep().await;
        }
    }
}

/// Deletes old rows of the catch-up log, of all nodes, from time to time.
pub(crate) async fn sweep_log<B: Backend>(
    backend: Arc<B>,
    table: String,
    age: Duration,
    options: Options,
    events: Arc<Events>,
) {
    let mut sweeper = Sweeper::new(backend, table, age, true, &options, events);
    loop {
        tokio::time::sleep(options.cleanup_interval).await;
        sweeper.sweep().await;
    }
}

/// Deletes the old rows of a table in batches that PostgreSQL can do in time.
struct Sweeper<B> {
    backend: Arc<B>,
    table: String,
    batch: SweepBatch,
    interval: Duration,
    query_timeout: Duration,
    events: Arc<Events>,
    /// Failures in a row.
    failures: u32,
    /// Whether it was reported that rows come faster than they are deleted.
    is_behind: bool,
}

impl<B: Backend> Sweeper<B> {
    fn new(
        backend: Arc<B>,
        table: String,
        age: Duration,
        oldest_first: bool,
        options: &Options,
        events: Arc<Events>,
    ) -> Self {
        Self {
            backend,
            table,
            batch: SweepBatch { age, limit: FIRST_BATCH, oldest_first },
            interval: options.cleanup_interval,
            query_timeout: options.query_timeout,
            events,
            failures: 0,
            is_behind: false,
        }
    }

    /// Deletes until nothing old is left, or a batch fails for another reason than its size.
    async fn sweep(&mut self) {
        let start = Instant::now();
        let mut rows = 0;
        loop {
            let begun = Instant::now();
            match in_time(self.query_timeout, self.backend.sweep_batch(&self.table, self.batch)).await {
                Ok(deleted) => {
                    self.failures = 0;
                    rows += deleted;
                    self.events.counters().swept.add(deleted);
                    if deleted < self.batch.limit {
                        tracing::debug!(rows, table = self.table, "old rows deleted");
                        return self.caught_up();
                    }
                    if start.elapsed() > self.interval {
                        self.fell_behind(|| "as many become old in the meantime as are deleted, or more".to_owned());
                    }
                    if begun.elapsed() < self.query_timeout / 10 {
                        self.batch.limit = (self.batch.limit * 2).min(MAX_BATCH);
                    }
                }
                Err(error) => {
                    self.failures += 1;
                    self.events.counters().sweep_failures.add(1);
                    tracing::warn!(%error, table = self.table, "old rows could not be deleted");
                    if self.failures >= FAILURES {
                        let failures = self.failures;
                        self.fell_behind(|| format!("deleting failed {failures} times in a row: {error}"));
                    }
                    // A smaller batch may be done in time.
                    if !has_timed_out(&error) || self.batch.limit == MIN_BATCH {
                        return;
                    }
                    self.batch.limit = (self.batch.limit / 10).max(MIN_BATCH);
                }
            }
        }
    }

    fn fell_behind(&mut self, reason: impl FnOnce() -> String) {
        if !std::mem::replace(&mut self.is_behind, true) {
            self.events.counters().sweeps_behind.fetch_add(1, Ordering::Relaxed);
            self.events.emit(Event::CleanupBehind { table: self.table.clone(), reason: reason() });
        }
    }

    fn caught_up(&mut self) {
        if std::mem::replace(&mut self.is_behind, false) {
            self.events.counters().sweeps_behind.fetch_sub(1, Ordering::Relaxed);
            tracing::info!(table = self.table, "all old rows are deleted again");
        }
    }
}

/// Decides which intervals end with a sweep.
#[derive(Debug, Default)]
struct Schedule {
    /// Whether an attachment was seen in the interval before: it is old enough at the end of this
    /// interval, at the earliest.
    seen_before: bool,
    /// How many intervals ended without a sweep since the last one; `None` before the first.
    left_out: Option<u32>,
}

impl Schedule {
    fn is_due(&mut self, seen: bool) -> bool {
        let seen_before = std::mem::replace(&mut self.seen_before, seen);
        let expected = seen || seen_before;
        let left_out = self.left_out.map_or(IN_ANY_CASE, |intervals| intervals + 1);
        let is_due = expected || left_out >= IN_ANY_CASE;
        self.left_out = Some(if is_due { 0 } else { left_out });
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the ends of which intervals it sweeps, when attachments are seen in the intervals `seen`.
    fn sweeps(intervals: u32, seen: &[u32]) -> Vec<u32> {
        let mut schedule = Schedule::default();
        (1..=intervals).filter(|interval| schedule.is_due(seen.contains(interval))).collect()
    }

    #[test]
    fn without_attachments_it_sweeps_at_the_start_and_then_rarely() {
        assert_eq!(sweeps(45, &[]), [1, 21, 41]);
    }

    #[test]
    fn an_attachment_is_swept_when_it_is_old_enough() {
        assert_eq!(sweeps(12, &[4, 9]), [1, 4, 5, 9, 10]);
        assert_eq!(sweeps(30, &[5]), [1, 5, 6, 26]);
    }
}
