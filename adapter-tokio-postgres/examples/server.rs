//! A chat server. Start several on one database, in Rust and in Node.js: together they are one
//! chat.
//!
//! `DATABASE_URL=postgres://… cargo run --example server -- 127.0.0.1:3000`, or `server-diesel`;
//! `/healthz` says whether the server is ready.

use std::{
    future::{Ready, ready},
    io::IsTerminal,
    net::SocketAddr,
};

use axum::{Json, Router, extract::ConnectInfo, http::StatusCode, routing::get, serve::ListenerExt};
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, record_handshake};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{Data, SocketRef},
    handler::ConnectHandler,
};
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

// Not async: an async handler begins after the client was told that it is connected, and may miss
// what the client sends at once.
fn on_connect<A: Adapter>(socket: SocketRef<A>) -> Ready<()> {
    socket.join("chat");
    socket.on("message", async |socket: SocketRef<A>, Data::<String>(text)| {
        // To all clients in the room, on every server, in Rust or Node.js.
        if let Err(error) = socket.within("chat").emit("message", &text).await {
            eprintln!("not sent to the other servers: {error}");
        }
    });
    ready(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // RUST_LOG=socketio_pg_core=debug shows more.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    // Without TCP_NODELAY, which Node.js sets, an event may wait for the client's acknowledgement
    // of the last: 40 ms.
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(10_000) // events that wait for one client; more are lost for it
        .max_payload(1_000_000) // what a client may send in one HTTP request: Node.js's limit
        .with_adapter::<PostgresAdapter<_>>(cluster.clone())
        .build_layer();
    // Other servers see how the clients of this one connected: from where, when, with which `auth`.
    cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    io.ns("/", on_connect.with(record_handshake)).await?;

    let node = cluster.clone();
    let healthz = get(async move || {
        let health = node.health();
        let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(health))
    });

    let app = Router::new().route("/healthz", healthz).layer(layer);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    // Until SIGTERM or Ctrl-C: then it leaves within 8 seconds, and requests of other servers do
    // not wait for it.
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    Ok(())
}
