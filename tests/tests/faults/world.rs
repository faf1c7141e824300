//! Where a fault strikes: two Rust nodes, one of them behind a network that can fail, and a Node node.

use crate::fault::{Fault, Result};
use serde_json::{Value, json};
use socketio_pg_core::table::schema_sql;
use socketio_pg_tests::{Client, ClientHost, Connect, DEADLINE, Kind, Member, Node, NodeOptions, Proxy, Speaks};
use socketio_pg_throwaway::{Database, Server};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// The nodes by index.
pub(crate) const FAR: usize = 0;
pub(crate) const NEAR: usize = 1;
pub(crate) const NODE: usize = 2;
pub(crate) const NAMES: [&str; 3] = ["the Rust node behind the proxy", "the other Rust node", "the Node node"];

/// A throw-away cluster.
pub(crate) struct World {
    /// Those of Rust are [`FAR`], behind the proxy, and [`NEAR`].
    pub(crate) nodes: [Arc<Node>; 3],
    /// One of each node.
    pub(crate) clients: [Arc<Client>; 3],
    pub(crate) proxy: Proxy,
    pub(crate) host: Arc<ClientHost>,
    pub(crate) rust: Kind,
    pub(crate) options: NodeOptions,
    pub(crate) database: Arc<Database>,
    pub(crate) server: Arc<Server>,
    memory_before: [u64; 2],
}

impl World {
    pub(crate) async fn start(
        fault: &Fault,
        backend: &str,
        host: Arc<ClientHost>,
        shared: Arc<Server>,
    ) -> Result<Self> {
        let settings = fault.server;
        let (server, database) = tokio::task::spawn_blocking(move || {
            let server = match settings {
                Some(settings) => Arc::new(settings(Server::builder()).start()?),
                None => shared,
            };
            let database = server.create_database()?;
            Ok::<_, crate::fault::Failure>((server, database))
        })
        .await??;
        // Nodes are no superusers: rights can be taken from them, and the last connections are not for them.
        let role = format!("{}_app", database.name());
        let table = schema_sql("socket_io_attachments")?;
        let statements = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'right'; {table};
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
        );
        let database = Arc::new(database);
        execute(&database, &statements).await?;
        let port = server.port().ok_or("these tests need a private server")?;
        let proxy = Proxy::start(port)?;
        let url = database.url().replace("postgres@", &format!("{role}:right@"));

        let options = NodeOptions::new(&url)
            .heartbeat_interval(Duration::from_millis(200))
            // Long enough for a busy machine to give everybody a turn: who is only slow must not seem gone.
            .heartbeat_timeout(Duration::from_secs(3))
            .check_interval(Duration::from_secs(1))
            // Long enough for a busy machine to log in: passwords cost time.
            .query_timeout(Duration::from_secs(3))
            .pool_size(10);
        let options = (fault.options)(options);
        let rust =
            Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() };
        let far = options.clone().at(proxy.before(&url));
        let (far, near, node) =
            tokio::try_join!(start(&rust, &far), start(&rust, &options), start(&Kind::NodeServer, &options))?;
        let nodes = [far, near, node].map(Arc::new);
        for node in &nodes {
            node.wait_for_server_count("/", 3).await?;
        }
        let how = Connect::default();
        let connect = |node: &Node| host.connect(node.port(), &how);
        let (far, near, node) = tokio::try_join!(connect(&nodes[FAR]), connect(&nodes[NEAR]), connect(&nodes[NODE]))?;
        let memory_before = [nodes[FAR].memory(), nodes[NEAR].memory()];
        let clients = [far, near, node].map(Arc::new);
        Ok(Self { nodes, clients, proxy, host, rust, options, database, server, memory_before })
    }

    /// Runs SQL as the superuser, not through the proxy.
    pub(crate) async fn sql(&self, statements: &str) -> Result<Option<String>> {
        execute(&self.database, statements).await
    }

    /// As [`sql`](Self::sql), asked again until it holds.
    pub(crate) async fn until(&self, what: &str, statement: &str, expected: &str) -> Result {
        let started = Instant::now();
        loop {
            let found = self.sql(statement).await?;
            if found.as_deref() == Some(expected) {
                return Ok(());
            }
            if started.elapsed() > DEADLINE {
                return Err(format!("it does not come to be that {what}: {found:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a Rust node has told that it was deaf, once more than so many times.
    pub(crate) async fn wait_for_gap(&self, index: usize, gaps_before: usize) -> Result {
        let started = Instant::now();
        while self.nodes[index].gaps().await?.len() <= gaps_before {
            if started.elapsed() > DEADLINE {
                let events = self.nodes[index].call("events", Value::Null).await?;
                return Err(format!("{} tells of no gap: {events}", NAMES[index]).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The kinds of events that a Rust node has told, each once.
    pub(crate) async fn told(&self, index: usize) -> Result<Vec<String>> {
        let events: Vec<String> = serde_json::from_value(self.nodes[index].call("events", Value::Null).await?)?;
        let mut kinds: Vec<String> = Vec::new();
        for event in events {
            let kind: String = event.chars().take_while(|c| c.is_alphanumeric()).collect();
            // A poisoned message says of which kind.
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

    /// By how many MiB the Rust nodes have grown, the larger of the two.
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
            speaks: if index == NODE { Speaks::Node } else { Speaks::Rust },
        };
        [FAR, NEAR, NODE].map(member).into()
    }

    pub(crate) async fn emit(&self, index: usize, event: &str, args: Value) -> Result {
        self.nodes[index].call("emit", json!({ "event": event, "args": args })).await?;
        Ok(())
    }
}

/// A node gives up when it cannot connect in 10 s, which it can on any machine that has nothing else to do.
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

async fn execute(database: &Arc<Database>, statements: &str) -> Result<Option<String>> {
    let (database, statements) = (database.clone(), statements.to_owned());
    Ok(tokio::task::spawn_blocking(move || database.execute(&statements)).await??)
}
