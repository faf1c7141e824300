//! The cluster of a case: two Rust nodes, one of them behind a network that can fail, and a
//! Node.js node.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use socketio_pg_core::backend::table::{DEFAULT_LOG, log_schema_sql, schema_sql};
use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{
    Client, ClientHost, Connect, Kind, Member, Node, NodeOptions, Proxy, Speaks,
    fault::{Place, execute},
    time_limit,
};
use socketio_pg_throwaway::{Database, Server};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::{
    case::{Case, Result, Route},
    pooler::{Mode, Pooler},
};

/// The nodes by index.
pub(crate) const FAR: usize = 0;
pub(crate) const NEAR: usize = 1;
pub(crate) const NODE: usize = 2;
pub(crate) const NAMES: [&str; 3] = ["the Rust node behind the proxy", "the other Rust node", "the Node node"];

/// A PostgreSQL server, a database, and the nodes on it.
pub(crate) struct Cluster {
    /// The Rust nodes are [`FAR`], behind the proxy, and [`NEAR`].
    pub(crate) nodes: [Arc<Node>; 3],
    /// One of each node.
    pub(crate) clients: [Arc<Client>; 3],
    pub(crate) proxy: Proxy,
    pub(crate) host: Arc<ClientHost>,
    pub(crate) rust: Kind,
    pub(crate) options: NodeOptions,
    pub(crate) database: Arc<Database>,
    pub(crate) server: Arc<Server>,
    /// The standby of the server, if there is one.
    pub(crate) standby: Option<Arc<Server>>,
    /// The pooler before the server, if there is one.
    pub(crate) pooler: Option<Pooler>,
    speaks: Speaks,
    _silent_host: Option<SilentHost>,
    memory_before: [u64; 2],
}

