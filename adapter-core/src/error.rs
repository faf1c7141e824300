//! Errors that the application gets.

use std::{convert::Infallible, error::Error as StdError, fmt, sync::Arc, time::Duration};

use socketio_pg_protocol::{DecodeError, EncodeError, NodeId, channel};
use socketioxide_core::adapter::errors::{AdapterError, BroadcastError};

use crate::backend::{
    BackendError, ErrorKind,
    error::{PrepareError, has_timed_out},
    table::literal,
};

/// Why a node could not join its cluster.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An option cannot work.
    #[error("option `{option}` is invalid: {problem}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong and what to give instead.
        problem: String,
    },
    /// The database URL cannot be read.
    #[error(
        "the database URL cannot be used: {0}. Write it like `postgres://user:password@host:5432/database?sslmode=require`, with `%40` for \
         an `@` in the password"
    )]
    Url(BackendError),
    /// The server refused the user, the password or the database.
    #[error("PostgreSQL refused the login: {0}")]
    Login(BackendError),
    /// The connection cannot be encrypted as the settings ask, or the server wants it to be.
    #[error("no connection with the TLS that is asked for: {0}")]
    Tls(BackendError),
    /// Another setting of the connection cannot work.
    #[error("the connection settings do not work: {0}: check the database URL")]
    Settings(BackendError),
    /// PostgreSQL cannot be reached.
    #[error("PostgreSQL cannot be reached: {0}: is it running at this address, and does it take more connections?")]
    Unreachable(BackendError),
    /// The server accepts no writes, and so no notifications.
    #[error(
        "this PostgreSQL server takes no writes ({0}): is it a standby, or set to `default_transaction_read_only`? Give the address of the \
         primary, or `target_session_attrs=read-write` with the addresses of all"
    )]
    ReadOnly(BackendError),
    /// The database has another encoding than UTF8, in which not every namespace has a name.
    #[error(
        "the encoding of the database is {encoding}, in which not every name and text can be written: make one with \
         `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0` and give that"
    )]
    Encoding {
        /// What PostgreSQL calls it.
        encoding: String,
    },
    /// The attachments table is missing, and the options do not allow creating it.
    #[error(
        "the attachments table `{table}` is missing: create it with the SQL that the backend crate exports as \
         `schema_sql`, or let the node do it with `Options::create_table(true)`"
    )]
    MissingTable {
        /// The table.
        table: String,
    },
    /// The attachments table is missing, and the role may not create it.
    #[error(
        "the attachments table `{table}` is missing and the role {role:?} may not create it ({error}). Run this as the owner of the schema: \
         {statement}; or create the table with the SQL that the backend crate exports as `schema_sql`"
    )]
    MayNotCreateTable {
        /// The table.
        table: String,
        /// The role that the node connects as.
        role: String,
        /// The statement that gives the right.
        statement: String,
        /// What PostgreSQL said.
        error: BackendError,
    },
    /// The role lacks a right on a table that a node needs.
    #[error(
        "the role {role:?} may not use the table `{table}`: it lacks {missing}. Run this as its owner, {owner:?}: {statement}"
    )]
    MissingRights {
        /// The table: the attachments table, the catch-up log or the outbox.
        table: String,
        /// The role that the node connects as.
        role: String,
        /// The rights, and on what, in words.
        missing: String,
        /// Whose table it is.
        owner: String,
        /// The statements that give the rights.
        statement: String,
    },
    /// A table does not have the columns that a node needs.
    #[error(
        "the table `{table}` cannot be used: {problem}. Give another one with `Options::table`, `CatchUp::table` or `Outbox::table`, or \
         run this as its owner, {owner:?}, which may delete what is in these columns: {statement}"
    )]
    UnsuitableTable {
        /// The table: the attachments table, the catch-up log or the outbox.
        table: String,
        /// What is wrong with which column, in words.
        problem: String,
        /// Whose table it is.
        owner: String,
        /// The statement that corrects it.
        statement: String,
    },
    /// A table could not be read, because another session holds a lock on it.
    #[error(
        "the table `{table}` could not be read in time ({error}): most likely another session has an ACCESS EXCLUSIVE lock on it, or waits \
         for one, as LOCK TABLE, ALTER TABLE, TRUNCATE and VACUUM FULL do. This finds it: SELECT pid, granted, application_name, state, query \
         FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE mode = 'AccessExclusiveLock' AND relation = {}::regclass. Let its \
         transaction end, or end it with SELECT pg_terminate_backend(pid)",
        literal(table)
    )]
    TableLocked {
        /// The table: the attachments table, the catch-up log or the outbox, as the options name it.
        table: String,
        /// What PostgreSQL said, or that it did not answer in time.
        error: BackendError,
    },
    /// The table of the catch-up log does not exist, and was not created.
    #[error(
        "the table `{table}` of the catch-up log is not there ({error}): run the SQL that the backend crate exports as \
         `log_schema_sql`, or do without `Options::catch_up`"
    )]
    MissingLog {
        /// The table.
        table: String,
        /// What PostgreSQL said.
        error: BackendError,
    },
    /// The outbox or its sequence is missing, or may not be used.
    #[error(
        "the outbox `{table}`, or its sequence, is missing or may not be used ({error}): run the SQL that the backend \
         crate exports as `outbox_schema_sql`, and grant the role SELECT and UPDATE on the sequence; or do without \
         `Options::outbox`"
    )]
    MissingOutbox {
        /// The table.
        table: String,
        /// What PostgreSQL said.
        error: BackendError,
    },
    /// What is sent does not come back: the connection cannot LISTEN.
    #[error(
        "channel notifications do not arrive through this connection (waited {waited:?}): is it a transaction pooler \
         such as PgBouncer? Give a direct connection for listening: `with_listen_url` of the backend"
    )]
    NotListening {
        /// How long the node waited.
        waited: Duration,
    },
    /// It took longer than `Options::connect_timeout`.
    #[error(
        "connecting took longer than {0:?}: raise `Options::connect_timeout` if this database is that slow; `socketio-pg doctor` says whether \
         another session locks a table"
    )]
    Timeout(Duration),
    /// One of several databases cannot be joined.
    #[error("database {database}, counted from 0: {error}")]
    InDatabase {
        /// Its number in the list of backends, from 0.
        database: usize,
        /// What is wrong there.
        error: Box<Self>,
    },
    /// Another error that PostgreSQL reported.
    #[error("PostgreSQL refused: {0}")]
    Database(BackendError),
}

