//! Counts what arrives at a socket.

use std::sync::{Mutex, MutexGuard, PoisonError};

use socketioxide_core::Value;

use crate::{clock, event::Load, wire::Received};

/// What arrived in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    expected: Option<(u64, Load)>,
    keep_latencies: bool,
    /// One past the highest number.
    end: u64,
    /// A bit for each number.
    seen: Vec<u64>,
    received: Received,
}

impl Tally {
    pub(crate) fn expect(&self, run: u64, load: Load, keep_latencies: bool) {
        *self.lock() = State { expected: Some((run, load)), keep_latencies, ..State::default() };
    }

    pub(crate) fn received(&self) -> Received {
        self.lock().received.clone()
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.lock().received.delivered
    }

    /// When the last event arrived; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.lock().received.last
    }

    /// Takes a packet for a socket.
    pub(crate) fn take(&self, packet: &Value) {
        match packet {
            Value::Str(text, attachments) => {
                let attachments: Vec<_> = attachments.iter().flatten().collect();
                self.take_event(text, &attachments);
            }
            Value::Bytes(_) => self.lock().received.corrupt += 1,
        }
    }

    /// Takes an event as text with its attachments.
    pub(crate) fn take_event(&self, text: &str, attachments: &[&bytes::Bytes]) {
        let now = clock::now();
        let mut state = self.lock();
        let State { expected, keep_latencies, end, seen, received } = &mut *state;
        let Some((run, load)) = *expected else {
            return;
        };
        let Some(header) = load.read(text, attachments) else {
            received.corrupt += 1;
            return;
        };
        if header.run != run {
            received.late += 1;
            return;
        }
        received.last = now;
        let (word, bit) = ((header.sequence / 64) as usize, 1 << (header.sequence % 64));
        if word >= seen.len() {
            seen.resize(word + 1, 0);
        }
        if seen[word] & bit != 0 {
            received.duplicated += 1;
            return;
        }
        seen[word] |= bit;
        received.delivered += 1;
        if header.sequence < *end {
            received.out_of_order += 1;
        } else {
            *end = header.sequence + 1;
        }
        if *keep_latencies {
            received.latencies.push(now.saturating_sub(header.stamp));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Received {
    /// Both tallies together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.delivered += other.delivered;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.corrupt += other.corrupt;
        self.late += other.late;
        self.last = self.last.max(other.last);
        self.latencies.extend(other.latencies);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Header;

    fn take(tally: &Tally, run: u64, sequence: u64) {
        tally.take(&Load::Small.encode(Header { run, sequence, stamp: 1 }).unwrap());
    }

    #[test]
    fn duplicates_disorder_and_late_events_are_told_apart() {
        let tally = Tally::default();
        tally.expect(2, Load::Small, true);
        for sequence in [0, 1, 4, 2, 2, 5] {
            take(&tally, 2, sequence);
        }
        take(&tally, 1, 3);
        tally.take(&Value::Str("2[\"message\",2,3,0,\"other\"]".into(), None));
        let received = tally.received();
        assert_eq!((received.delivered, received.duplicated), (5, 1));
        assert_eq!((received.out_of_order, received.late, received.corrupt), (1, 1, 1));
        assert_eq!(received.latencies.len(), 5);
    }
}
