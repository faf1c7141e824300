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
    backend::{BackendError, CatchUp, Content, ErrorKind, Outgoing, log_sql, sql, table::TableName},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query};

/// Emits on connections and transactions of sqlx.
type Emitter = socketio_pg_core::Emitter<Sqlx>;

/// Names the driver. A foreign trait can be implemented for foreign connections on a local type.
struct Sqlx;

impl PublishOn<&mut PgConnection> for Sqlx {
    async fn publish_on(
        connection: &mut PgConnection,
        table: &str,
        log: Option<&CatchUp>,
        Outgoing { channel, content, is_logged }: Outgoing,
    ) -> Result<(), BackendError> {
        // Only where the options of the emitter have a catch-up log.
        let log = log.filter(|_| is_logged);
        let log_table = log.map(|log| TableName::parse(log.table_name())).transpose()?;
        let published = match content {
            Content::Inline(payload) => {
                let statement = log_table.map_or_else(|| sql::NOTIFY_ONE.to_owned(), |log| log_sql::publish_one(&log));
                query(AssertSqlSafe(statement)).bind(channel).bind(payload).execute(connection).await
            }
            Content::Attachment { body, before_id, after_id } => {
                let table = TableName::parse(table)?;
                let statement = match &log_table {
                    Some(log) => log_sql::publish_one_attachment(&table, log),
                    None => sql::notify_one_with_attachment(&table),
                };
                let mut statement = query(AssertSqlSafe(statement));
                if let Some(log) = log {
                    statement = statement.bind(log.seconds());
                }
                statement.bind(body).bind(channel).bind(before_id).bind(after_id).execute(connection).await
            }
        };
        // With `ErrorKind::Connection` the emitter says that the event may have been sent. Inside a
        // transaction that matters only when the commit fails.
        published.map(drop).map_err(|error| BackendError::new(ErrorKind::Other, error))
    }
}

async fn order(connection: &mut PgConnection, emitter: &Emitter, item: &str) -> Result<(), Box<dyn Error>> {
    // A transaction that is dropped is rolled back: every `?` below does that.
    let mut transaction = connection.begin().await?;
    // The event may come before the statement that fails: PostgreSQL sends it with the commit.
    emitter.of("/kitchen").to("cooks").emit("order", item, &mut *transaction).await?;
    query("INSERT INTO orders (item) VALUES ($1)").bind(item).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut connection = PgConnection::connect(&database).await?;
    query("CREATE TABLE IF NOT EXISTS orders (id bigserial, item text NOT NULL CHECK (item <> ''))")
        .execute(&mut connection)
        .await?;

    let emitter = Emitter::new();
    for item in ["", "tea"] {
        match order(&mut connection, &emitter, item).await {
            Ok(()) => println!("{item:?} was ordered, and the kitchen was told"),
            Err(error) => println!("{item:?} was not ordered, and the kitchen was not told: {error}"),
        }
    }
    Ok(())
}