impl From<BackendError> for ConnectError {
    fn from(error: BackendError) -> Self {
        match error.kind() {
            ErrorKind::Url => Self::Url(error),
            ErrorKind::Login => Self::Login(error),
            ErrorKind::Tls => Self::Tls(error),
            ErrorKind::Configuration => Self::Settings(error),
            ErrorKind::Connection => Self::Unreachable(error),
            ErrorKind::ReadOnly => Self::ReadOnly(error),
            _ => Self::Database(error),
        }
    }
}

impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl ConnectError {
    pub(crate) fn of_database(self, database: usize) -> Self {
        Self::InDatabase { database, error: Box::new(self) }
    }

    pub(crate) fn preparing(table: &str, error: BackendError) -> Self {
        match Self::of_table(table, error, true) {
            Ok(known) => known,
            Err(error) => match error.kind() {
                ErrorKind::MissingTable => Self::MissingTable { table: table.to_owned() },
                _ => error.into(),
            },
        }
    }

    pub(crate) fn preparing_log(table: &str, error: BackendError) -> Self {
        Self::preparing_optional(table, error, |table, error| Self::MissingLog { table, error })
    }

    pub(crate) fn preparing_outbox(table: &str, error: BackendError) -> Self {
        Self::preparing_optional(table, error, |table, error| Self::MissingOutbox { table, error })
    }

    /// For a table that only an option asks for. A failure that is not about the table, such as of
    /// the login, is told as without the option.
    fn preparing_optional(table: &str, error: BackendError, missing: fn(String, BackendError) -> Self) -> Self {
        match Self::of_table(table, error, false) {
            Ok(known) => known,
            // A wrong setting is the name of the table, or of its schema.
            Err(error) if error.kind() == ErrorKind::Configuration || error.kind().is_about_content() => {
                missing(table.to_owned(), error)
            }
            Err(error) => error.into(),
        }
    }

    /// What is wrong with a table that exists.
    fn of_table(table: &str, error: BackendError, of_attachments: bool) -> Result<Self, BackendError> {
        let table = table.to_owned();
        if has_timed_out(&error) {
            return Ok(Self::TableLocked { table, error });
        }
        match error.into_preparation()? {
            PrepareError::Rights { role, missing, owner, statement } => {
                Ok(Self::MissingRights { table, role, missing: missing.to_string(), owner, statement })
            }
            PrepareError::Unsuitable { problems, owner, statement } => {
                Ok(Self::UnsuitableTable { table, problem: problems.to_string(), owner, statement })
            }
            PrepareError::Encoding { encoding } => Ok(Self::Encoding { encoding }),
            PrepareError::NotCreated { role, grant, error }
                if of_attachments && error.kind() == ErrorKind::Permission =>
            {
                Ok(Self::MayNotCreateTable { table, role, statement: grant, error })
            }
            missing @ (PrepareError::Missing { .. } | PrepareError::NotCreated { .. }) => Err(missing.into()),
        }
    }

    /// The table is missing, and could not be created.
    pub(crate) fn creating(table: &str, error: BackendError) -> Self {
        match error.kind() {
            ErrorKind::Configuration => Self::Option {
                option: "table",
                problem: format!("{table:?} cannot be created ({error}): create its schema, or name another table"),
            },
            _ => Self::preparing(table, error),
        }
    }
}

