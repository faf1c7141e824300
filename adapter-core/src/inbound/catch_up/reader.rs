//! Reading the log after a break, and keeping a position in it while the node listens.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use socketio_pg_protocol::peek;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep, timeout, timeout_at};

use super::{tracker::Tracker, waiting::Waiting};
use crate::{
    backend::{Backend, BackendError, CatchUp, ErrorKind, Incoming, Listener, LogQuery, LogRow, Position},
    observe::event::Recovery,
};

/// How many rows are read at a time: 8 MB at most.
const PAGE: i64 = 1000;

/// How long a statement on the log may take.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long a log that cannot be reached is tried again, and after which pause each time.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How long catching up may take in all: live messages wait for it in the listening session.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// Catches up for the link.
pub(crate) struct Reader<B> {
    backend: Arc<B>,
    log: CatchUp,
    /// Where marks are sent: no namespace's channel.
    channel: String,
    tracker: Tracker,
    mark_timer: Interval,
    marking: Option<BoxFuture<'static, Result<Position, BackendError>>>,
    /// What is listened to.
    listened: BTreeSet<String>,
    /// A channel was added: until the next mark, what is missed on it cannot be caught up with.
    is_mark_due: bool,
    /// How many channels the position did not cover when the session broke.
    uncovered: usize,
    /// How many messages were read from the log since the session broke.
    late: u64,
}

