//! A console for all sockets of the cluster: it lists them, lets them join and leave rooms, and
//! disconnects them, whichever server they are connected to, in Rust or Node.js.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin remote-sockets`
//!
//! It reads commands from standard input: `list`, `join ID ROOM`, `leave ID ROOM`, `disconnect ID`.
//! It prints:
//!
//! ```text
//! a server joined
//! > list
//! wDp6XbSCmXAvnlmbAAAB is in the rooms ["wDp6XbSCmXAvnlmbAAAB"]
//! > join wDp6XbSCmXAvnlmbAAAB news
//! done
//! ```
//!
//! The id of a socket of a Rust server is a secret: show it to administrators only, as
//! docs/security.md says. On diesel, the name of the crate is another: `socketio_pg_diesel`.

use std::error::Error;

use socketio_pg_tokio_postgres::{Cluster, Event, Options, PostgresAdapter, protocol::SocketId};
use socketioxide::SocketIo;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

async fn run(cluster: &Cluster, command: &str) -> Result<(), Box<dyn Error>> {
    let main = cluster.of("/");
    let one = |id: &str| main.socket(&SocketId::from(id));
    match command.split_whitespace().collect::<Vec<_>>()[..] {
        ["list"] => {
            for socket in main.fetch_sockets().await? {
                println!("{} is in the rooms {:?}", socket.id, socket.rooms);
            }
        }
        // These return once the request is published. A socket's server carries out requests in
        // their order, so a `list` that follows shows the result.
        ["join", id, room] => one(id).sockets_join([room.to_owned()]).await?,
        ["leave", id, room] => one(id).sockets_leave([room.to_owned()]).await?,
        // `true` closes the connection, `false` leaves this namespace only.
        ["disconnect", id] => one(id).disconnect_sockets(true).await?,
        _ => return Err("commands: list, join ID ROOM, leave ID ROOM, disconnect ID".into()),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let cluster = Cluster::connect(database, Options::default()).await?;
    let mut events = cluster.events();
    // It has no clients, but must have the namespace to take part in it.
    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await?;

    let mut commands = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            command = commands.next_line() => match command? {
                Some(command) => match run(&cluster, &command).await {
                    Ok(()) => println!("done"),
                    Err(error) => println!("failed: {error}"),
                },
                None => break,
            },
            // A server that just joined knows no other servers yet. They report within
            // milliseconds, and `list` shows the sockets of those that have.
            event = events.next() => if let Some(Event::NodeJoined { .. }) = event {
                println!("a server joined");
            },
        }
    }
    cluster.close().await;
    Ok(())
}
