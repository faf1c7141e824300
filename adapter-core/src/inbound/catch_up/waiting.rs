//! What comes on a new session while the node reads the log: it is kept within a limit, and
//! passed to the inbox behind what was missed.

use std::{collections::VecDeque, pin::pin};

use crate::backend::{BackendError, Incoming, Listener};

/// Notifications that wait until the log is read.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: VecDeque<Incoming>,
    bytes: usize,
    max_bytes: usize,
    dropped: u64,
}

impl Waiting {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, max_bytes, dropped: 0 }
    }

    /// Takes what comes on a session until the work is done. What comes beyond the limit is
    /// dropped, but for what comes on the channel of the marks.
    ///
    /// # Errors
    /// When the session has ended.
    pub(super) async fn fill_during<T>(
        &mut self,
        work: impl Future<Output = T>,
        session: &mut impl Listener,
        marks: &str,
    ) -> Result<T, BackendError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                incoming = session.next() => self.push(incoming?, marks),
            }
        }
    }

    fn push(&mut self, incoming: Incoming, marks: &str) {
        let bytes = self.bytes + size_of::<Incoming>() + incoming.channel.len() + incoming.payload.len();
        if bytes <= self.max_bytes || incoming.channel == marks {
            self.bytes = bytes;
            self.queue.push_back(incoming);
        } else {
            self.dropped += 1;
        }
    }

    /// How many were dropped since this was asked.
    pub(crate) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// All that waits, in order.
    pub(crate) fn take(&mut self) -> VecDeque<Incoming> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }
}
