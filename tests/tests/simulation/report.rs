//! The results of simulated clusters.

use std::{collections::BTreeMap, fmt};

use crate::conditions::{Conditions, FaultLevel};

/// The results of one cluster, or of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The promises that were broken.
    pub(crate) broken: Vec<String>,
    /// Everything that happened, by receiver and node.
    pub(crate) trace: Vec<String>,
    pub(crate) shares: Shares,
    by_conditions: BTreeMap<(FaultLevel, bool), Shares>,
}

/// What became of messages, each counted once for every receiver that was there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) clusters: u64,
    pub(crate) requests: u64,
    /// Messages that arrived.
    pub(crate) came: u64,
    /// Those of them that came from the log, while their receiver was disconnected.
    pub(crate) caught_up: u64,
    /// Missing, and their sender was told that they were not published.
    pub(crate) refused: u64,
    /// Missing, and the receiver reported a gap.
    pub(crate) in_gap: u64,
    /// Missing, and the receiver reported that their attachment was gone.
    pub(crate) rejected: u64,
}

impl Shares {
    fn add(&mut self, other: &Self) {
        self.clusters += other.clusters;
        self.requests += other.requests;
        self.came += other.came;
        self.caught_up += other.caught_up;
        self.refused += other.refused;
        self.in_gap += other.in_gap;
        self.rejected += other.rejected;
    }

    /// How many of a thousand messages were missed, whether or not that was reported.
    pub(crate) fn excused_per_mille(&self) -> u64 {
        let excused = self.refused + self.in_gap + self.rejected;
        1000 * excused / (self.came + excused).max(1)
    }
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.shares.add(&other.shares);
        for (conditions, shares) in &other.by_conditions {
            self.by_conditions.entry(*conditions).or_default().add(shares);
        }
    }

    /// Counts the report for its conditions.
    pub(crate) fn of(mut self, conditions: &Conditions) -> Self {
        self.shares.clusters = 1;
        self.by_conditions.insert((conditions.fault_level, conditions.has_log), self.shares);
        self
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clusters, requests, came, caught_up, refused, in_gap, rejected } = self;
        let all = (came + refused + in_gap + rejected).max(1);
        let percent = |share: &u64| *share as f64 * 100.0 / all as f64;
        write!(
            f,
            "{clusters:6} clusters, {all:8} messages: {:5.1} % came ({:4.1} % from the log), {:4.1} % refused, \
             {:4.1} % in a gap, {:5.2} % rejected; {requests} requests",
            percent(came),
            percent(caught_up),
            percent(refused),
            percent(in_gap),
            percent(rejected)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((fault_level, has_log), shares) in &self.by_conditions {
            let log = if *has_log { "with a log" } else { "without" };
            writeln!(f, "  {:11} {log:10} {shares}", format!("{fault_level:?}"))?;
        }
        write!(f, "  {:22} {}", "all", self.shares)
    }
}
