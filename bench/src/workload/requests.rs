//! Workloads with requests to every node: all sockets, and acknowledgements.

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

pub(super) fn measure(
    arena: &Arena,
    contender: Contender,
    nodes: usize,
    kind: Kind,
    timing: &Timing,
) -> Result<Vec<Measure>, String> {
    let shape = Shape { nodes, sockets: SOCKETS, sender_sockets: SOCKETS, ..Shape::PAIR };
    let mut cluster = arena.cluster(contender, shape)?;
    let expected = nodes * SOCKETS;
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
