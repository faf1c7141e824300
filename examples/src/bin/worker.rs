//! A process without sockets that emits: a worker, a cron job, a request handler. It needs no
//! server and does not join the cluster. Servers in Rust and in Node.js deliver its events to their
//! clients.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin worker -- report-7`
//!
//! Clients in the room `report-7` get up to three events `progress`, then one event `done`. It
//! prints:
//!
//! ```text
//! report-7: 33 %
//! report-7: 67 %
//! report-7: 100 %
//! report-7: done
//! ```
//!
//! `transaction-*.rs` emit inside a transaction.

use std::error::Error;

use socketio_pg_tokio_postgres::Emitter;

const STEPS: u32 = 3;

/// Stands for the work.
async fn work() {
    tokio::task::yield_now().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let job = std::env::args().nth(1).unwrap_or_else(|| "report-7".to_owned());
    let client = socketio_pg_tokio_postgres::connect(&database).await?;

    // Where the servers have another prefix, table or a catch-up log, give the emitter their
    // options: `Emitter::with_options(&options)`.
    let room = Emitter::new().to(job.as_str());
    for step in 1..=STEPS {
        work().await;
        let percent = (100.0 * f64::from(step) / f64::from(STEPS)).round();
        // Volatile: a client that is slow may miss it, because another one follows.
        room.clone().volatile().emit("progress", &percent, &client).await?;
        println!("{job}: {percent} %");
    }
    // A tuple is several arguments.
    room.emit("done", &(&job, STEPS), &client).await?;
    println!("{job}: done");
    Ok(())
}
