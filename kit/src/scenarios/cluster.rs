//! The three servers that scenarios with the same settings share.

use std::{
    cell::RefCell,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::{
    fixture::Fixture,
    scenario::{Outcome, Scenario},
    stage::{Server, Stage},
};
use crate::harness::{ClientHost, Error, LAST_REFUSED, NodeOptions};

/// The server settings of a scenario. All scenarios with the same settings share the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settings {
    /// With Node.js's defaults.
    Main,
    /// With another prefix, another table and another threshold, and ten connections for each
    /// Node.js server.
    Custom,
    /// With short heartbeats, so that servers soon notice a dead node.
    ShortHeartbeats,
}

impl Settings {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Custom, Self::ShortHeartbeats];

    /// The options of the servers, whose prefix and table begin with these names.
    pub fn options(self, database_url: String, names: &Names) -> NodeOptions {
        let options = NodeOptions::new(database_url).channel_prefix(&names.prefix).table(&names.table);
        match self {
            Self::Main => options,
            Self::Custom => options
                .channel_prefix(format!("{}-app", names.prefix))
                .table(format!("{}_app", names.table))
                .payload_threshold(400)
                .pool_size(10),
            Self::ShortHeartbeats => options
                .channel_prefix(format!("{}-mortal", names.prefix))
                .heartbeat_interval(Duration::from_millis(500))
                .heartbeat_timeout(Duration::from_millis(3000)),
        }
    }
}

/// What channels and tables are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// What the names of channels begin with.
    pub prefix: String,
    /// The attachments table.
    pub table: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { prefix: "socket.io".to_owned(), table: "socket_io_attachments".to_owned() }
    }
}

/// The servers of a composition with the same settings.
pub struct Cluster {
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) servers: [Server; 3],
    pub(crate) options: NodeOptions,
    pub(crate) host: Arc<ClientHost>,
    /// The namespaces that no scenario uses at the moment.
    free_namespaces: Mutex<Vec<String>>,
    /// How many servers the others do not count, because they do not announce themselves.
    uncounted: AtomicUsize,
}

/// The namespaces of scenarios that are not about a namespace.
fn spaces(scenarios_at_once: usize) -> impl Iterator<Item = String> {
    (0..scenarios_at_once).map(|number| format!("/space-{number}"))
}

/// All namespaces of the servers of a cluster but the dynamic ones.
pub(crate) fn namespaces<'a>(
    scenarios_at_once: usize,
    scenarios: impl IntoIterator<Item = &'a Scenario>,
) -> Vec<String> {
    let own = scenarios.into_iter().filter_map(Scenario::namespace);
    std::iter::once("/".to_owned()).chain(spaces(scenarios_at_once)).chain(own).collect()
}

/// A panic is one scenario that failed. An error of a node says which op has failed.
async fn guarded(run: impl Future<Output = Outcome>) -> Outcome {
    let with_op = async {
        let outcome = run.await;
        LAST_REFUSED.with(|last| match (outcome, last.take()) {
            (Err(error @ Error::Refused { .. }), _) if error.is_unknown_op() => Err(error),
            (Err(Error::Refused { text }), Some((op, last))) if text == last => {
                Err(Error::refused(format!("the op {op:?} failed: {text}")))
            }
            (outcome, _) => outcome,
        })
    };
    let run = LAST_REFUSED.scope(RefCell::default(), with_op);
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::refused(format!("the scenario panicked: {}", text.unwrap_or("without a text"))))
    })
}

impl Cluster {
    /// Starts servers on which this many scenarios can run at the same time, besides those in a
    /// namespace of their own.
    ///
    /// # Errors
    /// When a server does not start.
    pub async fn start<'a>(
        stage: Arc<dyn Stage>,
        options: NodeOptions,
        scenarios_at_once: usize,
        scenarios: impl IntoIterator<Item = &'a Scenario>,
        host: Arc<ClientHost>,
    ) -> Result<Self, Error> {
        let all = namespaces(scenarios_at_once, scenarios).into_iter();
        let with_all = all.fold(options.clone(), NodeOptions::namespace);
        let with_all = with_all.dynamic_namespace("^/dynamic-[0-9]+$", "/dynamic-{number}");
        let servers = stage.start(&with_all).await?;
        let free_namespaces = Mutex::new(spaces(scenarios_at_once).collect());
        Ok(Self { stage, servers, options, host, free_namespaces, uncounted: AtomicUsize::new(0) })
    }

    /// Runs a scenario in a namespace of its own, and leaves the servers as they were.
    ///
    /// # Errors
    /// When a server or a client does not do what the scenario needs.
    pub async fn run(self: Arc<Self>, scenario: Scenario) -> Outcome {
        self.run_in_namespace(scenario).await.1
    }

    /// As [`run`](Self::run), with the namespace.
    pub(crate) async fn run_in_namespace(self: Arc<Self>, scenario: Scenario) -> (String, Outcome) {
        let nsp = scenario.namespace().or_else(|| self.free_namespaces.lock().pop()).unwrap_or_default();
        let fixture = Fixture::new(self.clone(), nsp.clone());
        let (view, all_clients) = (fixture.in_namespace(&nsp), fixture.all_clients.clone());
        let outcome = guarded((scenario.run)(fixture)).await;
        let clients = std::mem::take(&mut *all_clients.lock());
        for client in clients {
            // Many of them have left already.
            let _ = client.disconnect().await;
        }
        let left = view.wait_for_no_sockets().await;
        if scenario.namespace().is_none() {
            self.free_namespaces.lock().push(nsp.clone());
        }
        (nsp, outcome.and_then(|observation| left.map(|()| observation)))
    }

    /// Its servers.
    pub(crate) fn servers(&self) -> &[Server; 3] {
        &self.servers
    }

    pub(crate) fn uncounted(&self) -> usize {
        self.uncounted.load(Ordering::Relaxed)
    }

    /// Waits until a server counts all three, and notes how many it does not count after a while.
    pub(crate) async fn allow_uncounted(&self, counter: usize, wait: Duration) -> Result<usize, Error> {
        let deadline = Instant::now() + wait;
        loop {
            let counted = self.servers[counter].call("serverCount", json!({ "nsp": "/" })).await?;
            let uncounted = 3_u64.saturating_sub(counted.as_u64().unwrap_or_default());
            if uncounted == 0 || Instant::now() > deadline {
                let uncounted = usize::try_from(uncounted).unwrap_or_default();
                self.uncounted.store(uncounted, Ordering::Relaxed);
                return Ok(uncounted);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
