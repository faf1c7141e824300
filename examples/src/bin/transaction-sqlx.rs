//! An event inside a transaction of sqlx, or of any other driver for which there is no backend: it
//! is sent if, and only if, the transaction commits. The emitter needs one impl, of `PublishOn` for
//! the driver's connection, on a type of your own. The statements come from `socketio-pg-core`.
//!
//! `DATABASE_URL=postgres://… cargo run -p socketio-pg-examples --bin transaction-sqlx`
//!
//! It inserts two orders. The database refuses the first, which has no item, so clients in the room
//! `cooks` of the namespace `/kitchen` get one event `order`, with `"tea"`. It prints:
//!
//! ```text
//! "" was not ordered, and the kitchen was not told: error returned from database: …
//! "tea" was ordered, and the kitchen was told
//! ```

use std::error::Error;

use socketio_pg_core::{
    PublishOn,
    backend::{
        BackendError, ErrorKind,
        emission::{Emission, Parameter, Statement},
    },
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query};

/// Emits on connections and transactions of sqlx.
type Emitter = socketio_pg_core::Emitter<Sqlx>;

/// Names the driver. A foreign trait can be implemented for foreign connections on a local type.
struct Sqlx;

impl PublishOn<&mut PgConnection> for Sqlx {
    async fn publish_on(connection: &mut PgConnection, emission: Emission) -> Result<(), BackendError> {
        let Statement { text, parameters } = emission.statement()?;
        let mut statement = query(AssertSqlSafe(text.into_owned()));
        for parameter in parameters {
            statement = match parameter {
                Parameter::Text(text) => statement.bind(text),
                Parameter::Bytea(bytes) => statement.bind(bytes),
                Parameter::Float8(number) => statement.bind(number),
            };
        }
        statement.execute(connection).await.map(drop).map_err(|error| {
            // With `Connection` the emitter says that PostgreSQL may have the event, which matters
            // where it is not in a transaction.
            let kind = if matches!(error, sqlx::Error::Io(_)) { ErrorKind::Connection } else { ErrorKind::Other };
            BackendError::new(kind, error)
        })
    }
}

async fn order(connection: &mut PgConnection, emitter: &Emitter, item: &str) -> Result<(), Box<dyn Error>> {
    // A transaction that is dropped is rolled back: every `?` below does that.
    let mut transaction = connection.begin().await?;
    // The event may come before the statement that fails: PostgreSQL sends it with the commit.
    emitter.of("/kitchen").to("cooks").emit("order", item, &mut *transaction).await?;
    query("INSERT INTO meals (item) VALUES ($1)").bind(item).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL is not set: give it as postgres://user:password@localhost:5432/database")?;
    let item = std::env::args().nth(1).unwrap_or_else(|| "tea".to_owned());
    let mut connection = PgConnection::connect(&database).await?;
    query("CREATE TABLE IF NOT EXISTS meals (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .execute(&mut connection)
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
