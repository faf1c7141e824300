//! The results of a soak so far.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{Member, Sent, Speaks, Told, fault::Fault, judge};

use crate::cluster::{Asked, Cluster};

/// By how many KiB a node's memory may have grown between the end of the warm-up and the end of the
/// run. It varies by some MiB with the messages in flight.
const MAX_GROWTH: u64 = 12 * 1024;

pub(crate) struct Tally {
    begun: Instant,
    length: Duration,
    told: u64,
    rounds: BTreeMap<String, (u32, Duration)>,
    sent: u64,
    errors: u64,
    arrived: u64,
    /// Missing, and reported by the receiver.
    reported: u64,
    doubtful: u64,
    node_missed: u64,
    answered: u64,
    refused: u64,
    violations: Vec<String>,
    /// The time, and the memory of each Rust node in KiB.
    memory: Vec<(Duration, Vec<u64>)>,
    names: Vec<String>,
}

impl Tally {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            begun: Instant::now(),
            length,
            told: 0,
            rounds: BTreeMap::new(),
            sent: 0,
            errors: 0,
            arrived: 0,
            reported: 0,
            doubtful: 0,
            node_missed: 0,
            answered: 0,
            refused: 0,
            violations: Vec::new(),
            memory: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.length
    }

    pub(crate) fn sample(&mut self, cluster: &Cluster) {
        self.names = cluster.rust().map(|(name, _)| name).collect();
        self.memory.push((self.begun.elapsed(), cluster.rust().map(|(_, node)| node.memory()).collect()));
    }

    pub(crate) fn round_ended(&mut self, fault: Fault, took: Duration) {
        let (count, time) = self.rounds.entry(fault.name()).or_default();
        *count += 1;
        *time += took;
    }

    pub(crate) fn asked(&mut self, asked: &Asked) {
        self.answered += asked.answered;
        self.refused += asked.refused;
        self.violations.extend(asked.hung.iter().map(|what| format!("hung: {what}")));
    }

    /// Adds the check of one receiver.
    pub(crate) fn judged(
        &mut self,
        what: &str,
        members: &[Member],
        to: usize,
        sent: &[Sent],
        arrived: &[(usize, u64)],
        told: Told,
    ) {
        let by_rust = || sent.iter().filter(|message| members[message.from].speaks != Speaks::Node);
        if members[to].speaks == Speaks::Node {
            let arrived: HashSet<_> = arrived.iter().copied().collect();
            let missed = by_rust().filter(|it| it.result.is_ok() && !arrived.contains(&(it.from, it.number)));
            self.node_missed += missed.count() as u64;
            return;
        }
        if to == 0 {
            self.sent += sent.len() as u64;
            self.errors += by_rust().filter(|message| message.result.is_err()).count() as u64;
            let hung =
                by_rust().filter(|it| !matches!(it.result, Ok(()) | Err(socketio_pg_tests::Error::Refused { .. })));
            self.violations.extend(hung.map(|it| {
                format!("{what}: {} of {} was told nothing: {:?}", it.number, members[it.from].name, it.result)
            }));
        }
        match judge(members, to, sent, arrived, &told) {
            Ok(verdict) => {
                self.arrived += verdict.arrived as u64;
                self.reported += verdict.lost as u64;
                self.doubtful += verdict.doubtful as u64;
            }
            Err(violation) => self.violations.push(format!("{what}: {violation}")),
        }
    }

    /// Messages that came after their round, though the receiver was said to have them.
    pub(crate) fn strays(&mut self, what: &str, to: usize, count: usize) {
        if count > 0 {
            self.violations
                .push(format!("before {what}: {count} messages came to {} after the account", self.names[to]));
        }
    }

    /// A line that is printed once a minute.
    pub(crate) fn status(&mut self) -> Option<String> {
        let minute = self.begun.elapsed().as_secs() / 60;
        if minute <= self.told {
            return None;
        }
        self.told = minute;
        let memory = self.memory.last().map(|(_, all)| all.iter().map(|kib| mib(*kib)).collect::<Vec<_>>().join("/"));
        Some(format!("{minute:>3} min: {}; memory {} MiB", self.numbers(), memory.unwrap_or_default()))
    }

    fn numbers(&self) -> String {
        let rounds: u32 = self.rounds.values().map(|(count, _)| count).sum();
        format!(
            "{rounds} rounds, {} sent, {} errors told, {} arrived at Rust nodes, {} missed and reported, {} arrived after an \
             error that left it open, {} missed by Node, {} questions answered and {} refused, {} violations",
            self.sent,
            self.errors,
            self.arrived,
            self.reported,
            self.doubtful,
            self.node_missed,
            self.answered,
            self.refused,
            self.violations.len()
        )
    }

    /// Everything that is wrong, memory included.
    pub(crate) fn violations(&self) -> Vec<String> {
        let grown = self.growth().into_iter().filter(|(_, before, after)| after.saturating_sub(*before) > MAX_GROWTH);
        let grown =
            grown.map(|(name, before, after)| format!("{name} grew from {} to {} MiB", mib(before), mib(after)));
        self.violations.iter().cloned().chain(grown).collect()
    }

    /// The memory of each node after the warm-up and at the end: the medians of the second and of
    /// the last fifth of the time.
    fn growth(&self) -> Vec<(&str, u64, u64)> {
        let whole = self.begun.elapsed().max(self.length).as_secs_f64();
        let median = |index: usize, from: f64, to: f64| {
            let samples = self.memory.iter().filter(|(time, _)| (from..=to).contains(&(time.as_secs_f64() / whole)));
            let mut samples: Vec<u64> = samples.filter_map(|(_, all)| all.get(index).copied()).collect();
            samples.sort_unstable();
            samples.get(samples.len() / 2).copied()
        };
        let names = self.names.iter().enumerate();
        let grown =
            names.filter_map(|(index, name)| Some((name.as_str(), median(index, 0.2, 0.4)?, median(index, 0.8, 1.0)?)));
        grown.collect()
    }

    pub(crate) fn summary(&self) -> String {
        let mut text = format!("\nafter {:.1} min: {}\n", self.begun.elapsed().as_secs_f64() / 60.0, self.numbers());
        let _ = writeln!(text, "\n| fault | rounds | mean length |\n|---|---|---|");
        for (fault, (count, time)) in &self.rounds {
            let _ = writeln!(text, "| {fault} | {count} | {:.1} s |", time.as_secs_f64() / f64::from(*count));
        }
        let _ = writeln!(text, "\n| node | memory after the warm-up, MiB | at the end |\n|---|---|---|");
        for (name, before, after) in self.growth() {
            let _ = writeln!(text, "| {name} | {} | {} |", mib(before), mib(after));
        }
        let violations = self.violations();
        if violations.is_empty() {
            text.push_str(
                "\nnothing was lost without a report, nothing came twice or out of order, nothing hung, memory is flat",
            );
        } else {
            let _ = write!(text, "\nVIOLATIONS:\n{}", violations.join("\n"));
        }
        text
    }
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
