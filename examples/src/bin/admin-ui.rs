//! Socket.IO's Admin UI: the server is listed in the page, and the page can connect to it.
//!
//! Start two on different ports. Then open <https://admin.socket.io>, and give it the URL of one,
//! `http://127.0.0.1:3000`, with "WebSocket only" and the user `admin`.
//!
//! `DATABASE_URL=postgres://… ADMIN_PASSWORD_HASH='$2y$…' cargo run -p socketio-pg-examples --bin admin-ui -- 127.0.0.1:3000`
//!
//! ```text
//! listening on http://127.0.0.1:3000
//! ```
//!
//! Settings that do not belong to this topic are in the server of README.md. On diesel, the name of
//! the crate is another: `socketio_pg_diesel`.

use std::{
    error::Error,
    future::{Ready, ready},
};

use axum::Router;
use socketio_pg_admin_ui::{AdminOptions, instrument};
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, record_handshake};
use socketioxide::{SocketIo, adapter::Adapter, extract::SocketRef, handler::ConnectHandler};
use tokio::net::TcpListener;

fn on_connect<A: Adapter>(socket: SocketRef<A>) -> Ready<()> {
    socket.join("lobby");
    ready(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let hash = std::env::var("ADMIN_PASSWORD_HASH")
        .map_err(|_| "ADMIN_PASSWORD_HASH is not set: `htpasswd -nB -C 12 admin` prints it after the colon")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;

    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    cluster.attach(&io);
    io.ns("/", on_connect.with(record_handshake)).await?;
    // The same credentials on all servers: an admin's session then works on each of them.
    instrument(&io, &cluster, AdminOptions::default().basic_auth("admin", hash)).await?;

    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().layer(layer);
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    Ok(())
}
