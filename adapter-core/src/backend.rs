//! The interface between the adapter and a PostgreSQL driver, and how to write a backend.
//!
//! A [`Backend`] knows PostgreSQL and nothing of Socket.IO: it publishes a batch of notifications,
//! fetches and sweeps attachments, prepares the tables, and opens listening sessions. Order,
//! batching, reconnection and the protocol are the adapter's own work, written once on top of it.
//!
//! # The contract
//!
//! * [`Backend::publish`] sends the whole batch in one transaction and in its order, or nothing of
//!   it. Dropping the future leaves neither half a batch nor a broken connection behind, and
//!   cancels the statement where the driver can. The caller takes care that no two inline payloads
//!   of one batch are equal on one channel (PostgreSQL would fold them into one).
//! * Only one `publish` runs at a time; all else runs beside it.
//! * A [`Listener`] is one session. When it fails it is thrown away and another is opened: it does
//!   not reconnect by itself. It drains its socket at all times, also while no task awaits
//!   [`Listener::next`]: a listening session that does not read holds back the notification queue
//!   of the whole database server. [`drain`] does this for drivers that can be polled.
//!
//! # Writing a backend
//!
//! 1. Take the SQL from [`sql`], [`log_sql`], [`outbox_sql`], [`sessions_sql`] and [`inspect::INSPECT_TABLE_SQL`]: it
//!    is the same for every driver. A backend binds its parameters and reads its rows. [`TableName::parse`] reads
//!    the names of tables, and [`Columns`](sql::Columns) takes a batch apart.
//!
//!    | method | statement |
//!    |---|---|
//!    | [`inspect_table`](Backend::inspect_table) | [`inspect::INSPECT_TABLE_SQL`]; [`TableReport::read`] reads the answer |
//!    | [`create`](Backend::create) | the statements that it is given, as one simple query |
//!    | [`publish`](Backend::publish) | [`sql::NOTIFY_ONE`], [`sql::NOTIFY_ON_ONE_CHANNEL`], [`sql::NOTIFY`] or [`sql::notify_with_attachments`]; with a log [`log_sql::publish`] |
//!    | [`fetch`](Backend::fetch) | [`sql::fetch`]; [`Row::new`] makes a row of what it returns |
//!    | [`mark`](Backend::mark), [`read_log`](Backend::read_log) | [`log_sql::mark`], [`log_sql::read`] |
//!    | [`sweep_batch`](Backend::sweep_batch) | [`sql::sweep`] |
//!    | [`look`](Listener::look) | [`sessions_sql::look`]; [`sessions_sql::sighting`] reads a row |
//!    | [`publish_outbox`](Backend::publish_outbox), [`look_at_outbox`](Backend::look_at_outbox) | [`outbox_sql::publish`], [`outbox_sql::look`] |
//!
//! 2. Use one connection for publishing, some others for the rest, and one for each [`Listener`]. Let
//!    [`publish`](Backend::publish) open another one where the first is in use: while a table is
//!    locked, heartbeats are published beside what waits for it.
//!    A connection whose statement was given up halfway, or that has become read-only, does not
//!    go back into a pool.
//! 3. Say what an error means: [`ErrorKind`]. The adapter acts on it. A statement that PostgreSQL
//!    refuses for its content is tried again message by message; after an error of the connection
//!    it is not known what became of the batch, unless the error [is
//!    unsent](BackendError::unsent). [`before_sending`] marks what happens before a statement is
//!    sent.
//! 4. For emitters on connections of the application implement [`PublishOn`](crate::PublishOn) for
//!    each kind of connection: run what [`Emission::statement`](emission::Emission::statement)
//!    returns.
//! 5. Run the contract as tests of your crate: feature `backend-tests`,
//!    `socketio_pg_core::backend_tests!(fixture)`. They hold everything that is said here.
//!
//! The backend in memory (`testing::memory`, feature `backend-tests`) is the smallest one: it has
//! these methods and nothing else.

