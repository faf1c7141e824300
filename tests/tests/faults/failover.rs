//! The database is on another server than before, or accepts no writes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use socketio_pg_tests::{
    fault::{Failure, Fault},
    sessions::{self, OF_RUST},
    time_limit,
};
use socketio_pg_throwaway::{Server, StopMode};

use crate::{
    case::{AfterFault, BOTH, Case, FAR_ONLY, Result, Route, last_for},
    cluster::{Cluster, FAR},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "a standby is promoted",
            "the primary is killed, and its name leads to the standby, which is promoted 2 s later; `LONG=1`: 30 s",
            promoted,
        )
        .by(Route::AllByProxy)
        .with_standby(),
        Case::new("a standby is promoted, with the catch-up log", "the same", promoted)
            .by(Route::AllByProxy)
            .with_standby()
            .with_log(),
        Case::new(
            "a name that leads to a standby for 2 s",
            "and to the primary again. What was connected to the standby meanwhile stays connected; `LONG=1`: 30 s",
            led_to_a_standby,
        )
        .with_standby(),
        Case::new(
            "sessions that stay read-only",
            "`default_transaction_read_only` for a second: a session that begins meanwhile keeps it",
            stay_read_only,
        ),
        Case::new(
            "the first of two hosts is silent",
            "as one that is switched off: it refuses no connection. All sessions of the node are terminated then",
            behind_a_silent_host,
        )
        .by(Route::SilentHostFirst)
        // Two hosts take twice as long as one.
        .with(|options| options.query_timeout(Duration::from_secs(10)).heartbeat_timeout(Duration::from_secs(10))),
    ]
}

fn port(server: &Server) -> Result<u16> {
    server.port().ok_or_else(|| "the server is not ours".into())
}

fn standby(cluster: &Cluster) -> Result<Arc<Server>> {
    cluster.standby.clone().ok_or_else(|| "there is no standby".into())
}

async fn promoted(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let (primary, standby) = (cluster.server.clone(), standby(&cluster)?);
    tokio::task::spawn_blocking(move || primary.stop(StopMode::Kill)).await??;
    cluster.proxy.lead_to(port(&standby)?);
    last_for(30, 2).await;
    tokio::task::spawn_blocking(move || Ok::<_, Failure>(standby.promote()?)).await??;
    Ok(AfterFault { healed: Instant::now(), disconnected: BOTH })
}

async fn led_to_a_standby(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster.proxy.lead_to(port(&*standby(&cluster)?)?);
    cluster.proxy.reset();
    is_ready(&cluster, false).await?;
    last_for(30, 2).await;
    cluster.proxy.lead_to(port(&cluster.server)?);
    let healed = Instant::now();
    is_ready(&cluster, true).await?;
    Ok(AfterFault { healed, disconnected: FAR_ONLY })
}

async fn stay_read_only(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Instant::now();
    let noticed = async {
        cluster.wait_for_gap(FAR, 0).await?;
        last_for(1, 1).await;
        Ok(())
    };
    Fault::ReadOnlyStays.during(cluster.place(), noticed).await?;
    Ok(AfterFault { healed, disconnected: BOTH })
}

async fn behind_a_silent_host(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Instant::now();
    cluster.sql(&sessions::terminate(OF_RUST)).await?;
    cluster.wait_for_gap(FAR, 0).await?;
    Ok(AfterFault { healed, disconnected: BOTH })
}

/// Waits until the node behind the proxy reports that it is ready, or that it is not.
async fn is_ready(cluster: &Cluster, expected: bool) -> Result {
    let started = Instant::now();
    while cluster.nodes[FAR].call("isReady", Value::Null).await? != expected {
        if started.elapsed() > time_limit() {
            return Err(format!("it does not come to say that ready is {expected}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
