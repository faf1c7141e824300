//! The [`Backend`] on tokio-postgres.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use deadpool_postgres::Pool;
use futures_util::future::BoxFuture;
use socketio_pg_connection::{KnownHosts, Settings, time_for_other_hosts};
use socketio_pg_core::backend::{
    Backend, BackendError, CatchUp, Content, ErrorKind, FetchLimits, Incoming, LogQuery, LogRow, OutboxBatch,
    OutboxProgress, OutboxState, Outgoing, Position, Row, SweepBatch, TableReport,
    inspect::INSPECT_TABLE_SQL,
    log_sql, outbox_sql,
    sql::{self, Columns},
    table::TableName,
};
use tokio_postgres::{
    Config, Socket,
    tls::{MakeTlsConnect, TlsConnect},
    types::Type,
};

use crate::{
    cancel::Canceller,
    error,
    listener::TokioPostgresListener,
    pool::{Connections, Parameter, StatementKind},
    sessions::{NodeName, Sessions},
};

/// PostgreSQL through tokio-postgres, with a small pool for statements and a separate connection
/// for listening.
///
/// ```
/// use socketio_pg_tokio_postgres::TokioPostgresBackend;
/// use tokio_postgres::{Config, NoTls};
///
/// # fn main() -> Result<(), tokio_postgres::Error> {
/// let config: Config = "postgres://user:password@localhost/chat".parse()?;
/// let backend = TokioPostgresBackend::new(config, NoTls);
/// # Ok(())
/// # }
/// ```
///
/// For TLS give a connector instead of `NoTls`, such as `tokio_postgres_rustls::MakeRustlsConnect`,
/// and `sslmode=require`. Or make the backend from a URL, `TokioPostgresBackend::try_from(url)`,
/// with the feature `rustls`: then `sslmode` (`disable`, `prefer`, `require`, `verify-ca`,
/// `verify-full`) and `sslrootcert` mean the same as for libpq, and without `sslrootcert`
/// certificates are checked against the roots that the machine trusts.
///
/// Unless the settings say otherwise, a dead link is found within 10 seconds
/// (`tcp_user_timeout=10`, `keepalives_idle=4`, `keepalives_interval=2`, `keepalives_retries=3`),
/// connecting may take 10 seconds, or 3 seconds for each of several hosts, and `application_name`
/// is `socketio-pg` with [the node's name](socketio_pg_core::Options::node_name). A host that did not
/// respond is tried after the others for 30 seconds.
#[derive(Clone)]
pub struct TokioPostgresBackend {
    publishing: Arc<Connections>,
    tending: Arc<Connections>,
    connect_listener: ConnectListener,
    node_name: NodeName,
    time_for_other_hosts: Duration,
}

type ConnectListener =
    Arc<dyn Fn() -> BoxFuture<'static, Result<TokioPostgresListener, BackendError>> + Send + Sync + 'static>;

/// Only one batch is in flight at a time. While a table holds one up, heartbeats pass it.
const PUBLISHING_CONNECTIONS: usize = 2;

/// For fetching, sweeping and preparing. Publishing never waits for them.
const TENDING_CONNECTIONS: usize = 3;

