//! What can go wrong, and what to do about it.

use std::{fmt, io, path::PathBuf};

/// Why there is no server or no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `DATABASE_URL` is not a URL.
    #[error("DATABASE_URL is not of the form postgres://user:password@host:port/database")]
    InvalidUrl,
    /// The server of `DATABASE_URL` does not answer.
    #[error(
        "no connection to the server in DATABASE_URL: {}. Start that server, correct the URL, or unset DATABASE_URL \
         to get a private server",
        chain(source)
    )]
    Unreachable {
        /// The driver's reason.
        source: tokio_postgres::Error,
    },
    /// There are no PostgreSQL binaries.
    #[error("{0}")]
    NotFound(NotFound),
    /// The binaries cannot be run by the account that the server must run as.
    #[error(
        "{} cannot be run by the user `{user}` ({source}). The server does not run as root, so this file and the \
         directories above it must be open to others: chmod them, or set PG_BIN to binaries elsewhere",
        path.display()
    )]
    NotExecutable {
        /// The program.
        path: PathBuf,
        /// The account.
        user: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The server's files could not be created, or the server ended at once.
    #[error("the private PostgreSQL server did not start:\n{log}")]
    Server {
        /// What the server wrote before it ended.
        log: String,
    },
    /// A program or a file of the private server could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What failed.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// `CREATE DATABASE` failed.
    #[error("the test database could not be created: {}", chain(source))]
    CreateDatabase {
        /// The driver's reason.
        source: tokio_postgres::Error,
    },
}

/// Why a server was not stopped or not started again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Only a private server can be stopped.
    #[error("the server in DATABASE_URL is not ours to stop: use a private one (`Server::builder().start()`)")]
    NotPrivate,
    /// The server did not come up again, or did not end.
    #[error(transparent)]
    Restart(StartError),
}

/// Where binaries were looked for.
#[derive(Debug)]
pub struct NotFound {
    /// The directories, in order.
    pub(crate) searched: Vec<PathBuf>,
    /// Why npm's binaries are not available either.
    pub(crate) npm: String,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no PostgreSQL found for a private server. Any one of these helps:\n\
             \x20 - use a running server:  export DATABASE_URL=postgres://user:password@host/database\n\
             \x20 - name a directory that holds initdb and postgres:  export PG_BIN=/path/to/postgresql/bin\n\
             \x20 - Debian, Ubuntu:  apt-get install postgresql  (it need not be running)\n\
             \x20 - Fedora, Red Hat:  dnf install postgresql-server\n\
             \x20 - macOS:  brew install postgresql\n\
             \x20 - no administrator at hand: install Node.js; npm's prebuilt binaries are then fetched by themselves\n",
        )?;
        writeln!(f, "npm's binaries: {}", self.npm)?;
        writeln!(f, "looked in:")?;
        for directory in &self.searched {
            writeln!(f, "  {}", directory.display())?;
        }
        Ok(())
    }
}

/// The driver's own text is "db error"; the reason is in its sources.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
