//! The servers of a run, and clusters of node processes on them.

mod postgres;
mod process;
mod redis;
mod usage;

pub(crate) use postgres::Postgres;
pub(crate) use process::NodeProcess;
pub(crate) use usage::{Usage, cpu_seconds};

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use socketio_pg_tests::Proxy;

use crate::contender::{Contender, Ground};
use redis::Redis;

/// The servers of a run.
pub(crate) struct Arena {
    postgres: Postgres,
    redis: Option<Redis>,
    node: Option<PathBuf>,
}

/// What a cluster consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Node processes: the first sends, the others receive.
    pub(crate) nodes: usize,
    /// Namespaces of each.
    pub(crate) namespaces: usize,
    /// Sockets in each namespace of a receiving node.
    pub(crate) sockets: usize,
    /// Sockets in each namespace of the sending node.
    pub(crate) sender_sockets: usize,
    /// How long a round trip from a node to the server takes, besides the time that it takes on one
    /// machine.
    pub(crate) distance: Duration,
}

impl Shape {
    /// A node that sends and a node that receives, with one socket.
    pub(crate) const PAIR: Self =
        Self { nodes: 2, namespaces: 1, sockets: 1, sender_sockets: 0, distance: Duration::ZERO };
}

/// Node processes that know each other. They end when this is dropped.
pub(crate) struct Cluster {
    pub(crate) sender: NodeProcess,
    pub(crate) receivers: Vec<NodeProcess>,
    /// The way to a far server.
    _proxy: Option<Proxy>,
}

impl Arena {
    /// Starts the servers that the contenders need. A server that is missing is reported, and left
    /// out.
    pub(crate) fn open(contenders: &[Contender]) -> Result<Self, String> {
        let postgres = Postgres::start().map_err(|error| error.to_string())?;
        let wants = |ground| contenders.iter().any(|contender| contender.ground() == ground);
        let redis = wants(Ground::Redis).then(Redis::start).and_then(|redis| match redis {
            Ok(redis) => Some(redis),
            Err(error) => {
                eprintln!("SKIPPED: socketioxide-redis, for redis-server cannot be run ({error}): apt-get install redis-server");
                None
            }
        });
        let node = contenders.contains(&Contender::Node).then(node_script).and_then(|script| match script {
            Ok(script) => Some(script),
            Err(error) => {
                let tool = socketio_pg_tests::NODE;
                eprintln!("SKIPPED: Node, for {} is not there ({error}): {}", tool.name, tool.remedy);
                None
            }
        });
        Ok(Self { postgres, redis, node })
    }

    pub(crate) fn has(&self, contender: Contender) -> bool {
        match contender {
            Contender::Redis => self.redis.is_some(),
            Contender::Node => self.node.is_some(),
            _ => true,
        }
    }

    /// The versions on which the figures depend.
    pub(crate) fn versions(&self) -> Result<Vec<(&'static str, String)>, String> {
        let mut versions = vec![("PostgreSQL", self.postgres.version()?)];
        versions.extend(self.redis.as_ref().map(|redis| ("Redis", redis.version())));
        if self.node.is_some() {
            versions.push(("Node", node_version().map_err(|error| error.to_string())?));
        }
        Ok(versions)
    }

    /// Starts a cluster of a contender, in its own database, and returns once its nodes know each
    /// other.
    pub(crate) fn cluster(&self, contender: Contender, shape: Shape) -> Result<Cluster, String> {
        let url = match (contender.ground(), &self.redis) {
            (Ground::Redis, Some(redis)) => redis.url(),
            (Ground::Redis, None) => return Err("there is no redis-server".to_owned()),
            (Ground::Postgres, _) => self.postgres.fresh_database(contender)?,
        };
        self.cluster_at(contender, shape, &url)
    }

    /// Like [`cluster`](Self::cluster), in a given database.
    pub(crate) fn cluster_at(&self, contender: Contender, shape: Shape, url: &str) -> Result<Cluster, String> {
        let (proxy, url) = way(url, shape.distance)?;
        let spawn = |index: usize| {
            let sockets = if index == 0 { shape.sender_sockets } else { shape.sockets };
            NodeProcess::spawn(contender, self.node.as_deref(), &url, shape, sockets)
        };
        let mut nodes = (0..shape.nodes).map(spawn).collect::<Result<Vec<_>, _>>()?;
        nodes.iter_mut().try_for_each(NodeProcess::wait_until_ready)?;
        process::join(&mut nodes)?;
        let sender = nodes.remove(0);
        Ok(Cluster { sender, receivers: nodes, _proxy: proxy })
    }

    /// Processor time that a contender's server has used so far, in seconds, of all its processes
    /// together.
    pub(crate) fn server_cpu(&self, contender: Contender) -> f64 {
        match (contender.ground(), &self.redis) {
            (Ground::Redis, Some(redis)) => cpu_seconds(redis.pid()),
            _ => self.postgres.cpu_seconds(),
        }
    }
}

/// The URL that leads to a server over this distance, and the proxy on the way.
fn way(url: &str, distance: Duration) -> Result<(Option<Proxy>, String), String> {
    const HOST: &str = "127.0.0.1:";
    if distance.is_zero() {
        return Ok((None, url.to_owned()));
    }
    let (front, rest) = url.split_once(HOST).ok_or_else(|| format!("{url} does not lead to {HOST}"))?;
    let (port, rest) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len()));
    let port = port.parse().map_err(|_| format!("{url} has no port"))?;
    let proxy = Proxy::far(port, distance / 2).map_err(|error| error.to_string())?;
    let url = format!("{front}{HOST}{}{rest}", proxy.port());
    Ok((Some(proxy), url))
}

/// The script of a Node.js node, once its packages are installed.
fn node_script() -> io::Result<PathBuf> {
    node_version()?;
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    socketio_pg_tests::install(&bench.join("../tests/node"))?;
    Ok(bench.join("node/node.mjs"))
}

fn node_version() -> io::Result<String> {
    let output = std::process::Command::new("node").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
