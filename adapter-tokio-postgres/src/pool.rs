//! Running statements on pooled connections.

use crate::{cancel::Canceller, error};
use deadpool_postgres::{Client, Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::BoxFuture;
use socketio_pg_connection::{SlowHosts, connect, total_connect_timeout};
use socketio_pg_core::backend::{BackendError, ErrorKind, before_sending};
use std::{
    ops::Deref,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::task::JoinHandle;
use tokio_postgres::{
    Config, Error, Row, Socket,
    tls::{MakeTlsConnect, TlsConnect},
    types::{ToSql, Type},
};

/// A statement's parameter: a value, and its type.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How statements are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StatementKind {
    /// Prepared once per connection: the faster way, for sessions that are ours.
    Prepared,
    /// Parsed each time: the way through a pooler, which may give every transaction another
    /// session.
    Unnamed,
}

/// How the pool makes its connections.
struct FirstThatAnswers<T> {
    tls: T,
    slow_hosts: SlowHosts,
}

impl<T> Connect for FirstThatAnswers<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + Sync,
    T::TlsConnect: Send + Sync,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), Error>> {
        let (config, tls, slow_hosts) = (config.clone(), self.tls.clone(), self.slow_hosts.clone());
        Box::pin(async move {
            let (client, connection) = connect(&config, tls, &slow_hosts).await?;
            // Why it ended, whoever uses the client is told.
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
    is_ours: bool,
    is_closed: AtomicBool,
}

impl Connections {
    /// A pool of our own. Nothing is connected yet.
    pub(crate) fn new<T>(config: Config, tls: T, size: usize, kind: StatementKind, slow_hosts: SlowHosts) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        // The driver's own timeout ends when the socket is connected, though nobody may answer
        // there.
        let timeouts = Timeouts { create: Some(total_connect_timeout(&config)), ..Timeouts::default() };
        let canceller = Canceller::new(tls.clone());
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, FirstThatAnswers { tls, slow_hosts }, manager);
        let pool = Pool::builder(manager).max_size(size).timeouts(timeouts).runtime(Runtime::Tokio1);
        let pool = pool.build().expect("a pool with timeouts and a runtime can be built");
        Self { pool, kind, canceller, is_ours: true, is_closed: AtomicBool::new(false) }
    }

    /// The application's pool, in whose sessions nothing may be left behind.
    pub(crate) fn borrowed(pool: Pool, canceller: Canceller) -> Self {
        Self { pool, kind: StatementKind::Unnamed, canceller, is_ours: false, is_closed: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if self.is_ours {
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

    /// Returns the number of rows that the statement concerned.
    pub(crate) async fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, BackendError> {
        let lease = self.acquire().await?;
        // Run too seldom to be worth preparing.
        let result = lease.execute_typed(statement, parameters).await;
        lease.finish(result)
    }

    /// Statements without parameters, in one transaction.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), BackendError> {
        let lease = self.acquire().await?;
        let result = lease.batch_execute(statements).await;
        lease.finish(result)
    }

    /// Closes a connection, and the idle ones of a pool of ours, which lead to the same place.
    fn throw_away(&self, client: Client) {
        drop(Object::take(client));
        if self.is_ours {
            self.pool.retain(|_, _| false);
        }
    }

    /// The pool never hands out a connection that is known to be closed: it makes another.
    async fn acquire(&self) -> Result<Lease<'_>, BackendError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(error::closed());
        }
        let client = before_sending(self.pool.get()).await.map_err(error::acquiring)?;
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
/// When the statement is given up (its future dropped), it is cancelled, and the connection is
/// closed and not returned: the next user would wait for the answer to a question it did not ask,
/// for ever if the link is dead. The idle connections of a pool of ours go with it: a link that is
/// dead for one is dead for all, and each would be found out only by another time-out.
struct Lease<'a> {
    client: Option<Client>,
    connections: &'a Connections,
}

impl Lease<'_> {
    /// Gives the connection back, unless it leads to a server that takes no writes: the next one
    /// may lead to another.
    fn finish<T>(mut self, result: Result<T, Error>) -> Result<T, BackendError> {
        let result = result.map_err(error::in_session);
        if let Some(client) = self.client.take()
            && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnly)
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
