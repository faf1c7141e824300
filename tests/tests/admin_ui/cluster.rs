//! A cluster of two Rust and two Node.js servers, each with the Admin UI, and admins on each.

use std::path::PathBuf;

use serde_json::{Value, json};
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require};
use socketio_pg_throwaway::Database;

use crate::Result;

pub(crate) const NAMESPACES: [&str; 2] = ["/", "/chat"];

/// A server, and the name under which the page lists it.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) node: Node,
}

pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    pub(crate) clients: &'static ClientHost,
    pub(crate) options: NodeOptions,
    _database: Database,
}

pub(crate) fn rust(backend: &str) -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: backend.to_owned() }
}

/// The kinds of servers, by name.
pub(crate) fn kinds() -> [(&'static str, Kind); 4] {
    [
        ("node-1", Kind::NodeServer),
        ("node-2", Kind::NodeServer),
        ("rust-tokio-postgres", rust("tokio-postgres")),
        ("rust-diesel", rust("diesel")),
    ]
}

impl Cluster {
    /// Starts all servers with these options of the Admin UI. `None` when a tool is missing, which
    /// is then reported.
    pub(crate) async fn start(admin_ui: Value, adapt: impl Fn(NodeOptions) -> NodeOptions) -> Result<Option<Self>> {
        if !require(&NODE) {
            return Ok(None);
        }
        let Some(database) = database() else { return Ok(None) };
        let mut options = adapt(NodeOptions::new(database.url()));
        for namespace in NAMESPACES {
            options = options.namespace(namespace);
        }
        let mut cluster =
            Self { servers: Vec::new(), clients: ClientHost::shared().await?, options, _database: database };
        for (name, kind) in kinds() {
            let mut admin_ui = admin_ui.clone();
            admin_ui["serverId"] = json!(name);
            cluster.add(name, &kind, Some(admin_ui)).await?;
        }
        Ok(Some(cluster))
    }

    /// Adds a server, and waits until all know it.
    pub(crate) async fn add(&mut self, name: &'static str, kind: &Kind, admin_ui: Option<Value>) -> Result {
        let options = match admin_ui {
            Some(admin_ui) => self.options.clone().admin_ui(admin_ui),
            None => self.options.clone(),
        };
        self.servers.push(Server { name, node: Node::start(kind, &options).await? });
        for server in &self.servers {
            for namespace in NAMESPACES {
                server.node.wait_for_server_count(namespace, self.servers.len()).await?;
            }
        }
        Ok(())
    }

    pub(crate) fn server(&self, name: &str) -> &Server {
        self.servers.iter().find(|server| server.name == name).expect("there is such a server")
    }

    /// A client of a server.
    pub(crate) async fn client(&self, server: &Server, how: &Connect) -> Result<Client> {
        self.clients.connect(server.node.port(), how).await
    }

    /// An admin on a server, with the list of all sockets.
    pub(crate) async fn admin(&self, server: &Server, how: &Connect) -> Result<(Client, Vec<Value>)> {
        let admin = self.client(server, how).await?;
        let mut list = admin.wait_for_packet("all_sockets").await?;
        let list = list[0].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok((admin, list))
    }
}

/// An admin.
pub(crate) fn admin() -> Connect {
    Connect::to("/admin")
}
