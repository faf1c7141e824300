//! Making connections, in our way or in the caller's.

use crate::{
    error,
    settings::{Settings, host_name},
};
use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use socketio_pg_core::backend::{BackendError, ErrorKind, slow_hosts::SlowHosts};
use std::{sync::Arc, time::Duration};
use tokio_postgres::{CancelToken, Client, Connection, NoTls, Socket, tls::NoTlsStream};

/// How the caller makes a connection from a connection string: what `ManagerConfig::custom_setup`
/// of diesel-async takes.
pub(crate) type Setup = Arc<dyn Fn(&str) -> BoxFuture<'_, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// How long cancelling may take: it needs a connection of its own.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    slow_hosts: SlowHosts,
    setup: Option<Setup>,
}

impl Connector {
    pub(crate) fn new(url: &str) -> Result<Self, BackendError> {
        Ok(Self { settings: Arc::new(Settings::parse(url)?), slow_hosts: SlowHosts::default(), setup: None })
    }

    /// Finds out about slow hosts together with another connector.
    pub(crate) fn with_hosts_of(self, other: &Self) -> Self {
        Self { slow_hosts: other.slow_hosts.clone(), ..self }
    }

    /// Whether the other leads to the same places.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.settings.text() == other.settings.text()
    }

    pub(crate) fn time_for_other_hosts(&self) -> Duration {
        self.settings.time_for_other_hosts()
    }

    pub(crate) fn with_setup(self, setup: Setup) -> Self {
        Self { setup: Some(setup), ..self }
    }

    pub(crate) async fn connect(&self) -> Result<AsyncPgConnection, BackendError> {
        let connecting = async {
            match &self.setup {
                Some(setup) => setup(self.settings.text()).await.map_err(error::setting_up),
                None => self.connect_without_tls().await,
            }
        };
        tokio::time::timeout(self.settings.connect_timeout(), connecting)
            .await
            .unwrap_or_else(|elapsed| Err(BackendError::new(ErrorKind::Connection, elapsed)))
    }

    /// Tells the server, in the background, that nobody waits for a statement any more. Without it,
    /// one that waits for a lock stays there though its connection was closed here, and takes
    /// effect once it has the lock.
    ///
    /// Not for connections that the caller made: how they are encrypted is not known.
    pub(crate) fn cancel(&self, token: CancelToken) {
        if self.setup.is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // A server that cannot be reached cannot be told, and ends the session by itself.
            runtime.spawn(async move { tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(NoTls)).await.is_ok() });
        }
    }

    /// Connects to the first host that answers. Each has its time, and hosts that were slow before
    /// are tried last. The driver's own time ends when the socket is connected: it would wait for
    /// ever for a host that takes connections and says nothing.
    async fn reach(&self) -> Result<(Client, Connection<Socket, NoTlsStream>), tokio_postgres::Error> {
        let mut hosts = self.settings.per_host();
        self.slow_hosts.move_to_end(&mut hosts, host_name);
        let Some(last) = hosts.pop() else { return self.settings.config().connect(NoTls).await };
        for host in hosts {
            let attempt = self.slow_hosts.attempt(host_name(&host));
            if let Ok(Ok(connected)) = tokio::time::timeout(self.settings.time_for(&host), host.connect(NoTls)).await {
                attempt.connected();
                return Ok(connected);
            }
        }
        let attempt = self.slow_hosts.attempt(host_name(&last));
        let connected = last.connect(NoTls).await?;
        attempt.connected();
        Ok(connected)
    }

    /// Like `AsyncPgConnection::establish`, whose error is only a text.
    async fn connect_without_tls(&self) -> Result<AsyncPgConnection, BackendError> {
        let (client, connection) = self.reach().await.map_err(error::connecting)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await.map_err(error::setting_up)
    }
}
