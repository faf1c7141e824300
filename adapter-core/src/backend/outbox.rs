//! The settings of the outbox, and what a backend says about it.

use std::time::Duration;

use socketio_pg_protocol::channel;

use crate::backend::{catch_up::CatchUp, table};

/// The outbox of a cluster: see [`Options::outbox`](crate::Options::outbox).
///
/// ```
/// use socketio_pg_core::{Options, Outbox};
///
/// let options = Options::default().outbox(Outbox::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outbox {
    table: String,
    poll_interval: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { table: table::DEFAULT_OUTBOX.to_owned(), poll_interval: Duration::from_millis(20) }
    }
}

impl Outbox {
    /// The table of the outbox, `socket_io_outbox` by default. May be qualified with a schema, like
    /// [`Options::table`](crate::Options::table).
    ///
    /// Clusters with different prefixes in one database need an outbox each: whichever server has the
    /// turn publishes all rows, with its own attachments table and catch-up log.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// How long the server that publishes the outbox waits before it looks for the next rows, 20 ms
    /// by default, 500 ms at most. Only while there are rows, and for some seconds after the last.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The name of the table, as it was given.
    pub fn table_name(&self) -> &str {
        &self.table
    }

    pub(crate) fn interval(&self) -> Duration {
        self.poll_interval
    }
}

/// The channel on which whoever writes into an outbox wakes the servers, where none of them looks
/// for rows at the moment. No namespace has it, as no prefix of a cluster ends like this.
///
/// No server with an outbox has a longer prefix, and an emitter that has one must not fail while no
/// server has the turn: it is cut.
pub(crate) fn wake_channel(prefix: &str) -> String {
    format!("{}{WAKE}", &prefix[..prefix.floor_char_boundary(MAX_PREFIX)])
}

const WAKE: &str = "?outbox";

/// The longest prefix that leaves room for the [`wake_channel`].
pub(crate) const MAX_PREFIX: usize = channel::MAX_BYTES - WAKE.len();

/// A batch of the outbox to be published, or a turn to be taken or given up.
#[derive(Clone, Debug)]
pub struct OutboxBatch<'a> {
    /// The table of the outbox,
    pub outbox: &'a str,
    /// and that of attachments, into which bodies are moved.
    pub attachments: &'a str,
    /// The log in which what is published is also written.
    pub log: Option<&'a CatchUp>,
    /// Until when the turn was taken, as the last batch of this node returned it; 0 without one.
    pub turn: i64,
    /// Takes the turn for this long from now on, or leaves it as it is.
    pub take_turn: Option<Duration>,
    /// Only rows with a higher number.
    pub after: i64,
    /// How many rows at most.
    pub limit: i64,
    /// Whether to take a transaction number although nothing may be published.
    pub wants_xid: bool,
}

impl OutboxBatch<'_> {
    /// The time for which to take the turn, in milliseconds.
    pub fn take_turn_milliseconds(&self) -> Option<i64> {
        self.take_turn.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

/// What became of an [`OutboxBatch`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxProgress {
    /// Whether it was this node's turn. If not, nothing was done.
    pub is_ours: bool,
    /// Until when the turn is taken: milliseconds by the clock of the database.
    pub turn: i64,
    /// How many rows were taken out,
    pub rows: i64,
    /// and how many of them PostgreSQL cannot notify, as they are too long.
    pub refused: i64,
    /// The highest number of them.
    pub last: i64,
    /// For how many milliseconds the oldest of them had waited.
    pub waited: i64,
    /// All transactions with a lower number have ended.
    pub open_since: i64,
    /// The number of this transaction, where it has one; 0 otherwise.
    pub xid: i64,
}

/// The state of an outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// The number of the oldest row, if there is one.
    pub oldest: Option<i64>,
    /// For how many milliseconds it has waited.
    pub waited: i64,
    /// For how many milliseconds the turn is taken; 0 where it is not.
    pub turn_left: i64,
    /// Whether the role may take the turn.
    pub may_take_turn: bool,
    /// All transactions with a lower number have ended.
    pub open_since: i64,
}
