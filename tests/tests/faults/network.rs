//! The network between one node and its database fails.

use crate::{
    cluster::{Cluster, FAR},
    fault::{AfterFault, Fault, Result, last_for},
};
use std::{sync::Arc, time::Instant};

const FAR_DISCONNECTED: [bool; 2] = [true, false];

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        Fault::new("connections refused for 3 s", "and open ones are reset; `LONG=1`: a minute", refused),
        Fault::new("connections stall for 3 s", "no byte passes, also on new connections; `LONG=1`: 10 s", stalled),
        Fault::new(
            "half-open connections",
            "those that are open pass nothing any more and do not end, as behind a firewall that forgot them",
            half_open,
        ),
        Fault::new("connections cut within a message", "after 1, 3, 7, 20 and 100 bytes from the database", cut),
        Fault::new("connections reset", "all of a node's, five times", reset),
    ]
}

async fn refused(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster.proxy.refuse();
    last_for(60, 3).await;
    cluster.proxy.pass();
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_DISCONNECTED })
}

async fn stalled(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster.proxy.stall();
    last_for(10, 3).await;
    cluster.proxy.pass();
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_DISCONNECTED })
}

async fn half_open(cluster: Arc<Cluster>) -> Result<AfterFault> {
    cluster.proxy.go_silent();
    // From here on a new connection would succeed, so the time until the node notices counts.
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_DISCONNECTED })
}

async fn cut(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for bytes in [1, 3, 7, 20, 100] {
        let gaps = cluster.nodes[FAR].gaps().await?.len();
        cluster.proxy.cut_after(bytes);
        cluster.wait_for_gap(FAR, gaps).await?;
    }
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_DISCONNECTED })
}

async fn reset(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for _ in 0..5 {
        let gaps = cluster.nodes[FAR].gaps().await?.len();
        cluster.proxy.reset();
        cluster.wait_for_gap(FAR, gaps).await?;
    }
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_DISCONNECTED })
}
