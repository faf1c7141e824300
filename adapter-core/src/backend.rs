//! The seam between the adapter and a PostgreSQL driver.
//!
//! A [`Backend`] knows PostgreSQL and nothing of Socket.IO: it publishes a batch of notifications, fetches and sweeps
//! attachments, prepares the table, and opens listening sessions. Order, batching, reconnection and the protocol are the
//! adapter's own business, written once on top of it.
//!
//! # The contract
//!
//! * [`Backend::publish`] sends the whole batch in one transaction and in its order, or nothing of it. Dropping the future
//!   leaves neither half a batch nor a broken connection behind, and cancels the statement where the driver can. The caller takes care that no two inline payloads of one
//!   batch are equal on one channel (PostgreSQL would fold them into one).
//! * Only one `publish` or `publish_logged` runs at a time; all else runs beside it.
//! * A [`Listener`] is one session. When it fails it is thrown away and another is opened: it does not reconnect by itself.
//!   It drains its socket at all times, also while nobody awaits [`Listener::next`]: a listening session that does not read
//!   holds back the notification queue of the whole database server.

use std::{cell::Cell, error::Error as StdError, fmt, future::Future, pin::pin, time::Duration};

use crate::{
    prepare::{PrepareError, Sight, prepare},
    table::{Shape, TableName},
};

pub use crate::catch_up::CatchUp;

/// A PostgreSQL driver, as the adapter sees it. See the [module's contract](self).
pub trait Backend: Send + Sync + 'static {
    /// A session that listens.
    type Listener: Listener;

    /// A name for logs and errors, such as `tokio-postgres`.
    fn name(&self) -> &'static str;

    /// Looks at a table: asks [`prepare::LOOK`](crate::prepare::LOOK) about its name, and returns the answer as
    /// [`Sight::read`] reads it. `shape` is what is hoped for.
    fn look(&self, table: &TableName, shape: &Shape) -> impl Future<Output = Result<Sight, BackendError>> + Send;

    /// Creates a table: runs the statements as one simple query, and so in one transaction.
    fn create(&self, table: &TableName, statements: &str) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Creates the attachments table when it is missing, with the columns Node gives it, under an advisory lock
    /// so that any number of nodes may start at once. With `create` false a missing one is [`ErrorKind::MissingTable`].
    ///
    /// One that is there is looked at: where the role lacks a right on it, that is [`ErrorKind::Permission`], where its columns are
    /// not those that are needed, [`ErrorKind::UnsuitableTable`]. The error says what to do.
    fn prepare(&self, table: &str, create: bool) -> impl Future<Output = Result<(), BackendError>> + Send {
        prepare(self, table, &Shape::ATTACHMENTS, create)
    }

    /// Creates the table of the catch-up log when it is missing, in the way of [`prepare`](Self::prepare).
    fn prepare_log(&self, table: &str, create: bool) -> impl Future<Output = Result<(), BackendError>> + Send {
        prepare(self, table, &Shape::LOG, create)
    }

    /// Publishes a batch: one transaction, in order, all or nothing.
    fn publish(&self, table: &str, batch: &[Outgoing]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Fetches attachments by id. The answer has one entry per id, in the order of `ids`.
    ///
    /// A body that is larger than the limits allow does not leave the server: [`Row::TooLarge`].
    fn fetch(
        &self,
        table: &str,
        ids: &[i64],
        limits: FetchLimits,
    ) -> impl Future<Output = Result<Vec<Row>, BackendError>> + Send;

    /// Publishes a batch as [`publish`](Self::publish) does, and writes those of it that [are logged](Outgoing::is_logged)
    /// into the log, exactly as they are notified, in the same transaction and in their order.
    ///
    /// Attachments are dated so far ahead as the log goes back: nodes of any kind then sweep them after their row of the log.
    fn publish_logged(
        &self,
        table: &str,
        log: &CatchUp,
        batch: &[Outgoing],
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Notifies `channel` in a transaction that is safe on disk when this returns, and returns the position that this
    /// transaction sees. Then all of it is, so that no transaction number below the position is ever given out again.
    fn mark(
        &self,
        log: &str,
        channel: &str,
        payload: &str,
    ) -> impl Future<Output = Result<Position, BackendError>> + Send;

    /// Reads a part of the log, in the order in which it was written.
    fn read_log(&self, query: &LogQuery<'_>) -> impl Future<Output = Result<Vec<LogRow>, BackendError>> + Send;

    /// Deletes rows of attachments, or of the log, by the clock of the database, in one statement: see
    /// [`TableName::sweep_statement`]. Returns how many.
    fn sweep_batch(&self, table: &str, batch: SweepBatch) -> impl Future<Output = Result<u64, BackendError>> + Send;

    /// Deletes all rows that are older than `age`, in as many batches as it takes. Returns how many.
    fn sweep(&self, table: &str, age: Duration) -> impl Future<Output = Result<u64, BackendError>> + Send {
        async move {
            let batch = SweepBatch { age, limit: 10_000, oldest_first: false };
            let mut rows = 0;
            loop {
                let deleted = self.sweep_batch(table, batch).await?;
                rows += deleted;
                if deleted < batch.limit {
                    return Ok(rows);
                }
            }
        }
    }

    /// Closes all pooled connections; what is called afterwards fails. Open listeners are not touched.
    fn close(&self);

    /// How long connecting may be held up by hosts that do not answer, where the settings lead to several. A node gives itself this
    /// time on top of its own limits for connecting.
    fn time_for_other_hosts(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens a session for listening. It ends by itself when that takes too long, which may be once for each address that the settings
    /// lead to.
    fn connect_listener(&self) -> impl Future<Output = Result<Self::Listener, BackendError>> + Send;
}

/// One listening session. See the [module's contract](self).
pub trait Listener: Send + 'static {
    /// Starts to listen on the channels, all of them when it returns. Names are passed as they are: quoting is the
    /// driver's business, length is the caller's (63 bytes at most, see [`protocol::channel`](socketio_pg_protocol::channel)).
    fn listen(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Stops listening on the channels.
    fn unlisten(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The next notification, in the order in which PostgreSQL delivers them. Cancel-safe: dropping the future loses nothing.
    /// An error ends the session for good; it must not be called again after one.
    fn next(&mut self) -> impl Future<Output = Result<Incoming, BackendError>> + Send;

    /// Hands over the channel and the payload of the next notification, if it is there already, and tells whether it was. What it
    /// leaves out, and any error, comes from [`next`](Self::next). Nothing need be copied here, as it is in a storm.
    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        let _ = take;
        false
    }

    /// Asks the server for a sign of life. The caller puts a timeout around it.
    fn check(&mut self) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// A notification as it came from PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The channel it was sent on.
    pub channel: String,
    /// Its payload, unread.
    pub payload: String,
}

/// How many bytes a fetch may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// So many in one body.
    pub each: usize,
    /// So many in all bodies together, those of the smallest ids first. A row that is asked for twice counts once, and one that is
    /// larger than `each` not at all.
    pub together: usize,
}

impl FetchLimits {
    /// Whatever there is.
    pub const NONE: Self = Self { each: usize::MAX, together: usize::MAX };

    /// Both as PostgreSQL's `int8`.
    pub fn to_int8(self) -> (i64, i64) {
        let int8 = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        (int8(self.each), int8(self.together))
    }
}

/// Which rows to delete in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepBatch {
    /// Those that are older,
    pub age: Duration,
    /// so many at most,
    pub limit: u64,
    /// and the oldest of them, whatever finding these takes. In the log a row that is there so tells that all younger ones are.
    pub oldest_first: bool,
}

impl SweepBatch {
    /// The age in seconds, within what PostgreSQL takes for an interval.
    pub fn seconds(&self) -> f64 {
        // Nothing in a database is as old.
        const OLDEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.age.min(OLDEST).as_secs_f64()
    }

    /// The limit as PostgreSQL's `int8`.
    pub fn limit_as_int8(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX)
    }
}

