//! Finds the clients of a namespace that take events more slowly than they come.
//!
//! A local broadcast says how many clients did not take an event, but not which. After a loss, the
//! events of the next second go to one client at a time, so that each failure is tied to its
//! client. That costs an encoding for each client, so it is done only then, and not for events of
//! which the copies would be large.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use socketioxide_core::Sid;
use tokio::time::Instant;

/// How long clients are watched one by one after a loss, and how often one client is reported.
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct SlowClients {
    /// Lets clients that lose nothing skip the lock.
    is_watching: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    /// When clients that were reported more than a second ago are next forgotten: to look for them
    /// at each loss would cost as much as there are clients.
    forgets_at: Option<Instant>,
    /// When each client was reported, for a second: clients that left are forgotten.
    reported: HashMap<Sid, Instant>,
}

impl SlowClients {
    /// Whether there was a loss within the last second.
    pub(crate) fn are_watched(&self) -> bool {
        if !self.is_watching.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        let is_over = state.until.is_none_or(|until| until <= Instant::now());
        if is_over {
            *state = State::default();
            self.is_watching.store(false, Ordering::Relaxed);
        }
        !is_over
    }

    /// Notes a loss.
    pub(crate) fn lost(&self) {
        self.state.lock().until = Some(Instant::now() + SECOND);
        self.is_watching.store(true, Ordering::Relaxed);
    }

    /// Notes a loss of this client. Returns whether to report it.
    pub(crate) fn lost_by(&self, socket: Sid) -> bool {
        self.lost();
        let now = Instant::now();
        let is_recent = |told: &Instant| *told + SECOND > now;
        let State { forgets_at, reported, .. } = &mut *self.state.lock();
        if forgets_at.is_none_or(|at| at <= now) {
            reported.retain(|_, told| is_recent(told));
            *forgets_at = Some(now + SECOND);
        }
        let is_new = !reported.get(&socket).is_some_and(is_recent);
        if is_new {
            reported.insert(socket, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_reported_is_looked_through_once_in_a_second() {
        let clients = SlowClients::default();
        let sids: Vec<_> = (0..100).map(|_| Sid::new()).collect();
        let mut looked_through = 0;
        let mut forgets_at = None;
        for _ in 0..10 {
            for sid in &sids {
                clients.lost_by(*sid);
                looked_through +=
                    usize::from(std::mem::replace(&mut forgets_at, clients.state.lock().forgets_at) != forgets_at);
            }
            tokio::time::advance(SECOND / 4).await;
        }
        assert_eq!(looked_through, 3, "in two seconds and a half");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_reported_once_in_a_second_and_forgotten_after_it() {
        let clients = SlowClients::default();
        assert!(!clients.are_watched());
        let [one, two] = [Sid::new(), Sid::new()];
        assert!(clients.lost_by(one) && !clients.lost_by(one) && clients.lost_by(two));
        tokio::time::advance(SECOND).await;
        assert!(clients.lost_by(one));
        assert_eq!(clients.state.lock().reported.len(), 1);
        assert!(clients.are_watched());
        tokio::time::advance(SECOND).await;
        assert!(!clients.are_watched());
        assert!(clients.state.lock().reported.is_empty());
    }
}
