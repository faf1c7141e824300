//! The SQL that a running node sends.
//!
//! Everything in it is qualified, types and operators too. Otherwise a role that may create objects
//! in a schema of the search path gets the node to run its functions. Only `unnest` of several
//! arrays is not qualified: that is a construct of the language, and PostgreSQL qualifies it.

use socketio_pg_core::backend::table::TableName;

/// Publishes a batch without attachments. `$1`: channels, `$2`: payloads.
///
/// It does not set `synchronous_commit = off`: a transaction that only notifies writes nothing that
/// PostgreSQL would wait for. Counting saves a row per notification in the result.
pub(crate) const NOTIFY: &str = "SELECT pg_catalog.count(pg_catalog.pg_notify(channel, payload))
     FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS batch(channel, payload)";

/// Publishes a batch without attachments whose channel is always the same, as it mostly is. `$1`:
/// the channel, `$2`: payloads.
pub(crate) const NOTIFY_ON_ONE_CHANNEL: &str =
    "SELECT pg_catalog.count(pg_catalog.pg_notify($1::pg_catalog.text, payload))
     FROM pg_catalog.unnest($2::pg_catalog.text[]) AS batch(payload)";

/// Publishes a batch with attachments, in order and in one statement, which is one transaction.
///
/// `$1`: channels; `$2`: payloads, or for an attachment what comes before its id; `$3`: what comes
/// after the id, null for a payload; `$4`: the bodies of the attachments alone, in their order.
///
/// * Ids are taken from the sequence in the order of `position`, so the n-th body has the n-th
///   smallest of the new ids.
/// * `synchronous_commit = off` for this transaction only: neither the session nor a pooler's other
///   clients see it. Notifications are not durable, so their attachments need not be. Waiting for
///   the disk while holding PostgreSQL's lock on the notification queue would delay every session
///   that notifies.
/// * `OFFSET 0` keeps the planner from dissolving the subquery that orders the notifications.
pub(crate) fn notify_with_attachments(table: &TableName) -> String {
    format!(
        "WITH relaxed AS MATERIALIZED (
             SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
         ), inserted AS (
             INSERT INTO {table} (payload)
             SELECT body FROM pg_catalog.unnest($4::pg_catalog.bytea[]) WITH ORDINALITY AS bodies(body, position)
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
             FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.text[])
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
pub(crate) fn fetch(table: &TableName) -> String {
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
pub(crate) const NOTIFY_ONE: &str = "SELECT pg_catalog.pg_notify($1::pg_catalog.text, $2::pg_catalog.text)";

/// Publishes one attachment as part of the application's own transaction, whose settings are left
/// alone.
///
/// `$1`: the channel, `$2` and `$3`: what comes before and after the id, `$4`: the body.
pub(crate) fn notify_one_with_attachment(table: &TableName) -> String {
    format!(
        "WITH inserted AS (INSERT INTO {table} (payload) VALUES ($4::pg_catalog.bytea) RETURNING id)
         SELECT pg_catalog.pg_notify(
             $1::pg_catalog.text,
             $2::pg_catalog.text OPERATOR(pg_catalog.||) id::pg_catalog.text OPERATOR(pg_catalog.||) $3::pg_catalog.text
         ) FROM inserted"
    )
}
