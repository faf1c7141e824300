//! Asks the database, and leaves nothing behind in the session: behind a pooler others get it next.

use socketio_pg_connection::POOLER_REMEDY;
use tokio_postgres::{
    Client, Error, Row,
    types::{ToSql, Type},
};

use crate::failure::Failure;

/// No statement may take long, wait for a lock, or write.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '1s'";

/// The rows of a query, whose statement is not prepared by name: a pooler in transaction mode mixes
/// them up.
pub(crate) async fn ask(
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

/// Why such a statement failed, with the remedies of a node.
pub(crate) fn failure(error: Error) -> Failure {
    let is_mixed_up = error.code().is_some_and(|code| ["42P05", "26000"].contains(&code.code()));
    let text = error.as_db_error().map_or_else(|| error.to_string(), |refused| refused.message().to_owned());
    Failure::failed(if is_mixed_up { format!("{text}: {POOLER_REMEDY}") } else { text })
}
