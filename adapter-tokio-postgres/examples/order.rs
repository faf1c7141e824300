//! Inserts an order and emits it to the room: both, or neither.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-tokio-postgres --example order -- tea`

use socketio_pg_tokio_postgres::Emitter;
use tokio_postgres::Client;

type Error = Box<dyn std::error::Error>;

async fn order(client: &mut Client, emitter: &Emitter, item: &str) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    // The event comes first in the transaction, and the kitchen still does not get an order that is
    // rolled back: try an empty item.
    emitter.of("/kitchen").to("cooks").emit("order", item, &transaction).await?;
    transaction.execute("INSERT INTO orders (item) VALUES ($1)", &[&item]).await?;
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let item = std::env::args().nth(1).unwrap_or_else(|| "tea".to_owned());
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let mut client = socketio_pg_tokio_postgres::connect(&database).await?;
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS orders (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .await?;

    match order(&mut client, &Emitter::new(), &item).await {
        Ok(()) => eprintln!("ordered {item:?}, and the kitchen was told"),
        Err(error) => eprintln!("not ordered, and the kitchen was not told: {error}"),
    }
    Ok(())
}
