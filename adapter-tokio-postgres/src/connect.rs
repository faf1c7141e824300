//! A backend from a database URL.

use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::{Config, NoTls};

use crate::TokioPostgresBackend;

/// A backend without TLS, with pool and listening connection of its own.
///
/// The text is a URL (`postgres://user:password@host/database`) or `key=value` pairs, as
/// tokio-postgres reads them.
impl TryFrom<&str> for TokioPostgresBackend {
    type Error = BackendError;

    fn try_from(url: &str) -> Result<Self, BackendError> {
        let config: Config = url.parse().map_err(|error| BackendError::new(ErrorKind::Configuration, error))?;
        Ok(Self::new(config, NoTls))
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
