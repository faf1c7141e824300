//! Remembers which hosts did not reply, so that the others are tried before them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A host that fails in less time costs nothing when it is tried first again.
const SLOW: Duration = Duration::from_millis(500);

/// How long a host that was slow and failed is tried last.
const MEMORY: Duration = Duration::from_secs(30);

/// The hosts that were slow and failed, and when: for drivers whose settings may lead to several
/// hosts.
///
/// The pools and the listener of a backend share it, so that a silent host costs its time only
/// once.
#[derive(Clone, Debug, Default)]
pub struct SlowHosts(Arc<Mutex<HashMap<String, Instant>>>);

impl SlowHosts {
    /// Moves slow hosts behind the others. `name` identifies a host.
    pub fn move_to_end<T>(&self, hosts: &mut [T], name: impl Fn(&T) -> String) {
        let mut slow = self.0.lock();
        slow.retain(|_, failed| failed.elapsed() < MEMORY);
        hosts.sort_by_key(|host| slow.contains_key(&name(host)));
    }

    /// Begins an attempt to connect to a host.
    pub fn attempt(&self, name: String) -> Attempt<'_> {
        Attempt { slow_hosts: self, host: name, begun: Instant::now(), is_connected: false }
    }
}

/// An attempt to connect. Dropping it is a failure, also when the attempt was cancelled.
#[derive(Debug)]
#[must_use = "dropping it is a failure"]
pub struct Attempt<'a> {
    slow_hosts: &'a SlowHosts,
    host: String,
    begun: Instant,
    is_connected: bool,
}

impl Attempt<'_> {
    /// The host replied.
    pub fn connected(mut self) {
        self.is_connected = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut slow = self.slow_hosts.0.lock();
        if self.is_connected {
            slow.remove(&self.host);
        } else if self.begun.elapsed() >= SLOW {
            slow.insert(std::mem::take(&mut self.host), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_slow_and_failed_is_tried_last_until_it_answers() {
        let slow_hosts = SlowHosts::default();
        let order = || {
            let mut hosts = ["one", "two", "three"];
            slow_hosts.move_to_end(&mut hosts, |host| (*host).to_owned());
            hosts
        };
        let slow_attempt = |host: &str| {
            let mut attempt = slow_hosts.attempt(host.to_owned());
            attempt.begun -= SLOW;
            attempt
        };

        drop(slow_hosts.attempt("one".to_owned()));
        assert_eq!(order(), ["one", "two", "three"], "it failed at once");
        drop(slow_attempt("one"));
        assert_eq!(order(), ["two", "three", "one"]);
        slow_attempt("one").connected();
        assert_eq!(order(), ["one", "two", "three"], "it answered");

        drop(slow_attempt("two"));
        for failed in slow_hosts.0.lock().values_mut() {
            *failed -= MEMORY;
        }
        assert_eq!(order(), ["one", "two", "three"], "it is forgotten");
    }
}
