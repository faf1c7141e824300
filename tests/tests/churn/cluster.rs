//! The servers: on both backends and on Node.js, each at a different distance to the database.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{Error, Kind, Node, NodeOptions, Proxy};
use socketio_pg_throwaway::{Database, Server};

use crate::{Result, names::PATTERN};

/// The backend of each server, none for Node.js, and the time of a round trip to the database in
/// ms.
const SLOTS: [(Option<&str>, u64); 5] =
    [(Some("tokio-postgres"), 2), (Some("diesel"), 0), (None, 2), (Some("tokio-postgres"), 10), (Some("diesel"), 10)];
/// By how many MiB a server's memory may have grown since its first round, when all clients have
/// left.
const GROWTH: u64 = 48;

pub(crate) struct Cluster {
    pub(crate) slots: Vec<Slot>,
    _proxies: Vec<Proxy>,
    // Dropped last: the servers are connected to it.
    _database: Arc<Database>,
}

/// A place for a server: when the server ends, another one takes the place.
pub(crate) struct Slot {
    pub(crate) name: String,
    kind: Kind,
    options: NodeOptions,
    now: Mutex<Running>,
}

struct Running {
    /// `None` while no server runs.
    node: Option<Arc<Node>>,
    /// The namespaces that it may have.
    holds: BTreeSet<String>,
    /// After its first round, in KiB.
    memory: Option<u64>,
}

impl Cluster {
    pub(crate) async fn start() -> Result<Self> {
        let (database, port) = tokio::task::spawn_blocking(|| {
            let server = Server::shared()?;
            let port = server.port().ok_or("churn needs a private server: unset DATABASE_URL")?;
            Ok::<_, crate::Failure>((Arc::new(server.create_database()?), port))
        })
        .await??;
        let (mut slots, mut proxies) = (Vec::new(), Vec::new());
        for (backend, milliseconds) in SLOTS {
            let proxy = Proxy::far(port, Duration::from_micros(milliseconds * 500))?;
            let options = NodeOptions::new(proxy.before(&database.url()))
                .heartbeat_interval(Duration::from_secs(1))
                // Long enough for a busy machine: a node that is only slow must not count as dead.
                .heartbeat_timeout(Duration::from_secs(6))
                .namespace("/")
                .dynamic_namespace(PATTERN.0, PATTERN.1);
            let kind = match backend {
                Some(backend) => Kind::RustServer {
                    program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")),
                    backend: backend.to_owned(),
                },
                None => Kind::NodeServer,
            };
            let name = format!("{} at {milliseconds} ms", backend.unwrap_or("Node"));
            slots.push(Slot { name, kind, options, now: Mutex::new(Running::none()) });
            proxies.push(proxy);
        }
        futures_util::future::try_join_all(slots.iter().map(Slot::start)).await?;
        let cluster = Self { slots, _proxies: proxies, _database: database };
        cluster.wait_for_all().await?;
        Ok(cluster)
    }

    /// Waits until all servers know each other.
    pub(crate) async fn wait_for_all(&self) -> Result {
        for slot in &self.slots {
            let node = slot.node().ok_or("all are running")?;
            node.wait_for_server_count("/", self.slots.len()).await?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) -> Result {
        for slot in &self.slots {
            slot.node().ok_or("all are running")?.close().await?;
        }
        Ok(())
    }
}

impl Running {
    fn none() -> Self {
        Self { node: None, holds: BTreeSet::from(["/".to_owned()]), memory: None }
    }
}

impl Slot {
    pub(crate) async fn start(&self) -> Result {
        let node = Node::start(&self.kind, &self.options).await?;
        self.now.lock().node = Some(Arc::new(node));
        Ok(())
    }

    /// Ends the server, with or without a close message.
    pub(crate) async fn stop(&self, with_a_word: bool) -> Result {
        let node = std::mem::replace(&mut *self.now.lock(), Running::none()).node.ok_or("it is running")?;
        if with_a_word {
            node.terminate().await?
        } else {
            node.kill().await?
        }
        Ok(())
    }

    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.now.lock().node.clone()
    }

    pub(crate) fn is_rust(&self) -> bool {
        matches!(self.kind, Kind::RustServer { .. })
    }

    /// Notes that a client connects there.
    pub(crate) fn enters(&self, nsp: &str) {
        self.now.lock().holds.insert(nsp.to_owned());
    }

    pub(crate) fn holds(&self, nsp: &str) -> bool {
        let now = self.now.lock();
        now.node.is_some() && now.holds.contains(nsp)
    }

    pub(crate) async fn call(&self, op: &str, nsp: &str, mut fields: Value) -> Result<Value, Error> {
        fields["nsp"] = json!(nsp);
        match self.node() {
            Some(node) => node.call(op, fields).await,
            None => Err(Error::Refused { text: "it does not run".to_owned() }),
        }
    }

    /// Deletes all namespaces but `/`, which only Rust servers can do.
    pub(crate) async fn forget(&self) -> Result {
        if !self.is_rust() {
            return Ok(());
        }
        let names = std::mem::replace(&mut self.now.lock().holds, BTreeSet::from(["/".to_owned()]));
        for name in names.into_iter().filter(|name| name != "/") {
            self.call("deleteNamespace", &name, json!({})).await?;
        }
        Ok(())
    }

    /// Reports too much memory, when all clients have left.
    pub(crate) fn grown(&self) -> Option<String> {
        let mut now = self.now.lock();
        let memory = now.node.as_ref()?.memory();
        let before = *now.memory.get_or_insert(memory);
        let growth = memory.saturating_sub(before) / 1024;
        (growth > GROWTH && self.is_rust())
            .then(|| format!("{} has grown by {growth} MiB, with no client left", self.name))
    }

    /// What the server has reported about its own losses.
    pub(crate) async fn told(&self) -> Result<(usize, u64, u64)> {
        let Some(node) = self.node().filter(|_| self.is_rust()) else { return Ok((0, 0, 0)) };
        let (rejected, dropped) = node.counts().await?;
        Ok((node.gaps().await?.len(), rejected, dropped))
    }
}
