//! The goals, and whether they were reached: ratios of one run, which hold where seconds do not.

use std::fmt::Write;

use super::{Figures, Spread};
use crate::{
    contender::Contender,
    workload::{self, Metric},
};

struct Goal {
    text: &'static str,
    /// On tokio-postgres, and on diesel.
    ours: [Contender; 2],
    workload: &'static str,
    metric: Metric,
    /// The contenders, of which the best is compared with ours.
    against: &'static [Contender],
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};
use Contender::{
    DieselInline, DieselWatching, Node, PeerSqlx, PeerTokioPostgres, Raw, Redis, TokioPostgresInline,
    TokioPostgresWatching,
};

const PEERS: &[Contender] = &[PeerTokioPostgres, PeerSqlx];

const fn goal(
    text: &'static str,
    workload: &'static str,
    metric: Metric,
    against: &'static [Contender],
    bound: Bound,
) -> Goal {
    Goal { text, ours: Contender::OURS, workload, metric, against, bound }
}

impl Goal {
    /// With the option for it.
    const fn with_inline_binary(self) -> Self {
        Self { ours: [TokioPostgresInline, DieselInline], ..self }
    }

    /// With the option for it.
    const fn with_watched_sessions(self) -> Self {
        Self { ours: [TokioPostgresWatching, DieselWatching], ..self }
    }
}

const GOALS: &[Goal] = &[
    goal("small storm / Node", "storm-small", Metric::DeliveredPerSecond, &[Node], AtLeast(20.0)),
    goal("small storm / faster socketioxide-postgres", "storm-small", Metric::DeliveredPerSecond, PEERS, AtLeast(10.0)),
    goal("small storm / socketioxide-redis", "storm-small", Metric::DeliveredPerSecond, &[Redis], AtLeast(1.0)),
    goal("small storm / raw NOTIFY in batches of 64", "storm-small", Metric::DeliveredPerSecond, &[Raw], AtLeast(0.7)),
    goal(
        "small storm to 32 nodes / socketioxide-redis",
        "receivers-32",
        Metric::DeliveredPerSecond,
        &[Redis],
        AtLeast(1.0),
    ),
    goal("one by one / faster socketioxide-postgres", "one-by-one", Metric::DeliveredPerSecond, PEERS, AtLeast(1.5)),
    goal("p50 at 200/s / raw NOTIFY", "latency-200", Metric::P50, &[Raw], AtMost(1.2)),
    goal("p99 at 200/s / raw NOTIFY", "latency-200", Metric::P99, &[Raw], AtMost(1.5)),
    goal("p50 at 2 000/s / raw NOTIFY", "latency-2000", Metric::P50, &[Raw], AtMost(1.2)),
    goal("p99 at 2 000/s / raw NOTIFY", "latency-2000", Metric::P99, &[Raw], AtMost(1.5)),
    goal("64 KiB storm / Node", "storm-64k", Metric::DeliveredPerSecond, &[Node], AtLeast(6.0)),
    goal("64 KiB storm / socketioxide-redis", "storm-64k", Metric::DeliveredPerSecond, &[Redis], AtLeast(1.0)),
    goal("1 KiB binary storm / Node", "storm-binary", Metric::DeliveredPerSecond, &[Node], AtLeast(8.0)),
    goal(
        "1 KiB binary storm / faster socketioxide-postgres",
        "storm-binary",
        Metric::DeliveredPerSecond,
        PEERS,
        AtLeast(8.0),
    ),
    goal(
        "1 KiB binary storm with `inline_binary` / socketioxide-redis",
        "storm-binary",
        Metric::DeliveredPerSecond,
        &[Redis],
        AtLeast(1.0),
    )
    .with_inline_binary(),
    goal("fetchSockets p50 over 8 nodes / Node", "fetch-8", Metric::P50, &[Node], AtMost(0.5)),
    goal("fetchSockets p50 over 2 nodes / raw requests", "fetch-2", Metric::P50, &[Raw], AtMost(1.3)),
    goal("fetchSockets p50 over 4 nodes / raw requests", "fetch-4", Metric::P50, &[Raw], AtMost(1.3)),
    goal("fetchSockets p50 over 8 nodes / raw requests", "fetch-8", Metric::P50, &[Raw], AtMost(1.3)),
    goal("acknowledged event p50 over 2 nodes / raw requests", "ack-2", Metric::P50, &[Raw], AtMost(1.3)),
    goal("acknowledged event p50 over 4 nodes / raw requests", "ack-4", Metric::P50, &[Raw], AtMost(1.3)),
    goal("acknowledged event p50 over 8 nodes / raw requests", "ack-8", Metric::P50, &[Raw], AtMost(1.3)),
    goal(
        "idle transactions, 4 nodes with 20 namespaces / Node",
        "idle-4x20",
        Metric::TransactionsPerMinute,
        &[Node],
        AtMost(0.05),
    ),
    goal(
        "the same, only those with a notification or row",
        "idle-4x20",
        Metric::WritesPerMinute,
        &[Node],
        AtMost(0.05),
    ),
    goal(
        "idle transactions that write, 2 nodes with 1 namespace and `watch_sessions` / Node",
        "idle-2x1",
        Metric::WritesPerMinute,
        &[Node],
        AtMost(0.0),
    )
    .with_watched_sessions(),
];

