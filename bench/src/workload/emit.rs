//! Workloads with events from one node to the sockets of others.

use std::time::Duration;

use super::{Measure, Metric, Timing, percentiles};
use crate::{
    arena::{Arena, NodeProcess, Shape, Usage},
    contender::Contender,
    event::Load,
    wire::{Command, Emitted, Pace, Received},
};

/// After this long without an arrival, the missing events count as lost.
const QUIET_MILLIS: u64 = 700;

pub(super) struct Plan {
    pub(super) load: Load,
    pub(super) pace: Pace,
    pub(super) receivers: usize,
    pub(super) namespaces: usize,
    pub(super) distance: Duration,
}

pub(super) fn measure(
    arena: &Arena,
    contender: Contender,
    plan: &Plan,
    timing: &Timing,
) -> Result<Vec<Measure>, String> {
    let shape =
        Shape { nodes: 1 + plan.receivers, namespaces: plan.namespaces, distance: plan.distance, ..Shape::PAIR };
    let mut cluster = arena.cluster(contender, shape)?;
    let at_rest = cluster.receivers[0].usage();
    let mut run = |run, millis| send(&mut cluster.sender, &mut cluster.receivers, plan, run, millis);
    run(1, timing.warm_up_millis)?;

    let usage = |nodes: &[NodeProcess]| nodes.iter().map(|node| node.usage().cpu_seconds).sum::<f64>();
    let before = (cluster.sender.usage(), usage(&cluster.receivers), arena.server_cpu(contender));
    let mut run = |run, millis| send(&mut cluster.sender, &mut cluster.receivers, plan, run, millis);
    let (emitted, received) = run(2, timing.millis)?;
    let sender: Usage = cluster.sender.usage();
    let receivers_cpu = usage(&cluster.receivers) - before.1;
    let server_cpu = arena.server_cpu(contender) - before.2;

    let sent = emitted.sent.iter().sum::<u64>() as f64;
    let total = received.into_iter().fold(Received::default(), Received::and);
    let delivered = total.delivered as f64;
    let seconds = total.last.saturating_sub(emitted.first) as f64 / 1e9;
    let per_100_000 = |seconds: f64, events: f64| if events > 0.0 { seconds / events * 1e5 } else { 0.0 };
    let mut measures = vec![
        (Metric::DeliveredPerSecond, if seconds > 0.0 { delivered / seconds } else { 0.0 }),
        (Metric::Sent, sent),
        (Metric::Lost, sent * plan.receivers as f64 - delivered),
        (Metric::Duplicated, total.duplicated as f64),
        (Metric::OutOfOrder, total.out_of_order as f64),
        (Metric::Corrupt, total.corrupt as f64),
        (Metric::Failed, emitted.failed as f64),
        (Metric::SenderCpu, per_100_000(sender.cpu_seconds - before.0.cpu_seconds, sent)),
        (Metric::ReceiverCpu, per_100_000(receivers_cpu, delivered)),
        (Metric::ServerCpu, per_100_000(server_cpu, sent)),
        (Metric::RestMemory, mebibytes(at_rest.resident)),
        (Metric::PeakMemory, mebibytes(cluster.receivers[0].usage().peak)),
        (Metric::SenderPeakMemory, mebibytes(sender.peak)),
    ];
    measures.extend(percentiles(total.latencies));
    Ok(measures)
}

fn send(
    sender: &mut NodeProcess,
    receivers: &mut [NodeProcess],
    plan: &Plan,
    run: u64,
    millis: u64,
) -> Result<(Emitted, Vec<Received>), String> {
    let keep_latencies = matches!(plan.pace, Pace::PerSecond(_));
    NodeProcess::ask_all::<()>(receivers, &Command::Expect { run, load: plan.load, keep_latencies })?;
    let emitted: Emitted = sender.ask(&Command::Emit { run, load: plan.load, pace: plan.pace, millis })?;
    let settle = Command::Settle { expected: emitted.sent.clone(), quiet_millis: QUIET_MILLIS };
    let received = NodeProcess::ask_all(receivers, &settle)?;
    Ok((emitted, received))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
