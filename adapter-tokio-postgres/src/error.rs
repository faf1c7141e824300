//! Which [`ErrorKind`] an error of the driver is.

use deadpool_postgres::{HookError, PoolError};
use socketio_pg_core::backend::{BackendError, ErrorKind};
use std::{error::Error as StdError, io};
use tokio_postgres::{Error, error::Severity};

/// An error of a statement, or of a session that was open.
pub(crate) fn in_session(error: Error) -> BackendError {
    let kind = match error.code() {
        Some(code) => match kind_of_state(code.code()) {
            // The session has ended with it.
            ErrorKind::Other | ErrorKind::Timeout if is_fatal(&error) => ErrorKind::Connection,
            kind => kind,
        },
        None if error.is_closed() => ErrorKind::Connection,
        // A value that cannot be written, such as a text with a NUL, was not sent.
        None if io_error(&error).is_some_and(|io| io.kind() != io::ErrorKind::InvalidInput) => ErrorKind::Connection,
        // An answer that the driver did not expect: the statement may have taken effect.
        None if error.source().is_none() => ErrorKind::Connection,
        None => ErrorKind::Other,
    };
    BackendError::new(kind, error)
}

fn is_fatal(error: &Error) -> bool {
    let severity = error.as_db_error().and_then(|error| error.parsed_severity());
    matches!(severity, Some(Severity::Fatal | Severity::Panic))
}

/// An error while a session was being opened. What is not the network's fault is the settings'.
pub(crate) fn connecting(error: Error) -> BackendError {
    let kind = match (error.code(), io_error(&error)) {
        (Some(code), _) => kind_of_state(code.code()),
        // TLS libraries report a certificate they do not like as bad data.
        (None, Some(io)) if io.kind() == io::ErrorKind::InvalidData => ErrorKind::Configuration,
        (None, Some(_)) => ErrorKind::Connection,
        (None, None) if error.is_closed() => ErrorKind::Connection,
        (None, None) => ErrorKind::Configuration,
    };
    BackendError::new(kind, error)
}

/// An error of the pool, when asked for a connection.
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

/// The backend was closed before.
pub(crate) fn closed() -> BackendError {
    BackendError::new(ErrorKind::Other, "the connections to PostgreSQL have been closed").unsent()
}

/// The kind of an SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind_of_state(state: &str) -> ErrorKind {
    match state {
        // undefined_table
        "42P01" => ErrorKind::MissingTable,
        // insufficient_privilege
        "42501" => ErrorKind::Permission,
        // invalid_catalog_name, invalid_schema_name, database_dropped
        "3D000" | "3F000" | "57P04" => ErrorKind::Configuration,
        // read_only_sql_transaction
        "25006" => ErrorKind::ReadOnly,
        // query_canceled, lock_not_available
        "57014" | "55P03" => ErrorKind::Timeout,
        // too_many_connections; idle_in_transaction_session_timeout, transaction_timeout;
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout
        "53300" | "25P03" | "25P04" | "57P01" | "57P02" | "57P03" | "57P05" => ErrorKind::Connection,
        // connection_exception
        _ if state.starts_with("08") => ErrorKind::Connection,
        // invalid_authorization_specification
        _ if state.starts_with("28") => ErrorKind::Configuration,
        _ => ErrorKind::Other,
    }
}

/// The first of the error's sources that comes from the operating system, or says so.
fn io_error<'a>(mut error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    loop {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => error = error.source()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_of_the_kind_that_tells_what_to_do() {
        for (state, kind) in [
            ("42P01", ErrorKind::MissingTable),
            ("42501", ErrorKind::Permission),
            ("28P01", ErrorKind::Configuration),
            ("28000", ErrorKind::Configuration),
            ("3D000", ErrorKind::Configuration),
            ("08006", ErrorKind::Connection),
            ("57P01", ErrorKind::Connection),
            ("57P03", ErrorKind::Connection),
            ("53300", ErrorKind::Connection),
            ("22023", ErrorKind::Other),
            ("57014", ErrorKind::Timeout),
            ("55P03", ErrorKind::Timeout),
            ("25006", ErrorKind::ReadOnly),
            ("25P03", ErrorKind::Connection),
            ("25P04", ErrorKind::Connection),
        ] {
            assert_eq!(kind_of_state(state), kind, "{state}");
        }
    }
}
