//! The listening session on diesel-async.

use crate::{
    connector::Connector,
    diagnosis::{self, Concern},
};
use diesel::QueryResult;
use diesel::pg::PgNotification;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::{FutureExt, StreamExt};
use socketio_pg_core::backend::{BackendError, ErrorKind, Incoming, Listener};
use socketio_pg_core::protocol::channel::quote_identifier;
use std::{
    fmt,
    pin::pin,
    time::{Duration, Instant},
};

/// A separate connection. Dropping it ends the session.
///
/// diesel-async has a task for every connection, which reads its socket at all times and keeps
/// notifications in an unbounded queue. That is what the contract of a [`Listener`] requires, so
/// another task is not needed.
pub struct DieselListener {
    connection: AsyncPgConnection,
    /// Why the session ended, when [`Listener::take_next`] found out first.
    end: Option<BackendError>,
}

impl DieselListener {
    pub(crate) async fn connect(connector: &Connector) -> Result<Self, BackendError> {
        Ok(Self { connection: connector.connect().await?, end: None })
    }

    /// Runs a command for all channels in one round trip.
    async fn for_each(&mut self, command: &str, channels: &[String]) -> Result<(), BackendError> {
        let statements: Vec<String> =
            channels.iter().map(|channel| format!("{command} {}", quote_identifier(channel))).collect();
        let begun = Instant::now();
        let result = self.connection.batch_execute(&statements.join(";")).await;
        self.explain(result, begun.elapsed()).await
    }

    async fn explain(&mut self, result: QueryResult<()>, took: Duration) -> Result<(), BackendError> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(diagnosis::explain(&mut self.connection, Concern::Session, error, took).await),
        }
    }
}

impl Listener for DieselListener {
    async fn listen(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.for_each("LISTEN", channels).await
    }

    async fn unlisten(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.for_each("UNLISTEN", channels).await
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        match self.end.take() {
            Some(end) => Err(end),
            // A stream is only a view of the connection's queue. One that has ended panics when
            // polled again, so each is polled once; after the error that ended the session, a new
            // stream is empty.
            None => incoming(pin!(self.connection.notifications_stream()).next().await),
        }
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        if self.end.is_some() {
            return false;
        }
        let Some(next) = pin!(self.connection.notifications_stream()).next().now_or_never() else { return false };
        match incoming(next) {
            Ok(Incoming { channel, payload }) => {
                take(&channel, &payload);
                true
            }
            Err(end) => {
                self.end = Some(end);
                false
            }
        }
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        // The server replies to an empty statement, and leaves it out of its statistics and logs.
        let begun = Instant::now();
        let result = self.connection.batch_execute("").await;
        self.explain(result, begun.elapsed()).await
    }
}

impl fmt::Debug for DieselListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselListener").finish_non_exhaustive()
    }
}

fn incoming(next: Option<QueryResult<PgNotification>>) -> Result<Incoming, BackendError> {
    match next {
        Some(Ok(notification)) => Ok(Incoming { channel: notification.channel, payload: notification.payload }),
        Some(Err(error)) => Err(BackendError::new(ErrorKind::Connection, error)),
        None => Err(BackendError::new(ErrorKind::Connection, "the server closed the listening connection")),
    }
}
