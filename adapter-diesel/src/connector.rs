//! Makes connections, with our function or the application's.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use socketio_pg_connection::{
    KnownHosts, Notifications, Settings, Tls, connect_in_order, connecting, notifications, time_for_other_hosts,
    total_connect_timeout,
};
use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::{CancelToken, Client, Connection, Socket, tls::MakeTlsConnect};

use crate::error;

/// The application's function that makes a connection from a connection string: what
/// `ManagerConfig::custom_setup` of diesel-async takes.
pub(crate) type Setup = Arc<dyn Fn(&str) -> BoxFuture<'_, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// How long cancelling may take: it opens a separate connection.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    /// The same with the node's name, once it is known.
    named: Arc<OnceLock<Settings>>,
    known_hosts: KnownHosts,
    /// What the settings say of TLS, or why it cannot work: only an application with its own set-up
    /// may ignore that.
    tls: Result<Tls, String>,
    setup: Option<Setup>,
}

impl Connector {
    pub(crate) fn new(url: &str) -> Result<Self, BackendError> {
        let settings = Arc::new(Settings::parse(url)?);
        let tls = settings.connector().map_err(|error| error.to_string());
        Ok(Self { settings, named: Arc::default(), known_hosts: KnownHosts::default(), tls, setup: None })
    }

    /// Shares what is known of slow hosts with another connector.
    pub(crate) fn with_hosts_of(self, other: &Self) -> Self {
        Self { known_hosts: other.known_hosts.clone(), ..self }
    }

    /// From now on, sessions have the name of the node, unless the URL gives one. The first name
    /// stays.
    pub(crate) fn set_node_name(&self, name: &str) {
        self.named.get_or_init(|| self.settings.of_node(name));
    }

    fn settings(&self) -> &Settings {
        self.named.get().unwrap_or(&self.settings)
    }

    /// Whether the other connector leads to the same hosts.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.settings.text() == other.settings.text()
    }

    pub(crate) fn time_for_other_hosts(&self) -> Duration {
        time_for_other_hosts(self.settings.config())
    }

    pub(crate) fn with_setup(self, setup: Setup) -> Self {
        Self { setup: Some(setup), ..self }
    }

    pub(crate) async fn connect(&self) -> Result<AsyncPgConnection, BackendError> {
        self.in_time(async {
            match &self.setup {
                Some(setup) => self.set_up(setup).await,
                None => {
                    let (client, connection) = self.open().await?;
                    let connection = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
                    connection.map_err(error::beginning)
                }
            }
        })
        .await
    }

    /// A session for listening, and its notifications, unless the application made it: then only it
    /// has them.
    pub(crate) async fn connect_to_listen(&self) -> Result<(AsyncPgConnection, Option<Notifications>), BackendError> {
        self.in_time(async {
            if let Some(setup) = &self.setup {
                return Ok((self.set_up(setup).await?, None));
            }
            let (client, connection) = self.open().await?;
            let notifications = notifications(connection, |error| BackendError::new(ErrorKind::Connection, error));
            let connection = AsyncPgConnection::try_from(client).await.map_err(error::beginning)?;
            Ok((connection, Some(notifications)))
        })
        .await
    }

    async fn in_time<T>(&self, connecting: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        let config = self.settings.config();
        let limit = total_connect_timeout(config);
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            let error = BackendError::new(ErrorKind::Connection, format!("it did not answer within {limit:?}"));
            Err(self.known_hosts.explain(config, error))
        })
    }

    async fn set_up(&self, setup: &Setup) -> Result<AsyncPgConnection, BackendError> {
        setup(self.settings().text()).await.map_err(error::setting_up)
    }

    /// Tells the server, in the background, that a statement's result is not needed any more.
    /// Without it, a statement that waits for a lock stays in the server though its connection was
    /// closed here, and takes effect once it has the lock.
    ///
    /// Not for connections that the application made: how they are encrypted is not known.
    pub(crate) fn cancel(&self, token: CancelToken) {
        if self.setup.is_none()
            && let Ok(tls) = self.tls.clone()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // A server that cannot be reached ends the session by itself.
            runtime.spawn(async move { tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await.is_ok() });
        }
    }

    /// `AsyncPgConnection::establish` would do this too, but its error is only a text.
    async fn open(
        &self,
    ) -> Result<(Client, Connection<Socket, <Tls as MakeTlsConnect<Socket>>::Stream>), BackendError> {
        let tls = self.tls.clone().map_err(|problem| BackendError::new(ErrorKind::Tls, problem))?;
        let config = self.settings().config();
        let connected = connect_in_order(config, tls, &self.known_hosts).await;
        connected.map_err(|error| self.known_hosts.explain(config, connecting(error)))
    }
}
