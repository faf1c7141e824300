//! The workloads: a table of what is measured.

mod emit;
mod idle;
mod requests;

use std::time::Duration;

use serde::Serialize;

use crate::{
    arena::Arena,
    contender::{Contender, Ground},
    event::Load,
    report::Record,
    wire::Pace,
};

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Its name on the command line and in the results.
    pub(crate) id: &'static str,
    /// Its name in tables.
    pub(crate) title: &'static str,
    /// The most important figure.
    pub(crate) headline: Metric,
    kind: Kind,
    /// Milliseconds of a round trip from a node to the server, besides what it takes on one machine.
    far_millis: u64,
    /// Whether a quick run measures it.
    pub(crate) is_in_quick: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Emit { load: Load, pace: Pace, receivers: usize, namespaces: usize },
    FetchSockets { nodes: usize },
    BroadcastWithAck { nodes: usize },
    Idle { nodes: usize, namespaces: usize },
}

/// What is measured in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metric {
    /// Events that reached a socket, counted at each receiving node, over the time from the first
    /// call of the sender to the last arrival.
    DeliveredPerSecond,
    /// Microseconds from the sender's stamp, set when it encodes the event, to the receiver's
    /// socket, or from a request to its last response: half of them took no longer.
    P50,
    /// The same: 99 of 100 took no longer.
    P99,
    /// Events that were sent and did not arrive at a receiver, including those whose sender got an
    /// error.
    Lost,
    /// Events that arrived more than once.
    Duplicated,
    /// Events that arrived after one that was sent later.
    OutOfOrder,
    /// Events whose content was not what was sent.
    Corrupt,
    /// Events whose sender got an error; requests that failed or got incomplete responses.
    Failed,
    /// Events that were sent.
    Sent,
    /// Seconds of processor time of the sending node for 100 000 events sent.
    SenderCpu,
    /// Seconds of processor time of the receiving nodes for 100 000 events delivered.
    ReceiverCpu,
    /// Seconds of processor time of PostgreSQL or Redis for 100 000 events sent.
    ServerCpu,
    /// MiB resident in the receiving node, or the first of them, before the first event.
    RestMemory,
    /// The most MiB that were resident in it.
    PeakMemory,
    /// The most MiB that were resident in the sending node.
    SenderPeakMemory,
    /// Transactions of idle nodes, committed or rolled back.
    TransactionsPerMinute,
    /// Those of them that wrote something, such as a notification. A session that only receives one
    /// does not write.
    WritesPerMinute,
    /// KiB of PostgreSQL's log that idle nodes write.
    WalPerMinute,
}

impl Metric {
    /// Its name in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::DeliveredPerSecond => "delivered/s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::OutOfOrder => "out of order",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::SenderCpu => "sender CPU s/100k",
            Self::ReceiverCpu => "receiver CPU s/100k",
            Self::ServerCpu => "server CPU s/100k",
            Self::RestMemory => "MiB at rest",
            Self::PeakMemory => "MiB peak",
            Self::SenderPeakMemory => "sender MiB peak",
            Self::TransactionsPerMinute => "transactions/min",
            Self::WritesPerMinute => "of them with a notification or row",
            Self::WalPerMinute => "WAL KiB/min",
        }
    }

    /// Whether the rounds are added up, as one lost event is too many.
    pub(crate) fn is_count(self) -> bool {
        matches!(self, Self::Lost | Self::Duplicated | Self::OutOfOrder | Self::Corrupt | Self::Failed | Self::Sent)
    }

    pub(crate) fn is_better_when_high(self) -> bool {
        self == Self::DeliveredPerSecond
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) rounds: usize,
    pub(crate) warm_up_millis: u64,
    pub(crate) millis: u64,
    /// How often idle nodes are watched, and how long each time.
    pub(crate) idle_rounds: usize,
    pub(crate) idle_millis: u64,
}

/// One figure of one round.
pub(crate) type Measure = (Metric, f64);

const fn emit(id: &'static str, title: &'static str, load: Load, pace: Pace) -> Workload {
    let kind = Kind::Emit { load, pace, receivers: 1, namespaces: 1 };
    Workload { id, title, headline: Metric::DeliveredPerSecond, kind, far_millis: 0, is_in_quick: true }
}

const fn requests(id: &'static str, title: &'static str, kind: Kind) -> Workload {
    Workload { id, title, headline: Metric::P50, kind, far_millis: 0, is_in_quick: true }
}

impl Workload {
    const fn only_in_full(self) -> Self {
        Self { is_in_quick: false, ..self }
    }

    /// With a longer way to the server, and only in a full run.
    const fn far(self, millis: u64) -> Self {
        Self { far_millis: millis, is_in_quick: false, ..self }
    }
}

const fn scaled(id: &'static str, title: &'static str, receivers: usize, namespaces: usize) -> Workload {
    let kind = Kind::Emit { load: Load::Small, pace: STORM, receivers, namespaces };
    Workload { id, title, headline: Metric::DeliveredPerSecond, kind, far_millis: 0, is_in_quick: true }
}