impl Cluster {
    pub(crate) async fn start(case: &Case, backend: &str, host: Arc<ClientHost>, shared: Arc<Server>) -> Result<Self> {
        let (server, standby) = server(case, shared).await?;
        let (database, role) = database(case, &server).await?;
        let port = server.port().ok_or("these tests need a private server")?;
        let proxy = Proxy::start(port)?;
        let url = database.url().replace("postgres@", &format!("{role}:right@"));

        let options = (case.options)(options(&url));
        let options = if case.has_log { options.catch_up(Duration::from_secs(300)) } else { options };
        let rust =
            Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() };
        let by_proxy = proxy.before(&url);
        let silent_host = if case.route == Route::SilentHostFirst { Some(SilentHost::start().await?) } else { None };
        let pooler = match case.route {
            Route::TransactionPooler => Some(Pooler::start(Mode::Transaction, port, &url).await?),
            Route::SessionPooler => Some(Pooler::start(Mode::Session, port, &url).await?),
            Route::OneByProxy | Route::AllByProxy | Route::SilentHostFirst => None,
        };
        let options = if case.route == Route::AllByProxy { options.at(&by_proxy) } else { options };
        let far = match (&silent_host, &pooler) {
            (Some(silent), _) => options.clone().at(silent.first_in(&url)),
            (None, Some(pooler)) if case.route == Route::TransactionPooler => {
                options.clone().at(pooler.url()).listen_url(&by_proxy)
            }
            (None, Some(pooler)) => options.clone().at(pooler.url()),
            (None, None) => options.clone().at(by_proxy),
        };
        let (far, of_node) = ((case.far_options)(far), (case.nodes_options)(options.clone()));
        let (far, near, node) =
            tokio::try_join!(start(&rust, &far), start(&rust, &options), start(&Kind::NodeServer, &of_node))?;
        let nodes = [far, near, node].map(Arc::new);
        for node in &nodes {
            node.wait_for_server_count("/", 3).await?;
        }
        let how = Connect::default();
        let connect = |node: &Node| host.connect(node.port(), &how);
        let (far, near, node) = tokio::try_join!(connect(&nodes[FAR]), connect(&nodes[NEAR]), connect(&nodes[NODE]))?;
        let memory_before = [nodes[FAR].memory(), nodes[NEAR].memory()];
        let clients = [far, near, node].map(Arc::new);
        Ok(Self {
            nodes,
            clients,
            proxy,
            host,
            rust,
            options,
            database,
            server,
            standby,
            pooler,
            speaks: if case.has_log { Speaks::RustWithLog } else { Speaks::Rust },
            _silent_host: silent_host,
            memory_before,
        })
    }

    /// Runs SQL as the superuser, not through the proxy.
    pub(crate) async fn sql(&self, statements: &str) -> Result<Option<String>> {
        self.place().sql(statements).await
    }

    /// Where the faults of the catalogue occur.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { server: &self.server, database: &self.database, proxy: &self.proxy, node: (&self.rust, &self.options) }
    }

    /// As [`sql`](Self::sql), asked again until it holds.
    pub(crate) async fn until(&self, what: &str, statement: &str, expected: &str) -> Result {
        let started = Instant::now();
        loop {
            let found = self.sql(statement).await?;
            if found.as_deref() == Some(expected) {
                return Ok(());
            }
            if started.elapsed() > time_limit() {
                return Err(format!("it does not come to be that {what}: {found:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a Rust node has reported more than this many gaps.
    pub(crate) async fn wait_for_gap(&self, index: usize, gaps_before: usize) -> Result {
        let started = Instant::now();
        while self.nodes[index].gaps().await?.len() <= gaps_before {
            if started.elapsed() > time_limit() {
                let events = self.nodes[index].call("events", Value::Null).await?;
                return Err(format!("{} tells of no gap: {events}", NAMES[index]).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The kinds of events that a Rust node has reported, each once.
    pub(crate) async fn told(&self, index: usize) -> Result<Vec<String>> {
        let events: Vec<String> = serde_json::from_value(self.nodes[index].call("events", Value::Null).await?)?;
        let mut kinds: Vec<String> = Vec::new();
        for event in events {
            let kind: String = event.chars().take_while(|c| c.is_alphanumeric()).collect();
            // A rejected message has a kind of its own.
            let kind = match event.split_once("kind: ") {
                Some((_, rest)) => rest.chars().take_while(|c| c.is_alphanumeric()).collect(),
                None => kind,
            };
            if kind != "NodeJoined" && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    /// Whether it has taken the other Rust node for dead.
    pub(crate) async fn has_lost_the_other(&self, index: usize) -> Result<bool> {
        let events: Vec<String> = serde_json::from_value(self.nodes[index].call("events", Value::Null).await?)?;
        let other = self.nodes[if index == FAR { NEAR } else { FAR }].uid();
        Ok(events.iter().any(|event| event.starts_with("NodeLeft") && event.contains(&other)))
    }

    /// By how many MiB the memory of the Rust nodes has grown, the larger of the two.
    pub(crate) fn growth(&self) -> u64 {
        let now = [self.nodes[FAR].memory(), self.nodes[NEAR].memory()];
        let growth = now.iter().zip(self.memory_before).map(|(now, before)| now.saturating_sub(before));
        growth.max().unwrap_or_default() / 1024
    }

    /// The nodes, each with its client.
    pub(crate) fn members(&self) -> Vec<Member> {
        let member = |index: usize| Member {
            name: NAMES[index].to_owned(),
            node: self.nodes[index].clone(),
            client: self.clients[index].clone(),
            speaks: if index == NODE { Speaks::Node } else { self.speaks },
        };
        [FAR, NEAR, NODE].map(member).into()
    }

    pub(crate) async fn emit(&self, index: usize, event: &str, args: Value) -> Result {
        self.nodes[index].call("emit", json!({ "event": event, "args": args })).await?;
        Ok(())
    }
}

/// The server of a case, and its standby if it has one.
async fn server(case: &Case, shared: Arc<Server>) -> Result<(Arc<Server>, Option<Arc<Server>>)> {
    let (settings, has_standby) = (case.server, case.has_standby);
    tokio::task::spawn_blocking(move || {
        Ok(match settings.map(|settings| settings(Server::builder())) {
            Some(builder) if has_standby => {
                let (server, standby) = builder.start_with_standby()?;
                (Arc::new(server), Some(Arc::new(standby)))
            }
            Some(builder) => (Arc::new(builder.start()?), None),
            None => (shared, None),
        })
    })
    .await?
}

/// A database with the tables, and the role of the nodes.
async fn database(case: &Case, server: &Arc<Server>) -> Result<(Arc<Database>, String)> {
    let server = server.clone();
    let database = Arc::new(tokio::task::spawn_blocking(move || server.create_database()).await??);
    // Nodes are not superusers: rights can be revoked, and the reserved connections are not for
    // them.
    let role = format!("{}_app", database.name());
    let table = schema_sql("socket_io_attachments")?;
    let log = if case.has_log { log_schema_sql(DEFAULT_LOG)? } else { String::new() };
    let setting = case.role_setting.map(|setting| format!("; ALTER ROLE {role} SET {setting}")).unwrap_or_default();
    let statements = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'right'; {table}; {log};
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}{setting};
         {}",
        (case.setup)()
    );
    execute(&database, &statements).await?;
    Ok((database, role))
}

/// The options of all nodes, before the case changes them.
fn options(url: &str) -> NodeOptions {
    NodeOptions::new(url)
        .heartbeat_interval(Duration::from_millis(200))
        // Long enough for a busy machine: a node that is only slow must not count as dead.
        .heartbeat_timeout(Duration::from_secs(3))
        .check_interval(Duration::from_secs(1))
        // Long enough for a login on a busy machine: checking passwords takes time.
        .query_timeout(Duration::from_secs(3))
        .pool_size(10)
}

/// A host that neither accepts nor refuses connections, as if it were switched off.
struct SilentHost {
    port: u16,
    _listener: TcpListener,
    queued: Vec<JoinHandle<()>>,
}

impl SilentHost {
    async fn start() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        // The listener never accepts, so the system stops answering once its queue is full.
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let queued = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    let _held = TcpStream::connect(address).await;
                    std::future::pending().await
                })
            })
            .collect();
        let started = Instant::now();
        while tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await.is_ok() {
            if started.elapsed() > time_limit() {
                return Err("the system goes on taking connections though the listener accepts none".into());
            }
        }
        Ok(Self { port: address.port(), _listener: listener, queued })
    }

    /// The URL with this host before its own. Each gets 2 s.
    fn first_in(&self, url: &str) -> String {
        url.replace("@127.0.0.1:", &format!("@127.0.0.1:{},127.0.0.1:", self.port)) + "?connect_timeout=2"
    }
}

impl Drop for SilentHost {
    fn drop(&mut self) {
        self.queued.iter().for_each(JoinHandle::abort);
    }
}

/// A node gives up when it cannot connect in 10 s, which is enough on a machine without other load.
async fn start(kind: &Kind, options: &NodeOptions) -> Result<Node> {
    let mut attempts = 1;
    loop {
        match Node::start(kind, options).await {
            Err(error) if attempts == 3 => return Err(error.into()),
            Err(_) => attempts += 1,
            Ok(node) => return Ok(node),
        }
    }
}
