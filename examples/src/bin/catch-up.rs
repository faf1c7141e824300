//! A server that misses nothing while its connection to PostgreSQL is broken: with a catch-up log,
//! it reads afterwards what other servers of this project sent meanwhile.
//!
//! Start two. What you type into one is printed by the other:
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin catch-up`
//!
//! Then break the connections, and type on:
//! `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'socketio-pg%'`.
//! It prints:
//!
//! ```text
//! listening
//! note: sent before
//! disconnected: …
//! note: sent meanwhile
//! listening again: nothing is missing, 1 messages came late
//! ```
//!
//! On diesel, the name of the crate is another: `socketio_pg_diesel`.

use std::{error::Error, time::Duration};

use socketio_pg_tokio_postgres::{CatchUp, Cluster, Event, Options, PostgresAdapter, Recovery};
use socketioxide::SocketIo;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

fn print(event: Event) {
    match event {
        Event::Disconnected { reason } => println!("disconnected: {reason}"),
        // Every break ends with one of these.
        Event::Gap { recovery: Recovery::Complete { messages }, .. } => {
            println!("listening again: nothing is missing, {messages} messages came late");
        }
        // Tell the clients to load again what they must not miss.
        Event::Gap { recovery: Recovery::Incomplete { messages, reason }, .. } => {
            println!("listening again: something may be missing, {messages} messages came late: {reason}");
        }
        Event::Gap { .. } => println!("listening again: there is no log"),
        _ => {}
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    // All servers and emitters of a cluster need the same log. It should go back for longer than a
    // connection is ever broken, failover included.
    let log = CatchUp::last(Duration::from_secs(300));
    let cluster = Cluster::connect(database, Options::default().catch_up(log)).await?;
    let mut events = cluster.events();
    let main = cluster.of("/");
    main.on_server_side("note", |text: String| async move { println!("note: {text}") });
    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    io.ns("/", async || {}).await?;
    println!("listening");

    let mut notes = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            note = notes.next_line() => match note? {
                // Publishing has connections of its own, which may be broken as well.
                Some(note) => if let Err(error) = main.server_side_emit("note", &note).await {
                    println!("not sent: {error}");
                },
                None => break,
            },
            event = events.next() => match event {
                Some(event) => print(event),
                None => break,
            },
        }
    }
    cluster.close().await;
    Ok(())
}
