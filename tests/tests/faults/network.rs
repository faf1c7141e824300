//! The network between one node and its database fails.

use std::{sync::Arc, time::Instant};

use socketio_pg_tests::Watch as _;
use socketio_pg_tests::fault::Fault;

use crate::{
    case::{AfterFault, Case, FAR_ONLY, Result},
    cluster::{Cluster, FAR},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::lasting(
            "connections refused for 3 s",
            "and open ones are reset; `LONG=1`: a minute",
            (Fault::Refused, FAR_ONLY),
            (60, 3),
        ),
        Case::lasting(
            "connections stall for 3 s",
            "no byte passes, also on new connections; `LONG=1`: 10 s",
            (Fault::Stalled, FAR_ONLY),
            (10, 3),
        ),
        // A new connection succeeds at once, so the time until the node notices counts.
        Case::lasting(
            "half-open connections",
            "those that are open pass nothing any more and do not end, as behind a firewall that forgot them",
            (Fault::HalfOpen, FAR_ONLY),
            (0, 0),
        ),
        Case::new("connections cut within a message", "after 1, 3, 7, 20 and 100 bytes from the database", cut),
        Case::new("connections reset", "all of a node's, five times", reset),
    ]
}

async fn cut(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for after in [1, 3, 7, 20, 100] {
        until_noticed(&cluster, Fault::Cut { after }).await?;
    }
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_ONLY })
}

async fn reset(cluster: Arc<Cluster>) -> Result<AfterFault> {
    for _ in 0..5 {
        until_noticed(&cluster, Fault::Reset).await?;
    }
    Ok(AfterFault { healed: Instant::now(), disconnected: FAR_ONLY })
}

/// Causes a fault; returns when the node behind the proxy has reported a gap.
async fn until_noticed(cluster: &Cluster, fault: Fault) -> Result {
    let gaps = cluster.nodes[FAR].gaps().await?.len();
    fault.during(cluster.place(), cluster.wait_for_gap(FAR, gaps)).await
}