impl TokioPostgresBackend {
    /// Connects as `config` says, for publishing and for listening: up to four connections for
    /// statements, one more when a table is locked, and one that listens. Nothing is connected yet.
    ///
    /// The connection must be a direct one: through a pooler in transaction mode, `LISTEN` does not
    /// work. Behind a pooler use [`with_listen_config`](Self::with_listen_config).
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let node_name = NodeName::default();
        Self::on_one_address(Sessions::of_node(config, &node_name), node_name, tls)
    }

    /// Publishes as `config` says, which may lead to a pooler, and listens as `listen_config` says,
    /// which must not.
    ///
    /// Statements leave no prepared statement, setting or lock in a session of `config`: any pooler
    /// works, in any mode.
    pub fn with_listen_config<T>(config: Config, listen_config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let node_name = NodeName::default();
        // Another address may lead to a pooler. The nodes share its sessions, and it sets the name
        // again for each of them.
        let statements =
            if config == listen_config { Sessions::of_node(config, &node_name) } else { Sessions::shared(config) };
        let listening = Sessions::of_node(listen_config, &node_name);
        Self::assemble((statements, tls.clone()), (listening, tls), node_name, StatementKind::Unnamed)
    }

    /// Publishes through `url`, which may lead to a pooler, and listens through `listen_url`, which
    /// must not. As [`with_listen_config`](Self::with_listen_config), with TLS as each URL says.
    ///
    /// # Errors
    /// When a text cannot be read, or asks for TLS that is not to be had.
    pub fn with_listen_url(url: &str, listen_url: &str) -> Result<Self, BackendError> {
        let (statements, listening) = (Settings::parse(url)?, Settings::parse(listen_url)?);
        let tls = (statements.connector()?, listening.connector()?);
        let node_name = NodeName::default();
        let of_listener = Sessions::of_settings(&listening, &node_name);
        // As with two configurations.
        let of_statements = if statements.config() == listening.config() {
            of_listener.clone()
        } else {
            Sessions::shared_settings(&statements)
        };
        Ok(Self::assemble((of_statements, tls.0), (of_listener, tls.1), node_name, StatementKind::Unnamed))
    }

    /// Publishes through the application's own pool, and listens as `listen_config` says.
    ///
    /// The pool's connections are borrowed for one statement at a time and returned as they were,
    /// without prepared statements or changed settings. A connection whose statement was cancelled
    /// halfway is closed instead.
    pub fn with_pool<T>(pool: Pool, listen_config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let connections = Arc::new(Connections::borrowed(pool, Canceller::new(tls.clone())));
        let node_name = NodeName::default();
        Self {
            publishing: connections.clone(),
            tending: connections,
            time_for_other_hosts: time_for_other_hosts(&listen_config),
            connect_listener: connect_listener(
                Sessions::of_node(listen_config, &node_name),
                tls,
                KnownHosts::default(),
            ),
            node_name,
        }
    }

    pub(crate) fn on_one_address<T>(sessions: Sessions, node_name: NodeName, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self::assemble((sessions.clone(), tls.clone()), (sessions, tls), node_name, StatementKind::Prepared)
    }

    /// Each with its connector for TLS.
    fn assemble<T>(
        statements: (Sessions, T),
        listening: (Sessions, T),
        node_name: NodeName,
        kind: StatementKind,
    ) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let ((statements, tls), (listening, listen_tls)) = (statements, listening);
        let others = time_for_other_hosts(statements.config());
        // Each slow host that both lead to is then found only once.
        let is_one = statements.config() == listening.config();
        let others_of_listener = if is_one { Duration::ZERO } else { time_for_other_hosts(listening.config()) };
        let known_hosts = KnownHosts::default();
        let connections =
            |size| Arc::new(Connections::new(statements.clone(), tls.clone(), size, kind, known_hosts.clone()));
        Self {
            publishing: connections(PUBLISHING_CONNECTIONS),
            tending: connections(TENDING_CONNECTIONS),
            time_for_other_hosts: others.saturating_add(others_of_listener),
            connect_listener: connect_listener(listening, listen_tls, known_hosts.clone()),
            node_name,
        }
    }
}

impl TokioPostgresBackend {
    async fn publish_and_log(&self, table: &str, log: &CatchUp, batch: &[Outgoing]) -> Result<(), BackendError> {
        let statement = log_sql::publish(&TableName::parse(table)?, &TableName::parse(log.table_name())?);
        let Columns { channels, payloads, after_ids, bodies } = Columns::new(batch);
        let are_logged: Vec<bool> = batch.iter().map(|outgoing| outgoing.is_logged).collect();
        let parameters: [Parameter<'_>; 6] = [
            (&log.seconds(), Type::FLOAT8),
            (&bodies, Type::BYTEA_ARRAY),
            (&channels, Type::TEXT_ARRAY),
            (&payloads, Type::TEXT_ARRAY),
            (&after_ids, Type::TEXT_ARRAY),
            (&are_logged, Type::BOOL_ARRAY),
        ];
        self.publishing.query(&statement, &parameters).await.map(drop)
    }
}

