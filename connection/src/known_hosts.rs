//! Remembers which of several hosts is used, and why others could not be: those that were slow are
//! tried last, an error names all of them, and the log says when another one is used.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use socketio_pg_core::backend::{BackendError, ErrorKind};
use tokio_postgres::Config;

use crate::settings::{host_name, per_host};

/// A host that fails in less time costs nothing when it is tried first again.
const SLOW: Duration = Duration::from_millis(500);

/// How long a host that was slow and failed is tried last.
const MEMORY: Duration = Duration::from_secs(30);

/// The host that is used, and those that could not be, and why: for settings that may lead to several
/// hosts.
///
/// The pools and the listener of a backend share it, so that a silent host costs its time only
/// once.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The latest one that replied, for each list of hosts.
    used: HashMap<Vec<String>, String>,
    failures: HashMap<String, Failure>,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    was_slow: bool,
    kind: ErrorKind,
    text: String,
}

impl Failure {
    fn is_to_be_tried_last(&self) -> bool {
        self.was_slow && self.at.elapsed() < MEMORY
    }
}

impl KnownHosts {
    /// Moves slow hosts behind the others.
    pub(crate) fn move_to_end(&self, hosts: &mut [Config]) {
        let known = self.0.lock();
        hosts.sort_by_key(|host| known.failures.get(&host_name(host)).is_some_and(Failure::is_to_be_tried_last));
    }

    /// Says in the log which of several hosts is used, whenever it is another one.
    pub(crate) fn uses(&self, config: &Config, host: &Config) {
        let hosts = per_host(config).iter().map(host_name).collect();
        let host = host_name(host);
        let before = self.0.lock().used.insert(hosts, host.clone());
        if before.as_ref() != Some(&host) {
            tracing::info!(%host, "of several hosts, this one is used");
        }
    }

    /// Begins an attempt to connect to a host.
    pub(crate) fn attempt(&self, host: &Config) -> Attempt<'_> {
        Attempt { hosts: self, host: host_name(host), begun: Instant::now(), outcome: None }
    }

    /// Says which host cannot be reached. Of an error of the last of several hosts makes one that says
    /// why none can be used: trying again helps if it may help with one of them.
    #[must_use]
    pub fn explain(&self, config: &Config, error: BackendError) -> BackendError {
        let again = |kind, text: String| {
            let explained = BackendError::new(kind, text);
            if error.is_unsent() { explained.unsent() } else { explained }
        };
        let failures = &self.0.lock().failures;
        let hosts: Vec<_> = per_host(config).iter().map(host_name).collect();
        if hosts.is_empty() && error.kind() == ErrorKind::Connection {
            return again(ErrorKind::Connection, format!("{}: {error}", host_name(config)));
        }
        let known: Vec<_> = hosts.iter().filter_map(|host| failures.get_key_value(host)).collect();
        let Some((_, first)) = known.first() else { return error };
        // A host may have replied to another task meanwhile: then trying again helps.
        let is_of_one_kind = known.len() == hosts.len() && known.iter().all(|(_, failure)| failure.kind == first.kind);
        let kind = if is_of_one_kind { first.kind } else { ErrorKind::Connection };
        let texts: Vec<_> = known.iter().map(|(host, failure)| format!("{host}: {}", failure.text)).collect();
        again(kind, format!("none of the {} hosts can be used: {}", hosts.len(), texts.join("; ")))
    }
}

/// An attempt to connect. Dropping it is a failure: the host did not reply in time, or the caller
/// went away.
#[derive(Debug)]
#[must_use = "dropping it is a failure"]
pub(crate) struct Attempt<'a> {
    hosts: &'a KnownHosts,
    host: String,
    begun: Instant,
    outcome: Option<Result<(), (ErrorKind, String)>>,
}

