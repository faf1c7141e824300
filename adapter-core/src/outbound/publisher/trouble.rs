//! What is known of trouble: which tables hang, and what was told of messages that were not published.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::batch::Needs;
use crate::backend::{BackendError, has_timed_out};

/// How often a batch that needs a table which hangs has all its time again, in times of that time: a
/// table may be slow, and not hang.
const BETWEEN_FULL_ATTEMPTS: u32 = 6;

/// How often failures are told in the log: an application that goes on emitting must not fill it. The
/// pause doubles each time.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Which tables hang, and since when.
#[derive(Debug, Default)]
pub(super) struct Hanging(Mutex<Option<(Needs, Instant)>>);

impl Hanging {
    pub(super) fn tables(&self) -> Needs {
        self.0.lock().as_ref().map_or(Needs::NO_TABLE, |(tables, _)| *tables)
    }

    /// How long a batch may take: less than `limit` while a table hangs that it needs.
    pub(super) fn limit(&self, needs: Needs, limit: Duration, while_hanging: Duration) -> Duration {
        match &mut *self.0.lock() {
            Some((tables, since)) if tables.intersects(needs) => {
                if since.elapsed() < limit.saturating_mul(BETWEEN_FULL_ATTEMPTS) {
                    return while_hanging;
                }
                *since = Instant::now();
                limit
            }
            _ => limit,
        }
    }

    /// Notes what became of a batch.
    pub(super) fn note(&self, needs: Needs, published: &Result<(), BackendError>) {
        let mut hanging = self.0.lock();
        match (published, &mut *hanging) {
            (Ok(()), Some((tables, _))) => {
                *tables = tables.without(needs);
                if *tables == Needs::NO_TABLE {
                    *hanging = None;
                }
            }
            // A connection that cannot be had says nothing of a table.
            (Err(error), _) if !has_timed_out(error) || error.is_unsent() || needs == Needs::NO_TABLE => {}
            (Err(_), Some((tables, since))) if !tables.intersects(needs) => {
                *tables = tables.and(needs);
                *since = Instant::now();
            }
            (Err(_), None) => *hanging = Some((needs, Instant::now())),
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
    }
}

/// What was told of messages that were not published.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    told: Option<Instant>,
    failed: Option<Instant>,
    /// Which tables the messages needed that failed.
    needs: Needs,
    /// How many messages failed since it was told.
    untold: usize,
    /// How often it was told.
    times: u32,
}

impl Complaints {
    /// Returns how many messages to tell of, these included; `None` when it is too soon.
    pub(super) fn add(&mut self, messages: usize, needs: Needs) -> Option<usize> {
        self.untold += messages;
        self.needs = self.needs.and(needs);
        self.failed = Some(Instant::now());
        if self.told.is_some_and(|told| told.elapsed() < self.pause()) {
            return None;
        }
        self.told = Some(Instant::now());
        self.times += 1;
        Some(std::mem::take(&mut self.untold))
    }

    /// An outage of an hour is not a line in each of its seconds.
    fn pause(&self) -> Duration {
        let times = self.times.clamp(1, 7) - 1;
        (BETWEEN_COMPLAINTS * 2_u32.pow(times)).min(LONGEST_PAUSE)
    }

    /// How many failures were not told, when nothing more is published.
    pub(super) fn close(&mut self) -> usize {
        std::mem::take(self).untold
    }

    /// What needs these tables is published. Returns how many failures were not told, when publishing
    /// works again.
    pub(super) fn end(&mut self, needs: Needs) -> Option<usize> {
        let is_over = self.failed.is_some_and(|failed| failed.elapsed() >= BETWEEN_COMPLAINTS);
        if !is_over || self.needs.without(needs) != Needs::NO_TABLE {
            return None;
        }
        Some(std::mem::take(self).untold)
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use super::*;

    const LOG: Needs = Needs { attachments: false, log: true };

    #[tokio::test(start_paused = true)]
    async fn failures_that_alternate_with_successes_are_told_seldom_and_end_once() {
        let mut complaints = Complaints::default();
        let (mut told, mut ended) = (0, 0);
        for _ in 0..100 {
            told += usize::from(complaints.add(1, LOG).is_some());
            ended += usize::from(complaints.end(Needs::NO_TABLE).is_some());
            tokio::time::advance(BETWEEN_COMPLAINTS / 20).await;
        }
        // In the first second, then after 1 s and after 2 s more.
        assert_eq!((told, ended), (3, 0));
        tokio::time::advance(BETWEEN_COMPLAINTS).await;
        assert_eq!(complaints.end(Needs::NO_TABLE), None, "nothing was published that needs the log");
        assert_eq!(complaints.end(LOG), Some(39));
        assert_eq!(complaints.end(LOG), None);
        assert_eq!(complaints.add(1, LOG), Some(1), "the next failure is told at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_is_told_once_in_a_minute() {
        let mut complaints = Complaints::default();
        let mut told = 0;
        for _ in 0..3600 {
            told += usize::from(complaints.add(1, LOG).is_some());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // After 0, 1, 3, 7, 15, 31 and 63 s, then once in a minute.
        assert_eq!(told, 7 + 58);
    }
}
