//! The catalogue of faults: what can go wrong at the database of running nodes, and on the way to
//! it. The suites `faults` and `soak` cause them, and each says what must hold meanwhile.
//!
//! A fault that needs a cluster of its own (a standby, a pooler, a limit of the role) is a case of
//! the suite `faults`.

use std::{sync::Arc, time::Duration};

use socketio_pg_core::backend::table::{DEFAULT_LOG, schema_sql};
use socketio_pg_throwaway::{Database, Server, StopMode};

use crate::{
    Kind, Node, NodeOptions, Proxy,
    sessions::{ALL_OTHERS, LISTENERS, NODES_LISTENERS, OF_RUST, PUBLISHERS, processes, signal, terminate},
};

/// An error of a test node, of SQL or of a tool.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Failure>;

const TABLE: &str = "socket_io_attachments";

/// A fault. Its name in the suites is the name of the variant: see [`Fault::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing, for comparison.
    Nothing,
    /// The server is stopped: it ends its sessions.
    StoppedFast,
    /// The server is stopped: its sessions end without an error message.
    StoppedImmediate,
    /// The server is killed, and recovers from its log when it starts again.
    Killed,
    /// The network refuses connections and resets open ones.
    Refused,
    /// No byte passes, also on new connections.
    Stalled,
    /// All connections are reset.
    Reset,
    /// Open connections pass nothing any more and do not end.
    HalfOpen,
    /// Each connection is cut after this many bytes from the database.
    Cut {
        /// The bytes that pass.
        after: usize,
    },
    /// The network is slow.
    Slow {
        /// How much passes in a second.
        bytes: u32,
    },
    /// All listening sessions are terminated.
    ListenersTerminated,
    /// The publishing sessions of the Rust nodes are terminated.
    PublishersTerminated,
    /// All sessions are terminated.
    AllTerminated,
    /// The server's processes of the Rust nodes' sessions hang.
    ServerProcessesHang,
    /// The attachments table is locked.
    TableLocked,
    /// The catch-up log is locked.
    LogLocked,
    /// The attachments table is dropped, and created again at the end.
    TableDropped,
    /// New sessions are read-only, until the end and a new session.
    ReadOnly,
    /// Sessions of Rust nodes that begin meanwhile are read-only, and stay so.
    ReadOnlyStays,
    /// The nodes have no right to the attachments table and its sequence.
    RightsRevoked,
    /// PostgreSQL cannot extend the attachments table. A trigger raises SQLSTATE 53100.
    DiskFull,
    /// The notification queue is full. PostgreSQL's `pg_notify` is replaced.
    NotificationQueueFull,
    /// The database's clock is ahead. A trigger dates attachments back by an hour, so that nodes
    /// delete them.
    ClockAhead,
    /// A Rust node joins, and leaves with a close message.
    NodeComesAndCloses,
    /// A Rust node joins, and is killed.
    NodeComesAndIsKilled,
}

/// Where a fault occurs.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The server of the database.
    pub server: &'a Arc<Server>,
    /// The database. Nodes use it as the role that [`Place::role`] names.
    pub database: &'a Arc<Database>,
    /// The network of some nodes.
    pub proxy: &'a Proxy,
    /// A node that may join, and its options.
    pub node: (&'a Kind, &'a NodeOptions),
}

/// What a fault holds until it ends.
enum Held {
    Nothing,
    /// A session with an open transaction.
    Transaction(tokio_postgres::Client),
    Processes(String),
    Node(Node),
}

impl Place<'_> {
    /// The name of the role of the nodes.
    pub fn role(&self) -> String {
        format!("{}_app", self.database.name())
    }

    /// Runs SQL as the superuser, not through the proxy. Returns the first value of the last row.
    ///
    /// # Errors
    /// The server's error.
    pub async fn sql(&self, statements: &str) -> Result<Option<String>> {
        execute(self.database, statements).await
    }

    async fn sql_all(&self, statements: Vec<String>) -> Result {
        for statement in statements {
            self.sql(&statement).await?;
        }
        Ok(())
    }

    async fn lock(&self, table: &str) -> Result<Held> {
        let (client, connection) = tokio_postgres::connect(&self.database.url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        Ok(Held::Transaction(client))
    }
}

/// Runs SQL as the superuser. Returns the first value of the last row.
///
/// # Errors
/// The server's error.
pub async fn execute(database: &Arc<Database>, statements: &str) -> Result<Option<String>> {
    let (database, statements) = (database.clone(), statements.to_owned());
    Ok(tokio::task::spawn_blocking(move || database.execute(&statements)).await??)
}

impl Fault {
    /// Its name, without numbers.
    pub fn name(self) -> String {
        format!("{self:?}").chars().take_while(char::is_ascii_alphabetic).collect()
    }

    /// Causes the fault, waits for `meanwhile`, and ends the fault.
    ///
    /// # Errors
    /// When the fault cannot be caused or ended, and the errors of `meanwhile`.
    pub async fn during<T>(self, place: Place<'_>, meanwhile: impl Future<Output = Result<T>>) -> Result<T> {
        let held = self.begin(place).await?;
        let result = meanwhile.await;
        self.end(place, held).await?;
        result
    }

    /// Causes the fault for this time.
    ///
    /// # Errors
    /// When the fault cannot be caused or ended.
    pub async fn last(self, place: Place<'_>, time: Duration) -> Result {
        let lasts = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.during(place, lasts).await
    }

