//! The SQL of the outbox, the same for every backend.
//!
//! As in [`sql`](super::sql), every parameter stands in a statement once, in order, and everything
//! is qualified.
//!
//! # Whose turn it is
//!
//! One server at a time publishes the outbox. Until when it does is the value of a sequence, in
//! milliseconds since 1970 by the clock of the database. A sequence, because it is read as it is
//! now, in a transaction of any age, and because changing it leaves no dead row behind. A server
//! that goes on publishing takes the turn again before it is over; of a server that dies or hangs it
//! ends by itself. A value that is further ahead than any server sets it comes from a clock that was
//! set back, and does not count.
//!
//! What keeps two servers apart is not the turn but a lock for each batch, and that rows are deleted
//! in the transaction that notifies.
//!
//! # Who wakes whom
//!
//! While it is some server's turn, that server looks for rows in short intervals, and whoever
//! writes a row need not notify. Otherwise the writer does, and its commit waits for PostgreSQL's
//! lock on the notification queue, as it would without an outbox. The turn is read after the row is
//! written. So each writer who found the turn taken had the number of its transaction before the
//! turn was over, and the server can wait for those that are still open.

#[cfg(doc)]
use crate::backend::{OutboxBatch, OutboxProgress, OutboxState};
use crate::backend::{
    catch_up::CatchUp,
    table::{TableName, literal},
};

/// A turn that is over sooner than this is over for a writer.
pub(crate) const MARGIN: i64 = 500;

/// No server takes a turn for longer. In milliseconds.
pub(crate) const LONGEST_TURN: i64 = 10_000;

/// The milliseconds since 1970.
const NOW: &str = "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) \
                   OPERATOR(pg_catalog.*) 1000::pg_catalog.float8)::pg_catalog.int8";

/// Writes a message into the outbox, as part of the application's own transaction. `$1`: the
/// channel; `$2`: the payload, or what comes before the id of an attachment; `$3`: what comes after
/// it, and `$4`: the body, both null for a payload; `$5`: the channel that wakes the servers.
///
/// The subquery that reads the turn is run for a row of `written`, and so after it was written.
pub fn write(outbox: &TableName) -> String {
    let turn = outbox.turn_sequence();
    format!(
        "WITH written AS (
             INSERT INTO {outbox} (channel, payload, after_id, body)
             VALUES ($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.bytea)
             RETURNING id
         )
         SELECT pg_catalog.pg_notify($5::pg_catalog.text, ''::pg_catalog.text) FROM written WHERE NOT (
             (SELECT last_value FROM {turn}) OPERATOR(pg_catalog.-) {NOW}
                 OPERATOR(pg_catalog.>=) {MARGIN}::pg_catalog.int8
             AND (SELECT last_value FROM {turn}) OPERATOR(pg_catalog.-) {NOW}
                 OPERATOR(pg_catalog.<=) {LONGEST_TURN}::pg_catalog.int8
         )"
    )
}

