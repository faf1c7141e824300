//! Emits events on the application's own connections.

use deadpool_postgres::Pool;
use socketio_pg_core::{
    PublishOn,
    backend::{BackendError, CatchUp, Content, Outgoing, log_sql, sql, table::TableName},
};
use tokio_postgres::{GenericClient, types::Type};

use crate::{TokioPostgresBackend, error, pool::Parameter};

/// Emits to the sockets of a cluster from processes that have none: workers, cron jobs, request
/// handlers.
///
/// The connection comes last: a reference to a `Client`, to a `Transaction`, to their deadpool
/// counterparts, or to a deadpool `Pool`. On an open transaction, the event is sent if, and only
/// if, the transaction commits.
///
/// ```no_run
/// use socketio_pg_tokio_postgres::Emitter;
///
/// # type Failure = Box<dyn std::error::Error>;
/// # async fn example(mut client: tokio_postgres::Client) -> Result<(), Failure> {
/// let emitter = Emitter::new();
/// let transaction = client.transaction().await?;
/// transaction.execute("INSERT INTO orders (item) VALUES ($1)", &[&"tea"]).await?;
/// emitter.of("/kitchen").to("orders").emit("order", "tea", &transaction).await?;
/// transaction.commit().await?; // this sends the event
/// # Ok(())
/// # }
/// ```
///
/// Its methods, with links to where they are described:
///
/// | to | methods |
/// |---|---|
/// | make one | [`new`][Emitter::new], [`with_options`][Emitter::with_options], [`of`][Emitter::of] (another namespace) |
/// | select sockets | [`to`][Emitter::to], [`except`][Emitter::except] |
/// | say how | [`volatile`][Emitter::volatile], [`compress`][Emitter::compress] |
/// | emit to clients | [`emit`][Emitter::emit] |
/// | move and disconnect sockets | [`sockets_join`][Emitter::sockets_join], [`sockets_leave`][Emitter::sockets_leave], [`disconnect_sockets`][Emitter::disconnect_sockets] |
/// | tell servers | [`server_side_emit`][Emitter::server_side_emit] |
#[doc(alias("with_options", "of", "to", "except", "volatile", "compress", "emit"))]
#[doc(alias("sockets_join", "sockets_leave", "disconnect_sockets", "server_side_emit"))]
#[doc(alias("in", "socketsJoin", "socketsLeave", "disconnectSockets", "serverSideEmit"))]
#[doc(alias("postgres-emitter", "transaction"))]
pub type Emitter = socketio_pg_core::Emitter<TokioPostgresBackend>;

/// Publishes on a client or a transaction. Statements are not prepared by name, so it works behind
/// a transaction pooler.
async fn publish<C: GenericClient + Sync>(
    client: &C,
    table: &str,
    log: Option<&CatchUp>,
    outgoing: Outgoing,
) -> Result<(), BackendError> {
    let Outgoing { channel, content, is_logged } = outgoing;
    let log = log.filter(|_| is_logged);
    let result = match (&content, log) {
        (Content::Inline(payload), None) => {
            client.query_typed(sql::NOTIFY_ONE, &[(&channel, Type::TEXT), (payload, Type::TEXT)]).await
        }
        (Content::Inline(payload), Some(log)) => {
            let statement = log_sql::publish_one(&TableName::parse(log.table_name())?);
            client.query_typed(&statement, &[(&channel, Type::TEXT), (payload, Type::TEXT)]).await
        }
        (Content::Attachment { body, before_id, after_id }, Some(log)) => {
            let log_name = TableName::parse(log.table_name())?;
            let statement = log_sql::publish_one_attachment(&TableName::parse(table)?, &log_name);
            let parameters: [Parameter<'_>; 5] = [
                (&log.seconds(), Type::FLOAT8),
                (body, Type::BYTEA),
                (&channel, Type::TEXT),
                (before_id, Type::TEXT),
                (after_id, Type::TEXT),
            ];
            client.query_typed(&statement, &parameters).await
        }
        (Content::Attachment { body, before_id, after_id }, None) => {
            let statement = sql::notify_one_with_attachment(&TableName::parse(table)?);
            let parameters: [Parameter<'_>; 4] =
                [(body, Type::BYTEA), (&channel, Type::TEXT), (before_id, Type::TEXT), (after_id, Type::TEXT)];
            client.query_typed(&statement, &parameters).await
        }
    };
    result.map(drop).map_err(error::in_session)
}

macro_rules! publish_on {
    ($($connection:ty),*) => { $(
        impl PublishOn<&$connection> for TokioPostgresBackend {
            async fn publish_on(
                connection: &$connection,
                table: &str,
                log: Option<&CatchUp>,
                outgoing: Outgoing,
            ) -> Result<(), BackendError> {
                publish(connection, table, log, outgoing).await
            }
        }
    )* };
}

publish_on!(tokio_postgres::Client, tokio_postgres::Transaction<'_>);

impl PublishOn<&deadpool_postgres::Client> for TokioPostgresBackend {
    async fn publish_on(
        connection: &deadpool_postgres::Client,
        table: &str,
        log: Option<&CatchUp>,
        outgoing: Outgoing,
    ) -> Result<(), BackendError> {
        let client: &tokio_postgres::Client = connection;
        publish(client, table, log, outgoing).await
    }
}

impl PublishOn<&deadpool_postgres::Transaction<'_>> for TokioPostgresBackend {
    async fn publish_on(
        connection: &deadpool_postgres::Transaction<'_>,
        table: &str,
        log: Option<&CatchUp>,
        outgoing: Outgoing,
    ) -> Result<(), BackendError> {
        let transaction: &tokio_postgres::Transaction<'_> = connection;
        publish(transaction, table, log, outgoing).await
    }
}

impl PublishOn<&Pool> for TokioPostgresBackend {
    async fn publish_on(
        pool: &Pool,
        table: &str,
        log: Option<&CatchUp>,
        outgoing: Outgoing,
    ) -> Result<(), BackendError> {
        let client = pool.get().await.map_err(error::acquiring)?;
        Self::publish_on(&client, table, log, outgoing).await
    }
}
