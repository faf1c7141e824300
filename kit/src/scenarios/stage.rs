//! What starts the servers of a cluster, and one of these servers.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Capability, one_list};
use crate::harness::{Client, ClientHost, Connect, Error, Node, NodeOptions, Parser};

/// Starts three servers, of which the first acts.
pub trait Stage: Send + Sync {
    /// Starts the three servers, with namespaces that they all have. They need not know each other
    /// yet.
    fn start<'a>(&'a self, options: &'a NodeOptions) -> BoxFuture<'a, Result<[Server; 3], Error>>;

    /// Starts one more server like the one with that index.
    fn start_another<'a>(&'a self, index: usize, options: &'a NodeOptions) -> BoxFuture<'a, Result<Server, Error>>;

    /// Whether one of its servers lacks a capability.
    fn lacks(&self, capability: Capability) -> bool;

    /// Executes SQL in the database, and returns the first value, if there is one.
    fn execute<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Sends a notification, as a process beside the servers does.
    fn notify<'a>(&'a self, channel: &'a str, payload: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let quoted = |text: &str| text.replace('\'', "''");
        let sql = format!("SELECT pg_notify('{}', '{}')", quoted(channel), quoted(payload));
        Box::pin(async move { self.execute(&sql).await.map(drop) })
    }

    /// Whether all servers take messages without `nsp`, and pass on only packets that are events:
    /// Node.js does neither.
    fn hears_more_than_node(&self) -> bool {
        false
    }

    /// An emitter, which is started with the first scenario that wants it.
    fn emitter<'a>(&'a self, which: Emitter, options: &'a NodeOptions) -> BoxFuture<'a, Result<Arc<Node>, Error>> {
        let _ = options;
        Box::pin(async move { Err(Error::refused(format!("there is no emitter {which:?}"))) })
    }

    /// Whether what one server publishes on a channel with a long name arrives at another.
    fn publishes_on_long_channels(&self, sender: usize, receiver: usize) -> bool {
        let _ = (sender, receiver);
        true
    }

    /// Whether one server is heard by another on a channel whose name has a quote in it.
    fn quotes_channels(&self, sender: usize, receiver: usize) -> bool {
        let _ = (sender, receiver);
        true
    }
}

/// A process without sockets that emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Emitter {
    /// This project's.
    Rust,
    /// Node.js's.
    Official,
    /// Functions in PostgreSQL.
    SqlFunctions,
    /// This project's, into the outbox.
    RustIntoOutbox,
    /// Functions in PostgreSQL that write into the outbox.
    SqlFunctionsIntoOutbox,
}

/// A running server.
#[derive(Clone)]
pub struct Server {
    pub(crate) node: Arc<Node>,
    port: u16,
    worker: Option<usize>,
    parser: Parser,
}

impl Server {
    /// A process that is one server, whose clients have this parser.
    pub fn new(node: Arc<Node>, parser: Parser) -> Self {
        Self { port: node.port(), node, worker: None, parser }
    }

    /// The workers of a Node.js cluster.
    pub fn workers(primary: &Arc<Node>) -> Vec<Self> {
        let ports = primary.worker_ports().into_iter().enumerate();
        let worker = |(index, port)| Self { node: primary.clone(), port, worker: Some(index), parser: Parser::Common };
        ports.map(worker).collect()
    }

    /// The process.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn parser(&self) -> Parser {
        self.parser
    }

    /// Whether its sockets are virtual: it has no port for clients.
    pub(crate) fn is_virtual(&self) -> bool {
        self.port == 0
    }

    /// Connects a client, or adds a virtual socket.
    pub(crate) async fn connect(&self, host: &ClientHost, how: Connect) -> Result<Client, Error> {
        if self.is_virtual() {
            return self.node.add_socket(&how).await;
        }
        host.connect(self.port, &how.parser(self.parser)).await
    }

    /// As [`Node::call`].
    pub(crate) async fn call(&self, op: &str, mut fields: Value) -> Result<Value, Error> {
        if let Some(worker) = self.worker {
            fields["worker"] = json!(worker);
        }
        self.node.call(op, fields).await
    }

    /// Waits until it counts this many servers.
    pub(crate) async fn wait_for_server_count(&self, nsp: &str, count: usize) -> Result<(), Error> {
        match self.worker {
            Some(worker) => self.node.wait_for_worker_server_count(worker, nsp, count).await,
            None => self.node.wait_for_server_count(nsp, count).await,
        }
    }

    /// Waits for an event of another server, and returns its arguments.
    pub(crate) async fn wait_for_server_side(&self, nsp: &str, name: &str) -> Result<Value, Error> {
        let awaited = format!("serverSide event {name:?} in {nsp}");
        let mut event = self
            .node
            .wait_for_event(&awaited, |event| self.is_server_side(event, nsp) && event["name"] == name)
            .await?;
        Ok(event["args"].take())
    }

    /// The events of other servers after the first so many, each as `[name, ...args]`.
    pub(crate) fn server_side_events(&self, nsp: &str, after: usize) -> Vec<Value> {
        let events = self.node.events().into_iter().skip(after).filter(|event| self.is_server_side(event, nsp));
        events.map(|event| one_list(&event["name"], &event["args"])).collect()
    }

    fn is_server_side(&self, event: &Value, nsp: &str) -> bool {
        let worker = self.worker.map_or(Value::Null, Value::from);
        event["event"] == "serverSide" && event["nsp"] == nsp && event["worker"] == worker
    }
}