/// A row of the attachments table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Its bytes.
    Body(Vec<u8>),
    /// It has so many bytes, which was too much.
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// It is not there, or empty.
    Gone,
}

impl Row {
    /// A row of which the size was asked for, and the body where it fits; without a size there is nothing in it.
    pub fn new(bytes: Option<i64>, body: Option<Vec<u8>>) -> Self {
        match (bytes, body) {
            (_, Some(body)) => Self::Body(body),
            (Some(bytes), None) => Self::TooLarge { bytes: bytes.unsigned_abs() },
            (None, None) => Self::Gone,
        }
    }
}

/// A notification to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The channel, at most 63 bytes.
    pub channel: String,
    /// What is sent there.
    pub content: Content,
    /// Whether it belongs into the catch-up log, where there is one.
    pub is_logged: bool,
}

/// A place in the catch-up log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which transactions had been committed: a `pg_snapshot` as text.
    pub snapshot: String,
    /// When that was, since 1970, by the clock of the database.
    pub taken: Duration,
    /// Changes when the log is another one: another table, or another past of the server.
    pub history: String,
    /// Changes when the server has crashed.
    pub crashes: String,
    /// The number of the row that the mark wrote: as long as it is in the log, no younger row has been deleted.
    pub id: i64,
}

/// Which part of the log to read.
#[derive(Clone, Debug)]
pub struct LogQuery<'a> {
    /// The table of the log.
    pub table: &'a str,
    /// What was sent on these channels,
    pub channels: &'a [String],
    /// was not committed here,
    pub since: &'a Position,
    /// was committed here,
    pub until: &'a Position,
    /// and has a higher number; with 0 all that the others allow.
    pub after: i64,
    /// How many rows at most.
    pub limit: i64,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its number.
    pub id: i64,
    /// What was notified.
    pub incoming: Incoming,
    /// Whether the server has crashed after it was written, as far as [`LogQuery::until`] knows: then its attachment is gone.
    pub is_before_crash: bool,
}

