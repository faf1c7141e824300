//! The settings of the catch-up log.

use std::time::Duration;

use crate::backend::table;

/// The catch-up log of a cluster: see [`Options::catch_up`](crate::Options::catch_up).
///
/// ```
/// use std::time::Duration;
/// use socketio_pg_core::{CatchUp, Options};
///
/// let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(120)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CatchUp {
    table: String,
    retention: Duration,
}

impl CatchUp {
    /// A log that goes back this far. A node that was disconnected for longer recovers only a part
    /// of what it missed, and reports that.
    pub fn last(retention: Duration) -> Self {
        Self { table: table::DEFAULT_LOG.to_owned(), retention }
    }

    /// The table of the log, `socket_io_log` by default. May be qualified with a schema, like
    /// [`Options::table`](crate::Options::table).
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// The name of the log's table, as it was given.
    pub fn table_name(&self) -> &str {
        &self.table
    }

    /// How far the log goes back.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// How far the log goes back, in seconds, within what PostgreSQL takes for an interval.
    pub fn seconds(&self) -> f64 {
        const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.retention.min(LONGEST).as_secs_f64()
    }
}
