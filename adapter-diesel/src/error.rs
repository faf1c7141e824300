//! Maps an error that kept a connection from being made to its [`ErrorKind`]. For errors of
//! statements see [`diagnosis`](crate::diagnosis).

use diesel::{
    ConnectionError,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::pooled_connection::{PoolError, deadpool};
use socketio_pg_connection::{CHECK_LOGIN, POOLER_REMEDY, connecting};
use socketio_pg_core::backend::{BackendError, ErrorKind};

/// An error of diesel-async, or of the application's set-up, while a session was being opened.
///
/// SQLSTATE is lost on the way: what the server refused counts as a failed login.
pub(crate) fn setting_up(error: ConnectionError) -> BackendError {
    let kind = match error {
        ConnectionError::CouldntSetupConfiguration(Error::QueryBuilderError(source)) => {
            return match source.downcast::<BackendError>() {
                Ok(carried) => *carried,
                Err(source) => BackendError::new(ErrorKind::Other, source),
            };
        }
        ConnectionError::BadConnection(_) => ErrorKind::Connection,
        ConnectionError::CouldntSetupConfiguration(ref error) if is_of_connection(error) => ErrorKind::Connection,
        ConnectionError::CouldntSetupConfiguration(Error::DatabaseError(..)) => {
            return BackendError::new(ErrorKind::Login, error).with_remedy(CHECK_LOGIN);
        }
        _ => ErrorKind::Configuration,
    };
    BackendError::new(kind, error)
}

/// An error of diesel-async's own statements at the start of a session, after the login.
pub(crate) fn beginning(error: ConnectionError) -> BackendError {
    match error {
        ConnectionError::CouldntSetupConfiguration(error @ Error::DatabaseError(..)) if !is_of_connection(&error) => {
            refused(ErrorKind::Other, error)
        }
        error => setting_up(error),
    }
}

/// Whether the server knows a prepared statement that the session does not know, or the other way
/// round: the next statement of this session would fail in the same way. diesel hides the SQLSTATE,
/// so it is known by its text, where that is English.
pub(crate) fn is_mixed_up(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, information)
        if information.message().starts_with("prepared statement \""))
}

/// An error of a statement, with what to do about it if a pooler is the cause.
pub(crate) fn refused(kind: ErrorKind, error: Error) -> BackendError {
    let is_mixed_up = is_mixed_up(&error);
    let error = BackendError::new(kind, error);
    if is_mixed_up { error.with_remedy(POOLER_REMEDY) } else { error }
}

/// Converts the driver's error to one of diesel's, with its reason: for your own set-up of
/// connections, see [`DieselBackend::custom_setup`](crate::DieselBackend::custom_setup).
///
/// diesel's own error for this, `BadConnection`, contains only a text, and the driver's text is
/// just `db error`. With this function a refused password, an unknown certificate and an
/// unreachable server are distinguished, and each is reported with its remedy.
#[must_use]
pub fn connection_error(error: tokio_postgres::Error) -> ConnectionError {
    carried(connecting(error))
}

/// Wraps our error in one of diesel's, as its pools pass on no other: [`setting_up`] unwraps it.
pub(crate) fn carried(error: BackendError) -> ConnectionError {
    ConnectionError::CouldntSetupConfiguration(Error::QueryBuilderError(Box::new(error)))
}

/// An error of the pool when it was asked for a connection.
pub(crate) fn acquiring(error: deadpool::PoolError) -> BackendError {
    use deadpool::{HookError, PoolError as Deadpool};
    let error = match error {
        Deadpool::Backend(error) | Deadpool::PostCreateHook(HookError::Backend(error)) => match error {
            PoolError::ConnectionError(error) => setting_up(error),
            PoolError::QueryError(error) => BackendError::new(ErrorKind::Connection, error),
        },
        error @ Deadpool::Timeout(_) => BackendError::new(ErrorKind::Connection, error),
        error @ Deadpool::NoRuntimeSpecified => BackendError::new(ErrorKind::Configuration, error),
        Deadpool::Closed => closed(),
        error @ Deadpool::PostCreateHook(_) => BackendError::new(ErrorKind::Other, error),
    };
    error.unsent()
}

/// The backend was closed already.
pub(crate) fn closed() -> BackendError {
    BackendError::new(ErrorKind::Other, "the connections to PostgreSQL have been closed").unsent()
}

/// Whether the statement did not get to the server, or its result did not come back.
pub(crate) fn is_of_connection(error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    matches!(error, Error::DatabaseError(UnableToSendCommand | ClosedConnection, _))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_error_comes_through_the_pool_as_it_was() {
        let error = setting_up(carried(BackendError::new(ErrorKind::Permission, "may not connect")));
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Permission, "may not connect"));
    }

    #[test]
    fn what_is_refused_after_the_login_is_not_the_login_and_a_pooler_has_its_remedy() {
        for (text, has_remedy) in [("prepared statement \"s0\" already exists", true), ("out of memory", false)] {
            let error = Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()));
            let error = beginning(ConnectionError::CouldntSetupConfiguration(error));
            assert_eq!(error.kind(), ErrorKind::Other, "{text}");
            assert_eq!(error.to_string().contains("`with_listen_url`"), has_remedy, "{error}");
        }
        let lost = Error::DatabaseError(DatabaseErrorKind::UnableToSendCommand, Box::new("lost".to_owned()));
        assert_eq!(beginning(ConnectionError::CouldntSetupConfiguration(lost)).kind(), ErrorKind::Connection);
    }

    #[test]
    fn what_a_set_up_of_the_caller_fails_with_is_understood() {
        let of_database = |kind| Error::DatabaseError(kind, Box::new("text".to_owned()));
        for (error, kind) in [
            (ConnectionError::BadConnection("text".to_owned()), ErrorKind::Connection),
            (ConnectionError::InvalidConnectionUrl("text".to_owned()), ErrorKind::Configuration),
            (
                ConnectionError::CouldntSetupConfiguration(of_database(DatabaseErrorKind::UnableToSendCommand)),
                ErrorKind::Connection,
            ),
            (ConnectionError::CouldntSetupConfiguration(of_database(DatabaseErrorKind::Unknown)), ErrorKind::Login),
        ] {
            assert_eq!(setting_up(error).kind(), kind);
        }
    }
}
