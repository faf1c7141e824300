//! The statements that a running node sends, with diesel's parameters. Their text is in
//! [`sql`], once for all backends.
//!
//! They are not made with diesel's query builder: `table!` fixes the name of its table at compile
//! time, while ours is an option, and the builder does not qualify names. Each statement is prepared
//! once per connection; diesel identifies it by its type or its text.

use diesel::{
    QueryResult,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Double, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::backend::{
    SweepBatch,
    inspect::INSPECT_TABLE_SQL,
    sql::{self, Columns},
    table::TableName,
};

use crate::shared_sql::{Statement, identified_by_text};

/// Everything about the table that matters at the start.
pub(crate) async fn look(connection: &mut AsyncPgConnection, table: &TableName) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        seen: String,
    }
    let query = diesel::sql_query(format!("SELECT seen FROM ({}) AS look(seen)", INSPECT_TABLE_SQL));
    Ok(query.bind::<Text, _>(table.to_string()).get_result::<Answer>(connection).await?.seen)
}

/// Deletes a batch of old rows.
pub(crate) struct Sweep {
    statement: String,
    seconds: f64,
    limit: i64,
}

impl Sweep {
    pub(crate) fn new(table: &TableName, batch: SweepBatch) -> Self {
        let statement = sql::sweep(table, batch.oldest_first);
        Self { statement, seconds: batch.seconds(), limit: batch.limit_as_int8() }
    }
}

impl QueryFragment<Pg> for Sweep {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<Double, _>(&self.seconds)?;
        statement.bind::<BigInt, _>(&self.limit)?;
        statement.finish();
        Ok(())
    }
}

/// Fetches the attachments that exist: their ids, sizes, and bodies, in any order.
pub(crate) struct Fetch<'a> {
    statement: String,
    ids: &'a [i64],
    /// How many bytes one body may have, and all together.
    limits: (i64, i64),
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(table: &TableName, ids: &'a [i64], limits: (i64, i64)) -> Self {
        Self { statement: sql::fetch(table), ids, limits }
    }
}

impl QueryFragment<Pg> for Fetch<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<Array<BigInt>, _>(self.ids)?;
        statement.bind::<BigInt, _>(&self.limits.0)?;
        statement.bind::<BigInt, _>(&self.limits.1)?;
        statement.finish();
        Ok(())
    }
}

impl Query for Fetch<'_> {
    type SqlType = (BigInt, Nullable<BigInt>, Nullable<Binary>);
}

/// Publishes a batch without attachments.
pub(crate) struct Notify<'a>(pub(crate) &'a Columns<'a>);

impl QueryFragment<Pg> for Notify<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, sql::NOTIFY);
        statement.bind::<Array<Text>, _>(&self.0.channels)?;
        statement.bind::<Array<Text>, _>(&self.0.payloads)?;
        statement.finish();
        Ok(())
    }
}

/// Publishes a batch without attachments whose channel is always the same, as it mostly is.
pub(crate) struct NotifyOnOneChannel<'a> {
    pub(crate) channel: &'a str,
    pub(crate) payloads: &'a [&'a str],
}

impl QueryFragment<Pg> for NotifyOnOneChannel<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, sql::NOTIFY_ON_ONE_CHANNEL);
        statement.bind::<Text, _>(self.channel)?;
        statement.bind::<Array<Text>, _>(self.payloads)?;
        statement.finish();
        Ok(())
    }
}

/// Publishes a batch with attachments.
pub(crate) struct NotifyWithAttachments<'a> {
    statement: String,
    columns: &'a Columns<'a>,
}

impl<'a> NotifyWithAttachments<'a> {
    pub(crate) fn new(table: &TableName, columns: &'a Columns<'a>) -> Self {
        Self { statement: sql::notify_with_attachments(table), columns }
    }
}

impl QueryFragment<Pg> for NotifyWithAttachments<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, &self.statement);
        statement.bind::<Array<Binary>, _>(&self.columns.bodies)?;
        statement.bind::<Array<Text>, _>(&self.columns.channels)?;
        statement.bind::<Array<Text>, _>(&self.columns.payloads)?;
        statement.bind::<Array<Nullable<Text>>, _>(&self.columns.after_ids)?;
        statement.finish();
        Ok(())
    }
}

/// Publishes one notification, with less work for PostgreSQL than a batch of one.
pub(crate) struct NotifyOne<'a> {
    pub(crate) channel: &'a str,
    pub(crate) payload: &'a str,
}

impl QueryFragment<Pg> for NotifyOne<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut statement = Statement::new(out, sql::NOTIFY_ONE);
        statement.bind::<Text, _>(self.channel)?;
        statement.bind::<Text, _>(self.payload)?;
        statement.finish();
        Ok(())
    }
}

/// The texts are always the same, so the types identify them.
impl QueryId for NotifyOne<'_> {
    type QueryId = NotifyOne<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryId for NotifyOnOneChannel<'_> {
    type QueryId = NotifyOnOneChannel<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryId for Notify<'_> {
    type QueryId = Notify<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

identified_by_text!(Fetch<'_>, Sweep, NotifyWithAttachments<'_>);
