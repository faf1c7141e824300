//! Makes a backend from a database URL.

use socketio_pg_connection::Settings;
use socketio_pg_core::backend::BackendError;

use crate::{
    TokioPostgresBackend,
    sessions::{NodeName, Sessions},
};

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
