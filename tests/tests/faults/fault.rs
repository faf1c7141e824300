//! What a fault is.

use crate::{clocks, database, leaving, load, network, nodes, server, sessions, world::World};
use futures_util::future::BoxFuture;
use socketio_pg_tests::NodeOptions;
use socketio_pg_throwaway::Builder;
use std::{sync::Arc, time::Instant};

/// What goes wrong in a test: an error of a test node, a rule that is broken, a tool that fails.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Something that breaks.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// What it stands for, and how it is made, where that is not plain.
    pub(crate) about: &'static str,
    /// The settings of a server of its own, for a fault that others would feel.
    pub(crate) server: Option<fn(Builder) -> Builder>,
    pub(crate) options: fn(NodeOptions) -> NodeOptions,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// Strikes while all nodes send, and is over when this returns.
    UnderTraffic(Arc<dyn Fn(Arc<World>) -> BoxFuture<'static, Result<Struck>> + Send + Sync>),
    /// Has its own way of looking.
    Special(Arc<dyn Fn(Arc<World>) -> BoxFuture<'static, Result<Seen>> + Send + Sync>),
}

/// A fault is over.
pub(crate) struct Struck {
    /// Since when it was possible to hear again.
    pub(crate) healed: Instant,
    /// Whether the Rust nodes must have noticed that they were deaf, the one behind the proxy first.
    pub(crate) deaf: [bool; 2],
}

/// What there is to tell in the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) heard_again: String,
    pub(crate) senders: String,
    pub(crate) receivers: String,
    pub(crate) reported: String,
}

impl Fault {
    pub(crate) fn new<F, R>(name: &'static str, about: &'static str, strike: F) -> Self
    where
        F: Fn(Arc<World>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Struck>> + Send + 'static,
    {
        let kind = Kind::UnderTraffic(Arc::new(move |world| Box::pin(strike(world))));
        Self { name, about, server: None, options: |options| options, kind }
    }

    pub(crate) fn special<F, R>(name: &'static str, about: &'static str, look: F) -> Self
    where
        F: Fn(Arc<World>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Seen>> + Send + 'static,
    {
        let kind = Kind::Special(Arc::new(move |world| Box::pin(look(world))));
        Self { name, about, server: None, options: |options| options, kind }
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

    /// All of them, the longest first: they run at the same time.
    pub(crate) fn all() -> Vec<Self> {
        [
            server::faults(),
            network::faults(),
            sessions::faults(),
            database::faults(),
            nodes::faults(),
            clocks::faults(),
            load::faults(),
            leaving::faults(),
        ]
        .concat()
    }
}

/// Whether faults last as long as in the field, and not as long as a test may take.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// How long a fault lasts: in a long run, and else.
pub(crate) async fn last_for(long: u64, short: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(if is_long() { long } else { short })).await;
}