impl<B: Backend> Reader<B> {
    /// Marks are sent on `channel`, at least every `interval`.
    pub(crate) fn new(backend: Arc<B>, log: CatchUp, channel: String, interval: Duration) -> Self {
        let mut mark_timer = tokio::time::interval(interval);
        mark_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            backend,
            log,
            channel,
            tracker: Tracker::default(),
            mark_timer,
            marking: None,
            listened: BTreeSet::new(),
            is_mark_due: false,
            uncovered: 0,
            late: 0,
        }
    }

    /// The channel that is to be listened to for marks.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether a notification is new: not a mark, and not a message that was already read from the
    /// log.
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
    pub(crate) fn listens_to(&mut self, channels: &BTreeSet<String>) {
        self.is_mark_due |= channels.iter().any(|channel| !self.tracker.covers(channel));
        self.listened.clone_from(channels);
    }

    /// A channel is no longer listened to, also while there is no session.
    pub(crate) fn stopped_listening(&mut self, channel: &str) {
        self.listened.remove(channel);
        self.tracker.stopped_listening(channel);
    }

    /// Sends the next mark when it is due. Returns when there was something to do; cancel-safe.
    pub(crate) async fn keep_position(&mut self) {
        match &mut self.marking {
            Some(marking) => {
                let marked = marking.await;
                self.marking = None;
                self.marked(marked);
            }
            None => {
                if !self.is_mark_due || self.tracker.is_marking() {
                    self.mark_timer.tick().await;
                }
                // A mark that is not heard yet is given up: it may never arrive.
                self.begin_mark();
            }
        }
    }

    /// The session broke.
    pub(crate) fn broken(&mut self) {
        self.marking = None;
        self.tracker.give_mark_up();
        self.uncovered = self.uncovered_now();
    }

    /// How many channels are listened to of which the position in the log says nothing.
    fn uncovered_now(&self) -> usize {
        self.listened.iter().filter(|channel| !self.tracker.covers(channel)).count()
    }

    /// Passes to the inbox what was missed, in order, on a session that listens again. Ends within
    /// [`CATCH_UP_TIMEOUT`] and the check of the session: a log that is slow or out of reach costs
    /// messages, which the recovery tells, and never the session.
    ///
    /// # Errors
    /// When the listening session itself has ended. What was delivered so far is remembered, and
    /// not delivered again when this is called with another session.
    pub(crate) async fn catch_up(
        &mut self,
        session: &mut impl Listener,
        came_meanwhile: &mut Waiting,
        mut deliver: impl FnMut(Incoming),
    ) -> Result<Recovery, BackendError> {
        // Namespaces may have joined since the session broke.
        self.uncovered = self.uncovered.max(self.uncovered_now());
        let start = Instant::now();
        let marks = self.channel.clone();
        loop {
            let reading = timeout_at(start + CATCH_UP_TIMEOUT, self.read(&mut deliver));
            let read = came_meanwhile.fill_during(reading, session, &marks).await?;
            let error = match read.unwrap_or_else(|_| Err(took_too_long())) {
                Ok(incomplete) => return Ok(self.recovery(incomplete)),
                Err(error) => error,
            };
            // The log's connection may have failed because the server is gone. Then nothing is lost
            // yet: the next session reads it.
            within_statement_timeout(session.check()).await?;
            if error.kind() != ErrorKind::Connection || start.elapsed() >= RETRY_FOR {
                self.tracker.forget();
                return Ok(self.recovery(Some(format!("the log could not be read: {error}"))));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    fn recovery(&mut self, incomplete: Option<String>) -> Recovery {
        let messages = std::mem::take(&mut self.late);
        match incomplete {
            Some(reason) => Recovery::Incomplete { messages, reason },
            None => Recovery::Complete { messages },
        }
    }

    /// Reads the log from the position on, and passes to the inbox what is new. Returns why
    /// something may be missing, if it may.
    async fn read(&mut self, deliver: &mut impl FnMut(Incoming)) -> Result<Option<String>, BackendError> {
        let since = self.tracker.position().cloned();
        // What was sent on other channels was not for this node.
        let covered = self.listened.iter().filter(|channel| self.tracker.covers(channel) && **channel != self.channel);
        let channels: Vec<String> = covered.cloned().collect();
        let until = self.mark_now().await?;
        let Some(since) = since else {
            self.tracker.forget();
            return Ok(Some("the connection broke before the node knew its position in the log".to_owned()));
        };
        if since.history != until.history {
            self.tracker.forget();
            let reason = "this is another catch-up log than before the break: it was restored or emptied, or belongs to another \
                          server";
            return Ok(Some(reason.to_owned()));
        }
        if since.crashes != until.crashes {
            self.tracker.crashed(&until.crashes);
        }
        let query = LogQuery {
            table: self.log.table_name(),
            channels: &channels,
            since: &since,
            until: &until,
            after: 0,
            limit: PAGE,
        };
        let (backend, tracker) = (&*self.backend, &mut self.tracker);
        read_rows(backend, tracker, query.clone(), |incoming| {
            self.late += 1;
            deliver(incoming);
        })
        .await?;
        // Rows are deleted in the order of their age: while the row of the position is there, all
        // after it are.
        let own_channel = [self.channel.clone()];
        let place = LogQuery { channels: &own_channel, after: since.id - 1, limit: 1, ..query };
        let is_whole =
            within_statement_timeout(backend.read_log(&place)).await?.first().is_some_and(|row| row.id == since.id);
        Ok(self.why_incomplete(&since, &until, is_whole))
    }

    /// Sends a mark and waits for its position.
    async fn mark_now(&mut self) -> Result<Position, BackendError> {
        self.begin_mark();
        let Some(marking) = self.marking.take() else { unreachable!("a mark was just begun") };
        match marking.await {
            Ok(position) => {
                self.tracker.marked(position.clone());
                Ok(position)
            }
            Err(error) => {
                self.tracker.give_mark_up();
                Err(error)
            }
        }
    }

    /// Why something may be missing though the log was read, if it may.
    fn why_incomplete(&self, since: &Position, until: &Position, is_whole: bool) -> Option<String> {
        let disconnected = until.taken.saturating_sub(since.taken);
        if disconnected > self.log.retention() {
            Some(format!(
                "the node was disconnected for {disconnected:.1?}, and the log goes back for {:?}",
                self.log.retention()
            ))
        } else if !is_whole {
            Some(
                "rows of the log that the node had not read were deleted: give all nodes of the cluster the same \
                 `CatchUp::last`, and look at the clock of the database"
                    .to_owned(),
            )
        } else if since.crashes != until.crashes {
            Some(
                "the database server crashed: attachments are gone, and what was published in its last moments may not \
                 be in the log"
                    .to_owned(),
            )
        } else if self.uncovered > 0 {
            Some(format!(
                "the connection broke before the node knew its position in the log for {} new channel(s)",
                self.uncovered
            ))
        } else {
            None
        }
    }

    fn begin_mark(&mut self) {
        let token = format!("{:016x}", crate::env::random_u64());
        self.is_mark_due = false;
        self.tracker.begin(token.clone(), self.listened.clone());
        let (backend, table, channel) = (self.backend.clone(), self.log.table_name().to_owned(), self.channel.clone());
        self.marking =
            Some(Box::pin(async move { within_statement_timeout(backend.mark(&table, &channel, &token)).await }));
    }

    fn marked(&mut self, marked: Result<Position, BackendError>) {
        match marked {
            Ok(position) => self.tracker.marked(position),
            Err(error) => {
                self.tracker.give_mark_up();
                tracing::warn!(%error, table = self.log.table_name(), "the catch-up log could not be marked");
            }
        }
    }
}

/// Reads all rows of a query, and delivers those that the tracker does not know.
async fn read_rows<B: Backend>(
    backend: &B,
    tracker: &mut Tracker,
    mut query: LogQuery<'_>,
    mut deliver: impl FnMut(Incoming),
) -> Result<(), BackendError> {
    let has_crashed = query.since.crashes != query.until.crashes;
    loop {
        let rows = within_statement_timeout(backend.read_log(&query)).await?;
        let is_last = (rows.len() as i64) < query.limit;
        for LogRow { id, incoming, is_before_crash } in rows {
            query.after = id;
            // Attachments of before the crash are gone, and their numbers may be those of others by
            // now. Those of after it are not: they also come live, and would come behind what was
            // sent after them.
            if has_crashed && is_before_crash && peek::is_header(&incoming.payload) {
                continue;
            }
            if tracker.hear(&incoming.channel, &incoming.payload) {
                deliver(incoming);
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn within_statement_timeout<T>(
    statement: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    timeout(STATEMENT_TIMEOUT, statement).await.unwrap_or_else(|_| {
        let reason = format!("PostgreSQL took longer than {STATEMENT_TIMEOUT:?}");
        Err(BackendError::new(ErrorKind::Connection, reason))
    })
}

fn took_too_long() -> BackendError {
    BackendError::new(ErrorKind::Other, format!("reading it took longer than {CATCH_UP_TIMEOUT:?}"))
}
