//! Making connections, in our way or in the caller's.

use crate::{error, settings::Settings};
use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use socketio_pg_core::backend::{BackendError, ErrorKind};
use std::sync::Arc;
use tokio_postgres::NoTls;

/// How the caller makes a connection from a connection string: what `ManagerConfig::custom_setup` of diesel-async takes.
pub(crate) type Setup = Arc<dyn Fn(&str) -> BoxFuture<'_, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    setup: Option<Setup>,
}

impl Connector {
    pub(crate) fn new(url: &str) -> Result<Self, BackendError> {
        Ok(Self { settings: Arc::new(Settings::parse(url)?), setup: None })
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

    /// Like `AsyncPgConnection::establish`, whose error is only a text.
    async fn connect_without_tls(&self) -> Result<AsyncPgConnection, BackendError> {
        let (client, connection) = self.settings.config().connect(NoTls).await.map_err(error::connecting)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await.map_err(error::setting_up)
    }
}
