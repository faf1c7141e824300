//! The outbox on diesel: transactions that emit write a row instead of a notification, so that their
//! commits do not wait for each other. This server publishes the rows.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin outbox-diesel`
//!
//! It inserts 100 orders, each in a transaction of its own that emits an event, from ten connections
//! at once. Each event reaches the servers of the namespace `/kitchen`, once. It prints:
//!
//! ```text
//! 100 orders were committed, 0 events wait
//! the kitchen heard of 100 orders
//! ```

use std::sync::Arc;

use diesel::{QueryDsl, sql_types::BigInt};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use socketio_pg_diesel::{Cluster, Emitter, Options, Outbox, PostgresAdapter, SqlFunctions};
use socketioxide::SocketIo;
use tokio::{sync::mpsc, task::JoinSet};

type Error = Box<dyn std::error::Error + Send + Sync>;

const CONNECTIONS: usize = 10;
const ORDERS: usize = 100;

diesel::table! {
    /// What is ordered.
    numbered_orders (id) {
        /// Its number.
        id -> BigInt,
    }
}

diesel::table! {
    /// Events that wait for a server to publish them.
    socket_io_outbox (id) {
        /// In the order in which they were written.
        id -> BigInt,
    }
}

/// Half of the events are written by the Rust emitter, and half by the function in PostgreSQL.
async fn order(connection: &mut AsyncPgConnection, emitter: &Emitter, number: usize) -> Result<(), Error> {
    // If it is rolled back instead, no event is sent.
    let ordered = connection.transaction(async |connection| {
        let insert = diesel::insert_into(numbered_orders::table).default_values().returning(numbered_orders::id);
        let id: i64 = insert.get_result(connection).await?;
        if number.is_multiple_of(2) {
            emitter.server_side_emit("order", &id, connection).await?;
        } else {
            let emit = "SELECT socketio.server_side_emit('order', to_jsonb($1), namespace => '/kitchen')";
            diesel::sql_query(emit).bind::<BigInt, _>(id).execute(connection).await?;
        }
        Ok::<_, Error>(())
    });
    ordered.await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    // The server publishes with the options with which the emitters write.
    let options = Options::default().outbox(Outbox::default());

    // Connecting creates the outbox. The functions are installed after it, as they write into it.
    let cluster = Cluster::connect(&database, options.clone()).await?;
    let mut connection = socketio_pg_diesel::connect(&database).await?;
    connection.batch_execute("CREATE TABLE IF NOT EXISTS numbered_orders (id bigserial PRIMARY KEY)").await?;
    connection.batch_execute(&SqlFunctions::new(&options)?.install_sql()).await?;

    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    io.ns("/kitchen", async || {}).await?;
    let (hear, mut heard_of) = mpsc::unbounded_channel();
    cluster.of("/kitchen").on_server_side("order", move |id: i64| {
        // At the end of this program the receiver is gone.
        let _ = hear.send(id);
        std::future::ready(())
    });

    let emitter = Arc::new(Emitter::with_options(&options).of("/kitchen"));
    let mut tasks = JoinSet::new();
    for first in 0..CONNECTIONS {
        let mut connection = socketio_pg_diesel::connect(&database).await?;
        let emitter = emitter.clone();
        tasks.spawn(async move {
            for number in (first..ORDERS).step_by(CONNECTIONS) {
                order(&mut connection, &emitter, number).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished??;
    }

    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < ORDERS {
        heard.insert(heard_of.recv().await.ok_or("the server is gone")?);
    }
    // The rows are deleted in the transaction that notifies.
    let waiting: i64 = socket_io_outbox::table.count().get_result(&mut connection).await?;
    println!("{ORDERS} orders were committed, {waiting} events wait");
    println!("the kitchen heard of {} orders", heard.len());
    io.close().await;
    cluster.close().await;
    Ok(())
}