const fn latency(id: &'static str, title: &'static str, rate: u64) -> Workload {
    Workload { headline: Metric::P50, ..emit(id, title, Load::Small, Pace::PerSecond(rate)) }
}

const fn idle(id: &'static str, title: &'static str, nodes: usize, namespaces: usize) -> Workload {
    let kind = Kind::Idle { nodes, namespaces };
    Workload { id, title, headline: Metric::TransactionsPerMinute, kind, far_millis: 0, is_in_quick: true }
}

/// How many events are in flight at once in a storm.
const STORM: Pace = Pace::InFlight(256);

/// All workloads, in the order in which they run.
pub(crate) const ALL: &[Workload] = &[
    emit("storm-small", "storm of small events, 256 in flight", Load::Small, STORM),
    emit("storm-small-1024", "storm of small events, 1024 in flight", Load::Small, Pace::InFlight(1024)).only_in_full(),
    emit("one-by-one", "small events, each awaited", Load::Small, Pace::OneByOne),
    latency("latency-200", "latency at 200 a second", 200),
    latency("latency-2000", "latency at 2 000 a second", 2000),
    emit("storm-binary", "storm of 1 KiB binary events, 256 in flight", Load::Binary1K, STORM),
    emit("storm-64k", "storm of 64 KiB text events, 256 in flight", Load::Text64K, STORM),
    emit("storm-mixed", "storm of small events with 16 KiB text each eighth, 256 in flight", Load::Mixed, STORM),
    requests("fetch-2", "fetchSockets over 2 nodes", Kind::FetchSockets { nodes: 2 }).only_in_full(),
    requests("fetch-4", "fetchSockets over 4 nodes", Kind::FetchSockets { nodes: 4 }).only_in_full(),
    requests("fetch-8", "fetchSockets over 8 nodes", Kind::FetchSockets { nodes: 8 }),
    requests("ack-2", "acknowledged event over 2 nodes", Kind::BroadcastWithAck { nodes: 2 }).only_in_full(),
    requests("ack-4", "acknowledged event over 4 nodes", Kind::BroadcastWithAck { nodes: 4 }).only_in_full(),
    requests("ack-8", "acknowledged event over 8 nodes", Kind::BroadcastWithAck { nodes: 8 }),
    scaled("receivers-8", "storm of small events to 8 nodes, 256 in flight", 8, 1),
    scaled("receivers-32", "storm of small events to 32 nodes, 256 in flight", 32, 1).only_in_full(),
    scaled("namespaces-20", "storm of small events over 20 namespaces, 256 in flight", 1, 20),
    scaled("namespaces-200", "storm of small events over 200 namespaces, 256 in flight", 1, 200).only_in_full(),
    latency("far-2-latency", "latency at 200 a second, 2 ms from the server", 200).far(2),
    latency("far-10-latency", "latency at 200 a second, 10 ms from the server", 200).far(10),
    emit("far-2-storm", "storm of small events, 256 in flight, 2 ms from the server", Load::Small, STORM).far(2),
    emit("far-10-storm", "storm of small events, 256 in flight, 10 ms from the server", Load::Small, STORM).far(10),
    requests("far-2-fetch", "fetchSockets over 4 nodes, 2 ms from the server", Kind::FetchSockets { nodes: 4 }).far(2),
    requests("far-10-fetch", "fetchSockets over 4 nodes, 10 ms from the server", Kind::FetchSockets { nodes: 4 })
        .far(10),
    idle("idle-1x1", "1 idle node with 1 namespace", 1, 1).only_in_full(),
    idle("idle-1x20", "1 idle node with 20 namespaces", 1, 20).only_in_full(),
    idle("idle-2x1", "2 idle nodes with 1 namespace", 2, 1),
    idle("idle-4x1", "4 idle nodes with 1 namespace", 4, 1).only_in_full(),
    idle("idle-4x20", "4 idle nodes with 20 namespaces", 4, 20),
];

impl Workload {
    /// Whether the contender can do it.
    pub(crate) fn suits(&self, contender: Contender) -> bool {
        match (self.kind, contender) {
            // Node.js's emit cannot be awaited.
            (Kind::Emit { pace: Pace::OneByOne, .. }, Contender::Node) => false,
            // Raw notifications are short.
            (Kind::Emit { load, .. }, Contender::Raw) => matches!(load, Load::Small | Load::Binary1K),
            // The cost of the log shows best where it is the highest and the lowest.
            (_, Contender::Logged) => {
                ["storm-small", "one-by-one", "latency-200", "storm-64k", "idle-4x20"].contains(&self.id)
            }
            (kind, _) if contender.is_watching() => matches!(kind, Kind::Idle { .. }),
            // Everything else is as without.
            (_, Contender::TokioPostgresInline | Contender::DieselInline) => self.id == "storm-binary",
            // Raw connections have no heartbeats.
            (Kind::Idle { .. }, Contender::Raw) => false,
            (Kind::Idle { .. }, _) => contender.ground() == Ground::Postgres,
            _ => true,
        }
    }

