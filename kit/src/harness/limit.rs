//! Time limits, which a busy machine makes longer: only what never comes fails.

use std::{pin::pin, time::Duration};

use tokio::time::timeout;

/// The time limit of each wait: 40 s, and longer while the machine has more work than its processors
/// can do, as far as the system tells (Linux).
pub fn time_limit() -> Duration {
    on_this_machine(Duration::from_secs(40))
}

/// A limit that holds for a machine at rest, for this one as it is now.
pub fn on_this_machine(limit: Duration) -> Duration {
    limit.mul_f64(slowdown())
}

/// What a future returns in this time, which passes more slowly while the machine is busy: else
/// `None`.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = limit;
    while left > Duration::from_millis(1) {
        let step = left.min(Duration::from_secs(5));
        match timeout(step, &mut future).await {
            Ok(output) => return Some(output),
            Err(_) => left = left.saturating_sub(step.div_f64(slowdown())),
        }
    }
    None
}

/// How many times longer than on a machine at rest something may take now: 1 to 10.
fn slowdown() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    factor(&load, processors)
}

/// Tests mostly wait: up to two for each processor do not slow each other down much.
fn factor(load: &str, processors: usize) -> f64 {
    let load =
        load.split(' ').next().and_then(|load| load.parse().ok()).filter(|load: &f64| load.is_finite()).unwrap_or(0.0);
    (load / processors as f64 / 2.0).clamp(1.0, 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_load_of_the_machine() {
        assert_eq!(factor("3.90 2.00 1.00 2/300 4711\n", 2), 1.0);
        assert_eq!(factor("16.00 2.00 1.00 2/300 4711\n", 2), 4.0);
        assert_eq!(factor("900.00 2.00 1.00 2/300 4711\n", 2), 10.0);
        assert_eq!(factor("", 2), 1.0);
        assert_eq!(factor("nan 1.0", 2), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_its_limit_is_given_up() {
        assert_eq!(within(Duration::from_secs(60), async { 1 }).await, Some(1));
        let slow = tokio::time::sleep(Duration::from_secs(59));
        assert_eq!(within(Duration::from_secs(60), slow).await, Some(()));
        assert_eq!(within(Duration::from_secs(60), std::future::pending::<()>()).await, None);
    }
}