/// The goals as a table. Goals that were not measured are left out.
pub(crate) fn goals(figures: &Figures) -> String {
    let mut table = String::from(
        "| ratio | goal | ours, tokio-postgres: min, median, max | | ours, diesel: min, median, max | | raw NOTIFY: median |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for goal in GOALS {
        let [tokio_postgres, diesel] =
            goal.ours.map(|ours| cells(figures.ratio(goal.workload, ours, goal.against, goal.metric), &goal.bound));
        if tokio_postgres.is_some() || diesel.is_some() {
            let bound = match goal.bound {
                AtLeast(bound) => format!("≥ {bound}"),
                AtMost(bound) => format!("≤ {bound}"),
            };
            let [tokio_postgres, diesel] = [tokio_postgres, diesel].map(|cells| cells.unwrap_or(" | ".to_owned()));
            // Compared with PostgreSQL alone, what could still be gained.
            let raw =
                (!goal.against.contains(&Raw)).then(|| figures.ratio(goal.workload, Raw, goal.against, goal.metric));
            let raw = raw.flatten().map_or(String::new(), |Spread { median, .. }| digits(median));
            let _ = writeln!(table, "| {} | {bound} | {tokio_postgres} | {diesel} | {raw} |", goal.text);
        }
    }
    for (metric, text) in [(Metric::Lost, "events lost"), (Metric::OutOfOrder, "events out of order")] {
        let [tokio_postgres, diesel] = Contender::OURS.map(|ours| {
            let all = workload::ALL.iter().flat_map(|workload| figures.values(workload.id, ours, metric));
            let events = all.map(|(_, value)| value).reduce(|sum, value| sum + value);
            events.map_or(" | ".to_owned(), |events| format!("{events} | {}", mark(events == 0.0)))
        });
        let _ = writeln!(table, "| {text}, all workloads | 0 | {tokio_postgres} | {diesel} | |");
    }
    table
}

fn cells(ratio: Option<Spread>, bound: &Bound) -> Option<String> {
    let Spread { min, median, max } = ratio?;
    let is_reached = match *bound {
        AtLeast(bound) => median >= bound,
        AtMost(bound) => median <= bound,
    };
    let [min, median, max] = [min, median, max].map(digits);
    Some(format!("{min}, **{median}**, {max} | {}", mark(is_reached)))
}

/// Rounds to three significant digits.
fn digits(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn mark(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "NOT reached" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Record;

    #[test]
    fn every_goal_is_about_a_workload_that_is_measured() {
        for goal in GOALS {
            let workload = workload::ALL.iter().find(|workload| workload.id == goal.workload);
            let workload = workload.unwrap_or_else(|| panic!("{}", goal.workload));
            assert!(workload.columns().contains(&goal.metric), "{}", goal.text);
            assert!(goal.against.iter().all(|other| workload.suits(*other)), "{}", goal.text);
        }
    }

    #[test]
    fn a_goal_is_reached_or_not_by_its_median() {
        let mut figures = Figures::default();
        let values = [(Contender::TokioPostgres, 21.0), (Contender::Diesel, 19.0), (Node, 1.0), (Raw, 30.0)];
        for (contender, value) in values {
            figures.push(Record {
                workload: "storm-small",
                contender,
                round: 0,
                metric: Metric::DeliveredPerSecond,
                value,
            });
        }
        let table = goals(&figures);
        assert!(table.contains("**21.0**, 21.0 | reached | 19.0, **19.0**, 19.0 | NOT reached | 30.0 |"), "{table}");
    }
}
