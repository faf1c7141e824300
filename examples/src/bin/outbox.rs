//! The outbox: transactions that emit write a row instead of a notification, so that their commits do
//! not wait for each other. This server publishes the rows.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin outbox`
//!
//! It inserts 100 orders, each in a transaction of its own that emits an event, from ten connections
//! at once. Each event reaches the servers of the namespace `/kitchen`, once. It prints:
//!
//! ```text
//! 100 orders were committed, 0 events wait
//! the kitchen heard of 100 orders
//! ```

use std::{error::Error, sync::Arc};

use socketio_pg_tokio_postgres::{Cluster, Emitter, Options, Outbox, PostgresAdapter, SqlFunctions, connect};
use socketioxide::SocketIo;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_postgres::Client;

const CONNECTIONS: usize = 10;
const ORDERS: usize = 100;

/// Half of the events are written by the Rust emitter, and half by the function in PostgreSQL.
async fn order(client: &mut Client, emitter: &Emitter, number: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let transaction = client.transaction().await?;
    let id: i64 = transaction.query_one("INSERT INTO numbered_orders DEFAULT VALUES RETURNING id", &[]).await?.get(0);
    if number.is_multiple_of(2) {
        emitter.server_side_emit("order", &id, &transaction).await?;
    } else {
        let emit = "SELECT socketio.server_side_emit('order', to_jsonb($1::int8), namespace => '/kitchen')";
        transaction.execute(emit, &[&id]).await?;
    }
    // If it is rolled back instead, no event is sent.
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    // The server publishes with the options with which the emitters write.
    let options = Options::default().outbox(Outbox::default());

    // Connecting creates the outbox. The functions are installed after it, as they write into it.
    let cluster = Cluster::connect(&database, options.clone()).await?;
    let client = connect(&database).await?;
    client.batch_execute("CREATE TABLE IF NOT EXISTS numbered_orders (id bigserial PRIMARY KEY)").await?;
    client.batch_execute(&SqlFunctions::new(&options)?.install_sql()).await?;

    let (_layer, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_>>(cluster.clone()).build_layer();
    io.ns("/kitchen", async || {}).await?;
    let (hear, mut orders) = mpsc::unbounded_channel();
    cluster.of("/kitchen").on_server_side("order", move |id: i64| {
        // At the end of this program the receiver is gone.
        let _ = hear.send(id);
        std::future::ready(())
    });

    let emitter = Arc::new(Emitter::with_options(&options).of("/kitchen"));
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut client = connect(&database).await?;
        let emitter = emitter.clone();
        tasks.spawn(async move {
            for number in (connection..ORDERS).step_by(CONNECTIONS) {
                order(&mut client, &emitter, number).await?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished??;
    }

    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < ORDERS {
        heard.insert(orders.recv().await.ok_or("the server is gone")?);
    }
    // The rows are deleted in the transaction that notifies.
    let waiting: i64 = client.query_one("SELECT count(*) FROM socket_io_outbox", &[]).await?.get(0);
    println!("{ORDERS} orders were committed, {waiting} events wait");
    println!("the kitchen heard of {} orders", heard.len());
    io.close().await;
    cluster.close().await;
    Ok(())
}
