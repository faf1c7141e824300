//! The SQL that a running node sends, the same for every backend. That of the catch-up log is in
//! [`log_sql`](super::log_sql).
//!
//! Every parameter of a statement stands in it once, and they are numbered as they come, for
//! drivers that write a statement around its parameters.
//!
//! Everything in it is qualified, types and operators too. Otherwise a role that may create objects
//! in a schema of the search path gets the node to run its functions. Only `unnest` of several
//! arrays is not qualified: that is a construct of the language, and PostgreSQL qualifies it.

use std::time::Duration;

#[cfg(doc)]
use crate::backend::SweepBatch;
use crate::backend::{Content, Outgoing, table::TableName};

/// Publishes a batch without attachments. `$1`: channels, `$2`: payloads.
///
/// It does not set `synchronous_commit = off`: a transaction that only notifies writes nothing that
/// PostgreSQL would wait for. Counting saves a row per notification in the result.
pub const NOTIFY: &str = "SELECT pg_catalog.count(pg_catalog.pg_notify(channel, payload))
     FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS batch(channel, payload)";

/// Publishes a batch without attachments whose channel is always the same, as it mostly is. `$1`:
/// the channel, `$2`: payloads.
pub const NOTIFY_ON_ONE_CHANNEL: &str = "SELECT pg_catalog.count(pg_catalog.pg_notify($1::pg_catalog.text, payload))
     FROM pg_catalog.unnest($2::pg_catalog.text[]) AS batch(payload)";

/// Publishes a batch with attachments, in order and in one statement, which is one transaction.
///
/// `$1`: the bodies of the attachments alone, in their order; `$2`: channels; `$3`: payloads, or for
/// an attachment what comes before its id; `$4`: what comes after the id, null for a payload.
///
/// * Ids are taken from the sequence in the order of `position`, so the n-th body has the n-th
///   smallest of the new ids.
/// * `synchronous_commit = off` for this transaction only: neither the session nor a pooler's other
///   clients see it. Notifications are not durable, so their attachments need not be. Waiting for
///   the disk while holding PostgreSQL's lock on the notification queue would delay every session
///   that notifies.
/// * `OFFSET 0` keeps the planner from dissolving the subquery that orders the notifications.
pub fn notify_with_attachments(table: &TableName) -> String {
    format!(
        "WITH relaxed AS MATERIALIZED (
             SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
         ), inserted AS (
             INSERT INTO {table} (payload)
             SELECT body FROM pg_catalog.unnest($1::pg_catalog.bytea[]) WITH ORDINALITY AS bodies(body, position)
             ORDER BY position
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
             FROM unnest($2::pg_catalog.text[], $3::pg_catalog.text[], $4::pg_catalog.text[])
                 WITH ORDINALITY AS batch(channel, payload, after_id, position)
             ORDER BY position
             OFFSET 0
         ) AS batch"
    )
}

/// Fetches attachments: their ids, sizes, and bodies. `$1`: ids; `$2`: how many bytes one body may
/// have, `$3`: all together.
///
/// A body that does not fit is null and does not leave the server. PostgreSQL knows sizes without
/// reading the bodies.
pub fn fetch(table: &TableName) -> String {
    format!(
        "SELECT id, bytes, CASE
             WHEN bytes OPERATOR(pg_catalog.<=) one
                 AND (pg_catalog.sum(bytes) FILTER (WHERE bytes OPERATOR(pg_catalog.<=) one) OVER (ORDER BY id))
                     OPERATOR(pg_catalog.<=) together::pg_catalog.\"numeric\"
             THEN payload
         END
         FROM (
             SELECT id, pg_catalog.octet_length(payload)::pg_catalog.int8 AS bytes, payload
             FROM {table} WHERE id OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.int8[])
         ) AS found, (
             SELECT $2::pg_catalog.int8 AS one, $3::pg_catalog.int8 AS together
         ) AS limits"
    )
}

/// Publishes one notification. `$1`: the channel, `$2`: the payload.
pub const NOTIFY_ONE: &str = "SELECT pg_catalog.pg_notify($1::pg_catalog.text, $2::pg_catalog.text)";

/// How far attachments of emitters are dated ahead. They are sent in transactions of the
/// application, which may stay open, and servers sweep by the age of a row: without it, a row could be
/// swept as soon as others see it.
pub const EMITTED_AHEAD: Duration = Duration::from_secs(60);

/// Publishes one attachment as part of the application's own transaction, whose settings are left
/// alone. The row is dated [ahead](EMITTED_AHEAD).
///
/// `$1`: the body, `$2`: the channel, `$3` and `$4`: what comes before and after the id.
pub fn notify_one_with_attachment(table: &TableName) -> String {
    format!(
        "WITH inserted AS (
             INSERT INTO {table} (created_at, payload)
             VALUES (
                 pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {ahead:?}),
                 $1::pg_catalog.bytea
             )
             RETURNING id
         )
         SELECT pg_catalog.pg_notify(
             $2::pg_catalog.text,
             $3::pg_catalog.text OPERATOR(pg_catalog.||) id::pg_catalog.text OPERATOR(pg_catalog.||) $4::pg_catalog.text
         ) FROM inserted",
        ahead = EMITTED_AHEAD.as_secs_f64()
    )
}

/// Deletes a batch of old rows, of attachments or of the log: see [`SweepBatch`]. `$1`: how old they
/// are at least, in seconds; `$2`: how many at most.
///
/// It deletes in the order of their numbers, so that rows are locked in the order in which other
/// servers lock them.
pub fn sweep(table: &TableName, oldest_first: bool) -> String {
    let order = if oldest_first { "ORDER BY created_at " } else { "" };
    format!(
        "DELETE FROM {table} WHERE id OPERATOR(pg_catalog.=) ANY (ARRAY(
             SELECT id FROM {table} AS old
             WHERE created_at OPERATOR(pg_catalog.<)
                 (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $1::pg_catalog.float8))
             {order}LIMIT $2::pg_catalog.int8
         ))"
    )
}

/// A batch in columns, as the statements take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns<'a> {
    /// The channel of each message.
    pub channels: Vec<&'a str>,
    /// For an attachment, what comes before its id.
    pub payloads: Vec<&'a str>,
    /// What comes after the id, `None` for a payload.
    pub after_ids: Vec<Option<&'a str>>,
    /// The bodies of the attachments alone, in their order.
    pub bodies: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// Takes a batch apart.
    pub fn new(batch: &'a [Outgoing]) -> Self {
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
    pub fn one_channel(&self) -> Option<&'a str> {
        let (first, others) = self.channels.split_first()?;
        others.iter().all(|other| other == first).then_some(first)
    }
}
