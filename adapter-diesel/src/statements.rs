//! The statements that a running node sends.
//!
//! `table!` fixes the name of its table when it is compiled, while ours is an option. So the table takes the fixed name as an
//! alias in each statement, `FROM "chat"."attachments" AS "socket_io_attachments"`: columns and conditions are then those
//! of diesel's query builder, and only the frame around them is written by hand. Each statement is prepared once per
//! connection, diesel telling them apart by their type or their text.

use diesel::{
    QueryResult,
    data_types::PgInterval,
    dsl::now,
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Interval, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::{
    backend::{Content, Outgoing},
    prepare,
    table::TableName,
};
use std::time::Duration;

diesel::table! {
    socket_io_attachments (id) {
        id -> BigInt,
        created_at -> Nullable<Timestamptz>,
        payload -> Nullable<Binary>,
    }
}

/// Everything about the table that matters at the start.
pub(crate) async fn look(connection: &mut AsyncPgConnection, table: &TableName) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        seen: String,
    }
    let query = diesel::sql_query(format!("SELECT seen FROM ({}) AS look(seen)", prepare::LOOK));
    Ok(query.bind::<Text, _>(table.to_string()).get_result::<Answer>(connection).await?.seen)
}

/// Deletes the attachments that are older.
pub(crate) fn sweep(table: &TableName, age: Duration) -> impl QueryFragment<Pg> + QueryId + Send + use<'_> {
    use socket_io_attachments::created_at;
    // An interval has its bounds, and nothing in a database is as old.
    const OLDEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let microseconds = age.min(OLDEST).as_micros().try_into().unwrap_or(i64::MAX);
    let age = PgInterval::from_microseconds(microseconds);
    let limit = now.into_sql::<Timestamptz>() - age.into_sql::<Interval>();
    Delete { table, condition: created_at.lt(limit.nullable()) }
}

/// The table after `FROM` or `INTO`, under the name that `table!` knows.
fn push_table(out: &mut AstPass<'_, '_, Pg>, table: &TableName) {
    out.push_sql(&table.to_string());
    out.push_sql(r#" AS "socket_io_attachments""#);
}

/// Fetches the attachments that are there: their ids, sizes, and bodies, in any order.
///
/// A body that does not fit is null and does not leave the server. To tell sizes PostgreSQL does not look at the bodies.
pub(crate) struct Fetch<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) ids: &'a [i64],
    /// How many bytes one may have, and all together.
    pub(crate) limits: (i64, i64),
}

impl QueryFragment<Pg> for Fetch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT id, bytes, CASE
                 WHEN bytes <= one AND sum(bytes) FILTER (WHERE bytes <= one) OVER (ORDER BY id) <= together THEN payload
             END
             FROM (
                 SELECT id, octet_length(payload)::int8 AS bytes, payload FROM ",
        );
        push_table(&mut out, self.table);
        out.push_sql(" WHERE id = ANY(");
        out.push_bind_param::<Array<BigInt>, _>(self.ids)?;
        out.push_sql(") ) AS found, ( SELECT ");
        out.push_bind_param::<BigInt, _>(&self.limits.0)?;
        out.push_sql("::int8 AS one, ");
        out.push_bind_param::<BigInt, _>(&self.limits.1)?;
        out.push_sql("::int8 AS together ) AS limits");
        Ok(())
    }
}

impl Query for Fetch<'_> {
    type SqlType = (BigInt, Nullable<BigInt>, Nullable<Binary>);
}

/// `DELETE FROM table WHERE condition`
struct Delete<'a, C> {
    table: &'a TableName,
    condition: C,
}

impl<C: QueryFragment<Pg>> QueryFragment<Pg> for Delete<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("DELETE FROM ");
        push_table(&mut out, self.table);
        out.push_sql(" WHERE ");
        self.condition.walk_ast(out)
    }
}

/// A batch in columns.
pub(crate) struct Batch<'a> {
    pub(crate) channels: Vec<&'a str>,
    /// For an attachment, what comes before its id.
    pub(crate) payloads: Vec<&'a str>,
    /// What comes after the id, `None` for a payload.
    pub(crate) after_ids: Vec<Option<&'a str>>,
    /// Those of the attachments alone, in their order.
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
/// It does not ask for `synchronous_commit = off`: a transaction that does nothing but notify writes nothing that PostgreSQL
/// would wait for. Counting spares a row per notification in the answer.
pub(crate) struct Notify<'a>(pub(crate) &'a Batch<'a>);

impl QueryFragment<Pg> for Notify<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(pg_notify(channel, payload)) FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.0.channels)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.0.payloads)?;
        out.push_sql(") AS batch(channel, payload)");
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
        out.push_sql("SELECT count(pg_notify(");
        out.push_bind_param::<Text, _>(self.channel)?;
        out.push_sql(", payload)) FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(self.payloads)?;
        out.push_sql(") AS batch(payload)");
        Ok(())
    }
}

/// Publishes a batch with attachments, in order and in one statement, which is one transaction.
///
/// * Ids are taken from the sequence in the order of `position`, so the n-th body has the n-th smallest of the new ids.
/// * `synchronous_commit = off` for this transaction only. Notifications are not durable, so their attachments need not be, and
///   to wait for the disk while holding PostgreSQL's lock on the notification queue would hold up everybody who notifies.
/// * `OFFSET 0` keeps the planner from dissolving the subquery that puts the notifications in order.
pub(crate) struct NotifyWithAttachments<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) batch: &'a Batch<'a>,
}

impl QueryFragment<Pg> for NotifyWithAttachments<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH relaxed AS MATERIALIZED (
                 SELECT set_config('synchronous_commit', 'off', true)
             ), inserted AS (
                 INSERT INTO ",
        );
        push_table(&mut out, self.table);
        out.push_sql(
            " (payload)
                 SELECT body FROM unnest(",
        );
        out.push_bind_param::<Array<Binary>, _>(&self.batch.bodies)?;
        out.push_sql(
            ") WITH ORDINALITY AS bodies(body, position) ORDER BY position
                 RETURNING id
             )
             SELECT count(pg_notify(
                 channel,
                 CASE WHEN after_id IS NULL THEN payload ELSE payload || ids[attachment] || after_id END
             ))
             FROM relaxed, (
                 SELECT array_agg(id ORDER BY id) AS ids FROM inserted
             ) AS attachments, (
                 SELECT channel, payload, after_id, count(after_id) OVER (ORDER BY position) AS attachment
                 FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.batch.channels)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.batch.payloads)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.batch.after_ids)?;
        out.push_sql(
            ") WITH ORDINALITY AS batch(channel, payload, after_id, position)
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
        out.push_sql("SELECT pg_notify(");
        out.push_bind_param::<Text, _>(self.channel)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.payload)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Their texts are always the same, so their types identify them.
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

/// These are identified by their text: it has the table's name in it.
macro_rules! identified_by_text {
    ($($statement:ty $(, $parameter:ident)*;)*) => { $(
        impl<$($parameter),*> QueryId for $statement {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    )* };
}

identified_by_text! {
    Fetch<'_>;
    Delete<'_, C>, C;
    NotifyWithAttachments<'_>;
}
