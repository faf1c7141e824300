//! Maps an error that kept a connection from being made to its [`ErrorKind`] and its remedy.

use std::{error::Error as StdError, io};

use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::{Error, error::DbError};

#[cfg(feature = "rustls")]
const NO_RULE: &str = "a rule in the server's pg_hba.conf is missing for this user from here; or it has one for TLS: add `sslmode=require` to the \
                       database URL";
#[cfg(not(feature = "rustls"))]
const NO_RULE: &str = "a rule in the server's pg_hba.conf is missing for this user from here; or it has one for TLS: enable the feature \
                       `rustls` of the backend crate and add `sslmode=require` to the database URL";

#[cfg(feature = "rustls")]
const HOW_TO_ENCRYPT: &str = "add `sslmode=require` to the database URL, if the server wants TLS";
#[cfg(not(feature = "rustls"))]
const HOW_TO_ENCRYPT: &str = "if the server wants TLS, enable the feature `rustls` of the backend crate and add `sslmode=require` to the \
                              database URL, or give the backend a TLS connector of your own";

/// What to do when the server refuses the user or the password.
pub const CHECK_LOGIN: &str = "check user, password and database; in a URL, `%`, `@` and `:` of a password are written as `%25`, `%40` and \
                               `%3A`";

const NO_DATABASE: &str =
    "check the name of the database, which stands behind the last `/` of the URL, or create it with CREATE DATABASE";

const REFUSED_HERE: &str =
    "the server's pg_hba.conf has no rule for this user from here, or one that refuses it: add one there";

const MAY_NOT_CONNECT: &str = "its owner allows that with GRANT CONNECT ON DATABASE … TO …";

const NO_HOST: &str = "write it into the URL, `postgres://user:password@host:5432/database`: `PGHOST` is not read";

const NO_PASSWORD: &str = "the database URL has none. `PGPASSWORD` and `.pgpass` are not read: write `postgres://user:password@host/database`";

/// What to do when the server knows a statement that this session has not prepared, or does not know
/// one that it has: SQLSTATE 42P05 and 26000.
pub const POOLER_REMEDY: &str = "is it a transaction pooler such as PgBouncer, which mixes up the statements of its clients? Give a direct \
                                 connection for listening: `with_listen_url` of the backend. The diesel backend also needs a pooler that \
                                 knows prepared statements";

/// The driver's words for an address to which there is no connection.
const CONNECTING: &str = "error connecting to server";

const NOT_POSTGRES: &str =
    "the connection ended, or what came is not PostgreSQL's: is it another server's port, or a server that restarts?";

/// The driver's words for a `target_session_attrs` that the server does not have.
const NO_WRITES: &str = "database does not allow writes";
const NOT_READ_ONLY: &str = "database is not read only";

