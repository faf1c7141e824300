//! Which writers into the outbox may still commit rows, by the numbers of their transactions.

use std::time::Duration;

use tokio::time::Instant;

use crate::backend::OutboxProgress;

/// How long a node looks after its turn for the rows of writers who had found it taken. Later rows
/// are found by the looks of all nodes.
const GUARD: Duration = Duration::from_secs(60);

/// Below which number no row can come any more, so that deleted rows there need not be read again.
///
/// A row has its number after its transaction has. So once all transactions have ended that had a
/// number when a batch was published, no row before those of the batch can be committed any more.
#[derive(Debug)]
pub(super) struct Floor {
    after: i64,
    /// A row that was published, and a transaction that began after it.
    next: Option<(i64, i64)>,
}

impl Default for Floor {
    fn default() -> Self {
        // Numbers that are not above zero are possible, where somebody gives them by hand.
        Self { after: i64::MIN, next: None }
    }
}

impl Floor {
    pub(super) fn after(&self) -> i64 {
        self.after
    }

    pub(super) fn advance(&mut self, progress: &OutboxProgress, is_full: bool) {
        if let Some((row, xid)) = self.next
            && progress.open_since >= xid
            // All that this batch could see up to the row was taken.
            && (!is_full || progress.last >= row)
        {
            self.after = row;
            self.next = None;
        }
        if self.next.is_none() && progress.rows > 0 && progress.last > self.after && progress.xid > 0 {
            self.next = Some((progress.last, progress.xid));
        }
    }
}

/// After the turn is over: until when rows may be committed whose writers found it taken.
#[derive(Debug, Default)]
pub(super) struct Guard {
    since: Option<Instant>,
    /// All of these writers have a lower number.
    xid: Option<i64>,
}

impl Guard {
    /// Notes that the turn is over. Returns whether it has just ended.
    pub(super) fn begins(&mut self) -> bool {
        let is_new = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        is_new
    }

    pub(super) fn wants_xid(&self) -> bool {
        self.since.is_some() && self.xid.is_none()
    }

    /// `open_since` and `xid` are those of the last statement, `xid` 0 where it had none.
    pub(super) fn is_over(&mut self, open_since: i64, xid: i64) -> bool {
        if self.xid.is_none() && xid > 0 {
            self.xid = Some(xid);
            // Those that had ended by then are seen by the next look.
            return false;
        }
        let have_ended = self.xid.is_some_and(|xid| open_since >= xid);
        have_ended || self.since.is_some_and(|since| since.elapsed() >= GUARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(rows: i64, last: i64, open_since: i64, xid: i64) -> OutboxProgress {
        OutboxProgress { is_ours: true, rows, last, open_since, xid, ..OutboxProgress::default() }
    }

    #[test]
    fn the_floor_waits_for_transactions_that_may_have_lower_numbers() {
        let mut floor = Floor::default();
        floor.advance(&progress(3, 7, 90, 100), false);
        assert_eq!(floor.after(), i64::MIN);
        // A transaction that began before is open: it may commit row 5.
        floor.advance(&progress(1, 9, 99, 101), false);
        assert_eq!(floor.after(), i64::MIN);
        // A full batch that did not come to row 7.
        floor.advance(&progress(1, 5, 102, 103), true);
        assert_eq!(floor.after(), i64::MIN);
        floor.advance(&progress(0, 0, 102, 0), false);
        assert_eq!(floor.after(), 7);
        floor.advance(&progress(1, 10, 104, 105), false);
        floor.advance(&progress(0, 0, 105, 0), false);
        assert_eq!(floor.after(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_guard_ends_with_the_last_writer_who_may_have_found_the_turn_taken() {
        let mut guard = Guard::default();
        assert!(!guard.wants_xid());
        assert!(guard.begins() && !guard.begins() && guard.wants_xid());
        assert!(!guard.is_over(50, 100));
        assert!(!guard.wants_xid());
        assert!(!guard.is_over(99, 0));
        assert!(guard.is_over(100, 0));
        tokio::time::advance(GUARD).await;
        assert!(guard.is_over(50, 0));
    }
}
