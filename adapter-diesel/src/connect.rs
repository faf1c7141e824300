//! Makes a backend, or one connection, from a database URL.

use diesel_async::AsyncPgConnection;
use socketio_pg_core::{ConnectError, backend::BackendError};

use crate::{DieselBackend, connector::Connector};

/// A connection for the application's own statements: those of a worker, or of a transaction that
/// emits with an [`Emitter`](crate::Emitter).
///
/// It is made like the connections of a node: with TLS as the URL says, with the same defaults, to the
/// first of several hosts that can be used, with the same texts when it fails. It is not opened again
/// when it is lost: a server takes a pool.
///
/// ```no_run
/// use socketio_pg_diesel::Emitter;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = socketio_pg_diesel::connect("postgres://app@localhost/app").await?;
/// Emitter::new().to("news").emit("headline", "It works", &mut connection).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the text cannot be read, or no host can be used.
pub async fn connect(url: &str) -> Result<AsyncPgConnection, ConnectError> {
    Ok(Connector::new(url)?.connect().await?)
}

/// A backend with its own pool and listening connection: see [`DieselBackend::new`].
impl TryFrom<&str> for DieselBackend {
    type Error = BackendError;

    fn try_from(url: &str) -> Result<Self, BackendError> {
        Self::new(url)
    }
}

impl TryFrom<String> for DieselBackend {
    type Error = BackendError;

    fn try_from(url: String) -> Result<Self, BackendError> {
        Self::new(&url)
    }
}

impl TryFrom<&String> for DieselBackend {
    type Error = BackendError;

    fn try_from(url: &String) -> Result<Self, BackendError> {
        Self::new(url)
    }
}