/// Why an operation on the cluster failed.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message could not be written.
    #[error("the message cannot be encoded: {0}")]
    Encode(Arc<EncodeError>),
    /// Data of the application cannot be read or written.
    #[error("the data cannot be used: {0}")]
    Data(Arc<dyn std::error::Error + Send + Sync>),
    /// The event has a name that Socket.IO reserves: no client got it. Clients that get such an
    /// event disconnect, and servers take it for one of their own events.
    #[error("`{event}` is a reserved event name: give the event another one, and check names that come from clients")]
    ReservedEvent {
        /// The name.
        event: String,
    },
    /// PostgreSQL did not take the message: no other node got it.
    #[error("the message was not published: {0}")]
    Publish(Arc<BackendError>),
    /// The connection broke, or the time ran out, while PostgreSQL had the message: the other nodes
    /// get all of it or nothing, and it is not known which. Sending it again may deliver it twice.
    #[error("it is not known whether the message was published: {0}")]
    Unconfirmed(Arc<BackendError>),
    /// Some nodes did not respond in time.
    #[error("timeout reached: missing {} responses", missing.len())]
    Timeout {
        /// The nodes that did not respond.
        missing: Vec<NodeId>,
    },
    /// Some clients did not acknowledge in time, or a node did not say how many clients it has.
    #[error("operation has timed out: {missing} acknowledgements are missing")]
    NotAcknowledged {
        /// How many.
        missing: u64,
    },
    /// This node already has as many waiting requests as it may have: this request was not
    /// published.
    #[error(
        "{limit} requests wait for responses already: wait for some, give them a shorter time-out, or raise \
         `Options::max_requests`"
    )]
    TooManyRequests {
        /// [`Options::max_requests`](crate::Options::max_requests).
        limit: usize,
    },
    /// More responses came than a request accepts: a node floods, or the cluster is that large.
    #[error("more than {limit} responses came to one request: ask fewer sockets, or raise `Options::max_responses`")]
    TooManyResponses {
        /// [`Options::max_responses`](crate::Options::max_responses).
        limit: usize,
    },
    /// The server has no such namespace.
    #[error("this server has no namespace {0:?}: add it with `io.ns` first")]
    UnknownNamespace(String),
    /// There cannot be a channel for a namespace of that name.
    #[error("the namespace {namespace:?} cannot be used: {reason}")]
    InvalidNamespace {
        /// The namespace: up to 100 characters of its name.
        namespace: String,
        /// What is wrong with its name.
        reason: &'static str,
    },
    /// PostgreSQL refused to listen on the channel of a namespace; other namespaces are not
    /// affected.
    #[error("PostgreSQL does not listen on the channel {channel:?}: {error}: give its namespace another name")]
    NotListening {
        /// The channel.
        channel: String,
        /// What PostgreSQL said.
        error: Arc<BackendError>,
    },
    /// The rule of a node with several databases returns none of them for this namespace.
    #[error(
        "the namespace {namespace:?} is in no database: the rule says {database}, and there are {databases}, counted \
         from 0; let the rule return a number below that for every name"
    )]
    NoDatabase {
        /// The namespace.
        namespace: String,
        /// What the rule says.
        database: usize,
        /// How many databases there are.
        databases: usize,
    },
    /// Another server already uses this handle of the cluster.
    #[error(
        "another server uses this cluster handle: each server is a node of its own, so give each a handle of its own from \
         `Cluster::connect`"
    )]
    AnotherServer,
    /// The node has left the cluster, or the namespace has, as it does when it is deleted.
    #[error("this node, or this namespace of it, has left the cluster")]
    Closed,
}

