//! The [`Backend`] on diesel-async.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use diesel::ConnectionResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, pooled_connection::deadpool::Pool};
use futures_util::future::BoxFuture;
use socketio_pg_core::backend::{
    Backend, BackendError, CatchUp, Content, FetchLimits, LogQuery, LogRow, OutboxBatch, OutboxProgress, OutboxState,
    Outgoing, Position, Row, SweepBatch, TableReport, sql::Columns, table::TableName,
};

use crate::{
    connector::{Connector, Setup},
    diagnosis::{self, Concern},
    listener::DieselListener,
    log::{self, NotifyLogged},
    outbox,
    pool::Connections,
    statements::{self, Fetch, Notify, NotifyOnOneChannel, NotifyOne, NotifyWithAttachments, Sweep},
};

/// PostgreSQL through diesel-async, with a small pool for statements and a separate connection for
/// listening.
///
/// ```
/// use socketio_pg_diesel::DieselBackend;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backend = DieselBackend::new("postgres://user:password@localhost/chat")?;
/// # Ok(())
/// # }
/// ```
///
/// With the feature `rustls`, `sslmode` (`disable`, `prefer`, `require`, `verify-ca`,
/// `verify-full`) and `sslrootcert` in the URL mean the same as for libpq; without `sslrootcert`,
/// certificates are checked against the roots that the machine trusts. For another TLS library, or
/// a client certificate, give a function that makes connections: see
/// [`custom_setup`](Self::custom_setup).
///
/// Unless the URL says otherwise, a dead link is found within 10 seconds (`tcp_user_timeout=10`,
/// `keepalives_idle=4`, `keepalives_interval=2`, `keepalives_retries=3`), connecting may take 10
/// seconds, or 3 seconds for each of several hosts, and `application_name` is `socketio-pg` with
/// [the node's name](socketio_pg_core::Options::node_name). A host that did not respond is tried
/// after the others for 30 seconds.
#[derive(Clone)]
pub struct DieselBackend {
    source: Source,
    listening: Connector,
    publishing: Arc<Connections>,
    tending: Arc<Connections>,
}

/// Where connections for statements come from.
#[derive(Clone)]
enum Source {
    Own(Connector),
    Borrowed(Pool<AsyncPgConnection>),
}

/// Only one batch is in flight at a time. While a table holds one up, heartbeats pass it.
const PUBLISHING_CONNECTIONS: usize = 2;

/// For fetching, sweeping and preparing. Publishing never waits for them.
const TENDING_CONNECTIONS: usize = 3;

impl DieselBackend {
    /// Connects to `url`, for publishing and for listening: up to four connections for statements,
    /// one more when a table is locked, and one that listens. Nothing is connected yet.
    ///
    /// The text is a URL (`postgres://user:password@host/database`) or `key=value` pairs, as
    /// tokio-postgres reads them, which is diesel-async's driver. The connection must be a direct
    /// one: through a pooler in transaction mode, `LISTEN` does not work. Behind a pooler use
    /// [`with_listen_url`](Self::with_listen_url).
    ///
    /// # Errors
    /// When the text cannot be read, or has a parameter that is not understood.
    pub fn new(url: &str) -> Result<Self, BackendError> {
        Self::with_listen_url(url, url)
    }

    /// Publishes through `url`, which may lead to a pooler, and listens through `listen_url`, which
    /// must not.
    ///
    /// diesel-async prepares every statement by name, so the pooler must support prepared
    /// statements: PgBouncer does from 1.21 on, with `max_prepared_statements` above zero. With an
    /// older one in transaction mode, use the tokio-postgres backend.
    ///
    /// # Errors
    /// When a text cannot be read.
    pub fn with_listen_url(url: &str, listen_url: &str) -> Result<Self, BackendError> {
        let statements = Connector::new(url)?;
        let listening = Connector::new(listen_url)?.with_hosts_of(&statements);
        Ok(Self::assemble(Source::Own(statements), listening))
    }

