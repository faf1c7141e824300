//! The statements that a running node sends.
//!
//! They are written by hand: `table!` fixes the name of its table at compile time, while ours is an
//! option, and diesel's query builder does not qualify names. Here everything is qualified, types
//! and operators too. Otherwise a role that may create objects in a schema of the search path gets
//! the node to run its functions. Only `unnest` of several arrays is not qualified: that is a
//! construct of the language, and PostgreSQL qualifies it. Each statement is prepared once per
//! connection; diesel identifies it by its type or its text.

use diesel::{
    QueryResult,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Double, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::backend::{Content, Outgoing, SweepBatch, inspect::INSPECT_TABLE_SQL, table::TableName};

use crate::shared_sql::Statement;

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
        let statement = table.sweep_statement(batch.oldest_first);
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
///
/// A body that does not fit is null and does not leave the server. PostgreSQL knows sizes without
/// reading the bodies.
pub(crate) struct Fetch<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) ids: &'a [i64],
    /// How many bytes one body may have, and all together.
    pub(crate) limits: (i64, i64),
}

impl QueryFragment<Pg> for Fetch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT id, bytes, CASE
                 WHEN bytes OPERATOR(pg_catalog.<=) one
                     AND (pg_catalog.sum(bytes) FILTER (WHERE bytes OPERATOR(pg_catalog.<=) one) OVER (ORDER BY id))
                         OPERATOR(pg_catalog.<=) together::pg_catalog.\"numeric\"
                 THEN payload
             END
             FROM (
                 SELECT id, pg_catalog.octet_length(payload)::pg_catalog.int8 AS bytes, payload FROM ",
        );
        out.push_sql(&self.table.to_string());
        out.push_sql(" WHERE id OPERATOR(pg_catalog.=) ANY (");
        out.push_bind_param::<Array<BigInt>, _>(self.ids)?;
        out.push_sql("::pg_catalog.int8[])) AS found, (SELECT ");
        out.push_bind_param::<BigInt, _>(&self.limits.0)?;
        out.push_sql("::pg_catalog.int8 AS one, ");
        out.push_bind_param::<BigInt, _>(&self.limits.1)?;
        out.push_sql("::pg_catalog.int8 AS together) AS limits");
        Ok(())
    }
}

impl Query for Fetch<'_> {
    type SqlType = (BigInt, Nullable<BigInt>, Nullable<Binary>);
}

/// A batch in columns.
pub(crate) struct Batch<'a> {
    pub(crate) channels: Vec<&'a str>,
    /// For an attachment, what comes before its id.
    pub(crate) payloads: Vec<&'a str>,
    /// What comes after the id, `None` for a payload.
    pub(crate) after_ids: Vec<Option<&'a str>>,
    /// The bodies of the attachments alone, in their order.
    pub(crate) bodies: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(batch: &'a [Outgoing]) -> Self {
        let mut columns = Self {
            channels: Vec::with_capacity(batch.len()),
            payloads: Vec::with_capacity(batch.len()),
            after_ids: Vec::with_capacity(batch.len()),
            bodies: Vec::new(),
        };
        for outgoing in batch {
            columns.channels.push(&outgoing.channel);
            match &outgoing.content {
                Content::Inline(payload) => {
                    columns.payloads.push(payload);
                    columns.after_ids.push(None);
                }
                Content::Attachment { body, before_id, after_id } => {
                    columns.payloads.push(before_id);
                    columns.after_ids.push(Some(after_id));
                    columns.bodies.push(body);
                }
            }
        }
        columns
    }

    /// The channel, if it is the same for all.
    pub(crate) fn one_channel(&self) -> Option<&'a str> {
        let (first, others) = self.channels.split_first()?;
        others.iter().all(|other| other == first).then_some(first)
    }

    pub(crate) fn has_attachments(&self) -> bool {
        !self.bodies.is_empty()
    }
}

/// Publishes a batch without attachments.
///
/// It does not set `synchronous_commit = off`: a transaction that only notifies writes nothing that
/// PostgreSQL would wait for. Counting saves a row per notification in the result.
pub(crate) struct Notify<'a>(pub(crate) &'a Batch<'a>);

