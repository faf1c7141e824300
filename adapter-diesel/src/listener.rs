//! The listening session on diesel-async.

use crate::{
    connector::Connector,
    diagnosis::{self, Concern},
};
use diesel::pg::PgNotification;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::{FutureExt, StreamExt};
use socketio_pg_core::backend::{BackendError, ErrorKind, Incoming, Listener, sessions_sql};
use socketio_pg_core::protocol::{SessionId, channel::quote_identifier, cluster::Sighting};
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
    /// What others see of the session stands before each statement.
    mark: String,
}

impl DieselListener {
    pub(crate) async fn connect(connector: &Connector) -> Result<Self, BackendError> {
        Ok(Self { connection: connector.connect().await?, end: None, mark: String::new() })
    }

    /// Runs a command for all channels in one round trip.
    async fn for_each(&mut self, command: &str, channels: &[String]) -> Result<(), BackendError> {
        let statements: Vec<String> =
            channels.iter().map(|channel| format!("{command} {}", quote_identifier(channel))).collect();
        let begun = Instant::now();
        let result = self.connection.batch_execute(&format!("{}{}", self.mark, statements.join(";"))).await;
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

    async fn look(&mut self, name: Option<SessionId>) -> Result<Vec<Sighting>, BackendError> {
        self.mark = sessions_sql::mark(name);
        let begun = Instant::now();
        let rows = diesel::sql_query(sessions_sql::look(name)).load::<SessionRow>(&mut self.connection).await;
        match rows {
            Ok(rows) => {
                let read = |row: &SessionRow| sessions_sql::sighting(&row.session, row.changed, row.age);
                Ok(rows.iter().filter_map(read).collect())
            }
            Err(error) => Err(diagnosis::explain(&mut self.connection, Concern::Session, error, begun.elapsed()).await),
        }
    }
}

#[derive(QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = Text)]
    session: String,
    #[diesel(sql_type = BigInt)]
    changed: i64,
    #[diesel(sql_type = BigInt)]
    age: i64,
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
