//! Maps errors of the driver to their [`ErrorKind`].

use std::{error::Error as StdError, io};

use deadpool_postgres::{HookError, PoolError};
use socketio_pg_connection::{POOLER_REMEDY, connecting, io_error, kind_of_state};
use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::{Error, error::Severity};

/// An error of a statement, or of an open session.
pub(crate) fn in_session(error: Error) -> BackendError {
    let kind = match error.code() {
        Some(code) => match kind_of_state(code.code()) {
            // The error ended the session.
            ErrorKind::Other | ErrorKind::Timeout if is_fatal(&error) => ErrorKind::Connection,
            kind => kind,
        },
        None if error.is_closed() => ErrorKind::Connection,
        // A value that cannot be written, such as a text with a NUL, was not sent.
        None if io_error(&error).is_some_and(|io| io.kind() != io::ErrorKind::InvalidInput) => ErrorKind::Connection,
        // The driver did not expect the result: the statement may have taken effect.
        None if error.source().is_none() => ErrorKind::Connection,
        None => ErrorKind::Other,
    };
    let is_mixed_up = is_mixed_up(&error);
    let error = BackendError::new(kind, error);
    if is_mixed_up { error.with_remedy(POOLER_REMEDY) } else { error }
}

/// Whether the server knows a prepared statement that the session does not know, or the other way
/// round: the next statement of this session would fail in the same way.
pub(crate) fn is_mixed_up(error: &Error) -> bool {
    // duplicate_prepared_statement, invalid_sql_statement_name
    error.code().is_some_and(|code| ["42P05", "26000"].contains(&code.code()))
}

fn is_fatal(error: &Error) -> bool {
    let severity = error.as_db_error().and_then(|error| error.parsed_severity());
    matches!(severity, Some(Severity::Fatal | Severity::Panic))
}

/// An error of the pool when it was asked for a connection.
pub(crate) fn acquiring(error: PoolError) -> BackendError {
    let error = match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => connecting(error),
        error @ PoolError::Timeout(_) => BackendError::new(ErrorKind::Connection, error),
        error @ PoolError::NoRuntimeSpecified => BackendError::new(ErrorKind::Configuration, error),
        PoolError::Closed => closed(),
        error @ PoolError::PostCreateHook(_) => BackendError::new(ErrorKind::Other, error),
    };
    error.unsent()
}

/// The backend was closed already.
pub(crate) fn closed() -> BackendError {
    BackendError::new(ErrorKind::Other, "the connections to PostgreSQL have been closed").unsent()
}
