//! Asks the database, and leaves nothing behind in the session: behind a pooler others get it next.

use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};

/// No statement may take long, wait for a lock, or write.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '1s'";

/// The rows of a query, whose statement is not prepared by name: a pooler in transaction mode mixes
/// them up.
pub(super) async fn ask(
    client: &Client,
    query: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Error> {
    client.batch_execute(BEGIN).await?;
    let rows = client.query_typed(query, parameters).await;
    let ended = client.batch_execute("ROLLBACK").await;
    let rows = rows?;
    ended.map(|()| rows)
}
