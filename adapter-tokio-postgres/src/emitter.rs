//! Emitting on the application's own connections.

use deadpool_postgres::Pool;
use socketio_pg_core::{
    PublishOn,
    backend::{BackendError, Content, Outgoing},
    table::TableName,
};
use tokio_postgres::{GenericClient, types::Type};

use crate::{TokioPostgresBackend, error, statements};

/// Emits to the sockets of a cluster from processes that have none: workers, cron jobs, request handlers.
///
/// The connection comes last: a reference to a `Client`, to a `Transaction`, to their deadpool counterparts, or to a
/// deadpool `Pool`. On an open transaction, the event is sent if, and only if, the transaction commits.
///
/// ```no_run
/// use socketio_pg_tokio_postgres::Emitter;
///
/// # async fn example(mut client: tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let emitter = Emitter::new();
/// let transaction = client.transaction().await?;
/// transaction.execute("INSERT INTO orders (item) VALUES ($1)", &[&"tea"]).await?;
/// emitter.of("/kitchen").to("orders").emit("order", "tea", &transaction).await?;
/// transaction.commit().await?; // now the kitchen hears of it
/// # Ok(())
/// # }
/// ```
pub type Emitter = socketio_pg_core::Emitter<TokioPostgresBackend>;

/// Publishes on a client or a transaction. No statement is prepared by name, so that it works behind a transaction pooler.
async fn publish<C: GenericClient + Sync>(client: &C, table: &str, outgoing: Outgoing) -> Result<(), BackendError> {
    let Outgoing { channel, content } = outgoing;
    let result = match &content {
        Content::Inline(payload) => {
            client.query_typed(statements::NOTIFY_ONE, &[(&channel, Type::TEXT), (payload, Type::TEXT)]).await
        }
        Content::Attachment { body, before_id, after_id } => {
            let statement = statements::notify_one_with_attachment(&TableName::parse(table)?);
            let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] =
                [(&channel, Type::TEXT), (before_id, Type::TEXT), (after_id, Type::TEXT), (body, Type::BYTEA)];
            client.query_typed(&statement, &parameters).await
        }
    };
    result.map(drop).map_err(error::in_session)
}

macro_rules! publish_on {
    ($($connection:ty),*) => { $(
        impl PublishOn<&$connection> for TokioPostgresBackend {
            async fn publish_on(connection: &$connection, table: &str, outgoing: Outgoing) -> Result<(), BackendError> {
                publish(connection, table, outgoing).await
            }
        }
    )* };
}

publish_on!(tokio_postgres::Client, tokio_postgres::Transaction<'_>);

impl PublishOn<&deadpool_postgres::Client> for TokioPostgresBackend {
    async fn publish_on(
        connection: &deadpool_postgres::Client,
        table: &str,
        outgoing: Outgoing,
    ) -> Result<(), BackendError> {
        let client: &tokio_postgres::Client = connection;
        publish(client, table, outgoing).await
    }
}

impl PublishOn<&deadpool_postgres::Transaction<'_>> for TokioPostgresBackend {
    async fn publish_on(
        connection: &deadpool_postgres::Transaction<'_>,
        table: &str,
        outgoing: Outgoing,
    ) -> Result<(), BackendError> {
        let transaction: &tokio_postgres::Transaction<'_> = connection;
        publish(transaction, table, outgoing).await
    }
}

impl PublishOn<&Pool> for TokioPostgresBackend {
    async fn publish_on(pool: &Pool, table: &str, outgoing: Outgoing) -> Result<(), BackendError> {
        let client = pool.get().await.map_err(error::acquiring)?;
        Self::publish_on(&client, table, outgoing).await
    }
}