/// The same text as `Display`, since `main` prints it where it returns the error.
impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The same text as `Display`, since `main` prints it where it returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Data of the application, or of another node, that cannot be read or written.
    pub(crate) fn data(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Data(Arc::from(error.into()))
    }

    /// The node was closed while PostgreSQL had the message.
    pub(crate) fn aborted() -> Self {
        let reason = "the node was closed while the message was on its way";
        Self::Unconfirmed(Arc::new(BackendError::new(ErrorKind::Connection, reason)))
    }

    /// Tells a message that certainly failed from one that may still have reached other nodes.
    pub(crate) fn of_publication(error: BackendError) -> Self {
        let is_unconfirmed = error.is_unconfirmed();
        let error = Arc::new(error);
        if is_unconfirmed { Self::Unconfirmed(error) } else { Self::Publish(error) }
    }

    /// Fails for a namespace whose name cannot be in the name of a channel.
    pub(crate) fn check_namespace(namespace: &str) -> Result<(), Self> {
        match channel::problem(namespace) {
            None => Ok(()),
            // Clients choose the names of dynamic namespaces, and they may be long.
            Some(reason) => Err(Self::InvalidNamespace { namespace: namespace.chars().take(100).collect(), reason }),
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Encode(Arc::new(error))
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Data(Arc::new(error))
    }
}

impl From<Error> for AdapterError {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for BroadcastError {
    fn from(error: Error) -> Self {
        Self::Adapter(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_about_an_optional_table_is_told_as_without_it() {
        let error = |kind| BackendError::new(kind, "reason");
        for prepare in [ConnectError::preparing_log, ConnectError::preparing_outbox] {
            assert!(matches!(prepare("t", error(ErrorKind::Url)), ConnectError::Url(_)));
            assert!(matches!(prepare("t", error(ErrorKind::Login)), ConnectError::Login(_)));
            assert!(matches!(prepare("t", error(ErrorKind::Tls)), ConnectError::Tls(_)));
            assert!(matches!(prepare("t", error(ErrorKind::Connection)), ConnectError::Unreachable(_)));
            assert!(matches!(prepare("t", error(ErrorKind::ReadOnly)), ConnectError::ReadOnly(_)));
            assert!(matches!(prepare("t", error(ErrorKind::Timeout)), ConnectError::TableLocked { .. }));
        }
        for kind in [ErrorKind::Configuration, ErrorKind::Permission, ErrorKind::MissingTable, ErrorKind::Other] {
            assert!(matches!(ConnectError::preparing_log("t", error(kind)), ConnectError::MissingLog { .. }));
            assert!(matches!(ConnectError::preparing_outbox("t", error(kind)), ConnectError::MissingOutbox { .. }));
        }
    }
}
