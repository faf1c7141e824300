//! Emits events on the application's own connections.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
    result::{DatabaseErrorKind, Error},
    sql_types::{Binary, Double, Nullable, Text},
};
use diesel_async::{AsyncConnectionCore, RunQueryDsl};
use socketio_pg_core::{
    PublishOn,
    backend::{
        BackendError, ErrorKind,
        emission::{self, Emission, Parameter},
    },
};

use crate::{
    DieselBackend, error,
    shared_sql::{Statement, identified_by_text},
};

/// Emits to the sockets of a cluster from processes that have none: workers, cron jobs, request
/// handlers.
///
/// The connection comes last: `&mut` to an `AsyncPgConnection`, plain or pooled. Inside
/// `.transaction(…)`, savepoints included, the event is sent if, and only if, the transaction
/// commits.
///
/// ```no_run
/// use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
/// use socketio_pg_diesel::Emitter;
///
/// # type Failure = Box<dyn std::error::Error + Send + Sync>;
/// # async fn example(mut connection: AsyncPgConnection) -> Result<(), Failure> {
/// let emitter = Emitter::new();
/// connection
///     .transaction(async |connection| {
///         diesel::sql_query("INSERT INTO orders (item) VALUES ('tea')")
///             .execute(connection)
///             .await?;
///         emitter.of("/kitchen").to("orders").emit("order", "tea", connection).await?;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) // the commit sends the event
///     })
///     .await?;
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
pub type Emitter = socketio_pg_core::Emitter<DieselBackend>;

impl<C> PublishOn<&mut C> for DieselBackend
where
    C: AsyncConnectionCore<Backend = Pg> + Send,
{
    async fn publish_on(connection: &mut C, emission: Emission) -> Result<(), BackendError> {
        match Emit(emission.statement()?).execute(&mut *connection).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(connection, error).await),
        }
    }
}

/// A statement of the emitter.
struct Emit(emission::Statement);

impl QueryFragment<Pg> for Emit {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.0.text);
        for parameter in &self.0.parameters {
            match parameter {
                Parameter::Text(text) => statement.bind::<Nullable<Text>, _>(text)?,
                Parameter::Bytea(bytes) => statement.bind::<Nullable<Binary>, _>(bytes)?,
                Parameter::Float8(number) => statement.bind::<Double, _>(number)?,
            }
        }
        statement.finish();
        Ok(())
    }
}

identified_by_text!(Emit);

/// Checks only whether the session still works, as it may be in a transaction that has failed. An
/// error that ended the session may have come after the commit.
async fn failed<C>(connection: &mut C, error: Error) -> BackendError
where
    C: AsyncConnectionCore<Backend = Pg> + Send,
{
    let kind = match &error {
        _ if error::is_of_connection(&error) => ErrorKind::Connection,
        Error::DatabaseError(DatabaseErrorKind::Unknown, _) if has_ended(connection).await => ErrorKind::Connection,
        Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => ErrorKind::ReadOnly,
        Error::DatabaseError(DatabaseErrorKind::Unknown, information)
            if information.message().starts_with("permission denied") =>
        {
            ErrorKind::Permission
        }
        _ => ErrorKind::Other,
    };
    BackendError::new(kind, error)
}

async fn has_ended<C>(connection: &mut C) -> bool
where
    C: AsyncConnectionCore<Backend = Pg> + Send,
{
    let asked = diesel::sql_query("SELECT 1").execute(connection).await;
    asked.is_err_and(|error| error::is_of_connection(&error))
}
