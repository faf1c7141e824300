//! The pool of connections for statements.

use std::{
    ops::Deref,
    sync::atomic::{AtomicBool, Ordering},
};

use deadpool_postgres::{
    Client, Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use futures_util::future::BoxFuture;
use socketio_pg_connection::{KnownHosts, connect_in_order, total_connect_timeout};
use socketio_pg_core::backend::{BackendError, ErrorKind, before_sending};
use tokio::task::JoinHandle;
use tokio_postgres::{
    Config, Error, Row, Socket,
    tls::{MakeTlsConnect, TlsConnect},
    types::{ToSql, Type},
};

use crate::{cancel::Canceller, error, sessions::Sessions};

/// A statement's parameter: a value, and its type.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How a statement is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StatementKind {
    /// Prepared once per connection: faster, for sessions of our own.
    Prepared,
    /// Parsed each time: works through a pooler, which may give every transaction another session.
    Unnamed,
}

/// Makes the connections of the pool.
struct FirstThatAnswers<T> {
    sessions: Sessions,
    tls: T,
    known_hosts: KnownHosts,
}

impl<T> Connect for FirstThatAnswers<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), Error>> {
        // The pool's copy does not have the node's name.
        let (config, tls, known_hosts) = (self.sessions.named(), self.tls.clone(), self.known_hosts.clone());
        Box::pin(async move {
            let (client, connection) = connect_in_order(&config, tls, &known_hosts).await?;
            // The user of the client is told why it ended.
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        })
    }
}

/// A pool of connections, each used for one statement at a time.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool,
    kind: StatementKind,
    canceller: Canceller,
    /// Of our own pool, whose connections nothing else uses.
    own: Option<Own>,
    is_closed: AtomicBool,
}

/// Where the connections of our own pool lead.
#[derive(Debug)]
struct Own {
    config: Config,
    known_hosts: KnownHosts,
}

impl Connections {
    /// Our own pool. It does not connect yet.
    pub(crate) fn new<T>(sessions: Sessions, tls: T, size: usize, kind: StatementKind, known_hosts: KnownHosts) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        // The driver's own timeout ends when the socket is connected, though the server may never
        // reply.
        let timeouts = Timeouts { create: Some(total_connect_timeout(sessions.config())), ..Timeouts::default() };
        let canceller = Canceller::new(tls.clone());
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let config = sessions.config().clone();
        let own = Some(Own { config: config.clone(), known_hosts: known_hosts.clone() });
        let manager = Manager::from_connect(config, FirstThatAnswers { sessions, tls, known_hosts }, manager);
        let pool = Pool::builder(manager).max_size(size).timeouts(timeouts).runtime(Runtime::Tokio1);
        let pool = pool.build().expect("a pool with timeouts and a runtime can be built");
        Self { pool, kind, canceller, own, is_closed: AtomicBool::new(false) }
    }

    /// The application's pool: statements must leave nothing behind in its sessions.
    pub(crate) fn borrowed(pool: Pool, canceller: Canceller) -> Self {
        Self { pool, kind: StatementKind::Unnamed, canceller, own: None, is_closed: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if self.own.is_some() {
            self.pool.close();
        }
    }

    pub(crate) async fn query(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, BackendError> {
        let lease = self.acquire().await?;
        let result = match self.kind {
            StatementKind::Prepared => query_prepared(&lease, statement, parameters).await,
            StatementKind::Unnamed => lease.query_typed(statement, parameters).await,
        };
        lease.finish(result)
    }

    /// As [`query`](Self::query), with a plan for this run alone.
    pub(crate) async fn query_once(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, BackendError> {
        let lease = self.acquire().await?;
        let result = lease.query_typed(statement, parameters).await;
        lease.finish(result)
    }

    /// Returns the number of rows that the statement changed or returned.
    pub(crate) async fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, BackendError> {
        let lease = self.acquire().await?;
        // Runs too seldom to be worth preparing.
        let result = lease.execute_typed(statement, parameters).await;
        lease.finish(result)
    }

    /// Runs statements without parameters, in one transaction.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), BackendError> {
        let lease = self.acquire().await?;
        let result = lease.batch_execute(statements).await;
        lease.finish(result)
    }

    /// Closes a connection, and the idle ones of our own pool, which lead to the same server.
    fn throw_away(&self, client: Client) {
        drop(Object::take(client));
        if self.own.is_some() {
            self.pool.retain(|_, _| false);
        }
    }

    /// Why no connection can be had: of each host, where there are several.
    fn explain(&self, error: PoolError) -> BackendError {
        let Some(own) = &self.own else { return error::acquiring(error) };
        let error = match error {
            PoolError::Timeout(TimeoutType::Create) => {
                let limit = total_connect_timeout(&own.config);
                let text = format!("it did not answer within {limit:?}");
                BackendError::new(ErrorKind::Connection, text).unsent()
            }
            PoolError::Backend(_) => error::acquiring(error),
            _ => return error::acquiring(error),
        };
        own.known_hosts.explain(&own.config, error)
    }

    /// The pool never returns a connection that is known to be closed: it opens another.
    async fn acquire(&self) -> Result<Lease<'_>, BackendError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(error::closed());
        }
        let client = before_sending(self.pool.get()).await.map_err(|error| self.explain(error))?;
        Ok(Lease { client: Some(client), connections: self })
    }
}

async fn query_prepared(client: &Client, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
    let (values, types): (Vec<&(dyn ToSql + Sync)>, Vec<Type>) = parameters.iter().cloned().unzip();
    let statement = client.prepare_typed_cached(statement, &types).await?;
    client.query(&statement, &values).await
}

/// A connection of the pool, while a statement runs on it.
///
/// When the caller stops waiting (its future is dropped), the statement is cancelled, and the
/// connection is closed and not returned: the next user would wait for the result of another's
/// statement, for ever if the link is dead. The idle connections of our own pool are closed too: a
/// link that is dead for one is dead for all, and each would cost another time-out.
struct Lease<'a> {
    client: Option<Client>,
    connections: &'a Connections,
}

impl Lease<'_> {
    /// Returns the connection to the pool, unless it leads to a server that accepts no writes, or its
    /// prepared statements are mixed up: the next one may be better.
    fn finish<T>(mut self, result: Result<T, Error>) -> Result<T, BackendError> {
        let is_mixed_up = result.as_ref().is_err_and(error::is_mixed_up);
        let result = result.map_err(error::in_session);
        if let Some(client) = self.client.take()
            && (is_mixed_up || result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnly))
        {
            self.connections.throw_away(client);
        }
        result
    }
}

impl Deref for Lease<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("a lease holds its connection as long as it lives")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.connections.canceller.cancel(client.cancel_token());
            self.connections.throw_away(client);
        }
    }
}
