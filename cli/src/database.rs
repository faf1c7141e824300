//! Connections to the database of a cluster.

use socketio_pg_connection::{Settings, SlowHosts, connect, connecting, total_connect_timeout};
use socketio_pg_core::ConnectError;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::{arguments::Target, failure::Failure};

/// The address of the database.
pub(crate) fn url(target: &Target) -> Result<&str, Failure> {
    let url = target.database_url.as_deref().filter(|url| !url.is_empty());
    url.ok_or_else(|| {
        Failure::failed(
            "no database: give --database-url, or set DATABASE_URL, as postgres://user:password@localhost:5432/database",
        )
    })
}

/// The database as a node uses it.
pub(crate) fn backend(target: &Target) -> Result<TokioPostgresBackend, Failure> {
    Ok(TokioPostgresBackend::try_from(url(target)?)?)
}

/// One session.
pub(crate) async fn client(target: &Target) -> Result<Client, Failure> {
    let settings = Settings::parse(url(target)?)?.of_node("cli");
    let connector = settings.connector()?;
    let slow_hosts = SlowHosts::default();
    let connecting_takes = total_connect_timeout(settings.config());
    // The driver's own limit ends when the socket is connected, though the server may never reply.
    let connected = timeout(connecting_takes, connect(settings.config(), connector, &slow_hosts)).await;
    let (client, connection) = connected.map_err(|_| ConnectError::Timeout(connecting_takes))?.map_err(connecting)?;
    tokio::spawn(connection);
    Ok(client)
}
