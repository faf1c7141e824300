//! Connections to the database of a cluster.

use socketio_pg_connection::{KnownHosts, Settings, connect};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
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
    let (client, connection) = connect(settings.config(), connector, &KnownHosts::default()).await?;
    tokio::spawn(connection);
    Ok(client)
}