    /// Publishes through the application's own pool, and listens through `listen_url`.
    ///
    /// The pool's connections are borrowed for one statement at a time. A connection whose
    /// statement was cancelled halfway is closed instead of returned.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn with_pool(pool: Pool<AsyncPgConnection>, listen_url: &str) -> Result<Self, BackendError> {
        Ok(Self::assemble(Source::Borrowed(pool), Connector::new(listen_url)?))
    }

    /// Makes connections with the application's own function, with TLS for example. It is the
    /// function that `ManagerConfig::custom_setup` of diesel-async takes; it gets the connection
    /// string with the defaults filled in. A borrowed pool has its own function.
    ///
    /// ```no_run
    /// use diesel::ConnectionResult;
    /// use diesel_async::AsyncPgConnection;
    /// use futures_util::{FutureExt, future::BoxFuture};
    /// use socketio_pg_diesel::{DieselBackend, connection_error};
    /// use tokio_postgres_rustls::MakeRustlsConnect;
    ///
    /// fn establish(url: &str) -> BoxFuture<'_, ConnectionResult<AsyncPgConnection>> {
    ///     async move {
    ///         let tls = MakeRustlsConnect::new(tls());
    ///         let (client, connection) = tokio_postgres::connect(url, tls)
    ///             .await
    ///             .map_err(connection_error)?;
    ///         AsyncPgConnection::try_from_client_and_connection(client, connection).await
    ///     }
    ///     .boxed()
    /// }
    /// # fn tls() -> rustls::ClientConfig { unimplemented!() }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let url = "postgres://user:password@db.example.org/chat?sslmode=require";
    /// let backend = DieselBackend::new(url)?.custom_setup(establish);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn custom_setup<F>(self, setup: F) -> Self
    where
        F: Fn(&str) -> BoxFuture<'_, ConnectionResult<AsyncPgConnection>> + Send + Sync + 'static,
    {
        let setup: Setup = Arc::new(setup);
        let source = match self.source {
            Source::Own(connector) => Source::Own(connector.with_setup(setup.clone())),
            borrowed @ Source::Borrowed(_) => borrowed,
        };
        Self::assemble(source, self.listening.with_setup(setup))
    }

    fn assemble(source: Source, listening: Connector) -> Self {
        let (publishing, tending) = match &source {
            Source::Own(connector) => (
                Arc::new(Connections::new(connector.clone(), PUBLISHING_CONNECTIONS)),
                Arc::new(Connections::new(connector.clone(), TENDING_CONNECTIONS)),
            ),
            Source::Borrowed(pool) => {
                let connections = Arc::new(Connections::borrowed(pool.clone()));
                (connections.clone(), connections)
            }
        };
        Self { source, listening, publishing, tending }
    }
}

impl DieselBackend {
    async fn publish_and_log(&self, table: &str, log: &CatchUp, batch: &[Outgoing]) -> Result<(), BackendError> {
        let (attachments, log_table) = (TableName::parse(table)?, TableName::parse(log.table_name())?);
        let notify = NotifyLogged::new(&attachments, &log_table, log.seconds(), batch);
        let mut connection = self.publishing.acquire().await?;
        let published = notify.execute(&mut *connection).await;
        let concern = Concern::Tables([&attachments, &log_table].map(|table| (table, diagnosis::TO_INSERT)));
        connection.finish(published, concern).await.map(drop)
    }
}

impl Backend for DieselBackend {
    type Listener = DieselListener;

    async fn inspect_table(&self, table: &TableName) -> Result<TableReport, BackendError> {
        let mut connection = self.tending.acquire().await?;
        let seen = statements::look(&mut connection, table).await;
        TableReport::read(&connection.finish(seen, Concern::Session).await?)
    }

    async fn create(&self, table: &TableName, statements: &str) -> Result<(), BackendError> {
        let mut connection = self.tending.acquire().await?;
        let created = connection.batch_execute(statements).await;
        connection.finish(created, Concern::Creation(table)).await
    }

    async fn publish(&self, table: &str, log: Option<&CatchUp>, batch: &[Outgoing]) -> Result<(), BackendError> {
        if let Some(log) = log {
            return self.publish_and_log(table, log, batch).await;
        }
        match batch {
            [] => return Ok(()),
            [Outgoing { channel, content: Content::Inline(payload), .. }] => {
                let mut connection = self.publishing.acquire().await?;
                let published = NotifyOne { channel, payload }.execute(&mut *connection).await;
                return connection.finish(published, Concern::Session).await.map(drop);
            }
            _ => {}
        }
        let columns = Columns::new(batch);
        if !columns.bodies.is_empty() {
            let table = TableName::parse(table)?;
            let notify = NotifyWithAttachments::new(&table, &columns);
            let mut connection = self.publishing.acquire().await?;
            let published = notify.execute(&mut *connection).await;
            return connection.finish(published, Concern::Table(&table, diagnosis::TO_INSERT)).await.map(drop);
        }
        let mut connection = self.publishing.acquire().await?;
        let published = match columns.one_channel() {
            Some(channel) => {
                NotifyOnOneChannel { channel, payloads: &columns.payloads }.execute(&mut *connection).await
            }
            None => Notify(&columns).execute(&mut *connection).await,
        };
        connection.finish(published, Concern::Session).await.map(drop)
    }

