//! The outbox with diesel's parameters. The statements are in `outbox_sql`, once for all backends.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment},
    sql_types::{BigInt, Bool, Nullable},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::backend::{OutboxBatch, OutboxProgress, OutboxState, outbox_sql, table::TableName};

use crate::shared_sql::{Statement, identified_by_text};

identified_by_text!(Publish, Look);

/// Publishes a batch of the outbox.
pub(crate) struct Publish {
    statement: String,
    turn: i64,
    take_turn: Option<i64>,
    after: i64,
    limit: i64,
    wants_xid: bool,
}

impl Publish {
    /// `log` is the table of the log, where the batch has one.
    pub(crate) fn new(
        batch: &OutboxBatch<'_>,
        outbox: &TableName,
        attachments: &TableName,
        log: Option<&TableName>,
    ) -> Self {
        Self {
            statement: outbox_sql::publish(outbox, attachments, log.zip(batch.log)),
            turn: batch.turn,
            take_turn: batch.take_turn_milliseconds(),
            after: batch.after,
            limit: batch.limit,
            wants_xid: batch.wants_xid,
        }
    }

    pub(crate) async fn run(self, connection: &mut AsyncPgConnection) -> QueryResult<OutboxProgress> {
        let (is_ours, turn, rows, refused, last, waited, open_since, xid) = self.get_result(connection).await?;
        Ok(OutboxProgress { is_ours, turn, rows, refused, last, waited, open_since, xid })
    }
}

impl QueryFragment<Pg> for Publish {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<BigInt, _>(&self.turn)?;
        statement.bind::<Nullable<BigInt>, _>(&self.take_turn)?;
        statement.bind::<BigInt, _>(&self.after)?;
        statement.bind::<BigInt, _>(&self.limit)?;
        statement.bind::<Bool, _>(&self.wants_xid)?;
        statement.finish_for_one_run();
        Ok(())
    }
}

impl Query for Publish {
    type SqlType = (Bool, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt);
}

/// Looks at an outbox.
pub(crate) struct Look {
    statement: String,
    after: i64,
}

impl Look {
    pub(crate) fn new(outbox: &TableName, after: i64) -> Self {
        Self { statement: outbox_sql::look(outbox), after }
    }

    pub(crate) async fn run(self, connection: &mut AsyncPgConnection) -> QueryResult<OutboxState> {
        let (oldest, waited, turn_left, may_take_turn, open_since) = self.get_result(connection).await?;
        Ok(OutboxState { oldest, waited, turn_left, may_take_turn, open_since })
    }
}

impl QueryFragment<Pg> for Look {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<BigInt, _>(&self.after)?;
        statement.finish_for_one_run();
        Ok(())
    }
}

impl Query for Look {
    type SqlType = (Nullable<BigInt>, BigInt, BigInt, Bool, BigInt);
}
