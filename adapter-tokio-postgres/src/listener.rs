//! The listening session on tokio-postgres.

use crate::error;
use socketio_pg_connection::{SlowHosts, connect, connecting};
use socketio_pg_core::backend::{BackendError, ErrorKind, Incoming, Listener, sessions_sql};
use socketio_pg_core::protocol::{SessionId, channel::quote_identifier, cluster::Sighting};
use std::{fmt, future::poll_fn};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Notification, SimpleQueryMessage, SimpleQueryRow, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// A separate connection, whose socket a task drains at all times. Dropping it ends both.
pub struct TokioPostgresListener {
    client: Client,
    incoming: mpsc::UnboundedReceiver<Result<Notification, BackendError>>,
    /// Why the session ended, when [`Listener::take_next`] found out first.
    end: Option<BackendError>,
    /// What others see of the session stands before each statement.
    mark: String,
    driver: JoinHandle<()>,
}

impl TokioPostgresListener {
    pub(crate) async fn connect<T>(config: &Config, tls: T, slow_hosts: &SlowHosts) -> Result<Self, BackendError>
    where
        T: MakeTlsConnect<Socket> + Clone,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (client, connection) = connect(config, tls, slow_hosts).await.map_err(connecting)?;
        // Unbounded, as the socket must be read at all times; the reader bounds what it keeps.
        let (sender, incoming) = mpsc::unbounded_channel();
        let driver = tokio::spawn(drive(connection, sender));
        Ok(Self { client, incoming, end: None, mark: String::new(), driver })
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
            None => self.incoming.recv().await.unwrap_or_else(|| Err(closed())),
        }?;
        Ok(Incoming { channel: heard.channel().to_owned(), payload: heard.payload().to_owned() })
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        if self.end.is_some() {
            return false;
        }
        match self.incoming.try_recv() {
            Ok(Ok(heard)) => {
                take(heard.channel(), heard.payload());
                true
            }
            Ok(Err(end)) => {
                self.end = Some(end);
                false
            }
            Err(_) => false,
        }
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        // Not `check_connection`: what that sends leaves the latest statement in place, and changes its
        // time, so that others would take it for another look.
        self.client.batch_execute("").await.map_err(error::in_session)
    }

    async fn look(&mut self, name: Option<SessionId>) -> Result<Vec<Sighting>, BackendError> {
        self.mark = sessions_sql::mark(name);
        // One round trip, which the prepared form would not be.
        let rows = self.client.simple_query(&sessions_sql::look(name)).await.map_err(error::in_session)?;
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

impl Drop for TokioPostgresListener {
    fn drop(&mut self) {
        // The connection ends with its task. Otherwise it would first try to say goodbye, over a
        // link that may be dead.
        self.driver.abort();
    }
}

impl fmt::Debug for TokioPostgresListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioPostgresListener").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Moves notifications from the connection to the channel until either ends.
async fn drive<S>(
    mut connection: Connection<Socket, S>,
    sender: mpsc::UnboundedSender<Result<Notification, BackendError>>,
) where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    loop {
        let message = match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => Ok(notification),
            Some(Ok(_)) => continue,
            Some(Err(error)) => Err(error::in_session(error)),
            None => Err(closed()),
        };
        let ended = message.is_err();
        if sender.send(message).is_err() || ended {
            return;
        }
    }
}

fn closed() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the server closed the listening connection")
}
