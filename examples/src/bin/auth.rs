//! Authentication in a connect middleware. Who is logged in is stored with the socket, and every
//! server of the cluster sees it, in Node.js as `socket.data`.
//!
//! Start two on different ports. Clients connect with `auth: { token: "token-of-ada" }`.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin auth -- 127.0.0.1:3000`
//!
//! `curl http://127.0.0.1:3000/users` returns the users of all servers: `["ada","grace"]`. Each
//! server prints its own:
//!
//! ```text
//! listening on http://127.0.0.1:3000
//! ada connected
//! ```
//!
//! Settings that do not belong to this topic are in the server of README.md. On diesel, the name of
//! the crate is another: `socketio_pg_diesel`.

use std::error::Error;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::{Deserialize, Serialize};
use socketio_pg_tokio_postgres::{Cluster, Options, PostgresAdapter, SocketData, record_handshake};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{Extension, SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

/// What a client gives as `auth`.
#[derive(Deserialize)]
struct Credentials {
    token: String,
}

/// Who is logged in.
#[derive(Clone, Serialize, Deserialize)]
struct Session {
    user: String,
}

/// The client gets this text in its `connect_error`. It does not say what was wrong.
#[derive(Debug, thiserror::Error)]
#[error("not logged in")]
struct Refused;

/// Stands for your session store, or for the verification of a signed token.
async fn session_of(token: &str) -> Option<Session> {
    let user = token.strip_prefix("token-of-").filter(|user| ["ada", "grace"].contains(user))?;
    Some(Session { user: user.to_owned() })
}

async fn authenticate<A: Adapter>(
    socket: SocketRef<A>,
    TryData(credentials): TryData<Credentials>,
) -> Result<(), Refused> {
    let credentials = credentials.map_err(|_| Refused)?;
    let session = session_of(&credentials.token).await.ok_or(Refused)?;
    // For other servers.
    socket.extensions.insert(SocketData::new(&session).map_err(|_| Refused)?);
    // For the handlers of this server.
    socket.extensions.insert(session);
    Ok(())
}

async fn on_connect<A: Adapter>(_socket: SocketRef<A>, Extension(session): Extension<Session>) {
    println!("{} connected", session.user);
}

/// The users of all servers.
async fn users(State(cluster): State<Cluster>) -> Result<Json<Vec<String>>, (StatusCode, String)> {
    let sockets = cluster.of("/").fetch_sockets().await;
    let sockets = sockets.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let sessions = sockets.into_iter().filter_map(|socket| socket.data?.deserialize::<Session>().ok());
    Ok(Json(sessions.map(|session| session.user).collect()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let cluster = Cluster::connect(database, Options::default()).await?;
    let (layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    // Without it, other servers do not see the session.
    cluster.attach(&io);
    // The last middleware runs first. `record_handshake` shows `auth` to the other servers, the
    // token included. Leave it out if servers must not see each other's tokens.
    io.ns("/", on_connect.with(record_handshake).with(authenticate)).await?;

    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/users", get(users)).with_state(cluster.clone()).layer(layer);
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    Ok(())
}
