//! Makes a backend from a database URL.

use socketio_pg_core::backend::BackendError;

use crate::DieselBackend;

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
