//! Workloads with requests to every node: all sockets, and acknowledgements.

use std::time::Duration;

use super::{Measure, Metric, Timing, percentiles};
use crate::{
    arena::{Arena, Shape},
    contender::Contender,
    wire::{Answered, Command},
};

/// Sockets of each node.
const SOCKETS: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    FetchSockets,
    BroadcastWithAck,
}

/// Every node has sockets.
pub(super) fn shape(nodes: usize, distance: Duration) -> Shape {
    Shape { nodes, sockets: SOCKETS, sender_sockets: SOCKETS, distance, ..Shape::PAIR }
}

pub(super) fn measure(
    arena: &Arena,
    contender: Contender,
    shape: Shape,
    kind: Kind,
    timing: &Timing,
) -> Result<Vec<Measure>, String> {
    let mut cluster = arena.cluster(contender, shape)?;
    let expected = shape.nodes * SOCKETS;
    let command = |millis| match kind {
        Kind::FetchSockets => Command::FetchSockets { millis, expected },
        Kind::BroadcastWithAck => Command::BroadcastWithAck { millis, expected },
    };
    cluster.sender.ask::<Answered>(&command(timing.warm_up_millis))?;
    let answered: Answered = cluster.sender.ask(&command(timing.millis))?;
    let mut measures = vec![(Metric::Failed, answered.failed as f64)];
    measures.extend(percentiles(answered.durations));
    Ok(measures)
}
