//! What a scenario runs on: three servers, a namespace, clients.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{
    Capability,
    cluster::Cluster,
    one_list, sorted,
    stage::{Emitter, Server, Stage},
};
use crate::harness::{Client, Connect, Error, Node, barrier};

/// The servers, as a scenario sees them.
pub struct Fixture {
    cluster: Arc<Cluster>,
    pub(crate) nsp: String,
    clients: Mutex<Vec<(String, Arc<Client>)>>,
    /// All clients that ever connected, in any namespace.
    pub(super) all_clients: Arc<Mutex<Vec<Arc<Client>>>>,
    /// How many events each server had reported before.
    events_before: [usize; 3],
}

/// A client on each server.
pub(crate) struct Clients {
    /// At the server that acts.
    pub(crate) a: Arc<Client>,
    /// At the second server.
    pub(crate) b: Arc<Client>,
    /// At the third server.
    pub(crate) c: Arc<Client>,
}

impl Clients {
    pub(crate) fn all(&self) -> [&Arc<Client>; 3] {
        [&self.a, &self.b, &self.c]
    }
}

impl Fixture {
    pub(crate) fn new(cluster: Arc<Cluster>, nsp: String) -> Self {
        let events_before = [0, 1, 2].map(|index| cluster.servers[index].node.events().len());
        Self { cluster, nsp, clients: Mutex::default(), all_clients: Arc::default(), events_before }
    }

    /// The same servers, in another namespace.
    pub(crate) fn in_namespace(&self, nsp: &str) -> Self {
        Self {
            cluster: self.cluster.clone(),
            nsp: nsp.to_owned(),
            clients: Mutex::default(),
            all_clients: self.all_clients.clone(),
            events_before: self.events_before,
        }
    }

    /// The server that acts.
    pub(crate) fn actor(&self) -> &Server {
        &self.cluster.servers[0]
    }

    /// All three: the one that acts, and the others.
    pub(crate) fn servers(&self) -> &[Server; 3] {
        &self.cluster.servers
    }

    /// What started the servers.
    pub(crate) fn stage(&self) -> &dyn Stage {
        &*self.cluster.stage
    }

    /// The time limit of each wait.
    pub(crate) fn patience(&self) -> Duration {
        self.cluster.options.patience
    }

    /// What the names of channels begin with.
    pub(crate) fn prefix(&self) -> &str {
        self.cluster.options.prefix()
    }

    /// The attachments table.
    pub(crate) fn table(&self) -> &str {
        self.cluster.options.table_name()
    }

    /// Waits until each server counts this many servers in the namespace.
    pub(crate) async fn wait_for_servers(&self, count: usize) -> Result<(), Error> {
        let count = count.saturating_sub(self.cluster.uncounted());
        for server in self.servers() {
            match server.wait_for_server_count(&self.nsp, count).await {
                Err(error) if error.is_unknown_op() => {} // it need not count
                counted => counted?,
            }
        }
        Ok(())
    }

    /// Makes the server that acts carry out an op in the namespace.
    pub(crate) async fn act(&self, op: &str, fields: Value) -> Result<Value, Error> {
        self.call(self.actor(), op, fields).await
    }

    /// Makes a server carry out an op in the namespace.
    pub(crate) async fn call(&self, server: &Server, op: &str, mut fields: Value) -> Result<Value, Error> {
        if fields.get("nsp").is_none() {
            fields["nsp"] = self.nsp.as_str().into();
        }
        server.call(op, fields).await
    }

    /// Starts one more server like the third, with this namespace alone.
    pub(crate) async fn start_another(&self) -> Result<Server, Error> {
        self.start_like(2).await
    }

    /// Starts one more server like the second, with this namespace alone.
    pub(crate) async fn start_another_like_the_second(&self) -> Result<Server, Error> {
        self.start_like(1).await
    }

    /// Starts one more server like the one that acts, with this namespace alone.
    pub(crate) async fn start_another_like_the_first(&self) -> Result<Server, Error> {
        self.start_like(0).await
    }

    async fn start_like(&self, index: usize) -> Result<Server, Error> {
        self.stage().start_another(index, &self.cluster.options.clone().namespace(&*self.nsp)).await
    }

    /// Starts a server like the one that acts, alone in a cluster.
    pub(crate) async fn start_alone(&self) -> Result<Server, Error> {
        let prefix = format!("{}-alone", self.prefix());
        self.stage().start_another(0, &self.cluster.options.clone().channel_prefix(prefix).namespace(&*self.nsp)).await
    }

    /// An emitter beside the servers.
    pub(crate) async fn emitter(&self, which: Emitter) -> Result<Arc<Node>, Error> {
        self.stage().emitter(which, &self.cluster.options).await
    }