impl QueryFragment<Pg> for Notify<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT pg_catalog.count(pg_catalog.pg_notify(channel, payload)) FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.0.channels)?;
        out.push_sql("::pg_catalog.text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.0.payloads)?;
        out.push_sql("::pg_catalog.text[]) AS batch(channel, payload)");
        Ok(())
    }
}

/// Publishes a batch without attachments whose channel is always the same, as it mostly is.
pub(crate) struct NotifyOnOneChannel<'a> {
    pub(crate) channel: &'a str,
    pub(crate) payloads: &'a [&'a str],
}

impl QueryFragment<Pg> for NotifyOnOneChannel<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT pg_catalog.count(pg_catalog.pg_notify(");
        out.push_bind_param::<Text, _>(self.channel)?;
        out.push_sql("::pg_catalog.text, payload)) FROM pg_catalog.unnest(");
        out.push_bind_param::<Array<Text>, _>(self.payloads)?;
        out.push_sql("::pg_catalog.text[]) AS batch(payload)");
        Ok(())
    }
}

/// Publishes a batch with attachments, in order and in one statement, which is one transaction.
///
/// * Ids are taken from the sequence in the order of `position`, so the n-th body has the n-th
///   smallest of the new ids.
/// * `synchronous_commit = off` for this transaction only. Notifications are not durable, so their
///   attachments need not be. Waiting for the disk while holding PostgreSQL's lock on the
///   notification queue would delay every session that notifies.
/// * `OFFSET 0` keeps the planner from dissolving the subquery that orders the notifications.
pub(crate) struct NotifyWithAttachments<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) batch: &'a Batch<'a>,
}

impl QueryFragment<Pg> for NotifyWithAttachments<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH relaxed AS MATERIALIZED (
                 SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
             ), inserted AS (
                 INSERT INTO ",
        );
        out.push_sql(&self.table.to_string());
        out.push_sql(
            " (payload)
                 SELECT body FROM pg_catalog.unnest(",
        );
        out.push_bind_param::<Array<Binary>, _>(&self.batch.bodies)?;
        out.push_sql(
            "::pg_catalog.bytea[]) WITH ORDINALITY AS bodies(body, position) ORDER BY position
                 RETURNING id
             )
             SELECT pg_catalog.count(pg_catalog.pg_notify(channel, CASE
                 WHEN after_id IS NULL THEN payload
                 ELSE payload OPERATOR(pg_catalog.||) ids[attachment] OPERATOR(pg_catalog.||) after_id
             END))
             FROM relaxed, (
                 SELECT pg_catalog.array_agg(id::pg_catalog.text ORDER BY id) AS ids FROM inserted
             ) AS attachments, (
                 SELECT
                     channel, payload, after_id,
                     pg_catalog.count(after_id) OVER (ORDER BY position)::pg_catalog.int4 AS attachment
                 FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.batch.channels)?;
        out.push_sql("::pg_catalog.text[], ");
        out.push_bind_param::<Array<Text>, _>(&self.batch.payloads)?;
        out.push_sql("::pg_catalog.text[], ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.batch.after_ids)?;
        out.push_sql(
            "::pg_catalog.text[]) WITH ORDINALITY AS batch(channel, payload, after_id, position)
                 ORDER BY position
                 OFFSET 0
             ) AS batch",
        );
        Ok(())
    }
}

/// Publishes one notification, with less work for PostgreSQL than a batch of one.
pub(crate) struct NotifyOne<'a> {
    pub(crate) channel: &'a str,
    pub(crate) payload: &'a str,
}

impl QueryFragment<Pg> for NotifyOne<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT pg_catalog.pg_notify(");
        out.push_bind_param::<Text, _>(self.channel)?;
        out.push_sql("::pg_catalog.text, ");
        out.push_bind_param::<Text, _>(self.payload)?;
        out.push_sql("::pg_catalog.text)");
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

/// These are identified by their text, which contains the table's name.
macro_rules! identified_by_text {
    ($($statement:ty;)*) => { $(
        impl QueryId for $statement {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    )* };
}

identified_by_text! {
    Fetch<'_>;
    Sweep;
    NotifyWithAttachments<'_>;
}
