//! Events from server to server, with and without an acknowledgement.
//!
//! Start it several times, with different names:
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin server-side-events -- one`
//!
//! Each time that a server joins, every other one tells the others its version, and asks for their
//! names. After the server `two` has joined, `one` prints:
//!
//! ```text
//! one is in the cluster
//! two has version 0.1.0
//! the others are ["two"]
//! ```
//!
//! In Node.js these are `io.serverSideEmit` and `io.on`. On diesel, the name of the crate is
//! another: `socketio_pg_diesel`.

use std::error::Error;

use socketio_pg_tokio_postgres::{Cluster, Event, EventStream, Options, PostgresAdapter};
use socketioxide::SocketIo;

async fn greet(cluster: &Cluster, mut events: EventStream, name: &str) -> Result<(), Box<dyn Error>> {
    let main = cluster.of("/");
    while let Some(event) = events.next().await {
        if !matches!(event, Event::NodeJoined { .. }) {
            continue;
        }
        // Returns once it is published. A tuple is several arguments.
        main.server_side_emit("version", &(name, env!("CARGO_PKG_VERSION"))).await?;
        // Returns once every other server has responded, or after `Options::request_timeout`.
        let (names, outcome) = main.server_side_emit_with_ack::<_, String>("name", &()).await?.all().await;
        println!("the others are {names:?}");
        if let Err(error) = outcome {
            println!("some are missing: {error}");
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let name = std::env::args().nth(1).unwrap_or_else(|| "one".to_owned());
    let cluster = Cluster::connect(database, Options::default()).await?;
    let events = cluster.events();

    let main = cluster.of("/");
    main.on_server_side("version", |(name, version): (String, String)| async move {
        println!("{name} has version {version}");
    });
    main.on_server_side_with_ack("name", {
        let name = name.clone();
        move |()| std::future::ready(name.clone())
    });

    // A server takes part in the namespaces that it has. After the handlers, so that no event comes
    // too early for them.
    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await?;
    println!("{name} is in the cluster");

    tokio::select! {
        ended = greet(&cluster, events, &name) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // Without it, the others would wait for this server for 10 s.
    cluster.close().await;
    Ok(())
}
