//! The databases of a node, and the rule that maps namespaces to them.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use crate::{
    backend::Backend,
    error::{ConnectError, Error},
    node::{handlers::Handlers, shared::Node, start},
    observe::{
        event::Events,
        health::{Counts, Health},
    },
    options::Options,
};

/// Maps a namespace's name to the index of its database.
type Rule = Box<dyn Fn(&str) -> usize + Send + Sync>;

/// One node for each database. There is at least one.
pub(crate) struct Databases<B: Backend> {
    nodes: Vec<Arc<Node<B>>>,
    handlers: Arc<Handlers>,
    rule: Rule,
}

impl<B: Backend> Databases<B> {
    /// Connects to one database, which has all namespaces.
    pub(crate) async fn connect_one(backend: B, options: Options) -> Result<Self, ConnectError> {
        let handlers = Arc::<Handlers>::default();
        let node = start::connect(backend, options, Events::default(), handlers.clone()).await?;
        Ok(Self { nodes: vec![node], handlers, rule: Box::new(|_| 0) })
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
            let connecting = start::connect(backend, options.clone(), events, handlers.clone());
            async move { connecting.await.map_err(|error| error.of_database(database)) }
        });
        Ok(Self { nodes: try_join_all(connecting).await?, handlers, rule })
    }

    /// The index of the database that has a namespace.
    pub(crate) fn database_of(&self, namespace: &str) -> Result<usize, Error> {
        let database = (self.rule)(namespace);
        if database < self.nodes.len() {
            return Ok(database);
        }
        Err(Error::NoDatabase { namespace: namespace.to_owned(), database, databases: self.nodes.len() })
    }

    /// The node of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Result<&Arc<Node<B>>, Error> {
        self.database_of(namespace).map(|database| &self.nodes[database])
    }

    /// The node of the first database, for what is the same in all of them.
    pub(crate) fn first(&self) -> &Arc<Node<B>> {
        &self.nodes[0]
    }

    /// The handlers of server-side events, which all databases share.
    pub(crate) fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::sum(self.nodes.iter().map(|node| node.events().counters().counts()))
    }

    pub(crate) fn health(&self) -> Health {
        Health::merge(self.health_by_database()).expect("there is at least one database")
    }

    pub(crate) fn health_by_database(&self) -> impl Iterator<Item = Health> {
        self.nodes.iter().map(|node| node.health())
    }

    pub(crate) fn has_no_namespace(&self) -> bool {
        self.nodes.iter().all(|node| node.has_no_namespace())
    }

    /// Leaves the cluster in every database.
    pub(crate) async fn close(&self) {
        join_all(self.nodes.iter().map(|node| node.close())).await;
    }
}

impl<B: Backend> Drop for Databases<B> {
    /// The last handle was dropped. Tasks may still hold a node, as long as they wait for
    /// PostgreSQL or for a handler.
    fn drop(&mut self) {
        for node in &self.nodes {
            drop(node.start_leaving());
        }
    }
}
