//! Thousands of whole clusters on a database in memory, with random operations and random faults,
//! and a check of all promises.
//!
//! Time and random numbers come from a seed, so a failed run can be repeated exactly: its command
//! is printed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is a test's report, and a seed is to be seen")]

mod backend;
mod clients;
mod cluster;
mod conditions;
mod invariants;
mod node;
mod operations;
mod report;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use parking_lot::Mutex;

use self::{
    cluster::{Size, simulate},
    report::Report,
};

/// The number of small clusters, unless `SIM_SEEDS` sets another or `SIM_SEED` asks for one. There
/// is a large cluster for each 200 of them.
const SEEDS: u64 = 2_000;

#[test]
fn small_clusters_keep_their_promises() {
    run(Size::Small, seeds());
}

#[test]
fn large_clusters_keep_their_promises() {
    run(Size::Large, seeds().div_ceil(200));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let base = base();
    for (size, seeds) in [(Size::Small, 20), (Size::Large, 1)] {
        for seed in base..base + seeds {
            let [one, other] = [(); 2].map(|()| simulate(size, seed));
            let differs = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
            assert!(one.trace == other.trace, "{} differs from itself: {differs:?}", command(size, seed));
            assert!(one.trace.len() > 20, "{} did nothing", command(size, seed));
        }
    }
}

/// Simulates this many clusters, on all processors.
fn run(size: Size, seeds: u64) {
    let base = base();
    let next = AtomicU64::new(base);
    let failed = Mutex::new(Vec::new());
    let sum = Mutex::new(Report::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= base + seeds {
                        return;
                    }
                    let report = simulate(size, seed);
                    if std::env::var_os("SIM_TRACE").is_some() {
                        println!("{}", report.trace.join("\n"));
                    }
                    if !report.broken.is_empty() {
                        failed.lock().push((seed, report.broken.clone()));
                    }
                    sum.lock().add(&report);
                }
            });
        }
    });
    let sum = sum.into_inner();
    println!("{seeds} {size:?} clusters from SIM_SEED={base}:\n{sum}");
    let mut failed = failed.into_inner();
    failed.sort();
    for (seed, broken) in failed.iter().take(5) {
        println!("{}\n  {}", command(size, *seed), broken.join("\n  "));
    }
    assert!(
        failed.is_empty(),
        "{} of {seeds} clusters broke a promise: run again with the commands above",
        failed.len()
    );
    assert!(sum.shares.came > 10 * seeds, "hardly anything was checked");
    // A test that excuses many losses tests little. There are few large clusters, so a single fault
    // weighs much there.
    let excused = sum.shares.excused_per_mille();
    assert!(size == Size::Large || seeds < 100 || excused < 100, "{excused} of a thousand messages were excused");
}

/// The command that repeats a run.
fn command(size: Size, seed: u64) -> String {
    let test = match size {
        Size::Small => "small_clusters",
        Size::Large => "large_clusters",
    };
    format!("SIM_SEED={seed} cargo test -p socketio-pg-tests --test simulation {test}")
}

fn seeds() -> u64 {
    match std::env::var("SIM_SEEDS") {
        Ok(seeds) => seeds.parse().unwrap(),
        Err(_) if std::env::var_os("SIM_SEED").is_some() => 1,
        Err(_) => SEEDS,
    }
}

/// The first seed: `SIM_SEED`, 1 in CI, random elsewhere.
fn base() -> u64 {
    match std::env::var("SIM_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) if std::env::var_os("CI").is_some() => 1,
        Err(_) => u64::from(rand::random::<u32>()),
    }
}
