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
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

/// A server in this process.
pub(crate) struct RustServer<B: Backend> {
    pub(crate) cluster: Cluster<B>,
    pub(crate) io: SocketIo<PostgresAdapter<Emitter, B>>,
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
        Self { cluster, io, port }
    }
}

/// A server that can hang: it has the one thread of its runtime to itself.
pub(crate) struct HangingServer {
    commands: mpsc::UnboundedSender<Command>,
    closed: oneshot::Receiver<()>,
}

enum Command {
    /// Does nothing else until the sender is dropped.
    Hang(std::sync::mpsc::Receiver<()>),
    Close,
}

/// A server that hangs until this is dropped.
#[must_use]
pub(crate) struct Hang(#[allow(dead_code, reason = "dropping it is what counts")] std::sync::mpsc::Sender<()>);

impl HangingServer {
    pub(crate) async fn start(url: &str, options: Options) -> Self {
        let (commands, mut taken) = mpsc::unbounded_channel();
        let (close, closed) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let url = url.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = RustServer::<TokioPostgresBackend>::start(&url, options).await;
                let _ = ready.send(());
                while let Some(command) = taken.recv().await {
                    match command {
                        // On purpose, this blocks the thread of all tasks.
                        Command::Hang(until) => drop(until.recv()),
                        Command::Close => break,
                    }
                }
                server.cluster.close().await;
                let _ = close.send(());
            });
        });
        is_ready.await.unwrap();
        Self { commands, closed }
    }

    pub(crate) fn hang(&self) -> Hang {
        let (hang, until) = std::sync::mpsc::channel();
        self.commands.send(Command::Hang(until)).unwrap_or_else(|_| panic!("the server has ended"));
        Hang(hang)
    }

    /// Lets it leave.
    pub(crate) async fn close(self) {
        let _ = self.commands.send(Command::Close);
        self.closed.await.unwrap();
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
