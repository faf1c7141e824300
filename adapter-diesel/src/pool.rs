//! The pool of connections for statements.

use std::{
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use diesel::QueryResult;
use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use futures_util::FutureExt;
use socketio_pg_core::backend::{BackendError, ErrorKind, before_sending};

use crate::{
    connector::Connector,
    diagnosis::{self, Concern},
    error,
};

/// A pool of connections, each used for one statement at a time.
pub(crate) struct Connections {
    pool: Pool<AsyncPgConnection>,
    /// What made the connections; unknown for connections of the application.
    connector: Option<Connector>,
    is_closed: AtomicBool,
}

impl Connections {
    /// Our own pool. It does not connect yet.
    pub(crate) fn new(connector: Connector, size: usize) -> Self {
        let mut config = ManagerConfig::default();
        // A connection that is known to be closed is not handed out in any case, and checking each
        // time would take a round trip.
        config.recycling_method = RecyclingMethod::Fast;
        let own = connector.clone();
        config.custom_setup = Box::new(move |_| {
            let connector = connector.clone();
            async move { connector.connect().await.map_err(error::carried) }.boxed()
        });
        // The connector has its own copy of the address.
        let manager = AsyncDieselConnectionManager::new_with_config(String::new(), config);
        let pool = Pool::builder(manager).max_size(size).build().expect("a pool without timeouts can be built");
        Self { pool, connector: Some(own), is_closed: AtomicBool::new(false) }
    }

    /// The application's pool.
    pub(crate) fn borrowed(pool: Pool<AsyncPgConnection>) -> Self {
        Self { pool, connector: None, is_closed: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if self.connector.is_some() {
            self.pool.close();
        }
    }

    /// Closes a connection, and the idle ones of our own pool, which lead to the same server.
    fn throw_away(&self, connection: Object<AsyncPgConnection>) {
        if self.connector.is_some() {
            self.pool.retain(|_, _| false);
        }
        drop(Object::take(connection));
    }

    pub(crate) async fn acquire(&self) -> Result<Lease<'_>, BackendError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(error::closed());
        }
        let connection = before_sending(self.pool.get()).await.map_err(error::acquiring)?;
        Ok(Lease { connection: Some(connection), connections: self, begun: Instant::now() })
    }
}

/// A connection of the pool, while a statement runs on it. [`finish`](Self::finish) returns it.
///
/// When the caller stops waiting (its future is dropped), the statement is cancelled, and the
/// connection is closed and not returned: the next user would wait for the result of another's
/// statement, for ever if the link is dead. The idle connections of our own pool are closed too: a
/// link that is dead for one is dead for all, and each would cost another time-out.
pub(crate) struct Lease<'a> {
    connection: Option<Object<AsyncPgConnection>>,
    connections: &'a Connections,
    begun: Instant,
}

impl Lease<'_> {
    /// Returns the connection to the pool, after finding out what an error means.
    pub(crate) async fn finish<T>(mut self, result: QueryResult<T>, concern: Concern<'_>) -> Result<T, BackendError> {
        let mut is_mixed_up = false;
        let result = match result {
            Ok(value) => Ok(value),
            Err(error) => {
                is_mixed_up = error::is_mixed_up(&error);
                let took = self.begun.elapsed();
                Err(diagnosis::explain(&mut self, concern, error, took).await)
            }
        };
        if let Some(connection) = self.connection.take()
            // The next connection may lead to another server, or to a session with nothing mixed up.
            && (is_mixed_up || result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnly))
        {
            self.connections.throw_away(connection);
        }
        result
    }
}

impl Deref for Lease<'_> {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.connection.as_ref().expect("a lease holds its connection as long as it lives")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.connection.as_mut().expect("a lease holds its connection as long as it lives")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            if let Some(connector) = &self.connections.connector {
                connector.cancel(connection.cancel_token());
            }
            self.connections.throw_away(connection);
        }
    }
}
