//! Catching up: what a node missed while it was deaf, read from a log that the senders keep.
//!
//! The log is a table, written in the statement that notifies. A [`Position`](crate::backend::Position) in it is not a number but
//! a snapshot of PostgreSQL: which transactions had been committed. Numbers are not commit order, a snapshot is exact, also beside
//! transactions that were open for minutes.
//!
//! * A *mark* is a notification that the node sends to itself, with the snapshot of its statement. PostgreSQL delivers in order of
//!   commit: when the mark is heard, everything that its snapshot sees has been heard too, and it becomes the position.
//! * What is heard after that snapshot is remembered by hash until the next mark has been heard.
//! * After a break the node listens first, and then marks again: what the new snapshot sees and the position did not is in the log,
//!   all else comes live. What is in both, or came before the break, is dropped by its hash.
//!
//! So what a row says must be unlike any other: a message that is logged carries a `nonce`, a header the number of its row.

mod reader;
mod tracker;

use std::time::Duration;

use socketio_pg_protocol::Body;

use crate::{
    error::ConnectError,
    table::{self, TableName},
};

pub(crate) use self::reader::Reader;

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
    /// A log that goes back so far. A node that was deaf for longer catches up in part only, and says so.
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

    pub(crate) fn validate(&self, attachments: &str) -> Result<(), ConnectError> {
        let invalid = |problem: String| Err(ConnectError::Option { option: "catch_up", problem });
        let log = match TableName::parse(&self.table) {
            Ok(log) => log,
            Err(error) => return invalid(error.to_string()),
        };
        if TableName::parse(attachments).is_ok_and(|attachments| attachments == log) {
            return invalid(format!("{log} is the attachments table: give the log one of its own"));
        }
        if self.retention.is_zero() {
            return invalid("it must go back for longer than zero".to_owned());
        }
        Ok(())
    }
}

/// Whether a message goes into the log: what changes something, and the farewell, so that nobody is taken for alive who has said it.
/// Heartbeats would only fill it; requests for answers and the answers are of no use once whoever asked has stopped waiting.
pub(crate) fn is_logged<P>(body: &Body<P>) -> bool {
    match body {
        Body::Broadcast(_)
        | Body::SocketsJoin(_)
        | Body::SocketsLeave(_)
        | Body::DisconnectSockets(_)
        | Body::ServerSideEmit(_)
        | Body::AdapterClose => true,
        Body::InitialHeartbeat
        | Body::Heartbeat
        | Body::FetchSockets(_)
        | Body::FetchSocketsResponse(_)
        | Body::ServerSideEmitResponse(_)
        | Body::BroadcastClientCount(_)
        | Body::BroadcastAck(_)
        | Body::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_work_is_named_with_a_remedy() {
        let second = Duration::from_secs(1);
        CatchUp::last(Duration::MAX).validate("socket_io_attachments").unwrap();
        for (log, remedy) in [
            (CatchUp::last(Duration::ZERO), "longer than zero"),
            (CatchUp::last(second).table("a.b.c"), "give `table` or `schema.table`"),
            (CatchUp::last(second).table("SOCKET_IO_attachments"), "one of its own"),
        ] {
            let Err(ConnectError::Option { option: "catch_up", problem }) = log.validate("socket_io_attachments")
            else {
                panic!("{log:?} is taken for valid");
            };
            assert!(problem.contains(remedy), "{problem}");
        }
    }
}
