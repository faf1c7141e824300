//! A chat server that leaves in order. On SIGTERM or Ctrl-C it accepts no more clients,
//! disconnects those that it has, and tells the other servers that it leaves. Their requests do not
//! wait for it.
//!
//! Start two, and end one of them:
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin graceful -- 127.0.0.1:3000`
//!
//! The first prints:
//!
//! ```text
//! listening on http://127.0.0.1:3000
//! a server joined
//! a server left in order
//! left the cluster
//! ```
//!
//! On diesel, the name of the crate is another: `socketio_pg_diesel`.

use std::{
    error::Error,
    future::{Ready, ready},
    net::SocketAddr,
    time::Duration,
};

use axum::{
    Router,
    extract::ConnectInfo,
    serve::{Listener, ListenerExt},
};
use socketio_pg_tokio_postgres::{Cluster, Event, EventStream, Options, PostgresAdapter, record_handshake};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{Data, SocketRef},
    handler::ConnectHandler,
};
use tokio::net::TcpListener;

// Not async: an async handler begins after the client was told that it is connected, and may miss
// what the client sends at once.
fn on_connect<A: Adapter>(socket: SocketRef<A>) -> Ready<()> {
    socket.join("chat");
    socket.on("message", async |socket: SocketRef<A>, Data::<String>(text)| {
        if let Err(error) = socket.within("chat").emit("message", &text).await {
            eprintln!("not sent to the other servers: {error}");
        }
    });
    ready(())
}

async fn print_neighbours(mut events: EventStream) {
    while let Some(event) = events.next().await {
        match event {
            Event::NodeJoined { .. } => println!("a server joined"),
            Event::NodeLeft { closed: true, .. } => println!("a server left in order"),
            // It was killed, or lost its connection. Requests waited for it until now.
            Event::NodeLeft { closed: false, .. } => println!("a server was silent for too long"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    // Less than the time after which the process is killed: 30 s on Kubernetes. Docker's 10 s are
    // enough for the default of 8 s.
    let options = Options::default().leave_timeout(Duration::from_secs(25));
    let cluster = Cluster::connect(database, options).await?;
    tokio::spawn(print_neighbours(cluster.events()));

    let (layer, io) = SocketIo::builder()
        .max_buffer_size(10_000)
        .max_payload(1_000_000)
        .with_adapter::<PostgresAdapter<_>>(cluster.clone())
        .build_layer();
    cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    io.ns("/", on_connect.with(record_handshake)).await?;

    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().layer(layer).into_make_service_with_connect_info::<SocketAddr>();
    cluster.serve(&io, |shutdown| axum::serve(listener, app).with_graceful_shutdown(shutdown)).await?;
    // The clients are gone. Close here what their handlers used, such as the application's pool.
    println!("left the cluster");
    Ok(())
}