mod catch_up;
pub mod drain;
pub mod emission;
pub(crate) mod error;
pub mod inspect;
pub mod log_sql;
pub(crate) mod outbox;
pub mod outbox_sql;
pub mod prepare;
pub mod sessions_sql;
pub mod sql;
pub mod table;

use std::{future::Future, time::Duration};

use socketio_pg_protocol::{SessionId, cluster::Sighting};

pub(crate) use self::error::{guarded, has_timed_out, in_time, panicked};
use self::table::TableName;
pub use self::{
    catch_up::CatchUp,
    error::{BackendError, ErrorKind, before_sending},
    inspect::TableReport,
    outbox::{Outbox, OutboxBatch, OutboxProgress, OutboxState},
    prepare::Prepare,
};

/// A PostgreSQL driver, as the adapter sees it. See the [module's contract](self).
pub trait Backend: Send + Sync + 'static {
    /// A session that listens.
    type Listener: Listener;

    /// Inspects a table: asks [`INSPECT_TABLE_SQL`](inspect::INSPECT_TABLE_SQL) about its name, and
    /// returns the answer as [`TableReport::read`] reads it.
    fn inspect_table(&self, table: &TableName) -> impl Future<Output = Result<TableReport, BackendError>> + Send;

    /// Creates a table: runs the statements as one simple query, and so in one transaction.
    fn create(&self, table: &TableName, statements: &str) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Publishes a batch: one transaction, in order, all or nothing.
    ///
    /// With a log, it also writes the messages that [are logged](Outgoing::is_logged) there, exactly
    /// as they are notified, in the same transaction and in their order. It then dates attachments
    /// as far ahead as the log goes back: nodes of any kind sweep them after their row of the log.
    fn publish(
        &self,
        table: &str,
        log: Option<&CatchUp>,
        batch: &[Outgoing],
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Fetches attachments by id. The answer has one entry per id, in the order of `ids`.
    ///
    /// A body that is larger than the limits allow does not leave the server: [`Row::TooLarge`].
    fn fetch(
        &self,
        table: &str,
        ids: &[i64],
        limits: FetchLimits,
    ) -> impl Future<Output = Result<Vec<Row>, BackendError>> + Send;

    /// Notifies `channel` in a transaction that is safe on disk when this returns, and returns the
    /// position that this transaction sees. Then all of it is, so that no transaction number below
    /// the position is ever given out again.
    fn mark(
        &self,
        log: &str,
        channel: &str,
        payload: &str,
    ) -> impl Future<Output = Result<Position, BackendError>> + Send;

    /// Reads a part of the log, in the order in which it was written.
    fn read_log(&self, query: &LogQuery<'_>) -> impl Future<Output = Result<Vec<LogRow>, BackendError>> + Send;

    /// Deletes rows of attachments, or of the log, by the clock of the database, in one statement:
    /// see [`sql::sweep`]. Returns how many.
    fn sweep_batch(&self, table: &str, batch: SweepBatch) -> impl Future<Output = Result<u64, BackendError>> + Send;

    /// Deletes all rows that are older than `age`, in as many batches as it takes. Returns how
    /// many.
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

    /// Tells the backend the name of the node, before anything else is called. A backend shows it in
    /// the server, as the `application_name` of the sessions that it opens from then on, unless its
    /// settings give one. Not in sessions that other clients may use as well, as behind a pooler.
    ///
    /// Copies of a backend, which share their connections, keep the first name.
    fn set_node_name(&self, name: &str) {
        let _ = name;
    }

    /// Publishes a batch of the outbox and deletes it there, in one transaction: see
    /// [`outbox_sql::publish`].
    fn publish_outbox(
        &self,
        batch: &OutboxBatch<'_>,
    ) -> impl Future<Output = Result<OutboxProgress, BackendError>> + Send;

    /// Looks at the rows of an outbox with a higher number than `after`, and changes nothing: see
    /// [`outbox_sql::look`].
    fn look_at_outbox(
        &self,
        outbox: &str,
        after: i64,
    ) -> impl Future<Output = Result<OutboxState, BackendError>> + Send;

    /// Closes all pooled connections; what is called afterwards fails. Open listeners are not
    /// touched.
    fn close(&self);

    /// How long connecting may be held up by hosts that do not answer, where the settings lead to
    /// several. A node gives itself this time on top of its own limits for connecting.
    fn time_for_other_hosts(&self) -> Duration {
        Duration::ZERO
    }

    /// Opens a session for listening. It ends by itself when that takes too long, which may be once
    /// for each address that the settings lead to.
    fn connect_listener(&self) -> impl Future<Output = Result<Self::Listener, BackendError>> + Send;
}

/// One listening session. See the [module's contract](self).
pub trait Listener: Send + 'static {
    /// Starts to listen on the channels, all of them when it returns. Names are passed as they are:
    /// quoting is the driver's business, length is the caller's (63 bytes at most, see
    /// [`protocol::channel`](socketio_pg_protocol::channel)).
    fn listen(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Stops listening on the channels.
    fn unlisten(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The next notification, in the order in which PostgreSQL delivers them. Cancel-safe: dropping
    /// the future loses nothing. An error ends the session for good; it must not be called again
    /// after one.
    fn next(&mut self) -> impl Future<Output = Result<Incoming, BackendError>> + Send;

    /// Hands over the channel and the payload of the next notification, if it is there already, and
    /// tells whether it was. What it leaves out, and any error, comes from [`next`](Self::next).
    /// Nothing need be copied here, as it is in a storm.
    ///
    /// After an answer of the server, false says that all is taken that came before the answer.
    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool;

    /// Sends a keep-alive query and waits for the answer. The caller puts a timeout around it. It is an
    /// empty statement: after it others do not see the session any more that a look has shown them.
    fn check(&mut self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Looks at the sessions of all nodes in the database, and lets others see this one by this
    /// name, or not at all: see [`sessions_sql::look`]. LISTEN and UNLISTEN keep the name from then on:
    /// [`sessions_sql::mark`]. It is a keep-alive query as well, and the caller puts a timeout around
    /// it. Dropping the future leaves the session sound.
    ///
    /// `take` is given the channel and the payload of each notification that comes before the answer,
    /// in their order, so that none waits for it. Those that it is not given come from
    /// [`next`](Self::next), and so does an error that ends the session meanwhile, if this does not
    /// return it.
    fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> impl Future<Output = Result<Vec<Sighting>, BackendError>> + Send;
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
#[non_exhaustive]
pub struct FetchLimits {
    /// The most bytes in one body.
    pub each: usize,
    /// The most bytes in all bodies together; the smallest ids come first. A row that is asked for
    /// twice counts once, and one that is larger than `each` not at all.
    pub together: usize,
}

impl FetchLimits {
    /// No limit.
    pub const NONE: Self = Self { each: usize::MAX, together: usize::MAX };

    /// Both as PostgreSQL's `int8`.
    pub fn to_int8(self) -> (i64, i64) {
        let int8 = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        (int8(self.each), int8(self.together))
    }
}

/// Which rows to delete in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepBatch {
    /// Those that are older,
    pub age: Duration,
    /// at most this many,
    pub limit: u64,
    /// and the oldest of them, however long it takes to find these. In the log, a row that is still
    /// there therefore proves that all younger rows are.
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
#[non_exhaustive]
pub enum Row {
    /// Its bytes.
    Body(Vec<u8>),
    /// It has this many bytes, which was too much.
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// It is not there, or empty.
    Gone,
}

impl Row {
    /// A row of which the size was asked for, and the body where it fits; without a size there is
    /// nothing in it.
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
    /// The number of the row that the mark wrote: as long as it is in the log, no younger row has
    /// been deleted.
    pub id: i64,
}

/// Which part of the log to read.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Whether the server has crashed after it was written, as far as [`LogQuery::until`] knows:
    /// then its attachment is gone.
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
