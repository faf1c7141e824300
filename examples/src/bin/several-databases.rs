//! One cluster on several databases: a rule says which namespace is in which. Each database carries
//! the traffic of its own namespaces, and one that fails stops only these.
//!
//! Start two:
//!
//! ```sh
//! DATABASE_URL=postgres://…/main GAMES_DATABASE_URL=postgres://…/games \
//!     cargo run -p socketio-pg-examples --bin several-databases
//! ```
//!
//! The first prints:
//!
//! ```text
//! / is in database 0
//! /game/chess is in database 1
//! another server has / (database 0)
//! another server has /game/chess (database 1)
//! ```
//!
//! On diesel, the name of the crate is another: `socketio_pg_diesel`.

use std::error::Error;

use socketio_pg_tokio_postgres::{Cluster, Event, EventStream, Options, PostgresAdapter};
use socketioxide::SocketIo;

/// The same on all servers, for as long as one of them runs. It must know every namespace, also one
/// whose name a client chooses.
fn database_of(namespace: &str) -> usize {
    if namespace.starts_with("/game/") { 1 } else { 0 }
}

async fn print_events(mut events: EventStream) {
    while let Some((database, event)) = events.next_with_database().await {
        match event {
            Event::NodeJoined { namespace, .. } => println!("another server has {namespace} (database {database})"),
            Event::Disconnected { reason } => println!("database {database} is disconnected: {reason}"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let main = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let games = std::env::var("GAMES_DATABASE_URL").map_err(|_| "GAMES_DATABASE_URL is not set")?;
    // In the order of the numbers that the rule returns.
    let cluster = Cluster::connect_split([main, games], database_of, Options::default()).await?;
    let events = cluster.events();
    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    for namespace in ["/", "/game/chess"] {
        io.ns(namespace, async || {}).await?;
        // An `Emitter` needs a connection to this database.
        println!("{namespace} is in database {}", cluster.database_of(namespace)?);
    }

    tokio::select! {
        () = print_events(events) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    cluster.close().await;
    Ok(())
}
