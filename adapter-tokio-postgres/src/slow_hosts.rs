//! Remembering which hosts did not answer, so that the others are tried before them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_postgres::Config;

/// A host that fails in less time costs nothing when it is tried first again.
const SLOW: Duration = Duration::from_millis(500);

/// For how long a host that was slow and failed is tried last.
const MEMORY: Duration = Duration::from_secs(30);

/// The hosts that were slow and failed, and when. The pools and the listener of a backend share it: a silent host costs its time once.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlowHosts(Arc<Mutex<HashMap<String, Instant>>>);

impl SlowHosts {
    /// Moves those that were slow behind the others. Each of `hosts` leads to one host.
    pub(crate) fn move_to_end(&self, hosts: &mut [Config]) {
        let mut slow = self.lock();
        slow.retain(|_, failed| failed.elapsed() < MEMORY);
        hosts.sort_by_key(|host| slow.contains_key(&name(host)));
    }

    /// Begins an attempt to connect to a host.
    pub(crate) fn attempt(&self, host: &Config) -> Attempt<'_> {
        Attempt { slow_hosts: self, host: name(host), begun: Instant::now(), is_connected: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to connect. Dropping it is a failure, also when the attempt was given up.
pub(crate) struct Attempt<'a> {
    slow_hosts: &'a SlowHosts,
    host: String,
    begun: Instant,
    is_connected: bool,
}

impl Attempt<'_> {
    pub(crate) fn connected(mut self) {
        self.is_connected = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut slow = self.slow_hosts.lock();
        if self.is_connected {
            slow.remove(&self.host);
        } else if self.begun.elapsed() >= SLOW {
            slow.insert(std::mem::take(&mut self.host), Instant::now());
        }
    }
}

fn name(host: &Config) -> String {
    format!("{:?} {:?} {:?}", host.get_hosts(), host.get_hostaddrs(), host.get_ports())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_slow_and_failed_is_tried_last_until_it_answers() {
        let hosts = || ["one", "two", "three"].map(|name| Config::new().host(name).to_owned());
        let [one, two, three] = hosts();
        let slow_hosts = SlowHosts::default();
        let order = || {
            let mut hosts = hosts();
            slow_hosts.move_to_end(&mut hosts);
            hosts
        };
        let slow_attempt = |host| {
            let mut attempt = slow_hosts.attempt(host);
            attempt.begun -= SLOW;
            attempt
        };

        drop(slow_hosts.attempt(&one));
        assert_eq!(order(), hosts(), "it failed at once");
        drop(slow_attempt(&one));
        assert_eq!(order(), [two.clone(), three.clone(), one.clone()]);
        slow_attempt(&one).connected();
        assert_eq!(order(), hosts(), "it answered");

        drop(slow_attempt(&two));
        for failed in slow_hosts.lock().values_mut() {
            *failed -= MEMORY;
        }
        assert_eq!(order(), [one, two, three], "it is forgotten");
    }
}
