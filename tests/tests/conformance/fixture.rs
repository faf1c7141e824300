//! What a scenario runs on: three servers, a namespace, clients.

use crate::{
    capability::Capability,
    composition::{Composition, FAR, Seat, Server, backends, one_list, program},
    scenario::{Outcome, Scenario},
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect, Error, Kind, Node, NodeOptions, Proxy, barrier};
use socketio_pg_throwaway::Database;
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The server settings of a scenario. All scenarios with the same settings share the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Settings {
    /// With Node.js's defaults.
    Main,
    /// With another prefix, another table and another threshold, and ten connections for each
    /// Node.js server.
    Custom,
    /// With short heartbeats, so that servers soon notice a dead node.
    ShortHeartbeats,
}

impl Settings {
    pub(crate) const ALL: [Self; 3] = [Self::Main, Self::Custom, Self::ShortHeartbeats];

    fn options(self, database_url: String) -> NodeOptions {
        let options = NodeOptions::new(database_url);
        match self {
            Self::Main => options,
            Self::Custom => options.channel_prefix("app").table("app_attachments").payload_threshold(400).pool_size(10),
            Self::ShortHeartbeats => options
                .channel_prefix("mortal")
                .heartbeat_interval(Duration::from_millis(500))
                .heartbeat_timeout(Duration::from_millis(3000)),
        }
    }
}

/// The servers of a composition with the same settings.
pub(crate) struct Cluster {
    pub(crate) composition: Composition,
    servers: [Server; 3],
    options: NodeOptions,
    host: Arc<ClientHost>,
    /// The servers that no scenario uses at the moment.
    free_namespaces: Mutex<Vec<String>>,
    rust_emitter: OnceCell<Node>,
    node_emitter: OnceCell<Node>,
    sql_functions: OnceCell<Node>,
    outbox: OnceCell<Node>,
    rust_emitter_into_outbox: OnceCell<Node>,
    sql_functions_into_outbox: OnceCell<Node>,
    /// The proxy to a far database.
    _way: Option<Proxy>,
    // Dropped last: the servers are connected to it.
    database: Arc<Database>,
}

impl Cluster {
    /// Starts servers on which this many scenarios can run at the same time, besides those in a
    /// namespace of their own.
    pub(crate) async fn start(
        composition: &Composition,
        settings: Settings,
        scenarios_at_once: usize,
        own_namespaces: impl IntoIterator<Item = String>,
        host: Arc<ClientHost>,
        database: Arc<Database>,
    ) -> Result<Self, Error> {
        let way = composition.is_far.then(|| way_to(&database)).flatten();
        let options = settings.options(way.as_ref().map_or_else(|| database.url(), |way| way.before(&database.url())));
        let free_namespaces: Vec<String> = (0..scenarios_at_once).map(|number| format!("/space-{number}")).collect();
        let all = free_namespaces.iter().cloned().chain(own_namespaces);
        let with_all = all.fold(options.clone().namespace("/"), NodeOptions::namespace);
        let servers = composition.start(&with_all.dynamic_namespace("^/dynamic-[0-9]+$", "/dynamic-{number}")).await?;
        Ok(Self {
            composition: composition.clone(),
            servers,
            options,
            host,
            free_namespaces: Mutex::new(free_namespaces),
            rust_emitter: OnceCell::new(),
            node_emitter: OnceCell::new(),
            sql_functions: OnceCell::new(),
            outbox: OnceCell::new(),
            rust_emitter_into_outbox: OnceCell::new(),
            sql_functions_into_outbox: OnceCell::new(),
            _way: way,
            database,
        })
    }

    /// Runs a scenario in a namespace of its own, and leaves the servers as they were.
    pub(crate) async fn run(self: Arc<Self>, scenario: Scenario) -> Outcome {
        let nsp = scenario.namespace().or_else(|| self.free_namespaces.lock().pop()).unwrap_or_default();
        let fixture = Fixture::new(self.clone(), nsp.clone()).await?;
        let (view, all_clients) = (fixture.in_namespace(&nsp), fixture.all_clients.clone());
        let outcome = (scenario.run)(fixture).await;
        let clients = std::mem::take(&mut *all_clients.lock());
        for client in clients {
            // Many of them have left already.
            let _ = client.disconnect().await;
        }
        let left = view.wait_for_no_sockets().await;
        if scenario.namespace().is_none() {
            self.free_namespaces.lock().push(nsp);
        }
        let observation = outcome?;
        left.map(|()| observation)
    }
}

/// A proxy with a delay, unless the database is one of another server, which may be far itself.
fn way_to(database: &Database) -> Option<Proxy> {
    let host = database.url();
    let (_, host) = host.rsplit_once('@')?;
    let port = host.strip_prefix("127.0.0.1:")?.split('/').next()?.parse().ok()?;
    Proxy::far(port, FAR).ok()
}