impl Backend for TokioPostgresBackend {
    type Listener = TokioPostgresListener;

    async fn inspect_table(&self, table: &TableName) -> Result<TableReport, BackendError> {
        let rows = self.tending.query(INSPECT_TABLE_SQL, &[(&table.to_string(), Type::TEXT)]).await?;
        let row = only_row(&rows, "the look at a table")?;
        TableReport::read(row.try_get(0).map_err(error::in_session)?)
    }

    async fn create(&self, _table: &TableName, statements: &str) -> Result<(), BackendError> {
        self.tending.batch(statements).await
    }

    async fn publish(&self, table: &str, log: Option<&CatchUp>, batch: &[Outgoing]) -> Result<(), BackendError> {
        if let Some(log) = log {
            return self.publish_and_log(table, log, batch).await;
        }
        match batch {
            [] => return Ok(()),
            [Outgoing { channel, content: Content::Inline(payload), .. }] => {
                let parameters: [Parameter<'_>; 2] = [(channel, Type::TEXT), (payload, Type::TEXT)];
                return self.publishing.query(sql::NOTIFY_ONE, &parameters).await.map(drop);
            }
            _ => {}
        }
        let columns = Columns::new(batch);
        let channels: Parameter<'_> = (&columns.channels, Type::TEXT_ARRAY);
        let payloads: Parameter<'_> = (&columns.payloads, Type::TEXT_ARRAY);
        if !columns.bodies.is_empty() {
            let statement = sql::notify_with_attachments(&TableName::parse(table)?);
            let parameters: [Parameter<'_>; 4] =
                [(&columns.bodies, Type::BYTEA_ARRAY), channels, payloads, (&columns.after_ids, Type::TEXT_ARRAY)];
            self.publishing.query(&statement, &parameters).await.map(drop)
        } else if let Some(channel) = columns.one_channel() {
            let parameters: [Parameter<'_>; 2] = [(&channel, Type::TEXT), payloads];
            self.publishing.query(sql::NOTIFY_ON_ONE_CHANNEL, &parameters).await.map(drop)
        } else {
            let parameters: [Parameter<'_>; 2] = [channels, payloads];
            self.publishing.query(sql::NOTIFY, &parameters).await.map(drop)
        }
    }

    async fn mark(&self, log: &str, channel: &str, payload: &str) -> Result<Position, BackendError> {
        let statement = log_sql::mark(&TableName::parse(log)?);
        let rows = self.tending.query(&statement, &[(&channel, Type::TEXT), (&payload, Type::TEXT)]).await?;
        let row = only_row(&rows, "the mark")?;
        let position = || {
            Ok(Position {
                snapshot: row.try_get("snapshot")?,
                taken: Duration::try_from_secs_f64(row.try_get("taken")?).unwrap_or_default(),
                history: row.try_get("history")?,
                crashes: row.try_get("crashes")?,
                id: row.try_get("id")?,
            })
        };
        position().map_err(error::in_session)
    }

    async fn read_log(&self, query: &LogQuery<'_>) -> Result<Vec<LogRow>, BackendError> {
        let statement = log_sql::read(&TableName::parse(query.table)?);
        let parameters: [Parameter<'_>; 6] = [
            (&query.since.snapshot, Type::TEXT),
            (&query.until.snapshot, Type::TEXT),
            (&query.until.crashes, Type::TEXT),
            (&query.after, Type::INT8),
            (&query.channels, Type::TEXT_ARRAY),
            (&query.limit, Type::INT8),
        ];
        let rows = self.tending.query(&statement, &parameters).await?;
        let read = |row: &tokio_postgres::Row| {
            let incoming = Incoming { channel: row.try_get(1)?, payload: row.try_get(2)? };
            Ok(LogRow { id: row.try_get(0)?, incoming, is_before_crash: row.try_get(3)? })
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(error::in_session)
    }

    async fn fetch(&self, table: &str, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        let statement = sql::fetch(&TableName::parse(table)?);
        let (one, together) = limits.to_int8();
        let parameters: [Parameter<'_>; 3] = [(&ids, Type::INT8_ARRAY), (&one, Type::INT8), (&together, Type::INT8)];
        let rows = self.tending.query(&statement, &parameters).await?;
        let mut found: HashMap<i64, (Option<i64>, Option<&[u8]>)> = HashMap::with_capacity(rows.len());
        for row in &rows {
            let read = (|| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))();
            let (id, content) = read.map_err(error::in_session)?;
            found.insert(id, content);
        }
        let row = |id| {
            let (bytes, body) = found.get(id).copied().unwrap_or_default();
            Row::new(bytes, body.map(<[u8]>::to_vec))
        };
        Ok(ids.iter().map(row).collect())
    }

    async fn sweep_batch(&self, table: &str, batch: SweepBatch) -> Result<u64, BackendError> {
        let statement = sql::sweep(&TableName::parse(table)?, batch.oldest_first);
        let parameters: [Parameter<'_>; 2] = [(&batch.seconds(), Type::FLOAT8), (&batch.limit_as_int8(), Type::INT8)];
        self.tending.execute(&statement, &parameters).await
    }

    fn set_node_name(&self, name: &str) {
        self.node_name.set(name);
    }

    async fn publish_outbox(&self, batch: &OutboxBatch<'_>) -> Result<OutboxProgress, BackendError> {
        let log = batch.log.map(|log| Ok::<_, BackendError>((TableName::parse(log.table_name())?, log))).transpose()?;
        let statement = outbox_sql::publish(
            &TableName::parse(batch.outbox)?,
            &TableName::parse(batch.attachments)?,
            log.as_ref().map(|(table, log)| (table, *log)),
        );
        let parameters: [Parameter<'_>; 5] = [
            (&batch.turn, Type::INT8),
            (&batch.take_turn_milliseconds(), Type::INT8),
            (&batch.after, Type::INT8),
            (&batch.limit, Type::INT8),
            (&batch.wants_xid, Type::BOOL),
        ];
        let rows = self.tending.query_once(&statement, &parameters).await?;
        let row = only_row(&rows, "the outbox")?;
        let progress = || {
            Ok(OutboxProgress {
                is_ours: row.try_get(0)?,
                turn: row.try_get(1)?,
                rows: row.try_get(2)?,
                refused: row.try_get(3)?,
                last: row.try_get(4)?,
                waited: row.try_get(5)?,
                open_since: row.try_get(6)?,
                xid: row.try_get(7)?,
            })
        };
        progress().map_err(error::in_session)
    }

    async fn look_at_outbox(&self, outbox: &str, after: i64) -> Result<OutboxState, BackendError> {
        let statement = outbox_sql::look(&TableName::parse(outbox)?);
        let rows = self.tending.query_once(&statement, &[(&after, Type::INT8)]).await?;
        let row = only_row(&rows, "the outbox")?;
        let state = || {
            Ok(OutboxState {
                oldest: row.try_get(0)?,
                waited: row.try_get(1)?,
                turn_left: row.try_get(2)?,
                may_take_turn: row.try_get(3)?,
                open_since: row.try_get(4)?,
            })
        };
        state().map_err(error::in_session)
    }

    fn close(&self) {
        self.publishing.close();
        self.tending.close();
    }

    fn time_for_other_hosts(&self) -> Duration {
        self.time_for_other_hosts
    }

    async fn connect_listener(&self) -> Result<Self::Listener, BackendError> {
        (self.connect_listener)().await
    }
}

/// The row of a statement that returns one.
fn only_row<'a>(rows: &'a [tokio_postgres::Row], what: &str) -> Result<&'a tokio_postgres::Row, BackendError> {
    rows.first().ok_or_else(|| BackendError::new(ErrorKind::Other, format!("{what} was not answered")))
}

impl fmt::Debug for TokioPostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioPostgresBackend").field("publishing", &self.publishing).finish_non_exhaustive()
    }
}

fn connect_listener<T>(sessions: Sessions, tls: T, known_hosts: KnownHosts) -> ConnectListener
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move || {
        let (config, tls, known_hosts) = (sessions.named(), tls.clone(), known_hosts.clone());
        Box::pin(async move { TokioPostgresListener::connect(&config, tls, &known_hosts).await })
    })
}
