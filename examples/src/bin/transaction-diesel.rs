//! An event inside a transaction of diesel-async: it is sent if, and only if, the transaction
//! commits. Savepoints count as well: an event of a nested transaction that fails is not sent.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin transaction-diesel`
//!
//! It inserts two orders. The database refuses the first, which has no item, so clients in the room
//! `cooks` of the namespace `/kitchen` get one event `order`, with `"tea"`. It prints:
//!
//! ```text
//! "" was not ordered, and the kitchen was not told: new row for relation "meals" violates …
//! "tea" was ordered, and the kitchen was told
//! ```

use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use socketio_pg_diesel::Emitter;

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn order(connection: &mut AsyncPgConnection, emitter: &Emitter, item: &str) -> Result<(), Error> {
    let ordered = connection.transaction(async |connection| {
        // The event may come before the statement that fails: PostgreSQL sends it with the commit.
        emitter.of("/kitchen").to("cooks").emit("order", item, connection).await?;
        let insert = diesel::sql_query("INSERT INTO meals (item) VALUES ($1)").bind::<Text, _>(item);
        insert.execute(connection).await?;
        Ok::<_, Error>(())
    });
    ordered.await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let item = std::env::args().nth(1).unwrap_or_else(|| "tea".to_owned());
    let mut connection = socketio_pg_diesel::connect(&database).await?;
    connection
        .batch_execute("CREATE TABLE IF NOT EXISTS meals (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .await?;

    let emitter = Emitter::new();
    for item in ["", &item] {
        match order(&mut connection, &emitter, item).await {
            Ok(()) => println!("{item:?} was ordered, and the kitchen was told"),
            Err(error) => println!("{item:?} was not ordered, and the kitchen was not told: {error}"),
        }
    }
    Ok(())
}
