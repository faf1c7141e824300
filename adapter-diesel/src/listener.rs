//! The listening session on diesel-async.

use std::{
    fmt,
    pin::pin,
    time::{Duration, Instant},
};

use diesel::pg::PgNotification;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::{FutureExt, StreamExt};
use socketio_pg_connection::{Notifications, closed};
use socketio_pg_core::backend::{BackendError, ErrorKind, Incoming, Listener, sessions_sql};
use socketio_pg_core::protocol::{SessionId, channel::quote_identifier, cluster::Sighting};
use tokio_postgres::Notification;

use crate::{
    connector::Connector,
    diagnosis::{self, Concern},
};

/// A separate connection. Dropping it ends the session.
pub struct DieselListener {
    /// `None` for a connection that the application made. For such a one diesel-async has a task, which
    /// reads its socket at all times and keeps notifications in an unbounded queue.
    ///
    /// Dropped before the connection, which then ends without a goodbye.
    notifications: Option<Notifications>,
    connection: AsyncPgConnection,
    /// Why the session ended, when [`Listener::take_next`] or [`Listener::look`] found out first.
    end: Option<BackendError>,
    /// What others see of the session stands before each statement.
    mark: String,
}

impl DieselListener {
    pub(crate) async fn connect(connector: &Connector) -> Result<Self, BackendError> {
        let (connection, notifications) = connector.connect_to_listen().await?;
        Ok(Self { notifications, connection, end: None, mark: String::new() })
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
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        match &mut self.notifications {
            Some(notifications) => notifications
                .next()
                .await
                .map(|heard| Incoming { channel: heard.channel().to_owned(), payload: heard.payload().to_owned() }),
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
        if let Some(notifications) = &mut self.notifications {
            let heard = notifications.take_next();
            return heard.inspect(|heard| take(heard.channel(), heard.payload())).is_some();
        }
        // Otherwise tokio would say, for fairness, that nothing is there although there is more.
        let next = tokio::task::unconstrained(async { pin!(self.connection.notifications_stream()).next().await });
        let Some(next) = next.now_or_never() else { return false };
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

    async fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        self.mark = sessions_sql::mark(name);
        let begun = Instant::now();
        let rows = {
            let looking = diesel::sql_query(sessions_sql::look(name)).load::<SessionRow>(&mut self.connection);
            let mut looking = pin!(looking);
            loop {
                tokio::select! {
                    biased;
                    rows = &mut looking => break rows,
                    heard = next(&mut self.notifications), if self.end.is_none() => match heard {
                        Ok(heard) => take(heard.channel(), heard.payload()),
                        Err(end) => self.end = Some(end),
                    },
                }
            }
        };
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

/// For a connection that the application made it never ends: while a statement uses that, nobody
/// else can ask it for notifications.
async fn next(notifications: &mut Option<Notifications>) -> Result<Notification, BackendError> {
    match notifications {
        Some(notifications) => notifications.next().await,
        None => std::future::pending().await,
    }
}

fn incoming(next: Option<QueryResult<PgNotification>>) -> Result<Incoming, BackendError> {
    match next {
        Some(Ok(notification)) => Ok(Incoming { channel: notification.channel, payload: notification.payload }),
        Some(Err(error)) => Err(BackendError::new(ErrorKind::Connection, error)),
        None => Err(closed()),
    }
}
