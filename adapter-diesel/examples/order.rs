//! Inserts an order and emits it to the room: both, or neither.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-diesel --example order-diesel -- tea`

use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use socketio_pg_diesel::Emitter;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let item = std::env::args().nth(1).unwrap_or_else(|| "tea".to_owned());
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let mut connection = socketio_pg_diesel::connect(&database).await?;
    connection
        .batch_execute("CREATE TABLE IF NOT EXISTS orders (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .await?;

    let emitter = Emitter::new();
    let ordered = connection.transaction(async |connection| {
        // The event comes first in the transaction, and the kitchen still does not get an order
        // that is rolled back: try an empty item.
        emitter.of("/kitchen").to("cooks").emit("order", &item, connection).await?;
        diesel::sql_query("INSERT INTO orders (item) VALUES ($1)")
            .bind::<diesel::sql_types::Text, _>(&item)
            .execute(connection)
            .await?;
        Ok::<_, Error>(())
    });
    match ordered.await {
        Ok(()) => eprintln!("ordered {item:?}, and the kitchen was told"),
        Err(error) => eprintln!("not ordered, and the kitchen was not told: {error}"),
    }
    Ok(())
}
