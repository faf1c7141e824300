//! A private PostgreSQL that writes to disk as a real one does.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    sync::{Mutex, PoisonError},
};

use socketio_pg_throwaway::{Database, Server, StartError};

use super::usage::family_cpu_seconds;
use crate::contender::Contender;

/// A PostgreSQL server, the same for all contenders.
///
/// Its settings are PostgreSQL's defaults, `fsync = on` included, except for `max_connections`:
/// Node.js takes ten connections a node.
pub(crate) struct Postgres {
    server: Server,
    databases: Mutex<HashMap<Contender, Database>>,
}

impl Postgres {
    pub(crate) fn start() -> Result<Self, StartError> {
        Self::start_with(&[])
    }

    /// Starts a server with additional settings.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Result<Self, StartError> {
        let connections = [("max_connections", "600")];
        let builder = connections
            .iter()
            .chain(settings)
            .fold(Server::builder().durable(), |builder, (name, value)| builder.setting(*name, *value));
        Ok(Self { server: builder.start()?, databases: Mutex::default() })
    }

    /// A fresh database for a contender, on a server that has finished earlier work.
    pub(crate) fn fresh_database(&self, contender: Contender) -> Result<String, String> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(entry) = databases.entry(contender) {
            entry.insert(self.create_database_for(contender)?);
        }
        for database in databases.values() {
            let is_there = database.execute("SELECT to_regclass('socket_io_attachments')");
            if is_there.map_err(|error| error.to_string())?.is_some() {
                database.execute("TRUNCATE socket_io_attachments").map_err(|error| error.to_string())?;
            }
        }
        let database = &databases[&contender];
        database.execute("CHECKPOINT").map_err(|error| error.to_string())?;
        Ok(database.url())
    }

    /// A database for a contender. All but Node.js's create their table themselves; Node.js's gets
    /// the table of its documentation.
    pub(crate) fn create_database_for(&self, contender: Contender) -> Result<Database, String> {
        let database = self.create_database()?;
        if contender == Contender::Node {
            let table = "CREATE TABLE socket_io_attachments \
                         (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)";
            database.execute(table).map_err(|error| error.to_string())?;
        }
        Ok(database)
    }

    /// A database apart from those of the contenders.
    pub(crate) fn create_database(&self) -> Result<Database, String> {
        self.server.create_database().map_err(|error| error.to_string())
    }

    /// Processor time of all its processes so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.pid().map_or(0.0, family_cpu_seconds)
    }

    pub(crate) fn version(&self) -> Result<String, String> {
        let database = self.create_database()?;
        let version = database.execute("SHOW server_version").map_err(|error| error.to_string())?;
        Ok(version.unwrap_or_default())
    }

    fn pid(&self) -> Option<u32> {
        let lock_file = fs::read_to_string(self.server.directory()?.join("data/postmaster.pid")).ok()?;
        lock_file.lines().next()?.trim().parse().ok()
    }
}