/// An error while a session was being opened. If the network did not cause it, the settings did.
pub fn connecting(error: Error) -> BackendError {
    let (kind, remedy) = diagnose(&error);
    let error = BackendError::new(kind, error);
    match remedy {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// The kind and the text of such an error.
pub(crate) fn describe(error: &Error) -> (ErrorKind, String) {
    let (kind, remedy) = diagnose(error);
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.extend(remedy.map(str::to_owned));
    (kind, texts.join(": "))
}

fn diagnose(error: &Error) -> (ErrorKind, Option<&'static str>) {
    if let Some(refused) = error.as_db_error() {
        return diagnose_refusal(refused);
    }
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    // In the driver's words.
    for (text, kind, remedy) in [
        (
            "server does not support TLS",
            ErrorKind::Tls,
            "switch it on there (`ssl = on`), or write `sslmode=disable` where the network can be trusted",
        ),
        ("no TLS implementation configured", ErrorKind::Tls, "give the backend a TLS connector"),
        ("password missing", ErrorKind::Login, NO_PASSWORD),
        ("both host and hostaddr are missing", ErrorKind::Url, NO_HOST),
        (NOT_READ_ONLY, ErrorKind::Configuration, "nodes write: leave `target_session_attrs=read-only` out"),
    ] {
        if reason.contains(text) {
            return (kind, Some(remedy));
        }
    }
    match io_error(error) {
        // TLS libraries report a certificate that they reject as bad data.
        Some(io) if io.kind() == io::ErrorKind::InvalidData => (ErrorKind::Tls, Some(remedy(io))),
        Some(_) if reason.contains(NO_WRITES) => (ErrorKind::ReadOnly, None),
        // A name or a path that cannot be one. It is not a name without addresses, which may get some.
        Some(io)
            if io.kind() == io::ErrorKind::InvalidInput
                && error.to_string() == CONNECTING
                && !reason.contains("any addresses") =>
        {
            (ErrorKind::Url, None)
        }
        Some(_) if error.to_string() != CONNECTING => (ErrorKind::Connection, Some(NOT_POSTGRES)),
        Some(_) => (ErrorKind::Connection, None),
        None if error.is_closed() => (ErrorKind::Connection, None),
        None => (ErrorKind::Configuration, None),
    }
}

fn diagnose_refusal(refused: &DbError) -> (ErrorKind, Option<&'static str>) {
    let text = refused.message();
    let state = refused.code().code();
    // A server says "no encryption" to every plain connection for which it has no rule.
    if text.contains("no pg_hba.conf entry") && ["no encryption", "SSL off"].iter().any(|part| text.contains(part)) {
        return (ErrorKind::Login, Some(NO_RULE));
    }
    if ["sslmode=require", "SSL connection is required"].iter().any(|part| text.contains(part)) {
        return (ErrorKind::Tls, Some(HOW_TO_ENCRYPT));
    }
    match kind_of_state(state) {
        // invalid_catalog_name
        ErrorKind::Login if state == "3D000" => (ErrorKind::Login, Some(NO_DATABASE)),
        // PgBouncer gives all that it refuses by itself the state of a protocol violation.
        // The other words are those with `auth_type = any`.
        ErrorKind::Connection
            if state == "08P01"
                && ["no such database", "bouncer config error"].iter().any(|part| text.contains(part)) =>
        {
            (ErrorKind::Login, Some(NO_DATABASE))
        }
        ErrorKind::Connection
            if state == "08P01" && ["no such user", "authentication failed"].iter().any(|part| text.contains(part)) =>
        {
            (ErrorKind::Login, Some(CHECK_LOGIN))
        }
        ErrorKind::Login if text.contains("pg_hba.conf") => (ErrorKind::Login, Some(REFUSED_HERE)),
        ErrorKind::Login => (ErrorKind::Login, Some(CHECK_LOGIN)),
        ErrorKind::Permission if text.contains("for database") => (ErrorKind::Login, Some(MAY_NOT_CONNECT)),
        // What `options` asks for.
        ErrorKind::Permission => (ErrorKind::Configuration, None),
        // What settings can cause, such as `options`; not a server that lacks memory or disk, or has
        // a bug.
        ErrorKind::Other if !["53", "58", "XX"].iter().any(|class| state.starts_with(class)) => {
            (ErrorKind::Configuration, None)
        }
        kind => (kind, None),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    #[cfg(feature = "rustls")]
    if let Some(known) = error.get_ref().and_then(|inner| inner.downcast_ref()).and_then(crate::tls::remedy) {
        return known;
    }
    let _ = error;
    "check the server's certificate, and which ones this machine trusts"
}

/// The kind of an SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn kind_of_state(state: &str) -> ErrorKind {
    match state {
        // undefined_table
        "42P01" => ErrorKind::MissingTable,
        // insufficient_privilege
        "42501" => ErrorKind::Permission,
        // invalid_catalog_name, database_dropped
        "3D000" | "57P04" => ErrorKind::Login,
        // invalid_schema_name
        "3F000" => ErrorKind::Configuration,
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
        _ if state.starts_with("28") => ErrorKind::Login,
        _ => ErrorKind::Other,
    }
}

/// The first of the error's sources that comes from the operating system, or says so.
pub fn io_error<'a>(mut error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
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
            ("28P01", ErrorKind::Login),
            ("28000", ErrorKind::Login),
            ("3D000", ErrorKind::Login),
            ("3F000", ErrorKind::Configuration),
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
