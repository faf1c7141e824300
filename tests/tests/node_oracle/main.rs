//! The test nodes, checked on Node.js: what two Node.js servers on the official adapter do when
//! they get the commands of test nodes.
//!
//! Every op and option of the test nodes is used here at least once. So when a scenario fails on a
//! mixed cluster, a server is the cause, not the test library. Node.js's own defects that scenarios
//! depend on are asserted too: a test fails when one is fixed.

mod broadcast;
mod clients;
mod cluster;
mod driver;
mod emitter;
mod membership;
mod options;
mod remote;
mod rooms;
mod server_side;
mod sockets;

use std::{
    ops::Deref,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use socketio_pg_tests::{
    Client, ClientHost, Connect, Error, Kind, NODE, Node, NodeOptions, barrier, database, require,
};
use socketio_pg_throwaway::Database;
use tokio::sync::Mutex;

type Outcome = Result<(), Error>;

/// Two Node.js servers that know each other, in one namespace, and a place for clients.
struct Pair {
    one: Server,
    other: Server,
    clients: &'static ClientHost,
    nsp: String,
}

/// A server, as seen in one namespace.
struct Server {
    nodes: Arc<Nodes>,
    index: usize,
    nsp: String,
}

struct Nodes {
    nodes: [Node; 2],
    // Dropped last: the nodes are connected to it.
    database: Database,
}

impl Pair {
    /// A namespace of its own on servers that the tests share. `None` when a tool is missing on the
    /// machine, which has been reported.
    async fn start() -> Result<Option<Self>, Error> {
        static SHARED: Mutex<Weak<Nodes>> = Mutex::const_new(Weak::new());
        static SCENES: AtomicUsize = AtomicUsize::new(0);

        let mut shared = SHARED.lock().await;
        let nodes = match shared.upgrade() {
            Some(nodes) => nodes,
            None => {
                let set_up = |options: NodeOptions| {
                    let games = options.namespace("/").namespace("/räume/1").dynamic_namespace("^/game-[0-9]+$", "");
                    games.dynamic_namespace("^/scene-[0-9]+$", "")
                };
                let Some(nodes) = Nodes::start(set_up).await? else { return Ok(None) };
                *shared = Arc::downgrade(&nodes);
                nodes
            }
        };
        drop(shared);
        let nsp = format!("/scene-{}", SCENES.fetch_add(1, Ordering::Relaxed));
        Self::on(nodes, nsp).await.map(Some)
    }

    /// The namespace `/` on servers of the test's own.
    async fn start_own(set_up: impl Fn(NodeOptions) -> NodeOptions) -> Result<Option<Self>, Error> {
        match Nodes::start(set_up).await? {
            Some(nodes) => Self::on(nodes, "/".to_owned()).await.map(Some),
            None => Ok(None),
        }
    }

    async fn on(nodes: Arc<Nodes>, nsp: String) -> Result<Self, Error> {
        for node in &nodes.nodes {
            // A dynamic namespace is created when it is first named: both servers must name it to
            // know each other.
            node.call("serverCount", serde_json::json!({ "nsp": nsp })).await?;
        }
        for node in &nodes.nodes {
            node.wait_for_server_count(&nsp, 2).await?;
        }
        let server = |index| Server { nodes: nodes.clone(), index, nsp: nsp.clone() };
        Ok(Self { one: server(0), other: server(1), clients: ClientHost::shared().await?, nsp })
    }

    fn database(&self) -> &Database {
        &self.one.nodes.database
    }

    /// A client of a server.
    async fn connect(&self, server: &Server) -> Result<Client, Error> {
        self.clients.connect(server.port(), &Connect::to(&self.nsp)).await
    }

    /// Three clients: two on one server, one on the other.
    async fn connect_three(&self) -> Result<[Client; 3], Error> {
        Ok([self.connect(&self.one).await?, self.connect(&self.one).await?, self.connect(&self.other).await?])
    }

    /// Returns once the clients have everything that the servers sent them before.
    async fn settle(&self, clients: &[&Client]) -> Outcome {
        barrier(&[&self.one, &self.other], &self.nsp, clients).await
    }
}

impl Nodes {
    async fn start(set_up: impl Fn(NodeOptions) -> NodeOptions) -> Result<Option<Arc<Self>>, Error> {
        let Some(database) = require(&NODE).then(database).flatten() else { return Ok(None) };
        let options = set_up(NodeOptions::new(database.url()));
        let kind = Kind::NodeServer;
        let (one, other) = tokio::try_join!(Node::start(&kind, &options), Node::start(&kind, &options))?;
        Ok(Some(Arc::new(Self { nodes: [one, other], database })))
    }
}

impl Server {
    /// As [`Node::call`], in the namespace of the pair unless another is named.
    async fn call(&self, op: &str, mut fields: Value) -> Result<Value, Error> {
        if fields.get("nsp").is_none() {
            fields["nsp"] = self.nsp.as_str().into();
        }
        self.deref().call(op, fields).await
    }

    /// The events in the namespace of the pair.
    fn events(&self) -> Vec<Value> {
        self.deref().events().into_iter().filter(|event| event["nsp"] == self.nsp.as_str()).collect()
    }
}

impl Deref for Server {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.nodes.nodes[self.index]
    }
}

/// The names of the events that a client has got, sorted: Node.js keeps no order between senders.
async fn names(client: &Client) -> Result<Vec<String>, Error> {
    let mut names: Vec<_> = client.received().await?.into_iter().map(|packet| packet.event).collect();
    names.sort();
    Ok(names)
}

/// The strings of an array, sorted.
fn sorted(array: &Value) -> Vec<&str> {
    let mut strings: Vec<_> = array.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    strings.sort_unstable();
    strings
}

/// The text of the error with which a node answered.
fn refusal<T>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Refused { text }) => text,
        Err(error) => panic!("the node did not refuse but: {error}"),
        Ok(_) => panic!("the node did not refuse"),
    }
}