    async fn begin(self, place: Place<'_>) -> Result<Held> {
        match self {
            Self::StoppedFast => stop(place, StopMode::Fast).await?,
            Self::StoppedImmediate => stop(place, StopMode::Immediate).await?,
            Self::Killed => stop(place, StopMode::Kill).await?,
            Self::Refused => place.proxy.refuse(),
            Self::Stalled => place.proxy.stall(),
            Self::Reset => place.proxy.reset(),
            Self::HalfOpen => place.proxy.go_silent(),
            Self::Cut { after } => place.proxy.cut_after(after),
            Self::Slow { bytes } => place.proxy.slow_down(bytes),
            Self::TableLocked => return place.lock(TABLE).await,
            Self::LogLocked => return place.lock(DEFAULT_LOG).await,
            Self::ServerProcessesHang => {
                let pids = place.sql(&processes(OF_RUST)).await?.ok_or("no session was found")?;
                signal("-STOP", &pids)?;
                return Ok(Held::Processes(pids));
            }
            Self::NodeComesAndCloses | Self::NodeComesAndIsKilled => {
                let (kind, options) = place.node;
                return Ok(Held::Node(Node::start(kind, options).await?));
            }
            in_sql => place.sql_all(in_sql.statements(place)?.0).await?,
        }
        Ok(Held::Nothing)
    }

    async fn end(self, place: Place<'_>, held: Held) -> Result {
        match (self, held) {
            (_, Held::Transaction(client)) => client.batch_execute("COMMIT").await?,
            // Sessions that the nodes have given up end now.
            (_, Held::Processes(pids)) => signal("-CONT", &pids)?,
            (Self::NodeComesAndIsKilled, Held::Node(node)) => node.kill().await?,
            (_, Held::Node(node)) => node.close().await?,
            (Self::StoppedFast | Self::StoppedImmediate | Self::Killed, _) => restart(place).await?,
            (Self::Refused | Self::Stalled | Self::Slow { .. }, _) => place.proxy.pass(),
            (in_sql, Held::Nothing) => place.sql_all(in_sql.statements(place)?.1).await?,
        }
        Ok(())
    }

    /// The statements that cause it, and those that end it, each in a transaction of its own. None
    /// where it is not caused by SQL.
    fn statements(self, place: Place<'_>) -> Result<(Vec<String>, Vec<String>)> {
        let (database, role) = (place.database.name(), place.role());
        let read_only = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
        let writable =
            format!("BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT");
        Ok(match self {
            Self::ListenersTerminated => {
                (vec![terminate(&format!("(({LISTENERS}) OR ({NODES_LISTENERS}))"))], Vec::new())
            }
            Self::PublishersTerminated => (vec![terminate(PUBLISHERS)], Vec::new()),
            Self::AllTerminated => (vec![terminate(ALL_OTHERS)], Vec::new()),
            Self::TableDropped => {
                let table = schema_sql(TABLE)?;
                let rights = format!("GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}");
                (vec![format!("DROP TABLE {TABLE}")], vec![format!("BEGIN; {table}; {rights}; COMMIT")])
            }
            Self::ReadOnly => (vec![read_only, terminate(ALL_OTHERS)], vec![writable, terminate(ALL_OTHERS)]),
            Self::ReadOnlyStays => (vec![read_only, terminate(OF_RUST)], vec![writable]),
            Self::RightsRevoked => (
                vec![format!("REVOKE ALL ON {TABLE}, {TABLE}_id_seq FROM {role}")],
                vec![format!("GRANT ALL ON {TABLE}, {TABLE}_id_seq TO {role}")],
            ),
            Self::DiskFull => (
                vec![format!(
                    "{FULL_DISK}; CREATE TRIGGER full_disk BEFORE INSERT ON {TABLE} EXECUTE FUNCTION full_disk()"
                )],
                vec![format!("DROP TRIGGER full_disk ON {TABLE}")],
            ),
            Self::NotificationQueueFull => (
                vec![FULL_QUEUE.to_owned(), terminate(ALL_OTHERS)],
                vec![QUEUE_WITH_ROOM.to_owned(), terminate(ALL_OTHERS)],
            ),
            Self::ClockAhead => (
                vec![format!(
                    "{DATE_BACK}; CREATE TRIGGER date_back BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION date_back()"
                )],
                vec![format!("DROP TRIGGER date_back ON {TABLE}")],
            ),
            _ => (Vec::new(), Vec::new()),
        })
    }
}

const FULL_DISK: &str = "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device';
 END $$";

const DATE_BACK: &str = "CREATE OR REPLACE FUNCTION date_back() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN NEW.created_at := now() - interval '1 hour'; RETURN NEW; END $$";

// Renamed, because a built-in function is called by its number: a changed definition would have no
// effect.
const FULL_QUEUE: &str = "ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_with_room;
     CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too many notifications in the NOTIFY queue';
     END $$";
const QUEUE_WITH_ROOM: &str = "DROP FUNCTION pg_catalog.pg_notify(text, text);
     ALTER FUNCTION pg_catalog.pg_notify_with_room(text, text) RENAME TO pg_notify";

async fn stop(place: Place<'_>, mode: StopMode) -> Result {
    let server = place.server.clone();
    Ok(tokio::task::spawn_blocking(move || server.stop(mode)).await??)
}

async fn restart(place: Place<'_>) -> Result {
    let server = place.server.clone();
    Ok(tokio::task::spawn_blocking(move || server.restart()).await??)
}
