//! The network between one node and its database fails.

use crate::{
    fault::{Fault, Result, Struck, last_for},
    world::{FAR, World},
};
use std::{sync::Arc, time::Instant};

const DEAF: [bool; 2] = [true, false];

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new("connections refused for 3 s", "and those that were open are reset; `LONG=1`: a minute", refused),
        Fault::new("connections stall for 3 s", "no byte passes, on new connections neither; `LONG=1`: 10 s", stalled),
        Fault::new(
            "half-open connections",
            "those that are open pass nothing any more and do not end, as behind a firewall that forgot them",
            half_open,
        ),
        Fault::new("connections cut within a message", "after 1, 3, 7, 20 and 100 bytes from the database", cut),
        Fault::new("connections reset", "all of a node's, five times", reset),
    ]
}

async fn refused(world: Arc<World>) -> Result<Struck> {
    world.proxy.refuse();
    last_for(60, 3).await;
    world.proxy.pass();
    Ok(Struck { healed: Instant::now(), deaf: DEAF })
}

async fn stalled(world: Arc<World>) -> Result<Struck> {
    world.proxy.stall();
    last_for(10, 3).await;
    world.proxy.pass();
    Ok(Struck { healed: Instant::now(), deaf: DEAF })
}

async fn half_open(world: Arc<World>) -> Result<Struck> {
    world.proxy.go_silent();
    // From here on a new connection would succeed, so the time until the node notices counts.
    Ok(Struck { healed: Instant::now(), deaf: DEAF })
}

async fn cut(world: Arc<World>) -> Result<Struck> {
    for bytes in [1, 3, 7, 20, 100] {
        let gaps = world.nodes[FAR].gaps().await?.len();
        world.proxy.cut_after(bytes);
        world.wait_for_gap(FAR, gaps).await?;
    }
    Ok(Struck { healed: Instant::now(), deaf: DEAF })
}

async fn reset(world: Arc<World>) -> Result<Struck> {
    for _ in 0..5 {
        let gaps = world.nodes[FAR].gaps().await?.len();
        world.proxy.reset();
        world.wait_for_gap(FAR, gaps).await?;
    }
    Ok(Struck { healed: Instant::now(), deaf: DEAF })
}
