//! The database is on another server than before, or accepts no writes.

use crate::{
    fault::{Failure, Fault, Result, Struck, Way, last_for},
    world::{FAR, World},
};
use serde_json::Value;
use socketio_pg_tests::{
    DEADLINE,
    sessions::{self, OF_RUST},
};
use socketio_pg_throwaway::{Server, StopMode};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new(
            "a standby is promoted",
            "the primary is killed, and its name leads to the standby, which is promoted 2 s later; `LONG=1`: 30 s",
            promoted,
        )
        .by(Way::AllByProxy)
        .with_standby(),
        Fault::new("a standby is promoted, with the catch-up log", "the same", promoted)
            .by(Way::AllByProxy)
            .with_standby()
            .with_log(),
        Fault::new(
            "a name that leads to a standby for 2 s",
            "and to the primary again. What was connected to the standby meanwhile stays connected; `LONG=1`: 30 s",
            led_to_a_standby,
        )
        .with_standby(),
        Fault::new(
            "sessions that stay read-only",
            "`default_transaction_read_only` for a second: whoever connects meanwhile keeps it",
            stay_read_only,
        ),
        Fault::new(
            "the first of two hosts is silent",
            "as one that is switched off: it refuses no connection. All sessions of the node are terminated then",
            behind_a_silent_host,
        )
        .by(Way::SilentHostFirst)
        // Two hosts take twice as long as one.
        .with(|options| options.query_timeout(Duration::from_secs(10)).heartbeat_timeout(Duration::from_secs(10))),
    ]
}

fn port(server: &Server) -> Result<u16> {
    server.port().ok_or_else(|| "the server is not ours".into())
}

fn standby(world: &World) -> Result<Arc<Server>> {
    world.standby.clone().ok_or_else(|| "there is no standby".into())
}

async fn promoted(world: Arc<World>) -> Result<Struck> {
    let (primary, standby) = (world.server.clone(), standby(&world)?);
    tokio::task::spawn_blocking(move || primary.stop(StopMode::Kill)).await??;
    world.proxy.lead_to(port(&standby)?);
    last_for(30, 2).await;
    tokio::task::spawn_blocking(move || Ok::<_, Failure>(standby.promote()?)).await??;
    Ok(Struck { healed: Instant::now(), deaf: [true, true] })
}

async fn led_to_a_standby(world: Arc<World>) -> Result<Struck> {
    world.proxy.lead_to(port(&*standby(&world)?)?);
    world.proxy.reset();
    is_ready(&world, false).await?;
    last_for(30, 2).await;
    world.proxy.lead_to(port(&world.server)?);
    let healed = Instant::now();
    is_ready(&world, true).await?;
    Ok(Struck { healed, deaf: [true, false] })
}

async fn stay_read_only(world: Arc<World>) -> Result<Struck> {
    let database = world.database.name();
    world.sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await?;
    let healed = Instant::now();
    world.sql(&sessions::terminate(OF_RUST)).await?;
    world.wait_for_gap(FAR, 0).await?;
    last_for(1, 1).await;
    world
        .sql(&format!("BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT"))
        .await?;
    Ok(Struck { healed, deaf: [true, true] })
}

async fn behind_a_silent_host(world: Arc<World>) -> Result<Struck> {
    let healed = Instant::now();
    world.sql(&sessions::terminate(OF_RUST)).await?;
    world.wait_for_gap(FAR, 0).await?;
    Ok(Struck { healed, deaf: [true, true] })
}

/// Waits until the node behind the proxy reports that it is ready, or that it is not.
async fn is_ready(world: &World, expected: bool) -> Result {
    let started = Instant::now();
    while world.nodes[FAR].call("isReady", Value::Null).await? != expected {
        if started.elapsed() > DEADLINE {
            return Err(format!("it does not come to say that ready is {expected}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
