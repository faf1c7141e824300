//! The role `server`: a Socket.IO server with its clients, on any backend. `operations` carries out
//! the commands.

use std::{collections::HashSet, convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{Router, extract::ConnectInfo, serve::ListenerExt};
use parking_lot::Mutex;
use serde_json::json;
use socketio_pg_core::{Cluster, PostgresAdapter, backend::Backend, record_handshake};
use socketioxide::{
    ParserConfig, SocketIo,
    adapter::{Adapter, Emitter},
    extract::SocketRef,
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

use crate::{
    arguments::Arguments,
    commands::{self, say},
    crowd,
    operations::Node,
    options::{Options, Parser},
};

/// Serves until the end of input, then leaves the cluster.
pub(crate) async fn run<B: Backend>(cluster: Cluster<B>, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let events = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(record(cluster.events(), events.clone()));

    // As README shows it, except for the parser: `tests/shown.rs` compares the two.
    let builder = SocketIo::builder().max_buffer_size(10_000).max_payload(1_000_000);
    let builder = match options.parser {
        Parser::Common => builder.with_parser(ParserConfig::common()),
        Parser::Msgpack => builder.with_parser(ParserConfig::msgpack()),
    };
    let (layer, io) = builder.with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
    cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    for namespace in &options.namespaces {
        report_server_side(&cluster, namespace);
        io.ns(namespace.clone(), on_connect.with(record_handshake).with(crowd::serve)).await?;
    }
    let reported: Arc<Mutex<HashSet<String>>> = Arc::default();
    for pattern in &options.dynamic_namespaces {
        let (cluster, reported) = (cluster.clone(), reported.clone());
        // A dynamic namespace is created with its first client: its events are reported before that
        // client is.
        let report = move |socket: SocketRef<PostgresAdapter<Emitter, B>>| {
            if reported.lock().insert(socket.ns().to_owned()) {
                report_server_side(&cluster, socket.ns());
            }
            std::future::ready(Ok::<_, Infallible>(()))
        };
        io.dyn_ns(pattern.clone(), on_connect.with(record_handshake).with(crowd::serve).with(report))?;
    }

    if let Some(options) = options.admin()? {
        socketio_pg_admin_ui::instrument(&io, &cluster, options).await?;
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let app = Router::new().layer(layer);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let uid = options.namespaces.first().and_then(|namespace| cluster.of(namespace).uid());
    say(&json!({ "ready": true, "port": port, "uid": uid }));
    let node = Arc::new(Node { io: io.clone(), cluster: cluster.clone(), events });
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let is_terminated = tokio::select! {
        served = commands::serve(|command| node.clone().carry_out(command)) => served.map(|()| false)?,
        _ = terminated.recv() => true,
    };
    io.close().await;
    cluster.close().await;
    if is_terminated {
        // Otherwise the runtime would wait for the next line of stdin.
        std::process::exit(0);
    }
    Ok(())
}

async fn on_connect<A: Adapter>(socket: SocketRef<A>) {
    socket.on_disconnect(async |socket: SocketRef<A>| {
        say(&json!({ "event": "disconnected", "nsp": socket.ns(), "socket": socket.id }));
    });
    // Last, so that the end of every reported connection is reported too.
    say(&json!({ "event": "connected", "nsp": socket.ns(), "socket": socket.id }));
}

/// Reports every event of another server.
pub(crate) fn report_server_side<B: Backend>(cluster: &Cluster<B>, namespace: &str) {
    let nsp = namespace.to_owned();
    cluster.of(namespace).on_any_server_side(move |name, args: Arguments| {
        // Printed here and not in the future, so that the lines are in the order of the events.
        say(&json!({ "event": "serverSide", "nsp": nsp, "name": name, "args": args.into_json() }));
        std::future::ready(())
    });
}

/// Keeps the adapter's events for the op that asks for them.
async fn record(mut events: socketio_pg_core::EventStream, log: Arc<Mutex<Vec<socketio_pg_core::Event>>>) {
    while let Some(event) = events.next().await {
        log.lock().push(event);
    }
}
