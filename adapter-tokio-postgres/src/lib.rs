//! The tokio-postgres backend.
