//! The listening session on tokio-postgres.

use std::{fmt, pin::pin};

use socketio_pg_connection::{KnownHosts, Notifications, connect, notifications};
use socketio_pg_core::backend::{BackendError, Incoming, Listener, sessions_sql};
use socketio_pg_core::protocol::{SessionId, channel::quote_identifier, cluster::Sighting};
use tokio_postgres::{
    Client, Config, SimpleQueryMessage, SimpleQueryRow, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::error;

/// A separate connection, whose socket is drained at all times. Dropping it ends both.
pub struct TokioPostgresListener {
    /// Dropped before the client: the connection then ends without a goodbye, which a link that is
    /// dead would not take.
    notifications: Notifications,
    client: Client,
    /// Why the session ended, when [`Listener::look`] found out first.
    end: Option<BackendError>,
    /// What others see of the session stands before each statement.
    mark: String,
}

impl TokioPostgresListener {
    pub(crate) async fn connect<T>(config: &Config, tls: T, known_hosts: &KnownHosts) -> Result<Self, BackendError>
    where
        T: MakeTlsConnect<Socket> + Clone,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (client, connection) = connect(config, tls, known_hosts).await?;
        let notifications = notifications(connection, error::in_session);
        Ok(Self { notifications, client, end: None, mark: String::new() })
    }

    /// Runs a command for all channels in one round trip.
    async fn for_each(&self, command: &str, channels: &[String]) -> Result<(), BackendError> {
        let statements: Vec<String> =
            channels.iter().map(|channel| format!("{command} {}", quote_identifier(channel))).collect();
        self.client.batch_execute(&format!("{}{}", self.mark, statements.join(";"))).await.map_err(error::in_session)
    }
}

impl Listener for TokioPostgresListener {
    async fn listen(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.for_each("LISTEN", channels).await
    }

    async fn unlisten(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.for_each("UNLISTEN", channels).await
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        let heard = match self.end.take() {
            Some(end) => Err(end),
            None => self.notifications.next().await,
        }?;
        Ok(Incoming { channel: heard.channel().to_owned(), payload: heard.payload().to_owned() })
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        let heard = self.notifications.take_next();
        heard.inspect(|heard| take(heard.channel(), heard.payload())).is_some()
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        // Not `check_connection`: what that sends leaves the latest statement in place, and changes its
        // time, so that others would take it for another look.
        self.client.batch_execute("").await.map_err(error::in_session)
    }

    async fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        self.mark = sessions_sql::mark(name);
        // One round trip, which the prepared form would not be.
        let statement = sessions_sql::look(name);
        let mut looking = pin!(self.client.simple_query(&statement));
        let rows = loop {
            tokio::select! {
                biased;
                rows = &mut looking => break rows.map_err(error::in_session)?,
                heard = self.notifications.next(), if self.end.is_none() => match heard {
                    Ok(heard) => take(heard.channel(), heard.payload()),
                    Err(end) => self.end = Some(end),
                },
            }
        };
        let number = |row: &SimpleQueryRow, column| row.get(column).and_then(|text| text.parse().ok());
        Ok(rows
            .iter()
            .filter_map(|message| {
                let SimpleQueryMessage::Row(row) = message else { return None };
                sessions_sql::sighting(row.get(0)?, number(row, 1)?, number(row, 2)?)
            })
            .collect())
    }
}

impl fmt::Debug for TokioPostgresListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioPostgresListener").field("client", &self.client).finish_non_exhaustive()
    }
}
