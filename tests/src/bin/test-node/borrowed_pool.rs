//! The application's own pool, through which the node publishes, and ops that take all of its
//! connections.

use std::{
    any::Any,
    sync::{Mutex, OnceLock, PoisonError},
};

use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, deadpool},
};
use futures_util::future::try_join_all;
use serde_json::Value;
use socketio_pg_kit::partner::commands::{Answer, failed};
use tokio_postgres::NoTls;

type Failure = Box<dyn std::error::Error>;
type DieselPool = deadpool::Pool<AsyncPgConnection>;

enum Pool {
    TokioPostgres(deadpool_postgres::Pool),
    Diesel(DieselPool),
}

static POOL: OnceLock<Pool> = OnceLock::new();
/// The connections that the application has taken.
static TAKEN: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

pub(crate) fn tokio_postgres(
    config: tokio_postgres::Config,
    connections: usize,
) -> Result<deadpool_postgres::Pool, Failure> {
    let manager = deadpool_postgres::Manager::new(config, NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(connections).build()?;
    let _ = POOL.set(Pool::TokioPostgres(pool.clone()));
    Ok(pool)
}

pub(crate) fn diesel(url: &str, connections: usize) -> Result<DieselPool, Failure> {
    let pool = DieselPool::builder(AsyncDieselConnectionManager::new(url)).max_size(connections).build()?;
    let _ = POOL.set(Pool::Diesel(pool.clone()));
    Ok(pool)
}

/// Answers once it has taken all connections.
pub(crate) async fn exhaust() -> Answer {
    let mut taken: Vec<Box<dyn Any + Send>> = Vec::new();
    match POOL.get().ok_or("the node has no borrowed pool")? {
        Pool::TokioPostgres(pool) => {
            for connection in try_join_all((0..pool.status().max_size).map(|_| pool.get())).await.map_err(failed)? {
                taken.push(Box::new(connection));
            }
        }
        Pool::Diesel(pool) => {
            for connection in try_join_all((0..pool.status().max_size).map(|_| pool.get())).await.map_err(failed)? {
                taken.push(Box::new(connection));
            }
        }
    }
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).append(&mut taken);
    Ok(Value::Null)
}

pub(crate) fn release() -> Answer {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).clear();
    Ok(Value::Null)
}
