//! The cancellation sweep: every operation is cancelled before each of its polls, and the
//! invariants are checked afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses what it needs"
)]

pub mod ends;
pub mod operations;
pub mod scene;

use std::time::Duration;

use crate::clients::LONG;

/// Waits for a condition by checking it repeatedly.
pub async fn until(what: &str, is_so: impl AsyncFn() -> Result<(), String>) {
    let started = tokio::time::Instant::now();
    while let Err(not_so) = is_so().await {
        assert!(started.elapsed() < LONG, "{what}: {not_so}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How many tasks of the test's runtime live.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// The same once the number is stable: clients that poll have a task each, for moments only.
pub async fn tasks_at_rest() -> usize {
    let (mut last, mut since) = (tasks(), 0);
    while since < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = tasks();
        since = if now == last { since + 1 } else { 0 };
        last = now;
    }
    last
}
