//! Makes a backend, or one connection, from a database URL.

use socketio_pg_connection::{KnownHosts, Settings};
use socketio_pg_core::{ConnectError, backend::BackendError};
use tokio_postgres::Client;

use crate::{
    TokioPostgresBackend,
    sessions::{NodeName, Sessions},
};

/// A connection for the application's own statements: those of a worker, or of a transaction that
/// emits with an [`Emitter`](crate::Emitter).
///
/// It is made like the connections of a node: with TLS as the URL says, with the same defaults, to the
/// first of several hosts that can be used, with the same texts when it fails. It is not opened again
/// when it is lost: a server takes a pool.
///
/// ```no_run
/// use socketio_pg_tokio_postgres::Emitter;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = socketio_pg_tokio_postgres::connect("postgres://app@localhost/app").await?;
/// Emitter::new().to("news").emit("headline", "It works", &client).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the text cannot be read, or no host can be used.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    let settings = Settings::parse(url)?;
    let tls = settings.connector()?;
    let (client, connection) = socketio_pg_connection::connect(settings.config(), tls, &KnownHosts::default()).await?;
    // The user of the client is told why it ended.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// A backend with its own pool and listening connection.
///
/// The text is a URL (`postgres://user:password@host/database`) or `key=value` pairs, as
/// tokio-postgres reads them. With the feature `rustls`, `sslmode` (`disable`, `prefer`, `require`,
/// `verify-ca`, `verify-full`) and `sslrootcert` mean the same as for libpq; without `sslrootcert`,
/// certificates are checked against the roots that the machine trusts. Without the feature, a text
/// that asks for TLS is refused.
impl TryFrom<&str> for TokioPostgresBackend {
    type Error = BackendError;

    fn try_from(url: &str) -> Result<Self, BackendError> {
        let settings = Settings::parse(url)?;
        let node_name = NodeName::default();
        Ok(Self::on_one_address(Sessions::of_settings(&settings, &node_name), node_name, settings.connector()?))
    }
}

impl TryFrom<String> for TokioPostgresBackend {
    type Error = BackendError;

    fn try_from(url: String) -> Result<Self, BackendError> {
        url.as_str().try_into()
    }
}

impl TryFrom<&String> for TokioPostgresBackend {
    type Error = BackendError;

    fn try_from(url: &String) -> Result<Self, BackendError> {
        url.as_str().try_into()
    }
}
