//! Reading the log after a break, and keeping a position in it while the node listens.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Interval, MissedTickBehavior, timeout};

use super::{
    CatchUp,
    tracker::{Tracker, is_header},
};
use crate::{
    backend::{Backend, BackendError, ErrorKind, Incoming, LogQuery, LogRow, Position},
    event::Recovery,
};

/// How many rows are read at a time: 8 MB at most.
const PAGE: i64 = 1000;

/// How long a statement on the log may take.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Catches up for the link.
pub(crate) struct Reader<B> {
    backend: Arc<B>,
    log: CatchUp,
    /// Where marks are sent: no namespace's channel.
    channel: String,
    tracker: Tracker,
    timer: Interval,
    marking: Option<BoxFuture<'static, Result<Position, BackendError>>>,
    /// What is listened to.
    listened: BTreeSet<String>,
    /// A channel was added: until the next mark, what is missed on it cannot be caught up with.
    is_due: bool,
    /// How many channels were so when the session broke.
    uncovered: usize,
}

impl<B: Backend> Reader<B> {
    /// Marks are sent on `channel`, at least every `interval`.
    pub(crate) fn new(backend: Arc<B>, log: CatchUp, channel: String, interval: Duration) -> Self {
        let mut timer = tokio::time::interval(interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            backend,
            log,
            channel,
            tracker: Tracker::default(),
            timer,
            marking: None,
            listened: BTreeSet::new(),
            is_due: false,
            uncovered: 0,
        }
    }

    /// The channel that is to be listened to for marks.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether what was heard is to be handed on.
    pub(crate) fn is_news(&mut self, channel: &str, payload: &str) -> bool {
        if channel == self.channel {
            self.tracker.heard_mark(payload);
            return false;
        }
        let is_news = self.tracker.hear(channel, payload);
        if self.tracker.wants_mark() {
            self.begin_mark();
        }
        is_news
    }

    /// These channels, and no others, are listened to now.
    pub(crate) fn listens(&mut self, channels: &BTreeSet<String>) {
        self.is_due |= channels.iter().any(|channel| !self.tracker.covers(channel));
        self.listened.clone_from(channels);
    }

    /// A channel is listened to no more, also while there is no session.
    pub(crate) fn unlistened(&mut self, channel: &str) {
        self.listened.remove(channel);
        self.tracker.unlistened(channel);
    }

    /// Sends the next mark when it is due. Returns when there was something to do; cancel-safe.
    pub(crate) async fn step(&mut self) {
        match &mut self.marking {
            Some(marking) => {
                let marked = marking.await;
                self.marking = None;
                self.marked(marked);
            }
            None => {
                if !self.is_due || self.tracker.is_marking() {
                    self.timer.tick().await;
                }
                // One that is not heard yet is given up: it may never be.
                self.begin_mark();
            }
        }
    }

    /// The session broke.
    pub(crate) fn broken(&mut self) {
        self.marking = None;
        self.tracker.give_mark_up();
        self.uncovered = self.listened.iter().filter(|channel| !self.tracker.covers(channel)).count();
    }

    /// Hands on what was missed, in order, on a session that listens again.
    ///
    /// # Errors
    /// When the connection fails: what was handed on so far is remembered, and not handed on when it is called again.
    pub(crate) async fn catch_up(&mut self, mut hand_on: impl FnMut(Incoming)) -> Result<Recovery, BackendError> {
        let since = self.tracker.position().cloned();
        // What was sent on other channels was not for this node.
        let covered = self.listened.iter().filter(|channel| self.tracker.covers(channel) && **channel != self.channel);
        let channels: Vec<String> = covered.cloned().collect();
        self.begin_mark();
        let Some(marking) = self.marking.take() else { unreachable!("a mark was just begun") };
        let marked = marking.await;
        let until = match &marked {
            Ok(until) => until.clone(),
            Err(_) => return failed(self.marked(marked), 0),
        };
        self.marked(marked);
        let incomplete = |reason: String| Ok(Recovery::Incomplete { messages: 0, reason });
        let Some(since) = since else {
            self.tracker.forget();
            return incomplete("the connection broke before the node had found its place in the log".to_owned());
        };
        if since.history != until.history {
            self.tracker.forget();
            return incomplete(
                "the log is not the one that it was: restored, emptied, or that of another server".to_owned(),
            );
        }

        let has_crashed = since.crashes != until.crashes;
        if has_crashed {
            self.tracker.crashed(&until.crashes);
        }
        let mut messages = 0;
        let mut after = 0;
        loop {
            let query = LogQuery {
                table: self.log.table_name(),
                channels: &channels,
                since: &since,
                until: &until,
                after,
                limit: PAGE,
            };
            let rows = match in_time(self.backend.read_log(&query)).await {
                Ok(rows) => rows,
                Err(error) => return failed(Some(error), messages),
            };
            let is_last = (rows.len() as i64) < PAGE;
            for LogRow { id, incoming, is_before_crash } in rows {
                after = id;
                // Attachments of before the crash are gone, and their numbers may be those of others by now. Those of after it are not:
                // they also come live, and would come behind what was sent after them.
                if has_crashed && is_before_crash && is_header(&incoming.payload) {
                    continue;
                }
                if self.tracker.hear(&incoming.channel, &incoming.payload) {
                    messages += 1;
                    hand_on(incoming);
                }
            }
            if is_last {
                break;
            }
        }

        let deaf = until.taken.saturating_sub(since.taken);
        let reason = if deaf > self.log.retention() {
            format!("the node was deaf for {deaf:.1?}, and the log goes back for {:?}", self.log.retention())
        } else if has_crashed {
            "the database server crashed: attachments are gone, and what was published in its last moments may not be in \
             the log"
                .to_owned()
        } else if self.uncovered > 0 {
            format!(
                "the connection broke before the node had found its place in the log for {} new channel(s)",
                self.uncovered
            )
        } else {
            return Ok(Recovery::Complete { messages });
        };
        Ok(Recovery::Incomplete { messages, reason })
    }

    fn begin_mark(&mut self) {
        let token = format!("{:016x}", crate::outside::number());
        self.is_due = false;
        self.tracker.begin(token.clone(), self.listened.clone());
        let (backend, table, channel) = (self.backend.clone(), self.log.table_name().to_owned(), self.channel.clone());
        self.marking = Some(Box::pin(async move { in_time(backend.mark(&table, &channel, &token)).await }));
    }

    /// Returns the error, if it is one.
    fn marked(&mut self, marked: Result<Position, BackendError>) -> Option<BackendError> {
        match marked {
            Ok(position) => {
                self.tracker.marked(position);
                None
            }
            Err(error) => {
                self.tracker.give_mark_up();
                tracing::warn!(%error, table = self.log.table_name(), "the catch-up log could not be marked");
                Some(error)
            }
        }
    }
}

/// A broken connection is for the link to replace; with anything else the node lives on, and says what it missed.
fn failed(error: Option<BackendError>, messages: u64) -> Result<Recovery, BackendError> {
    match error {
        Some(error) if error.kind() == ErrorKind::Connection => Err(error),
        Some(error) => Ok(Recovery::Incomplete { messages, reason: format!("the log could not be read: {error}") }),
        None => Ok(Recovery::Complete { messages }),
    }
}

async fn in_time<T>(statement: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    let elapsed = |elapsed| Err(BackendError::new(ErrorKind::Connection, elapsed));
    timeout(STATEMENT_TIMEOUT, statement).await.unwrap_or_else(elapsed)
}
