//! PgBouncer between a node and its database.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use socketio_pg_tests::{fault::Fault, require, sessions::PUBLISHERS};

use crate::{
    case::{AfterFault, Case, FAR_ONLY, NONE, Result, Route, last_for},
    cluster::Cluster,
};

pub(crate) use socketio_pg_tests::pooler::{Mode, PGBOUNCER, Pooler, version};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "PgBouncer in transaction mode, for publishing",
            "its sessions in the server are terminated three times, and it is killed for a second. diesel needs one from 1.21 on",
            transaction_mode,
        )
        .by(Route::TransactionPooler)
        .only_if(can_pool_transactions),
        Case::new("PgBouncer in session mode, for everything", "it is killed for a second", session_mode)
            .by(Route::SessionPooler)
            .only_if(has_pooler),
    ]
}

fn has_pooler(_: &str) -> bool {
    // Asked for each case and backend, reported once.
    static HAS_POOLER: LazyLock<bool> = LazyLock::new(|| require(&PGBOUNCER));
    *HAS_POOLER
}

fn can_pool_transactions(backend: &str) -> bool {
    // Before 1.21 it does not know prepared statements, and diesel-async uses no others.
    let knows_prepared = || version().is_some_and(|version| version >= (1, 21));
    has_pooler(backend) && (backend == "tokio-postgres" || knows_prepared())
}

async fn transaction_mode(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for _ in 0..3 {
        cluster
            .until("it publishes", &format!("SELECT count(*) >= 2 FROM pg_stat_activity WHERE {PUBLISHERS}"), "t")
            .await?;
        Fault::PublishersTerminated.last(cluster.place(), Duration::ZERO).await?;
    }
    restarted(&cluster).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: NONE })
}

async fn session_mode(cluster: Arc<Cluster>) -> Result<AfterFault> {
    restarted(&cluster).await?;
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_ONLY })
}

async fn restarted(cluster: &Cluster) -> Result {
    let pooler = cluster.pooler.as_ref().ok_or("there is no pooler")?;
    pooler.kill()?;
    last_for(10, 1).await;
    pooler.run().await
}
