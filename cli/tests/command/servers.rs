//! A cluster of two Rust servers and one of Node.js, with a client on each.

use std::{net::Ipv4Addr, sync::Arc};

use serde_json::json;
use socketio_pg_core::{Cluster, ConnectError, Options, PostgresAdapter, backend::Backend, record_handshake};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{Client, ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{
    SocketIo,
    adapter::Emitter,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

/// A server in this process.
pub(crate) struct RustServer<B: Backend> {
    pub(crate) cluster: Cluster<B>,
    pub(crate) port: u16,
}

/// What clients of a Rust server can ask of it.
async fn on_connect<B: Backend>(socket: SocketRef<PostgresAdapter<Emitter, B>>) {
    socket.on("ping", async |ack: AckSender<PostgresAdapter<Emitter, B>>| {
        let _ = ack.send("pong");
    });
}

impl<B: Backend> RustServer<B> {
    pub(crate) async fn start(url: &str, options: Options) -> Self
    where
        String: TryInto<B>,
        <String as TryInto<B>>::Error: Into<ConnectError>,
    {
        let cluster = Cluster::<B>::connect(url.to_owned(), options).await.unwrap();
        let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_, B>>(cluster.clone()).build_layer();
        cluster.attach(&io);
        for namespace in ["/", "/chat"] {
            io.ns(namespace, on_connect::<B>.with(record_handshake)).await.unwrap();
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
        Self { cluster, port }
    }
}

/// Three servers that know each other, with a client on each.
pub(crate) struct Servers {
    pub(crate) tokio_postgres: RustServer<TokioPostgresBackend>,
    pub(crate) diesel: RustServer<DieselBackend>,
    pub(crate) node: Node,
    /// In the order of the fields above.
    pub(crate) clients: [Client; 3],
    database: Arc<Database>,
}

impl Servers {
    /// `None` when a tool is missing on the machine, which is then reported.
    pub(crate) async fn start() -> Option<Self> {
        let database = require(&NODE).then(database).flatten()?;
        let url = database.url();
        let node = Node::start(&Kind::NodeServer, &NodeOptions::new(&url)).await.unwrap();
        let tokio_postgres = RustServer::start(&url, Options::default().node_name("web-1")).await;
        let diesel = RustServer::start(&url, Options::default().node_name("web-2")).await;
        node.wait_for_server_count("/", 3).await.unwrap();
        let host = ClientHost::shared().await.unwrap();
        let connect = async |port| host.connect(port, &Connect::default()).await.unwrap();
        let clients = [connect(tokio_postgres.port).await, connect(diesel.port).await, connect(node.port()).await];
        let join = json!({ "rooms": [clients[0].id()], "join": ["orders"] });
        node.call("socketsJoin", join).await.unwrap();
        Some(Self { tokio_postgres, diesel, node, clients, database: Arc::new(database) })
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    /// Lets all servers leave.
    pub(crate) async fn close(self) {
        self.tokio_postgres.cluster.close().await;
        self.diesel.cluster.close().await;
        self.node.close().await.unwrap();
    }
}