impl Attempt<'_> {
    /// The host replied.
    pub(crate) fn connected(mut self) {
        self.outcome = Some(Ok(()));
    }

    /// The host cannot be used.
    pub(crate) fn failed(mut self, kind: ErrorKind, text: String) {
        self.outcome = Some(Err((kind, text)));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let host = std::mem::take(&mut self.host);
        let taken = self.begun.elapsed();
        let outcome = self.outcome.take();
        let silent = || Err((ErrorKind::Connection, format!("it did not answer within {:.1} s", taken.as_secs_f64())));
        let mut known = self.hosts.0.lock();
        match outcome.unwrap_or_else(silent) {
            Ok(()) => drop(known.failures.remove(&host)),
            Err((kind, text)) => {
                let failure = Failure { at: Instant::now(), was_slow: taken >= SLOW, kind, text };
                known.failures.insert(host, failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn the_log_says_which_of_several_hosts_is_used_when_it_is_another_one() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(log.clone()).finish();
        let hosts = KnownHosts::default();
        let (both, others) = (config("one,two:1"), config("three,four"));
        tracing::subscriber::with_default(subscriber, || {
            for (of, host) in [(&both, "one"), (&both, "one"), (&others, "four"), (&both, "one"), (&both, "two:1")] {
                hosts.uses(of, &config(host));
            }
        });
        let log = String::from_utf8(log.0.lock().clone()).expect("UTF-8");
        let hosts: Vec<_> = log.lines().map(|line| line.rsplit("host=").next().expect("a host")).collect();
        assert_eq!(hosts, ["one:5432", "four:5432", "two:1"], "{log}");
    }

    fn config(hosts: &str) -> Config {
        format!("postgres://{hosts}/db").parse().unwrap()
    }

    #[test]
    fn a_host_that_was_slow_and_failed_is_tried_last_until_it_answers() {
        let hosts = KnownHosts::default();
        let order = || {
            let mut order = ["one", "two", "three"].map(config);
            hosts.move_to_end(&mut order);
            order.map(|host| host_name(&host))
        };
        let slow_attempt = |host: &str| {
            let mut attempt = hosts.attempt(&config(host));
            attempt.begun -= SLOW;
            attempt
        };

        hosts.attempt(&config("one")).failed(ErrorKind::Login, "no".to_owned());
        assert_eq!(order(), ["one:5432", "two:5432", "three:5432"], "it failed at once");
        drop(slow_attempt("one"));
        assert_eq!(order(), ["two:5432", "three:5432", "one:5432"]);
        slow_attempt("one").connected();
        assert_eq!(order(), ["one:5432", "two:5432", "three:5432"], "it answered");

        drop(slow_attempt("two"));
        for failure in hosts.0.lock().failures.values_mut() {
            failure.at -= MEMORY;
        }
        assert_eq!(order(), ["one:5432", "two:5432", "three:5432"], "it was long ago");
    }

    #[test]
    fn an_error_names_every_host_and_trying_again_helps_if_it_may_with_one() {
        let hosts = KnownHosts::default();
        let both = config("one:1,two");
        let refused = || BackendError::new(ErrorKind::Login, "wrong password");
        let alone = hosts.explain(&config("one"), refused().unsent());
        assert_eq!((alone.kind(), alone.to_string()), (ErrorKind::Login, "wrong password".to_owned()));

        let alone = hosts.explain(&config("one"), BackendError::new(ErrorKind::Connection, "refused"));
        assert_eq!(alone.to_string(), "one:5432: refused");

        hosts.attempt(&config("two")).failed(ErrorKind::Login, "wrong password".to_owned());
        assert_eq!(hosts.explain(&both, refused()).kind(), ErrorKind::Connection, "the other may work");
        hosts.attempt(&config("one:1")).failed(ErrorKind::Login, "wrong password".to_owned());
        assert_eq!(hosts.explain(&both, refused()).kind(), ErrorKind::Login);

        drop(hosts.attempt(&config("one:1")));
        let explained = hosts.explain(&both, refused().unsent());
        assert_eq!(
            explained.to_string(),
            "none of the 2 hosts can be used: one:1: it did not answer within 0.0 s; two:5432: wrong password"
        );
        assert_eq!((explained.kind(), explained.is_unsent()), (ErrorKind::Connection, true));
    }
}
