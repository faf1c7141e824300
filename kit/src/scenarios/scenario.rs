//! What a scenario is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{
    acknowledgements, broadcast, capability::Capability, cluster::Settings, emitters, fixture::Fixture, membership,
    namespaces, options, order, raw, remote_sockets, requests, rooms, server_side, sessions, sizes, sockets, strangers,
    values,
};
use crate::harness::Error;

/// What was observed, and the right outcome.
#[derive(Debug)]
pub struct Observation {
    /// What was observed.
    pub seen: Value,
    /// The right outcome.
    pub expected: Value,
}

/// An observation, or why there is none.
pub type Outcome = Result<Observation, Error>;
type Run = Arc<dyn Fn(Fixture) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A behaviour that is the same on every composition.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The settings of its servers.
    pub settings: Settings,
    /// What it needs of every server.
    pub needs: Option<Capability>,
    pub(crate) run: Run,
}

impl Scenario {
    /// Runs on servers that stay the same for all scenarios.
    pub(crate) fn new<P, F>(name: &'static str, run: P) -> Self
    where
        P: Fn(Fixture) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self { name, settings: Settings::Main, needs: None, run: Arc::new(move |fixture| Box::pin(run(fixture))) }
    }

    /// Runs on other servers.
    pub(crate) fn on(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Needs a capability that some servers lack.
    pub(crate) fn needs(mut self, capability: Capability) -> Self {
        self.needs = Some(capability);
        self
    }

    /// The namespace that it is about; a scenario that is not about a namespace gets any.
    pub fn namespace(&self) -> Option<String> {
        namespaces::special(self.name)
    }

    /// All of them, by topic.
    pub fn all() -> Vec<Self> {
        [
            broadcast::scenarios(),
            sizes::scenarios(),
            values::scenarios(),
            order::scenarios(),
            acknowledgements::scenarios(),
            rooms::scenarios(),
            sockets::scenarios(),
            raw::scenarios(),
            remote_sockets::scenarios(),
            server_side::scenarios(),
            requests::scenarios(),
            membership::scenarios(),
            namespaces::scenarios(),
            options::scenarios(),
            strangers::scenarios(),
            sessions::scenarios(),
            emitters::scenarios(),
        ]
        .concat()
    }
}

/// The observation of a scenario.
pub(crate) fn observed(seen: Value, expected: Value) -> Outcome {
    Ok(Observation { seen, expected })
}
