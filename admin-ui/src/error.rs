//! What can go wrong: when a server is instrumented, when an admin logs in, and when an admin asks
//! for something.

use socketio_pg_core::Error;

/// Why a server could not be instrumented.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The options do not say who may be an admin.
    #[error(
        "the options do not say who may be an admin: give `AdminOptions::basic_auth(username, bcrypt_hash)`, or say \
         `AdminOptions::no_auth()` where only trusted clients reach the server"
    )]
    NoAuthentication,
    /// The password is not a bcrypt hash.
    #[error(
        "the password is not a bcrypt hash ({reason}): give the hash and not the password, as `htpasswd -nB -C 12 \
         admin` prints it after the colon"
    )]
    InvalidHash {
        /// What is wrong with it.
        reason: String,
    },
    /// An option has a value that cannot work.
    #[error("the option `{option}` cannot be {value}: {remedy}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What to set instead.
        remedy: &'static str,
    },
    /// The server has the namespace already.
    #[error(
        "the server has the namespace {0} already: call `instrument` once for each server, or choose another \
         `AdminOptions::namespace`"
    )]
    NamespaceTaken(String),
    /// The namespace could not join the cluster.
    #[error("the namespace of the admins could not join the cluster")]
    Join(#[source] Error),
}

/// Why a client may not be an admin: the text that the page shows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    // The page knows this text, and asks for the password.
    #[error("invalid credentials")]
    InvalidCredentials,
    #[error("too many clients are logging in: try again in a few seconds")]
    Busy,
    #[error("the session could not be looked up: see the log of the server")]
    Sessions,
    #[error("invalid payload")]
    InvalidPayload,
}

/// Why the server did not do what an admin asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("the arguments cannot be read: {0}")]
    Unreadable(String),
    #[error("argument {position} ({name}) must be {expected}")]
    InvalidArgument { position: usize, name: &'static str, expected: &'static str },
    #[error("{limit} operations of this admin wait already: wait for their acknowledgements")]
    TooMany { limit: usize },
    #[error(
        "this server does not have the namespace {0}: connect to a server that has it, or add it to this one with \
         `io.ns`"
    )]
    UnknownNamespace(String),
    #[error("{0}")]
    Cluster(Error),
}

impl From<Error> for OperationError {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownNamespace(name) => Self::UnknownNamespace(name),
            other => Self::Cluster(other),
        }
    }
}