/// The servers, as a scenario sees them.
pub(crate) struct Fixture {
    cluster: Arc<Cluster>,
    pub(crate) nsp: String,
    clients: Mutex<Vec<(String, Arc<Client>)>>,
    /// All clients that ever connected, in any namespace.
    all_clients: Arc<Mutex<Vec<Arc<Client>>>>,
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
    pub(crate) async fn new(cluster: Arc<Cluster>, nsp: String) -> Result<Self, Error> {
        let events_before = [0, 1, 2].map(|index| cluster.servers[index].node.events().len());
        Ok(Self { cluster, nsp, clients: Mutex::default(), all_clients: Arc::default(), events_before })
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

    pub(crate) fn database(&self) -> &Database {
        &self.cluster.database
    }

    /// Waits until each server counts this many servers in the namespace.
    pub(crate) async fn wait_for_servers(&self, count: usize) -> Result<(), Error> {
        for server in self.servers() {
            server.wait_for_server_count(&self.nsp, count).await?;
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

    /// Starts one more server like the third, with this namespace alone. If the third is a worker,
    /// it starts a Rust server, which the workers hear.
    pub(crate) async fn start_another(&self) -> Result<Server, Error> {
        self.start_like(self.servers()[2].seat).await
    }

    /// Starts one more server like the one that acts, as [`start_another`](Self::start_another)
    /// does.
    pub(crate) async fn start_another_like_the_first(&self) -> Result<Server, Error> {
        self.start_like(self.actor().seat).await
    }

    async fn start_like(&self, seat: Seat) -> Result<Server, Error> {
        let rust = self.servers().iter().map(|server| server.seat).find(|seat| seat.is_rust());
        let seat = if seat == Seat::Worker { rust.unwrap_or(seat) } else { seat };
        seat.start(&self.cluster.options.clone().namespace(&*self.nsp)).await
    }

    /// Starts a server like the one that acts, alone in a cluster.
    pub(crate) async fn start_alone(&self) -> Result<Server, Error> {
        let options = self.cluster.options.clone().channel_prefix("alone").namespace(&*self.nsp);
        self.actor().seat.start(&options).await
    }

    /// The backend of the composition's first Rust server.
    fn backend(&self) -> String {
        let backend = self.servers().iter().find_map(|server| match server.seat {
            Seat::Rust { backend, .. } => Some(backend),
            _ => None,
        });
        backend.unwrap_or(backends()[0]).to_owned()
    }

    /// The emitter of this project, on the backend of the composition's first Rust server.
    pub(crate) async fn rust_emitter(&self) -> Result<&Node, Error> {
        let kind = Kind::RustEmitter { program: program(), backend: self.backend() };
        self.cluster.rust_emitter.get_or_try_init(|| Node::start(&kind, &self.cluster.options)).await
    }

    /// The official emitter.
    pub(crate) async fn node_emitter(&self) -> Result<&Node, Error> {
        let options = &self.cluster.options;
        self.cluster.node_emitter.get_or_try_init(|| Node::start(&Kind::NodeEmitter, options)).await
    }

    /// The functions in PostgreSQL.
    pub(crate) async fn sql_functions(&self) -> Result<&Node, Error> {
        let kind = Kind::SqlFunctions { program: program() };
        self.cluster.sql_functions.get_or_try_init(|| Node::start(&kind, &self.cluster.options)).await
    }

    /// This project's emitter, which writes into the outbox.
    pub(crate) async fn rust_emitter_into_outbox(&self) -> Result<&Node, Error> {
        let kind = Kind::RustEmitter { program: program(), backend: self.backend() };
        self.writing_into_outbox(&kind, &self.cluster.rust_emitter_into_outbox).await
    }

    /// The functions in PostgreSQL, which write into the outbox.
    pub(crate) async fn sql_functions_into_outbox(&self) -> Result<&Node, Error> {
        let kind = Kind::SqlFunctions { program: program() };
        self.writing_into_outbox(&kind, &self.cluster.sql_functions_into_outbox).await
    }

    /// A process beside the servers publishes it, as not all of these are this project's.
    async fn writing_into_outbox<'a>(&self, kind: &Kind, emitter: &'a OnceCell<Node>) -> Result<&'a Node, Error> {
        let options = self.cluster.options.clone().outbox();
        let publisher = Kind::OutboxPublisher { program: program(), backend: self.backend() };
        self.cluster.outbox.get_or_try_init(|| Node::start(&publisher, &options)).await?;
        emitter.get_or_try_init(|| Node::start(kind, &options)).await
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
        let connected = |event: &Value| event["event"] == "connected" && event["socket"] == client.id();
        server.node.wait_for_event("connected event", connected).await?;
        self.clients.lock().push((name.to_owned(), client.clone()));
        self.all_clients.lock().push(client.clone());
        Ok(client)
    }

    /// One more client over the connection of another. What it gets is not part of
    /// [`received`](Self::received).
    pub(crate) async fn connect_over(&self, other: &Client, nsp: &str) -> Result<Arc<Client>, Error> {
        if self.cluster.composition.lacks(Capability::SharedConnections) {
            let text = format!("there are no {}", Capability::SharedConnections.name());
            return Err(Error::Refused { text });
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
    /// was sent before is on its way then.
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
            let sockets = self.call(server, "localSockets", json!({})).await?;
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

/// A list without an order.
pub(crate) fn sorted(values: impl IntoIterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by_key(Value::to_string);
    values.into()
}

/// The array's values without an order; other values as they are.
pub(crate) fn unordered(value: Value) -> Value {
    match value {
        Value::Array(values) => sorted(values),
        other => other,
    }
}
