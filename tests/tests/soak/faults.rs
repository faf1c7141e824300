//! The faults of a soak: those of the catalogue that any cluster outlives.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use socketio_pg_tests::fault::Fault;

use crate::{
    Result,
    cluster::{Cluster, rust},
};

const FAULTS: [Fault; 18] = [
    Fault::Nothing,
    Fault::ListenersTerminated,
    Fault::PublishersTerminated,
    Fault::AllTerminated,
    Fault::StoppedFast,
    Fault::StoppedImmediate,
    Fault::Killed,
    Fault::Stalled,
    Fault::Refused,
    Fault::Reset,
    Fault::HalfOpen,
    Fault::Cut { after: 1 },
    Fault::Slow { bytes: 50_000 },
    Fault::TableLocked,
    Fault::RightsRevoked,
    Fault::ServerProcessesHang,
    Fault::NodeComesAndCloses,
    Fault::NodeComesAndIsKilled,
];

/// The faults that `SOAK_FAULTS` names (`Killed,Stalled`), or all.
pub(crate) fn chosen() -> Vec<Fault> {
    let names = std::env::var("SOAK_FAULTS").unwrap_or_default();
    let is_chosen = |fault: &Fault| names.is_empty() || names.split(',').any(|name| name == fault.name());
    FAULTS.into_iter().filter(is_chosen).collect()
}

/// One of these faults.
pub(crate) fn draw(faults: &[Fault], random: &mut StdRng) -> Option<Fault> {
    Some(match faults.choose(random)? {
        Fault::Cut { .. } => Fault::Cut { after: random.random_range(1..20_000) },
        fault => *fault,
    })
}

/// Causes a fault. It lasts for this time, unless it is over at once.
pub(crate) async fn cause(fault: Fault, cluster: &Cluster, time: Duration, random: &mut StdRng) -> Result {
    let node = rust(if random.random() { "tokio-postgres" } else { "diesel" });
    let lasts = if is_over_at_once(fault) { Duration::ZERO } else { time };
    fault.last(cluster.place(&node), lasts).await
}

fn is_over_at_once(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::ListenersTerminated
            | Fault::PublishersTerminated
            | Fault::AllTerminated
            | Fault::Reset
            | Fault::HalfOpen
            | Fault::Cut { .. }
    )
}
