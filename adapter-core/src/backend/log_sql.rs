//! The SQL of the catch-up log, the same for every backend.
//!
//! Every parameter of a statement that publishes is used once, and parameters are numbered in the
//! order of their use. Everything is qualified, types and operators too, except for `unnest` of
//! several arrays: see the statements of the backends.

use crate::backend::table::TableName;

/// Publishes a batch in order and in one statement, and writes the messages that are to be logged
/// into the log.
///
/// `$1`: how many seconds the log goes back; `$2`: the bodies of the attachments alone, in their
/// order; `$3`: channels; `$4`: payloads, or for an attachment what comes before its id; `$5`: what
/// comes after the id, null for a payload; `$6`: whether it is logged.
///
/// * Ids are taken from the sequences in the order of `position`: the n-th body has the n-th
///   smallest of the new ids, and the log is in the order of the batch.
/// * `synchronous_commit = off` for this transaction only: waiting for the disk while holding
///   PostgreSQL's lock on the notification queue would delay every session that notifies. What a
///   crash of the server then removes from the log (the last half a second) is detected: see
///   [`mark`].
/// * `OFFSET 0` keeps the planner from dissolving the subqueries that order the rows.
pub fn publish(attachments: &TableName, log: &TableName) -> String {
    format!(
        "WITH relaxed AS MATERIALIZED (
             SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
         ), inserted AS (
             INSERT INTO {attachments} (created_at, payload)
             SELECT
                 pg_catalog.clock_timestamp()
                     OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $1::pg_catalog.float8),
                 body
             FROM pg_catalog.unnest($2::pg_catalog.bytea[]) WITH ORDINALITY AS bodies(body, position) ORDER BY position
             RETURNING id
         ), batch AS MATERIALIZED (
             SELECT
                 position, channel, is_logged,
                 CASE
                     WHEN after_id IS NULL THEN payload
                     ELSE payload OPERATOR(pg_catalog.||) ids[attachment] OPERATOR(pg_catalog.||) after_id
                 END AS payload
             FROM relaxed, (
                 SELECT pg_catalog.array_agg(id::pg_catalog.text ORDER BY id) AS ids FROM inserted
             ) AS attachments, (
                 SELECT *, pg_catalog.count(after_id) OVER (ORDER BY position)::pg_catalog.int4 AS attachment
                 FROM unnest(
                     $3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.text[], $6::pg_catalog.bool[]
                 ) WITH ORDINALITY AS columns(channel, payload, after_id, is_logged, position)
             ) AS columns
         ), logged AS (
             INSERT INTO {log} (channel, payload)
             SELECT channel, payload FROM batch WHERE is_logged ORDER BY position
         )
         SELECT pg_catalog.count(pg_catalog.pg_notify(channel, payload))
         FROM (SELECT channel, payload FROM batch ORDER BY position OFFSET 0) AS batch"
    )
}

/// Publishes and logs one payload as part of the application's own transaction, whose settings are
/// left alone.
///
/// `$1`: the channel, `$2`: the payload.
pub fn publish_one(log: &TableName) -> String {
    format!(
        "WITH message AS MATERIALIZED (
             SELECT $1::pg_catalog.text AS channel, $2::pg_catalog.text AS payload
         ), logged AS (
             INSERT INTO {log} (channel, payload) SELECT channel, payload FROM message
         )
         SELECT pg_catalog.pg_notify(channel, payload) FROM message"
    )
}

/// Publishes and logs one attachment as part of the application's own transaction.
///
/// `$1`: how many seconds the log goes back, `$2`: the body, `$3`: the channel, `$4` and `$5`: what
/// comes before and after the id.
pub fn publish_one_attachment(attachments: &TableName, log: &TableName) -> String {
    format!(
        "WITH inserted AS (
             INSERT INTO {attachments} (created_at, payload)
             VALUES (
                 pg_catalog.clock_timestamp()
                     OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $1::pg_catalog.float8),
                 $2::pg_catalog.bytea
             )
             RETURNING id
         ), message AS MATERIALIZED (
             SELECT
                 $3::pg_catalog.text AS channel,
                 $4::pg_catalog.text OPERATOR(pg_catalog.||) id::pg_catalog.text
                     OPERATOR(pg_catalog.||) $5::pg_catalog.text AS payload
             FROM inserted
         ), logged AS (
             INSERT INTO {log} (channel, payload) SELECT channel, payload FROM message
         )
         SELECT pg_catalog.pg_notify(channel, payload) FROM message"
    )
}

