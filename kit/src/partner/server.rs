//! A Socket.IO server with its clients, on any backend. `operations` carries out the commands.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::{Future, Ready, ready},
    net::SocketAddr,
    sync::Arc,
};

use axum::{Router, extract::ConnectInfo, serve::ListenerExt};
use parking_lot::Mutex;
use serde_json::{Map, json};
use socketio_pg_core::{Cluster, PostgresAdapter, backend::Backend, protocol::value::Arguments, record_handshake};
use socketioxide::{
    ParserConfig, SocketIo,
    adapter::{Adapter, Emitter},
    extract::SocketRef,
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

use super::{
    arguments::arguments_to_json,
    commands::{self, Answer, say},
    operations::Node,
};
use crate::harness::Parser;

type Failure = Box<dyn std::error::Error>;

/// What a server is set up with.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// Patterns of namespaces that are created with their first client.
    pub dynamic_namespaces: Vec<String>,
    /// The parser of its clients.
    pub parser: Parser,
}

/// What a server can do besides.
pub trait Extension: Clone + Send + Sync + 'static {
    /// Is called for each new socket, before the socket may send.
    fn on_socket<A: Adapter>(&self, socket: &SocketRef<A>) {
        let _ = socket;
    }

    /// Is called once all namespaces are there.
    fn on_server<B: Backend>(
        &self,
        io: &SocketIo<PostgresAdapter<Emitter, B>>,
        cluster: &Cluster<B>,
    ) -> impl Future<Output = Result<(), Failure>> {
        let _ = (io, cluster);
        async { Ok(()) }
    }

    /// Carries out an op that is not one of all servers; `None` when it does not have it.
    fn carry_out(&self, op: &str) -> impl Future<Output = Option<Answer>> + Send {
        let _ = op;
        async { None }
    }
}

impl Extension for () {}

/// Serves until the end of input, then leaves the cluster.
///
/// # Errors
/// When it cannot be set up, or stdin cannot be read.
pub async fn run<B: Backend, E: Extension>(
    cluster: Cluster<B>,
    settings: &ServerSettings,
    extension: E,
) -> Result<(), Failure> {
    let events = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(record(cluster.events(), events.clone()));

    // As README shows it, except for the parser: `tests/shown.rs` compares the two.
    let builder = SocketIo::builder().max_buffer_size(10_000).max_payload(1_000_000);
    let builder = match settings.parser {
        Parser::Common => builder.with_parser(ParserConfig::common()),
        Parser::MsgPack => builder.with_parser(ParserConfig::msgpack()),
    };
    let (layer, io) = builder.with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
    cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    let extend = {
        let extension = extension.clone();
        move |socket: SocketRef<PostgresAdapter<Emitter, B>>| {
            extension.on_socket(&socket);
            ready(Ok::<_, Infallible>(()))
        }
    };
    for namespace in &settings.namespaces {
        report_server_side(&cluster, namespace);
        io.ns(namespace.clone(), on_connect.with(record_handshake).with(extend.clone())).await?;
    }
    let reported: Arc<Mutex<HashSet<String>>> = Arc::default();
    for pattern in &settings.dynamic_namespaces {
        let (cluster, reported) = (cluster.clone(), reported.clone());
        // A dynamic namespace is created with its first client: its events are reported before that
        // client is.
        let report = move |socket: SocketRef<PostgresAdapter<Emitter, B>>| {
            if reported.lock().insert(socket.ns().to_owned()) {
                report_server_side(&cluster, socket.ns());
            }
            ready(Ok::<_, Infallible>(()))
        };
        io.dyn_ns(pattern.clone(), on_connect.with(record_handshake).with(extend.clone()).with(report))?;
    }

    extension.on_server(&io, &cluster).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let app = Router::new().layer(layer);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let uid = settings.namespaces.first().and_then(|namespace| cluster.of(namespace).uid());
    let uids = settings.namespaces.iter().filter_map(|nsp| Some((nsp.clone(), json!(cluster.of(nsp).uid()?))));
    say(&json!({ "ready": true, "port": port, "uid": uid, "uids": uids.collect::<Map<_, _>>() }));
    let node = Arc::new(Node { io: io.clone(), cluster: cluster.clone(), events, extension });
    let is_terminated = tokio::select! {
        served = commands::serve(|command| node.clone().carry_out(command)) => served.map(|()| false)?,
        terminated = terminated() => terminated.map(|()| true)?,
    };
    io.close().await;
    cluster.close().await;
    if is_terminated {
        // Otherwise the runtime would wait for the next line of stdin.
        std::process::exit(0);
    }
    Ok(())
}

/// Returns at SIGTERM, which Windows does not have.
async fn terminated() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate())?.recv().await;
        Ok(())
    }
    #[cfg(not(unix))]
    std::future::pending().await
}

fn on_connect<A: Adapter>(socket: SocketRef<A>) -> Ready<()> {
    socket.on_disconnect(async |socket: SocketRef<A>| {
        say(&json!({ "event": "disconnected", "nsp": socket.ns(), "socket": socket.id }));
    });
    // Last, so that the end of every reported connection is reported too.
    say(&json!({ "event": "connected", "nsp": socket.ns(), "socket": socket.id }));
    ready(())
}

/// Reports every event of another server.
fn report_server_side<B: Backend>(cluster: &Cluster<B>, namespace: &str) {
    let nsp = namespace.to_owned();
    cluster.of(namespace).on_any_server_side(move |name, args: Arguments| {
        // Printed here and not in the future, so that the lines are in the order of the events.
        say(&json!({ "event": "serverSide", "nsp": nsp, "name": name, "args": arguments_to_json(&args) }));
        ready(())
    });
}

/// Keeps the adapter's events for the op that asks for them.
async fn record(mut events: socketio_pg_core::EventStream, log: Arc<Mutex<Vec<socketio_pg_core::Event>>>) {
    while let Some(event) = events.next().await {
        log.lock().push(event);
    }
}
