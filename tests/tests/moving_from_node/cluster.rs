//! A Rust server and a Node.js server in one cluster, with clients on both.

use std::{collections::BTreeMap, error::Error, sync::Mutex};

use serde_json::{Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::{Cluster, PostgresAdapter};
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef};
use tokio::{task::JoinHandle, time::sleep};

use crate::connecting;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;
pub(crate) type Adapter = PostgresAdapter<Emitter>;

/// The clients of each server: two in `/`, one in `/admin`. Their names begin with `own` for the
/// server that acts, and with `other` for the other one.
const NAMES: [&str; 3] = ["1", "2", "admin"];

/// By the name of a client: what it got, or what became of it.
pub(crate) type ByClient = BTreeMap<String, Value>;

/// The server that acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Rust,
    Js,
}

pub(crate) struct Both {
    pub(crate) io: SocketIo<Adapter>,
    pub(crate) cluster: Cluster,
    pub(crate) node: Node,
    pub(crate) port: u16,
    /// Of the Rust server.
    pub(crate) rust: Vec<Client>,
    /// Of the Node.js server.
    pub(crate) js: Vec<Client>,
    /// How many packets of each client were looked at.
    seen: Mutex<BTreeMap<String, usize>>,
    serving: JoinHandle<()>,
    // Dropped last: the servers are connected to it.
    pub(crate) database: Database,
}

impl Both {
    /// `None` when a tool is missing on the machine, which is then reported.
    pub(crate) async fn start() -> Result<Option<Self>> {
        let Some(database) = require(&NODE).then(database).flatten() else { return Ok(None) };
        let options = NodeOptions::new(database.url()).namespace("/").namespace("/admin");
        let node = Node::start(&Kind::NodeServer, &options).await?;
        let (io, cluster, port, serving) = connecting::start(database.url()).await?;
        let (rust, js, seen) = (Vec::new(), Vec::new(), Mutex::default());
        let mut both = Self { io, cluster, node, port, rust, js, seen, serving, database };
        for namespace in ["/", "/admin"] {
            both.node.wait_for_server_count(namespace, 2).await?;
            both.until("Rust knows Node.js", || both.cluster.of(namespace).server_count() == 2).await;
        }
        both.connect().await?;
        Ok(Some(both))
    }

    /// Connects new clients in place of those that there are, in [their rooms](Self::reset).
    pub(crate) async fn connect(&mut self) -> Result {
        let host = ClientHost::shared().await?;
        for client in self.rust.drain(..).chain(self.js.drain(..)) {
            // Some have been disconnected already.
            let _ = client.disconnect().await;
        }
        self.seen.lock().unwrap().clear();
        for name in NAMES {
            let namespace = if name == "admin" { "/admin" } else { "/" };
            for (port, clients) in [(self.port, &mut self.rust), (self.node.port(), &mut self.js)] {
                let client = host.connect(port, &Connect::to(namespace)).await?;
                client.reply("e", json!(["answer"])).await?;
                clients.push(client);
            }
        }
        // Those that have left are out of the way, and the new ones are there.
        let none = ["own 1", "own 2", "other 1", "other 2"].map(|name| (name.to_owned(), json!([])));
        self.rooms_become(Actor::Js, &none.into()).await?;
        self.reset().await
    }

    /// The first sockets of both servers are in the rooms `a` and 42, the second in `b`, `c` and
    /// "42".
    pub(crate) async fn reset(&self) -> Result {
        self.node.call("socketsLeave", json!({ "leave": ["a", "b", "c", 42, "42"] })).await?;
        for (index, rooms) in [json!(["a", 42]), json!(["b", "c", "42"])].into_iter().enumerate() {
            for client in [&self.rust[index], &self.js[index]] {
                self.node.call("socketsJoin", json!({ "rooms": [client.id()], "join": rooms })).await?;
            }
        }
        // Rust answers when it has handled the messages before.
        self.rooms(Actor::Js).await.map(drop)
    }

    /// The first socket of the Rust server.
    pub(crate) fn socket(&self) -> SocketRef<Adapter> {
        self.io.get_socket(self.rust[0].id().parse().unwrap()).expect("it is connected")
    }