    async fn mark(&self, log: &str, channel: &str, payload: &str) -> Result<Position, BackendError> {
        let table = TableName::parse(log)?;
        let mut connection = self.tending.acquire().await?;
        let marked = log::mark(&mut connection, &table, channel, payload).await;
        connection.finish(marked, Concern::Table(&table, diagnosis::TO_INSERT)).await
    }

    async fn read_log(&self, query: &LogQuery<'_>) -> Result<Vec<LogRow>, BackendError> {
        let table = TableName::parse(query.table)?;
        let mut connection = self.tending.acquire().await?;
        let rows = log::read(&mut connection, &table, query).await;
        connection.finish(rows, Concern::Table(&table, diagnosis::TO_FETCH)).await
    }

    async fn fetch(&self, table: &str, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        let table = TableName::parse(table)?;
        let mut connection = self.tending.acquire().await?;
        let rows = Fetch::new(&table, ids, limits.to_int8()).load(&mut *connection).await;
        let rows = connection.finish(rows, Concern::Table(&table, diagnosis::TO_FETCH)).await?;
        let found: HashMap<i64, (Option<i64>, Option<Vec<u8>>)> =
            rows.into_iter().map(|(id, bytes, body)| (id, (bytes, body))).collect();
        let row = |id| {
            let (bytes, body) = found.get(id).cloned().unwrap_or_default();
            Row::new(bytes, body)
        };
        Ok(ids.iter().map(row).collect())
    }

    async fn sweep_batch(&self, table: &str, batch: SweepBatch) -> Result<u64, BackendError> {
        let table = TableName::parse(table)?;
        let sweep = Sweep::new(&table, batch);
        let mut connection = self.tending.acquire().await?;
        let deleted = sweep.execute(&mut *connection).await;
        let deleted = connection.finish(deleted, Concern::Table(&table, diagnosis::TO_SWEEP)).await?;
        Ok(deleted as u64)
    }

    fn set_node_name(&self, name: &str) {
        self.listening.set_node_name(name);
        // Another URL may lead to a pooler. The nodes share its sessions, and it sets the name again
        // for each of them.
        if let Source::Own(connector) = &self.source
            && connector.is_like(&self.listening)
        {
            connector.set_node_name(name);
        }
    }

    async fn publish_outbox(&self, batch: &OutboxBatch<'_>) -> Result<OutboxProgress, BackendError> {
        let (outbox, attachments) = (TableName::parse(batch.outbox)?, TableName::parse(batch.attachments)?);
        let log = batch.log.map(|log| TableName::parse(log.table_name())).transpose()?;
        let publish = outbox::Publish::new(batch, &outbox, &attachments, log.as_ref());
        let mut connection = self.tending.acquire().await?;
        let progress = publish.run(&mut connection).await;
        let concern = [(&outbox, diagnosis::TO_SWEEP), (&attachments, diagnosis::TO_INSERT)];
        connection.finish(progress, Concern::Tables(concern)).await
    }

    async fn look_at_outbox(&self, outbox: &str, after: i64) -> Result<OutboxState, BackendError> {
        let table = TableName::parse(outbox)?;
        let mut connection = self.tending.acquire().await?;
        let state = outbox::Look::new(&table, after).run(&mut connection).await;
        connection.finish(state, Concern::Table(&table, diagnosis::TO_FETCH)).await
    }

    fn close(&self) {
        self.publishing.close();
        self.tending.close();
    }

    fn time_for_other_hosts(&self) -> Duration {
        let of_listener = self.listening.time_for_other_hosts();
        match &self.source {
            // Each slow host that both lead to is then found only once.
            Source::Own(connector) if connector.is_like(&self.listening) => of_listener,
            Source::Own(connector) => connector.time_for_other_hosts().saturating_add(of_listener),
            Source::Borrowed(_) => of_listener,
        }
    }

    async fn connect_listener(&self) -> Result<Self::Listener, BackendError> {
        DieselListener::connect(&self.listening).await
    }
}

impl fmt::Debug for DieselBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_pool_ours = matches!(self.source, Source::Own(_));
        f.debug_struct("DieselBackend").field("is_pool_ours", &is_pool_ours).finish_non_exhaustive()
    }
}