    /// The columns of the printed tables.
    pub(crate) fn columns(&self) -> &'static [Metric] {
        match self.kind {
            Kind::Emit { pace: Pace::PerSecond(_), .. } => {
                &[Metric::P50, Metric::P99, Metric::Lost, Metric::OutOfOrder]
            }
            Kind::Emit { .. } => &[
                Metric::DeliveredPerSecond,
                Metric::Lost,
                Metric::Duplicated,
                Metric::OutOfOrder,
                Metric::Corrupt,
                Metric::SenderCpu,
                Metric::ReceiverCpu,
                Metric::ServerCpu,
                Metric::RestMemory,
                Metric::PeakMemory,
            ],
            Kind::FetchSockets { .. } | Kind::BroadcastWithAck { .. } => &[Metric::P50, Metric::P99, Metric::Failed],
            Kind::Idle { .. } => &[Metric::TransactionsPerMinute, Metric::WritesPerMinute, Metric::WalPerMinute],
        }
    }
}

/// Measures each workload with the contenders that can do it, round by round, and passes each
/// figure to `record`.
///
/// Each round measures every contender, so that changes on the machine meanwhile concern all of
/// them.
pub(crate) fn measure(
    workloads: &[&'static Workload],
    arena: &Arena,
    contenders: &[Contender],
    timing: &Timing,
    mut record: impl FnMut(Record),
    mut done: impl FnMut(&Workload),
) {
    for &workload in workloads {
        if let Kind::Idle { .. } = workload.kind {
            continue;
        }
        for round in 0..timing.rounds {
            for &contender in contenders.iter().filter(|contender| workload.suits(**contender)) {
                match workload.once(arena, contender, timing) {
                    Ok(measures) => measures.into_iter().for_each(|(metric, value)| {
                        record(Record { workload: workload.id, contender, round, metric, value });
                    }),
                    Err(error) => {
                        eprintln!("FAILED: {} of {}, round {}: {error}", workload.id, contender.label(), round + 1);
                    }
                }
            }
        }
        done(workload);
    }
    let shapes: Vec<_> = workloads.iter().filter_map(|workload| Some((workload.idle_shape()?, *workload))).collect();
    if !shapes.is_empty() {
        let suited = |workload: &'static Workload| contenders.iter().filter(|contender| workload.suits(**contender));
        let wanted = shapes.iter().flat_map(|(shape, workload)| suited(workload).map(move |one| (*shape, *one)));
        let figures = idle::measure(arena, &wanted.collect::<Vec<_>>(), timing);
        for idle::Figure { nodes, namespaces, contender, round, measure: (metric, value) } in figures {
            if let Some((_, workload)) = shapes.iter().find(|(shape, _)| *shape == (nodes, namespaces)) {
                record(Record { workload: workload.id, contender, round, metric, value });
            }
        }
        shapes.iter().for_each(|(_, workload)| done(workload));
    }
}

impl Workload {
    fn distance(&self) -> Duration {
        Duration::from_millis(self.far_millis)
    }

    fn idle_shape(&self) -> Option<(usize, usize)> {
        match self.kind {
            Kind::Idle { nodes, namespaces } => Some((nodes, namespaces)),
            _ => None,
        }
    }

    fn once(&self, arena: &Arena, contender: Contender, timing: &Timing) -> Result<Vec<Measure>, String> {
        match self.kind {
            Kind::Emit { load, pace, receivers, namespaces } => {
                let plan = emit::Plan { load, pace, receivers, namespaces, distance: self.distance() };
                emit::measure(arena, contender, &plan, timing)
            }
            Kind::FetchSockets { nodes } => {
                let shape = requests::shape(nodes, self.distance());
                requests::measure(arena, contender, shape, requests::Kind::FetchSockets, timing)
            }
            Kind::BroadcastWithAck { nodes } => {
                let shape = requests::shape(nodes, self.distance());
                requests::measure(arena, contender, shape, requests::Kind::BroadcastWithAck, timing)
            }
            Kind::Idle { .. } => Err("idle nodes are watched all at once".to_owned()),
        }
    }
}

/// The values at 50 and at 99 of 100, in microseconds, of nanoseconds in any order.
fn percentiles(mut nanos: Vec<u64>) -> Vec<Measure> {
    nanos.sort_unstable();
    let at = |percent: usize| nanos.get((nanos.len() * percent / 100).min(nanos.len().saturating_sub(1)));
    let micros = |metric, value: Option<&u64>| value.map(|value| (metric, *value as f64 / 1000.0));
    [micros(Metric::P50, at(50)), micros(Metric::P99, at(99))].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let nanos = (1..=1000).rev().map(|value| value * 1000).collect();
        assert_eq!(percentiles(nanos), [(Metric::P50, 501.0), (Metric::P99, 991.0)]);
        assert_eq!(percentiles(vec![7000]), [(Metric::P50, 7.0), (Metric::P99, 7.0)]);
        assert_eq!(percentiles(Vec::new()), []);
    }

    #[test]
    fn every_workload_has_a_name_of_its_own() {
        let ids: std::collections::HashSet<_> = ALL.iter().map(|workload| workload.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}