    /// The clients by their names, when this server acts.
    pub(crate) fn clients(&self, actor: Actor) -> impl Iterator<Item = (String, &Client)> {
        let (own, other) = if actor == Actor::Rust { (&self.rust, &self.js) } else { (&self.js, &self.rust) };
        let named = |whose: &'static str, clients| {
            std::iter::zip(NAMES, clients).map(move |(name, client)| (format!("{whose} {name}"), client))
        };
        named("own", own).chain(named("other", other))
    }

    /// Makes Node.js carry out an op on the event `e` with the data `text`, and returns its answer,
    /// and what clients got.
    pub(crate) async fn node_emits(&self, op: &str, mut command: Value) -> Result<(Value, ByClient)> {
        command["event"] = json!("e");
        command["args"] = json!(["text"]);
        let answer = self.node.call(op, command).await?;
        Ok((answer, self.got(Actor::Js).await?))
    }

    /// Clients got the same from Rust.
    pub(crate) async fn same(&self, by_node: ByClient) -> Result {
        assert!(by_node.values().any(|events| *events != json!([])), "a client gets something");
        assert_eq!(self.got(Actor::Rust).await?, by_node, "by Rust, by Node.js");
        Ok(())
    }

    /// What each client got of the event `e` since the last look. The messages of a server keep
    /// their order, so that all of them are there when the last one is.
    async fn got(&self, actor: Actor) -> Result<ByClient> {
        for namespace in ["/", "/admin"] {
            match actor {
                Actor::Rust => self.cluster.of(namespace).emit("end", "end").await?,
                Actor::Js => drop(self.node.call("emit", json!({ "nsp": namespace, "event": "end" })).await?),
            }
        }
        let mut got = ByClient::new();
        for (name, client) in self.clients(actor) {
            client.wait_for_packet("end").await?;
            let received = client.received().await?;
            let seen = self.seen.lock().unwrap().insert(client.id().to_owned(), received.len()).unwrap_or_default();
            let events = received.iter().skip(seen).filter(|packet| packet.event == "e");
            got.insert(name, events.map(|packet| json!(packet.args)).collect());
        }
        Ok(got)
    }

    /// The rooms of each socket in `/`, as Node.js says, the room of its own id left out.
    pub(crate) async fn rooms(&self, actor: Actor) -> Result<ByClient> {
        let found = self.node.call("fetchSockets", json!({})).await?;
        let mut by_client = ByClient::new();
        for socket in found.as_array().into_iter().flatten() {
            let name = self.clients(actor).find(|(_, client)| socket["id"] == client.id()).map(|(name, _)| name);
            let rooms = socket["rooms"].as_array().into_iter().flatten().filter(|room| **room != socket["id"]);
            let mut rooms: Vec<_> = rooms.cloned().collect();
            rooms.sort_by_key(Value::to_string);
            by_client.insert(name.unwrap_or_else(|| socket["id"].to_string()), rooms.into());
        }
        Ok(by_client)
    }

    /// Rust has done to the rooms what Node.js did. Node.js may answer before it has heard of it.
    pub(crate) async fn same_rooms(&self, by_node: &ByClient) -> Result {
        self.rooms_become(Actor::Rust, by_node).await
    }

    async fn rooms_become(&self, actor: Actor, expected: &ByClient) -> Result {
        let deadline = tokio::time::Instant::now() + time_limit();
        loop {
            let rooms = self.rooms(actor).await?;
            if rooms == *expected {
                return Ok(());
            }
            assert!(tokio::time::Instant::now() < deadline, "the rooms are {rooms:?}, and not {expected:?}");
        }
    }

    /// Waits until something holds that is not reported.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + time_limit();
        while !holds() {
            assert!(tokio::time::Instant::now() < deadline, "it still does not hold that {what}");
            sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn close(self) -> Result {
        connecting::close(&self.io, &self.cluster).await;
        self.serving.abort();
        self.node.wait_for_server_count("/", 1).await?;
        Ok(self.node.close().await?)
    }
}
