//! A case: a fault, the circumstances in which it occurs, and what must hold then.
//!
//! The faults themselves are in the catalogue, `socketio_pg_tests::fault`. A case that causes
//! something else, such as a second fault at the same time or a node's end, does it by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use socketio_pg_tests::{
    NodeOptions,
    fault::{Failure, Fault},
};
use socketio_pg_throwaway::Builder;

use crate::{
    clocks, cluster::Cluster, database, failover, leaving, load, log, network, nodes, pool, pooler, server, sessions,
    timeouts,
};

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// A fault and its circumstances.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it stands for, and how it is caused, if its name does not say so.
    pub(crate) about: &'static str,
    /// Settings of a PostgreSQL server of its own, for a case that would disturb other tests.
    pub(crate) server: Option<fn(Builder) -> Builder>,
    pub(crate) options: fn(NodeOptions) -> NodeOptions,
    /// More options for the Node.js node.
    pub(crate) nodes_options: fn(NodeOptions) -> NodeOptions,
    /// More options for the Rust node that the case is about.
    pub(crate) far_options: fn(NodeOptions) -> NodeOptions,
    pub(crate) route: Route,
    /// Whether a standby follows the server.
    pub(crate) has_standby: bool,
    /// Whether the Rust nodes keep the catch-up log.
    pub(crate) has_log: bool,
    /// A setting of the role of the nodes, as in `ALTER ROLE … SET`.
    pub(crate) role_setting: Option<&'static str>,
    /// SQL that runs in the database before the first node starts.
    pub(crate) setup: fn() -> String,
    /// Whether this machine has what it needs, with a backend.
    pub(crate) can_run: fn(&str) -> bool,
    /// Whether not every machine can run it.
    pub(crate) has_condition: bool,
    /// The time limit.
    pub(crate) limit: Duration,
    pub(crate) kind: Kind,
}

/// How nodes reach their database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// One Rust node through the proxy.
    OneByProxy,
    /// All nodes through the proxy, which stands for the host name of the database.
    AllByProxy,
    /// One Rust node with two hosts in its URL, the first of which never answers.
    SilentHostFirst,
    /// One Rust node publishes through PgBouncer in transaction mode, and listens through the
    /// proxy.
    TransactionPooler,
    /// One Rust node does everything through PgBouncer in session mode.
    SessionPooler,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// Occurs while all nodes send, and is over when the function returns.
    UnderTraffic(Arc<dyn Fn(Arc<Cluster>) -> BoxFuture<'static, Result<AfterFault>> + Send + Sync>),
    /// Checks the outcome by itself.
    Special(Arc<dyn Fn(Arc<Cluster>) -> BoxFuture<'static, Result<Seen>> + Send + Sync>),
}

/// Which Rust nodes a fault disconnects: the one behind the proxy, the other.
pub(crate) const NONE: [bool; 2] = [false, false];
pub(crate) const FAR_ONLY: [bool; 2] = [true, false];
pub(crate) const BOTH: [bool; 2] = [true, true];

/// The end of a fault.
pub(crate) struct AfterFault {
    /// From when on nodes could hear each other again.
    pub(crate) healed: Instant,
    /// Whether the Rust nodes must have noticed that they were disconnected, the one behind the
    /// proxy first.
    pub(crate) disconnected: [bool; 2],
}

/// The cells of the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) heard_again: String,
    pub(crate) senders: String,
    pub(crate) receivers: String,
    pub(crate) reported: String,
}

impl Case {
    pub(crate) fn new<F, R>(name: &'static str, about: &'static str, cause: F) -> Self
    where
        F: Fn(Arc<Cluster>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<AfterFault>> + Send + 'static,
    {
        let kind = Kind::UnderTraffic(Arc::new(move |cluster| Box::pin(cause(cluster))));
        Self::of(name, about, kind)
    }

    /// A fault of the catalogue that lasts for some seconds: in a long run, and otherwise.
    pub(crate) fn lasting(
        name: &'static str,
        about: &'static str,
        (fault, disconnected): (Fault, [bool; 2]),
        (long, short): (u64, u64),
    ) -> Self {
        Self::new(name, about, move |cluster| async move {
            fault.last(cluster.place(), length(long, short)).await?;
            Ok(AfterFault { healed: Instant::now(), disconnected })
        })
    }

    fn of(name: &'static str, about: &'static str, kind: Kind) -> Self {
        let same = |options| options;
        Self {
            name,
            about,
            server: None,
            options: same,
            nodes_options: same,
            far_options: same,
            route: Route::OneByProxy,
            has_standby: false,
            has_log: false,
            role_setting: None,
            setup: String::new,
            can_run: |_| true,
            has_condition: false,
            limit: Duration::from_secs(120),
            kind,
        }
    }

    pub(crate) fn special<F, R>(name: &'static str, about: &'static str, look: F) -> Self
    where
        F: Fn(Arc<Cluster>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Seen>> + Send + 'static,
    {
        let kind = Kind::Special(Arc::new(move |cluster| Box::pin(look(cluster))));
        Self::of(name, about, kind)
    }

    pub(crate) fn on_its_own_server(self) -> Self {
        self.on_a_server_with(|builder| builder)
    }

    pub(crate) fn on_a_server_with(mut self, settings: fn(Builder) -> Builder) -> Self {
        self.server = Some(settings);
        self
    }

    pub(crate) fn with(mut self, options: fn(NodeOptions) -> NodeOptions) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn with_for_node(mut self, options: fn(NodeOptions) -> NodeOptions) -> Self {
        self.nodes_options = options;
        self
    }

    pub(crate) fn with_for_far(mut self, options: fn(NodeOptions) -> NodeOptions) -> Self {
        self.far_options = options;
        self
    }

    pub(crate) fn by(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    pub(crate) fn with_standby(mut self) -> Self {
        self.has_standby = true;
        self.on_its_own_server()
    }

    pub(crate) fn with_log(mut self) -> Self {
        self.has_log = true;
        self
    }

    pub(crate) fn with_role_setting(mut self, setting: &'static str) -> Self {
        self.role_setting = Some(setting);
        self
    }

    pub(crate) fn with_setup(mut self, setup: fn() -> String) -> Self {
        self.setup = setup;
        self
    }

    pub(crate) fn only_if(mut self, can_run: fn(&str) -> bool) -> Self {
        self.can_run = can_run;
        self.has_condition = true;
        self
    }

    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// All of them, the longest first: they run at the same time.
    pub(crate) fn all() -> Vec<Self> {
        [
            server::cases(),
            failover::cases(),
            network::cases(),
            sessions::cases(),
            database::cases(),
            nodes::cases(),
            clocks::cases(),
            timeouts::cases(),
            log::cases(),
            pool::cases(),
            pooler::cases(),
            load::cases(),
            leaving::cases(),
        ]
        .concat()
    }
}

/// Whether faults last as long as in production, or only as long as a test may take.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The length of a fault in seconds: in a long run, and otherwise.
pub(crate) fn length(long: u64, short: u64) -> Duration {
    Duration::from_secs(if is_long() { long } else { short })
}

/// Waits for the length of a fault.
pub(crate) async fn last_for(long: u64, short: u64) {
    tokio::time::sleep(length(long, short)).await;
}