/// The content of an [`Outgoing`] notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The payload itself, at most 7999 bytes.
    Inline(String),
    /// A row of the attachments table and a payload that carries the row's id.
    Attachment {
        /// The bytes of the row.
        body: Vec<u8>,
        /// The payload up to the id.
        before_id: String,
        /// The payload after the id.
        after_id: String,
    },
}

/// What a backend can fail with, as far as the adapter acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server cannot be reached, or the connection broke: worth trying again.
    Connection,
    /// The server takes no writes: a standby, or one that is set so. Worth trying again on a new connection, as the name may lead to
    /// another server by then: this one is not to be used any more. Nothing took effect.
    ReadOnly,
    /// The server gave the statement up: it took longer than `statement_timeout` or waited longer than `lock_timeout`, or somebody
    /// cancelled it. Nothing took effect.
    Timeout,
    /// The connection settings are wrong (URL, user, password, database, TLS): trying again will not help.
    Configuration,
    /// The role lacks a right.
    Permission,
    /// The attachments table, or that of the log, is not there.
    MissingTable,
    /// The attachments table, or that of the log, has not the columns that it needs.
    UnsuitableTable,
    /// Anything else the server or the driver reports.
    Other,
}

impl ErrorKind {
    /// Whether the failure may be the fault of what was sent, so that a part of it may succeed where the whole did not. All else fails
    /// for each part alike.
    pub fn is_about_content(self) -> bool {
        !matches!(self, Self::Connection | Self::Configuration | Self::ReadOnly | Self::Timeout)
    }
}

/// An error of a backend: its kind, and the driver's own error as source.
#[derive(Debug)]
pub struct BackendError {
    kind: ErrorKind,
    is_unsent: bool,
    source: Box<dyn StdError + Send + Sync>,
}

impl BackendError {
    /// Wraps a driver's error.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, is_unsent: false, source: source.into() }
    }

    /// Says that nothing was sent: no connection was to be had.
    pub fn unsent(mut self) -> Self {
        self.is_unsent = true;
        self
    }

    /// Whether it is certain that PostgreSQL got nothing to do. False for an error of [`ErrorKind::Connection`] means that a
    /// statement may have taken effect all the same.
    pub fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    /// Whether a statement may have taken effect although it failed: its answer did not come.
    pub fn is_unconfirmed(&self) -> bool {
        self.kind == ErrorKind::Connection && !self.is_unsent
    }

    /// Why a table cannot be used, if the error tells that.
    pub(crate) fn into_preparation(self) -> Result<PrepareError, Self> {
        let Self { kind, is_unsent, source } = self;
        source.downcast().map(|error| *error).map_err(|source| Self { kind, is_unsent, source })
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for BackendError {
    /// The whole chain of sources: drivers like to keep the reason in the second one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

tokio::task_local! {
    /// Whether the work of [`in_time`] has sent nothing yet.
    static IS_UNSENT: Cell<bool>;
}

/// Awaits a connection. A publication whose time runs out meanwhile has not been sent, and its sender is told so. Without this, it
/// may have been sent.
pub async fn before_sending<T>(work: impl Future<Output = T>) -> T {
    let set = |is_unsent| {
        // Elsewhere nobody asks.
        let _ = IS_UNSENT.try_with(|cell| cell.set(is_unsent));
    };
    set(true);
    let done = work.await;
    set(false);
    done
}

/// Gives what a backend does its time; when it runs out, it is dropped.
pub(crate) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let mut work = pin!(IS_UNSENT.scope(Cell::new(false), work));
    if let Ok(done) = tokio::time::timeout(limit, work.as_mut()).await {
        return done;
    }
    let is_unsent = work.as_mut().take_value().is_some_and(|is_unsent| is_unsent.get());
    let error = BackendError::new(ErrorKind::Connection, OutOfTime(limit));
    Err(if is_unsent { error.unsent() } else { error })
}

/// Whether the error is that of [`in_time`], or the server's own patience was shorter.
pub(crate) fn has_timed_out(error: &BackendError) -> bool {
    error.kind == ErrorKind::Timeout || error.source.is::<OutOfTime>()
}

#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL took longer than {0:?}, which is Options::query_timeout")]
struct OutOfTime(Duration);