/// Publishes a batch of the outbox: see [`OutboxBatch`] and [`OutboxProgress`], whose fields are the
/// columns of the one row that it returns, in their order.
///
/// `$1`: the turn, `$2`: for how many milliseconds to take it or null, `$3`: the number after which
/// to begin, `$4`: how many rows at most, `$5`: whether a transaction number is wanted.
///
/// * It deletes the rows, moves bodies into the attachments table, writes the log and notifies in
///   one transaction. It waits for the disk of this server, whatever the session's setting is: after a
///   crash no row comes back that was published. It does not wait for standbys, as it holds
///   PostgreSQL's lock on the notification queue meanwhile.
/// * It is not to be prepared for more than one run: a plan that was made while the table was empty
///   reads all of it when many rows wait.
/// * What it is made of before it reads the table has names that no table is likely to have.
/// * A batch that cannot have the lock does nothing: another server is just publishing. A server whose
///   turn it is not does not ask for the lock, which would keep the one whose turn it is from having it.
/// * What PostgreSQL cannot notify, as it is too long, is left out and counted. No emitter writes it.
pub fn publish(outbox: &TableName, attachments: &TableName, log: Option<(&TableName, &CatchUp)>) -> String {
    let turn = outbox.turn_sequence();
    let (outbox_literal, turn_literal) = (literal(&outbox.to_string()), literal(&turn));
    // The bytes of "outb", and the table: outboxes of several clusters are published beside each other.
    let lock = i32::from_be_bytes(*b"outb");
    let (dated, ahead) = log.map_or_else(Default::default, |(_, log)| {
        let ahead = format!(
            "pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => {:?}), ",
            log.seconds()
        );
        ("created_at, ", ahead)
    });
    let logged = log.map_or_else(String::new, |(table, _)| {
        format!(
            ", logged AS (
                 INSERT INTO {table} (channel, payload) SELECT channel, payload FROM batch WHERE is_possible ORDER BY id
             )"
        )
    });
    format!(
        "WITH socketio_given AS MATERIALIZED (
             SELECT
                 $1::pg_catalog.int8 AS mine, $2::pg_catalog.int8 AS take, $3::pg_catalog.int8 AS after,
                 $4::pg_catalog.int8 AS size, $5::pg_catalog.bool AS wants_xid,
                 pg_catalog.set_config('synchronous_commit', 'local', true) AS durable
         ), socketio_turn AS MATERIALIZED (
             SELECT last_value AS until, {NOW} AS now FROM {turn}
         ), socketio_claimed AS MATERIALIZED (
             SELECT until, now, CASE
                 WHEN until OPERATOR(pg_catalog.=) mine
                     OR until OPERATOR(pg_catalog.<) now
                     OR until OPERATOR(pg_catalog.-) now OPERATOR(pg_catalog.>) {LONGEST_TURN}::pg_catalog.int8
                 THEN pg_catalog.pg_try_advisory_xact_lock(
                     {lock}, {outbox_literal}::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4
                 )
                 ELSE false
             END AS is_ours
             FROM socketio_turn, socketio_given
         ), socketio_held AS MATERIALIZED (
             SELECT is_ours, CASE
                 WHEN is_ours AND take IS NOT NULL
                     THEN pg_catalog.setval({turn_literal}::pg_catalog.regclass, now OPERATOR(pg_catalog.+) take, true)
                 ELSE until
             END AS until
             FROM socketio_claimed, socketio_given
         ), taken AS (
             DELETE FROM {outbox} WHERE id OPERATOR(pg_catalog.=) ANY (ARRAY(
                 SELECT id FROM {outbox} AS waiting
                 WHERE (SELECT is_ours FROM socketio_held)
                     AND id OPERATOR(pg_catalog.>) (SELECT after FROM socketio_given)
                     AND id OPERATOR(pg_catalog.<=) 9223372036854775807
                 ORDER BY id LIMIT (SELECT size FROM socketio_given)
             ))
             RETURNING id, created_at, channel, payload, after_id, body
         ), attached AS (
             INSERT INTO {attachments} ({dated}payload)
             SELECT {ahead}body
             FROM taken WHERE after_id IS NOT NULL ORDER BY id
             RETURNING id
         ), batch AS MATERIALIZED (
             SELECT id, channel, payload,
                 pg_catalog.octet_length(channel) OPERATOR(pg_catalog.>) 0
                     AND pg_catalog.octet_length(channel) OPERATOR(pg_catalog.<) 64
                     AND pg_catalog.octet_length(payload) OPERATOR(pg_catalog.<) 8000 AS is_possible
             FROM (
                 SELECT rows.id, channel, CASE
                     WHEN after_id IS NULL THEN rows.payload
                     ELSE rows.payload OPERATOR(pg_catalog.||) ids[attachment] OPERATOR(pg_catalog.||) after_id
                 END AS payload
                 FROM (
                     SELECT pg_catalog.array_agg(id::pg_catalog.text ORDER BY id) AS ids FROM attached
                 ) AS attachments, (
                     SELECT id, channel, payload, after_id,
                         pg_catalog.count(after_id) OVER (ORDER BY id)::pg_catalog.int4 AS attachment
                     FROM taken
                 ) AS rows
             ) AS whole
         ){logged}, notified AS MATERIALIZED (
             SELECT
                 pg_catalog.count(pg_catalog.pg_notify(channel, payload)) FILTER (WHERE is_possible) AS sent,
                 pg_catalog.count(*) AS rows, pg_catalog.max(id) AS last
             FROM (SELECT id, channel, payload, is_possible FROM batch ORDER BY id OFFSET 0) AS ordered
         )
         SELECT
             is_ours, until AS turn, rows, rows OPERATOR(pg_catalog.-) sent AS refused, coalesce(last, 0::pg_catalog.int8) AS last,
             coalesce((SELECT {since} FROM taken), 0::pg_catalog.int8) AS waited,
             pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8 AS open_since,
             CASE
                 WHEN wants_xid OR rows OPERATOR(pg_catalog.>) 0::pg_catalog.int8
                     THEN pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8
                 ELSE 0::pg_catalog.int8
             END AS xid
         FROM socketio_held, socketio_given, notified",
        since = since("pg_catalog.min(created_at)")
    )
}

/// Looks at an outbox and changes nothing: see [`OutboxState`], whose fields are the columns of the
/// one row that it returns, in their order. `$1`: the number after which to begin. Like
/// [`publish()`], it is not to be prepared for more than one run.
pub fn look(outbox: &TableName) -> String {
    let turn = outbox.turn_sequence();
    let turn_literal = literal(&turn);
    format!(
        "SELECT
             oldest.id AS oldest, coalesce({since}, 0::pg_catalog.int8) AS waited,
             CASE
                 WHEN turn_left OPERATOR(pg_catalog.>) {LONGEST_TURN}::pg_catalog.int8
                     OR turn_left OPERATOR(pg_catalog.<) 0::pg_catalog.int8 THEN 0::pg_catalog.int8
                 ELSE turn_left
             END AS turn_left,
             pg_catalog.has_sequence_privilege({turn_literal}::pg_catalog.regclass, 'UPDATE') AS may_take_turn,
             pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8 AS open_since
         FROM (SELECT last_value OPERATOR(pg_catalog.-) {NOW} AS turn_left FROM {turn} OFFSET 0) AS turn
             LEFT JOIN (
                 SELECT id::pg_catalog.int8 AS id, created_at FROM {outbox}
                 WHERE id OPERATOR(pg_catalog.>) $1::pg_catalog.int8 ORDER BY id LIMIT 1
             ) AS oldest ON true",
        since = since("created_at")
    )
}

/// How many milliseconds ago something was; null for a time that is no time.
fn since(time: &str) -> String {
    format!(
        "CASE WHEN pg_catalog.isfinite({time}) THEN {NOW} OPERATOR(pg_catalog.-) (
             pg_catalog.date_part('epoch', {time}) OPERATOR(pg_catalog.*) 1000::pg_catalog.float8
         )::pg_catalog.int8 END"
    )
}