    /// A client on each server, `a`, `b` and `c`.
    pub(crate) async fn clients(&self) -> Result<Clients, Error> {
        let how = || Connect::to(&self.nsp);
        let [one, two, three] = self.servers();
        let (a, b, c) = tokio::try_join!(
            self.connect("a", one, how()),
            self.connect("b", two, how()),
            self.connect("c", three, how())
        )?;
        Ok(Clients { a, b, c })
    }

    /// One more client, to the namespace that `how` says.
    pub(crate) async fn connect(&self, name: &str, server: &Server, how: Connect) -> Result<Arc<Client>, Error> {
        let client = Arc::new(server.connect(&self.cluster.host, how).await?);
        // A server that does not know yet that a client has connected will not report that it has
        // left.
        if !server.is_virtual() {
            let connected = |event: &Value| event["event"] == "connected" && event["socket"] == client.id();
            server.node.wait_for_event("connected event", connected).await?;
        }
        self.clients.lock().push((name.to_owned(), client.clone()));
        self.all_clients.lock().push(client.clone());
        Ok(client)
    }

    /// One more client over the connection of another. What it gets is not part of
    /// [`received`](Self::received).
    pub(crate) async fn connect_over(&self, other: &Client, nsp: &str) -> Result<Arc<Client>, Error> {
        if self.stage().lacks(Capability::SharedConnections) {
            let text = format!("there are no {}", Capability::SharedConnections.name());
            return Err(Error::refused(text));
        }
        let client = Arc::new(self.cluster.host.connect_over(other, &Connect::to(nsp)).await?);
        self.all_clients.lock().push(client.clone());
        Ok(client)
    }

    /// The events of other servers that a server got, each as `[name, ...args]`.
    pub(crate) fn server_side_events(&self, server: usize) -> Vec<Value> {
        self.servers()[server].server_side_events(&self.nsp, self.events_before[server])
    }

    /// What each client that is still connected got, by its name: a list of `[event, ...args]`,
    /// sorted, because Node.js keeps no order between small and large events. Everything that was
    /// sent before has arrived by then.
    pub(crate) async fn received(&self) -> Result<Value, Error> {
        let clients = self.clients.lock().clone();
        let all: Vec<&Client> = clients.iter().map(|(_, client)| &**client).collect();
        barrier(&self.nodes(), &self.nsp, &all).await?;
        self.received_so_far().await
    }

    /// As [`received`](Self::received), without waiting for everything that was sent.
    pub(crate) async fn received_so_far(&self) -> Result<Value, Error> {
        let mut received = Map::new();
        let clients = self.clients.lock().clone();
        for (name, client) in clients {
            let packets = client.received().await?.into_iter();
            let events = packets.map(|packet| one_list(&json!(packet.event), &Value::Array(packet.args)));
            received.insert(name, sorted(events));
        }
        Ok(self.named(received.into()))
    }

    /// Returns once those clients have all that was sent to them.
    pub(crate) async fn settle(&self, clients: &[&Client]) -> Result<(), Error> {
        barrier(&self.nodes(), &self.nsp, clients).await
    }

    /// Waits until the server with that index knows that a client has left.
    pub(crate) async fn wait_for_disconnected(&self, server: usize, client: &Client) -> Result<(), Error> {
        self.wait_for_disconnected_socket(server, client.id()).await
    }

    /// As [`wait_for_disconnected`](Self::wait_for_disconnected), by the id of the socket.
    pub(crate) async fn wait_for_disconnected_socket(&self, server: usize, socket: &str) -> Result<(), Error> {
        let gone = |event: &Value| event["event"] == "disconnected" && event["socket"] == socket;
        self.servers()[server].node.wait_for_event("disconnected event", gone).await.map(drop)
    }

    /// Waits until no server has a socket in the namespace.
    pub(crate) async fn wait_for_no_sockets(&self) -> Result<(), Error> {
        for server in self.servers() {
            let sockets = match self.call(server, "localSockets", json!({})).await {
                Err(error) if error.is_unknown_op() => continue,
                sockets => sockets?,
            };
            for socket in sockets.as_array().into_iter().flatten() {
                let gone = |event: &Value| event["event"] == "disconnected" && event["socket"] == socket["id"];
                server.node.wait_for_event("disconnected event", gone).await?;
            }
        }
        Ok(())
    }

    /// The processes: a Node.js cluster has one for all its workers.
    fn nodes(&self) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self.servers().iter().map(|server| &*server.node).collect();
        nodes.sort_by_key(|node| node.pid());
        nodes.dedup_by_key(|node| node.pid());
        nodes
    }

    /// With the clients' names in place of their ids.
    pub(crate) fn named(&self, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let clients = self.clients.lock();
                let found = clients.iter().find(|(_, client)| client.id() == text);
                Value::String(found.map_or(text, |(name, _)| name.clone()))
            }
            Value::Array(array) => array.into_iter().map(|value| self.named(value)).collect(),
            Value::Object(object) => object.into_iter().map(|(key, value)| (key, self.named(value))).collect(),
            other => other,
        }
    }
}
