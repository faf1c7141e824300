//! An event inside a transaction: it is sent if, and only if, the transaction commits.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin transaction-tokio-postgres`
//!
//! It inserts two orders. The database refuses the first, which has no item, so clients in the room
//! `cooks` of the namespace `/kitchen` get one event `order`, with `"tea"`. It prints:
//!
//! ```text
//! "" was not ordered, and the kitchen was not told: db error: …
//! "tea" was ordered, and the kitchen was told
//! ```

use std::error::Error;

use socketio_pg_tokio_postgres::Emitter;
use tokio_postgres::Client;

async fn order(client: &mut Client, emitter: &Emitter, item: &str) -> Result<(), Box<dyn Error>> {
    // A transaction that is dropped is rolled back: every `?` below does that.
    let transaction = client.transaction().await?;
    // The event may come before the statement that fails: PostgreSQL sends it with the commit.
    emitter.of("/kitchen").to("cooks").emit("order", item, &transaction).await?;
    transaction.execute("INSERT INTO meals (item) VALUES ($1)", &[&item]).await?;
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let item = std::env::args().nth(1).unwrap_or_else(|| "tea".to_owned());
    let mut client = socketio_pg_tokio_postgres::connect(&database).await?;
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS meals (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .await?;

    let emitter = Emitter::new();
    for item in ["", &item] {
        match order(&mut client, &emitter, item).await {
            Ok(()) => println!("{item:?} was ordered, and the kitchen was told"),
            Err(error) => {
                // PostgreSQL's own text is in the source of the driver's error, with details in lines below.
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                let cause = cause.lines().next().unwrap_or_default();
                println!("{item:?} was not ordered, and the kitchen was not told: {error}: {cause}");
            }
        }
    }
    Ok(())
}
