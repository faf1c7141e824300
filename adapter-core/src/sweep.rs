//! Deleting old attachments, when there are any to expect, and old rows of the catch-up log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    backend::{Backend, in_time},
    options::Options,
};

/// After so many intervals without a sweep, there is one in any case: others may have left something behind.
const IN_ANY_CASE: u32 = 20;

/// Whether attachments were seen lately, own ones or those of others.
#[derive(Debug, Default)]
pub(crate) struct Sightings(AtomicBool);

impl Sightings {
    pub(crate) fn seen(&self) {
        // Mostly it is true already: what is only read does not move between processors.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Deletes old attachments from time to time, all nodes' alike.
pub(crate) async fn sweep<B: Backend>(backend: Arc<B>, options: Options, sightings: Arc<Sightings>) {
    let Options { table, cleanup_interval: interval, query_timeout, .. } = options;
    let mut schedule = Schedule::default();
    loop {
        tokio::time::sleep(interval).await;
        if !schedule.is_due(sightings.take()) {
            continue;
        }
        match in_time(query_timeout, backend.sweep(&table, interval)).await {
            Ok(rows) if rows > 0 => tracing::debug!(rows, "old attachments deleted"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, table, "old attachments could not be deleted"),
        }
    }
}

/// Deletes old rows of the catch-up log from time to time, all nodes' alike.
pub(crate) async fn sweep_log<B: Backend>(backend: Arc<B>, table: String, age: Duration, options: Options) {
    loop {
        tokio::time::sleep(options.cleanup_interval).await;
        match in_time(options.query_timeout, backend.sweep(&table, age)).await {
            Ok(rows) => tracing::debug!(rows, table, "old rows of the catch-up log deleted"),
            Err(error) => tracing::warn!(%error, table, "old rows of the catch-up log could not be deleted"),
        }
    }
}

/// Which of the intervals end with a sweep.
#[derive(Debug, Default)]
struct Schedule {
    /// Whether an attachment was seen in the interval before: it is old enough at the end of this one, at the earliest.
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

    /// At the ends of which intervals it sweeps, when attachments are seen in those.
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
