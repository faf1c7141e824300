//! A chat server. Start several on one database, in Rust and in Node: they are one chat.
//!
//! `DATABASE_URL=postgres://… cargo run --example server -- 127.0.0.1:3000`; `/healthz` says whether it is ready.

use axum::{Json, Router, http::StatusCode, routing::get};
use socketio_pg_tokio_postgres::{Adapter, Cluster, Options};
use socketioxide::{
    SocketIo,
    adapter::Adapter as AnyAdapter,
    extract::{Data, SocketRef},
};

async fn on_connect<A: AnyAdapter>(socket: SocketRef<A>) {
    socket.join("chat");
    socket.on("message", async |socket: SocketRef<A>, Data::<String>(text)| {
        // To everyone in the room, whichever server they are on and whatever it is written in.
        if let Err(error) = socket.within("chat").emit("message", &text).await {
            eprintln!("not sent to the other servers: {error}");
        }
    });
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = std::env::var("DATABASE_URL")?;
    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<Adapter<_>>(cluster.clone()).build_layer();
    cluster.attach(&io);
    io.ns("/", on_connect).await?;

    let healthz = get(async move || {
        let health = cluster.health();
        let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(health))
    });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/healthz", healthz).layer(layer)).await?;
    Ok(())
}