/// Marks a position in the log. `$1`: the channel, `$2`: the payload. Returns `snapshot`, `taken`
/// (seconds since 1970), `history`, `crashes` and `id`: see [`Position`](crate::backend::Position).
///
/// * The transaction writes, and waits for the disk. So everything that its snapshot sees is safe,
///   too: after a crash PostgreSQL does not give a number of these transactions out again.
/// * `history` is the timeline, which changes when a standby takes over or a backup is restored,
///   and the file of the table.
/// * PostgreSQL discards all its statistics after a crash, and says since when it has new ones. An
///   administrator may reset those of one kind: only a reset of all kinds is a crash.
pub fn mark(log: &TableName) -> String {
    let name = log.to_string().replace('\'', "''");
    format!(
        "WITH durable AS MATERIALIZED (
             SELECT pg_catalog.set_config('synchronous_commit', 'local', true)
         ), mark AS MATERIALIZED (
             SELECT $1::pg_catalog.text AS channel, $2::pg_catalog.text AS payload FROM durable
         ), logged AS (
             INSERT INTO {log} (channel, payload) SELECT channel, payload FROM mark RETURNING id
         )
         SELECT
             pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot,
             extract(epoch FROM pg_catalog.now())::pg_catalog.float8 AS taken,
             pg_catalog.concat_ws(
                 '/',
                 pg_catalog.\"left\"(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
                 pg_catalog.pg_relation_filenode('{name}'::pg_catalog.regclass)::pg_catalog.text
             ) AS history,
             coalesce(
                 (
                     SELECT extract(epoch FROM least(bgwriter.stats_reset, archiver.stats_reset))::pg_catalog.text
                     FROM pg_catalog.pg_stat_bgwriter AS bgwriter, pg_catalog.pg_stat_archiver AS archiver
                 ),
                 ''
             ) AS crashes,
             id::pg_catalog.int8 AS id,
             pg_catalog.pg_notify(channel, payload)::pg_catalog.text AS notified
         FROM mark, logged"
    )
}

/// Reads a part of the log. `$1` and `$2`: the snapshots since and until which it was committed,
/// `$3`: the `crashes` that [`mark`] returned with the second, `$4`: the number after which to
/// begin, or 0; `$5`: the channels, `$6`: how many rows at most. Returns `id`, `channel`,
/// `payload`, and `is_before_crash`: whether the server has crashed since.
///
/// Rows that a snapshot does not see may have any number, as a transaction may have been open for
/// long. But their `xid` is at or above the snapshot's `xmax`, or is the `xid` of a transaction
/// that was open, and an index leads to both. So the rows before the position are not read, also
/// while a transaction stays open anywhere on the server. The planner expects few rows in a range
/// whose bounds it does not know, but a third of the table beyond a single bound. Each range
/// therefore has two bounds, and is read by its index also where statistics are missing or old.
pub fn read(log: &TableName) -> String {
    // The snapshots are read once, not for each row.
    format!(
        "SELECT
             id::pg_catalog.int8 AS id, channel::pg_catalog.text AS channel, payload::pg_catalog.text AS payload,
             coalesce(created_at::pg_catalog.timestamptz OPERATOR(pg_catalog.<) recovered, false) AS is_before_crash
         FROM (
             SELECT
                 $1::pg_catalog.text::pg_catalog.pg_snapshot AS since,
                 $2::pg_catalog.text::pg_catalog.pg_snapshot AS until,
                 CASE WHEN $3::pg_catalog.text OPERATOR(pg_catalog.<>) ''
                     THEN pg_catalog.to_timestamp($3::pg_catalog.text::pg_catalog.float8)
                 END AS recovered
             OFFSET 0
         ) AS bounds, {log} AS log
         WHERE id OPERATOR(pg_catalog.>) CASE
                 WHEN $4::pg_catalog.int8 OPERATOR(pg_catalog.>) 0 THEN $4::pg_catalog.int8
                 ELSE (
                     SELECT pg_catalog.min(id) OPERATOR(pg_catalog.-) 1
                     FROM (
                         (
                             SELECT id::pg_catalog.int8 AS id FROM {log} AS begun_later
                             WHERE xid OPERATOR(pg_catalog.>=)
                                     pg_catalog.pg_snapshot_xmax($1::pg_catalog.text::pg_catalog.pg_snapshot)
                                 AND xid OPERATOR(pg_catalog.<)
                                     pg_catalog.pg_snapshot_xmax($2::pg_catalog.text::pg_catalog.pg_snapshot)
                             OFFSET 0
                         ) UNION ALL (
                             SELECT id::pg_catalog.int8 FROM {log} AS was_open
                             WHERE xid OPERATOR(pg_catalog.=) ANY (ARRAY(
                                 SELECT pg_catalog.pg_snapshot_xip($1::pg_catalog.text::pg_catalog.pg_snapshot)
                             ))
                             OFFSET 0
                         )
                     ) AS first
                 )
             END
             AND id OPERATOR(pg_catalog.<=) 9223372036854775807
             AND channel::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($5::pg_catalog.text[])
             AND NOT pg_catalog.pg_visible_in_snapshot(xid, since) AND pg_catalog.pg_visible_in_snapshot(xid, until)
         ORDER BY id LIMIT $6::pg_catalog.int8"
    )
}
