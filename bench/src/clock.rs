//! One clock for all processes.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on CLOCK_MONOTONIC, which is the same for every process of the machine, Node.js's
/// included.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).expect("the clock counts from boot, never below zero");
    let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are below a second, never below zero");
    seconds * 1_000_000_000 + nanos
}
