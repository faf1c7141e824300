//! Emits events on the application's own connections.

use deadpool_postgres::Pool;
use socketio_pg_core::{
    PublishOn,
    backend::{
        BackendError,
        emission::{Emission, Parameter, Statement},
    },
};
use tokio_postgres::{
    GenericClient,
    types::{ToSql, Type},
};

use crate::{TokioPostgresBackend, error};

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
async fn publish<C: GenericClient + Sync>(client: &C, emission: Emission) -> Result<(), BackendError> {
    let Statement { text, parameters } = emission.statement()?;
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = parameters
        .iter()
        .map(|parameter| match parameter {
            Parameter::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
            Parameter::Bytea(bytes) => (bytes as _, Type::BYTEA),
            Parameter::Float8(number) => (number as _, Type::FLOAT8),
        })
        .collect();
    client.query_typed(&text, &parameters).await.map(drop).map_err(error::in_session)
}

macro_rules! publish_on {
    ($($connection:ty),*) => { $(
        impl PublishOn<&$connection> for TokioPostgresBackend {
            async fn publish_on(connection: &$connection, emission: Emission) -> Result<(), BackendError> {
                publish(connection, emission).await
            }
        }
    )* };
}

publish_on!(tokio_postgres::Client, tokio_postgres::Transaction<'_>);

impl PublishOn<&deadpool_postgres::Client> for TokioPostgresBackend {
    async fn publish_on(connection: &deadpool_postgres::Client, emission: Emission) -> Result<(), BackendError> {
        let client: &tokio_postgres::Client = connection;
        publish(client, emission).await
    }
}

impl PublishOn<&deadpool_postgres::Transaction<'_>> for TokioPostgresBackend {
    async fn publish_on(
        connection: &deadpool_postgres::Transaction<'_>,
        emission: Emission,
    ) -> Result<(), BackendError> {
        let transaction: &tokio_postgres::Transaction<'_> = connection;
        publish(transaction, emission).await
    }
}

impl PublishOn<&Pool> for TokioPostgresBackend {
    async fn publish_on(pool: &Pool, emission: Emission) -> Result<(), BackendError> {
        let client = pool.get().await.map_err(error::acquiring)?;
        Self::publish_on(&client, emission).await
    }
}
