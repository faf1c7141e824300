//! The databases of a node: which namespace is in which.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use crate::{
    backend::Backend,
    combined,
    error::{ConnectError, Error},
    event::Events,
    health::Health,
    hub::Hub,
    meters::Counts,
    options::Options,
    server_side::Handlers,
};

/// Says by its name in which database a namespace is.
type Rule = Box<dyn Fn(&str) -> usize + Send + Sync>;

/// One hub for each database. There is at least one.
pub(crate) struct Parts<B: Backend> {
    hubs: Vec<Arc<Hub<B>>>,
    handlers: Arc<Handlers>,
    rule: Rule,
}

impl<B: Backend> Parts<B> {
    /// Connects to one database, which has all namespaces.
    pub(crate) async fn connect_one(backend: B, options: Options) -> Result<Self, ConnectError> {
        let handlers = Arc::<Handlers>::default();
        let hub = Hub::connect(backend, options, Events::default(), handlers.clone()).await?;
        Ok(Self { hubs: vec![hub], handlers, rule: Box::new(|_| 0) })
    }

    /// Connects to all databases at once; fails when one of them does.
    pub(crate) async fn connect(backends: Vec<B>, rule: Rule, options: Options) -> Result<Self, ConnectError> {
        if backends.is_empty() {
            let problem = "there is none: give one backend for each database".to_owned();
            return Err(ConnectError::Option { option: "backends", problem });
        }
        let handlers = Arc::<Handlers>::default();
        let events = Events::of_databases(backends.len());
        let connecting = backends.into_iter().zip(events).enumerate().map(|(database, (backend, events))| {
            let connecting = Hub::connect(backend, options.clone(), events, handlers.clone());
            async move { connecting.await.map_err(|error| error.of_database(database)) }
        });
        Ok(Self { hubs: try_join_all(connecting).await?, handlers, rule })
    }

    /// The number of the database that has a namespace.
    pub(crate) fn database_of(&self, namespace: &str) -> Result<usize, Error> {
        let database = (self.rule)(namespace);
        if database < self.hubs.len() {
            return Ok(database);
        }
        Err(Error::NoDatabase { namespace: namespace.to_owned(), database, databases: self.hubs.len() })
    }

    /// The hub of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Result<&Arc<Hub<B>>, Error> {
        self.database_of(namespace).map(|database| &self.hubs[database])
    }

    /// The hub of the first database, for what is the same in all.
    pub(crate) fn first(&self) -> &Arc<Hub<B>> {
        &self.hubs[0]
    }

    /// The handlers of server-side events, in whichever database their namespaces are.
    pub(crate) fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    pub(crate) fn counts(&self) -> Counts {
        combined::counts(self.hubs.iter().map(|hub| hub.events().meters().counts()))
    }

    pub(crate) fn health(&self) -> Health {
        combined::health(self.health_by_database()).expect("there is at least one database")
    }

    pub(crate) fn health_by_database(&self) -> impl Iterator<Item = Health> {
        self.hubs.iter().map(|hub| hub.health())
    }

    pub(crate) fn has_no_namespace(&self) -> bool {
        self.hubs.iter().all(|hub| hub.has_no_namespace())
    }

    /// Leaves the cluster in every database.
    pub(crate) async fn close(&self) {
        join_all(self.hubs.iter().map(|hub| hub.close())).await;
    }
}

impl<B: Backend> Drop for Parts<B> {
    /// The last handle is gone. Tasks may still hold a hub, as long as they wait for PostgreSQL or for a handler.
    fn drop(&mut self) {
        for hub in &self.hubs {
            drop(hub.start_leaving());
        }
    }
}
