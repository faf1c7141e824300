//! Sends events: as fast as possible, one by one, or at a rate.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    task::unconstrained,
    time::{Instant, MissedTickBehavior},
};

use super::Node;
use crate::{
    clock,
    event::Load,
    wire::{Emitted, Pace},
};

/// Sends for `duration`, to each namespace in rotation, and waits for the events in flight at its
/// end.
pub(super) async fn emit<N: Node>(
    node: &N,
    namespaces: usize,
    run: u64,
    load: Load,
    pace: Pace,
    duration: Duration,
) -> Emitted {
    let mut numbers = Numbers { sent: vec![0; namespaces], next: 0 };
    let end = Instant::now() + duration;
    let first = clock::now();
    let failed = match (pace, N::BATCH) {
        (Pace::InFlight(_), Some(size)) => batches(node, run, load, size, end, &mut numbers).await,
        (Pace::InFlight(limit), None) => unconstrained(in_flight(node, run, load, limit, end, &mut numbers)).await,
        (Pace::OneByOne, _) => unconstrained(in_flight(node, run, load, 1, end, &mut numbers)).await,
        (Pace::PerSecond(rate), _) => unconstrained(per_second(node, run, load, rate, end, &mut numbers)).await,
    };
    Emitted { sent: numbers.sent, failed, first, last: clock::now() }
}

/// The numbers of events, for each namespace from 0.
struct Numbers {
    sent: Vec<u64>,
    next: usize,
}

impl Numbers {
    fn next(&mut self) -> (usize, u64) {
        let namespace = self.next;
        self.next = (namespace + 1) % self.sent.len();
        let sequence = self.sent[namespace];
        self.sent[namespace] += 1;
        (namespace, sequence)
    }
}

/// One task polls all, each for the first time in the order of their numbers: that is the order in
/// which the application emits. tokio's budget would interrupt the poll in the middle and so change
/// it, hence `unconstrained`.
async fn in_flight(node: &impl Node, run: u64, load: Load, limit: usize, end: Instant, numbers: &mut Numbers) -> u64 {
    let mut failed = 0;
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < limit && Instant::now() < end {
            let (namespace, sequence) = numbers.next();
            under_way.push(node.emit(namespace, run, sequence, load));
        }
        match under_way.next().await {
            Some(result) => failed += u64::from(result.is_err()),
            None => return failed,
        }
    }
}

async fn batches(node: &impl Node, run: u64, load: Load, size: usize, end: Instant, numbers: &mut Numbers) -> u64 {
    let mut failed = 0;
    while Instant::now() < end {
        let events: Vec<_> = (0..size).map(|_| numbers.next()).collect();
        if node.emit_batch(run, &events, load).await.is_err() {
            failed += events.len() as u64;
        }
    }
    failed
}

async fn per_second(node: &impl Node, run: u64, load: Load, rate: u64, end: Instant, numbers: &mut Numbers) -> u64 {
    let mut failed = 0;
    let mut under_way = FuturesUnordered::new();
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1).div_f64(rate as f64).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sent = 0;
    loop {
        tokio::select! {
            biased;
            now = ticks.tick() => {
                if now >= end {
                    break;
                }
                let due = start.elapsed().as_secs_f64() * rate as f64;
                while (sent as f64) <= due {
                    let (namespace, sequence) = numbers.next();
                    under_way.push(node.emit(namespace, run, sequence, load));
                    sent += 1;
                }
            }
            Some(result) = under_way.next() => failed += u64::from(result.is_err()),
        }
    }
    while let Some(result) = under_way.next().await {
        failed += u64::from(result.is_err());
    }
    failed
}
