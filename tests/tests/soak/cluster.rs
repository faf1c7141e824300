//! The cluster of a soak.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use socketio_pg_core::backend::table::{log_schema_sql, schema_sql};
use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{
    ClientHost, Connect, Error, Kind, Member, Node, NodeOptions, Proxy, Speaks, Told,
    fault::{Place, execute},
};
use socketio_pg_throwaway::{Database, Server};

use crate::Result;

/// The backend of each Rust node, whether it keeps the log, and whether it is behind the proxy.
const RUST: [(&str, bool, bool); 4] = [
    ("tokio-postgres", false, true),
    ("diesel", false, false),
    ("tokio-postgres", true, false),
    ("diesel", true, true),
];
/// The index of the Node.js node: after the Rust nodes.
const NODE: usize = RUST.len();

const TABLE: &str = "socket_io_attachments";
const LOG: &str = "socket_io_log";

pub(crate) struct Cluster {
    server: Arc<Server>,
    database: Arc<Database>,
    proxy: Proxy,
    options: NodeOptions,
    pub(crate) nodes: Vec<Arc<Node>>,
}

impl Cluster {
    pub(crate) async fn start() -> Result<Self> {
        let (server, database) = tokio::task::spawn_blocking(|| {
            let server = Server::builder().start()?;
            let database = server.create_database()?;
            Ok::<_, crate::Failure>((Arc::new(server), Arc::new(database)))
        })
        .await??;
        let role = format!("{}_app", database.name());
        let (table, log) = (schema_sql(TABLE)?, log_schema_sql(LOG)?);
        let statements = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'right'; {table}; {log};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
        );
        execute(&database, &statements).await?;
        let proxy = Proxy::start(server.port().ok_or("a soak needs a private server")?)?;
        let url = database.url().replace("postgres@", &format!("{role}:right@"));
        let options = NodeOptions::new(&url)
            .heartbeat_interval(Duration::from_millis(500))
            .heartbeat_timeout(Duration::from_secs(5))
            .check_interval(Duration::from_secs(1))
            .query_timeout(Duration::from_secs(3))
            .pool_size(100);
        let mut nodes = Vec::new();
        for (backend, is_logged, is_far) in RUST {
            let mut options = options.clone();
            if is_logged {
                options = options.catch_up(Duration::from_secs(60));
            }
            if is_far {
                options = options.at(proxy.before(&url));
            }
            nodes.push(Arc::new(Node::start(&rust(backend), &options).await?));
        }
        nodes.push(Arc::new(Node::start(&Kind::NodeServer, &options).await?));
        let cluster = Self { server, database, proxy, options, nodes };
        for node in &cluster.nodes {
            node.wait_for_server_count("/", cluster.nodes.len()).await?;
        }
        Ok(cluster)
    }

    /// New clients of all nodes, and the process that hosts them.
    pub(crate) async fn members(&self) -> Result<(ClientHost, Vec<Member>)> {
        let host = ClientHost::start().await?;
        let mut members = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let client = Arc::new(host.connect(node.port(), &Connect::default()).await?);
            let speaks = match RUST.get(index) {
                Some((_, true, _)) => Speaks::RustWithLog,
                Some(_) => Speaks::Rust,
                None => Speaks::Node,
            };
            members.push(Member { name: name(index), node: node.clone(), client, speaks });
        }
        Ok((host, members))
    }

    /// Starts a new Node.js node in place of the present one.
    pub(crate) async fn renew_node(&mut self) -> Result {
        self.nodes[NODE].kill().await?;
        self.nodes[NODE] = Arc::new(Node::start(&Kind::NodeServer, &self.options).await?);
        for node in &self.nodes {
            node.wait_for_server_count("/", self.nodes.len()).await?;
        }
        Ok(())
    }

    pub(crate) fn is_rust(&self, index: usize) -> bool {
        index < NODE
    }

    /// The Rust nodes with their names.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (String, &Node)> {
        self.nodes[..NODE].iter().enumerate().map(|(index, node)| (name(index), &**node))
    }

    /// What each Rust node has reported so far about messages that it missed.
    pub(crate) async fn told(&self, members: &[Member]) -> Result<Vec<Told>> {
        let mut all = Vec::new();
        for member in members.iter().filter(|member| member.speaks != Speaks::Node) {
            let (rejected, dropped) = member.node.counts().await?;
            all.push(Told { gaps: member.node.gaps().await?, rejected, dropped });
        }
        Ok(all)
    }

    /// What a Rust node has reported since then.
    pub(crate) async fn told_since(&self, members: &[Member], to: usize, before: &[Told]) -> Result<Told> {
        let Some(before) = before.get(to) else { return Ok(Told::default()) };
        let (rejected, dropped) = members[to].node.counts().await?;
        let gaps = members[to].node.gaps().await?.split_off(before.gaps.len());
        Ok(Told { gaps, rejected: rejected - before.rejected, dropped: dropped - before.dropped })
    }

    /// Where the faults of the catalogue occur; `kind` is the node that may join.
    pub(crate) fn place<'a>(&'a self, kind: &'a Kind) -> Place<'a> {
        Place { server: &self.server, database: &self.database, proxy: &self.proxy, node: (kind, &self.options) }
    }

    /// Makes every node leave.
    pub(crate) async fn close(self) -> Result {
        for node in &self.nodes {
            node.close().await?;
        }
        Ok(())
    }
}

pub(crate) fn rust(backend: &str) -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() }
}

fn name(index: usize) -> String {
    let Some((backend, is_logged, is_far)) = RUST.get(index) else { return "the Node node".to_owned() };
    let log = if *is_logged { " with log" } else { "" };
    let far = if *is_far { " behind the proxy" } else { "" };
    format!("{backend}{log}{far}")
}

/// The results of requests.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    /// Requests that did not end: there must be none.
    pub(crate) hung: Vec<String>,
}

/// Sends all kinds of requests, until told to stop.
pub(crate) async fn ask(member: Member, ends: Arc<AtomicBool>) -> Asked {
    let questions: [(&str, Value); 5] = [
        ("emitWithAck", json!({ "event": "a question", "args": ["?"], "timeout": 2000 })),
        ("fetchSockets", json!({ "timeout": 2000 })),
        ("socketsJoin", json!({ "join": ["a room"] })),
        ("emit", json!({ "rooms": ["a room"], "event": "to a room", "args": [1, "x"] })),
        ("socketsLeave", json!({ "leave": ["a room"] })),
    ];
    let mut asked = Asked::default();
    while !ends.load(Ordering::Relaxed) {
        for (op, fields) in &questions {
            match member.node.call(op, fields.clone()).await {
                Ok(_) => asked.answered += 1,
                Err(Error::Refused { .. }) => asked.refused += 1,
                // Node.js waits without a limit for a connection of its pool.
                Err(_) if member.speaks == Speaks::Node => asked.refused += 1,
                Err(error) => asked.hung.push(format!("{op} at {}: {error}", member.name)),
            }
        }
        // The pause between requests, not a wait for something.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    asked
}
