"""The SQL of a node and of an emitter. Names and operators are qualified where a role could add its own."""

from __future__ import annotations

NOTIFY = """
SELECT pg_catalog.count(pg_catalog.pg_notify(channel, payload))
FROM unnest(%s::pg_catalog.text[], %s::pg_catalog.text[]) AS batch(channel, payload)"""

NOTIFY_ONE = "SELECT pg_catalog.pg_notify(%s::pg_catalog.text, %s::pg_catalog.text)"

CHECK = "SELECT 1"


def create_table(table: str) -> str:
    """Unlogged, and not compressed: attachments live for a minute, and cost less in this way.

    From PostgreSQL 15 on the sequence would be unlogged, too: then ids would begin again after a crash, and on a
    standby that takes over the sequence may be unreadable.
    """
    name = "'" + table.replace("'", "''") + "'"
    return f"""
CREATE UNLOGGED TABLE IF NOT EXISTS {table} (
    id         bigserial UNIQUE,
    created_at pg_catalog.timestamptz DEFAULT pg_catalog.now(),
    payload    pg_catalog.bytea
);
ALTER TABLE {table} ALTER COLUMN payload SET STORAGE EXTERNAL;
DO $socketio$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000
        AND pg_catalog.pg_get_serial_sequence({name}, 'id') IS NOT NULL
    THEN
        EXECUTE pg_catalog.concat('ALTER SEQUENCE ', pg_catalog.pg_get_serial_sequence({name}, 'id'), ' SET LOGGED');
    END IF;
END
$socketio$;"""


TABLE_EXISTS = "SELECT pg_catalog.to_regclass(%s::pg_catalog.text) IS NOT NULL"


def notify_with_attachments(table: str) -> str:
    """Publishes a batch in order and in one statement, which is one transaction.

    Parameters: the bodies of the attachments; channels; payloads, or for an attachment what comes
    before its id; what comes after the id, null for a payload. Ids are taken from the sequence in the
    order of `position`, so the n-th body has the n-th smallest of the new ids. `OFFSET 0` keeps the
    planner from dissolving the subquery that orders the notifications.
    """
    return f"""
WITH relaxed AS MATERIALIZED (
    SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
), inserted AS (
    INSERT INTO {_escaped(table)} (payload)
    SELECT body FROM pg_catalog.unnest(%s::pg_catalog.bytea[]) WITH ORDINALITY AS bodies(body, position)
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
    FROM unnest(%s::pg_catalog.text[], %s::pg_catalog.text[], %s::pg_catalog.text[])
        WITH ORDINALITY AS batch(channel, payload, after_id, position)
    ORDER BY position
    OFFSET 0
) AS batch"""


def notify_one_with_attachment(table: str) -> str:
    """For an emitter. The row is dated ahead: the application's transaction may stay open for long,
    and servers delete what is older than 30 s."""
    return f"""
WITH inserted AS (
    INSERT INTO {_escaped(table)} (created_at, payload)
    VALUES (
        pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => 60),
        %s::pg_catalog.bytea
    )
    RETURNING id
)
SELECT pg_catalog.pg_notify(
    %s::pg_catalog.text,
    %s::pg_catalog.text OPERATOR(pg_catalog.||) id::pg_catalog.text OPERATOR(pg_catalog.||) %s::pg_catalog.text
) FROM inserted"""


def fetch(table: str) -> str:
    """The size of an attachment, and its body unless it is larger than the limit."""
    return f"""
SELECT bytes, CASE WHEN bytes OPERATOR(pg_catalog.<=) %s::pg_catalog.int8 THEN payload END
FROM (
    SELECT pg_catalog.octet_length(payload)::pg_catalog.int8 AS bytes, payload
    FROM {_escaped(table)} WHERE id OPERATOR(pg_catalog.=) %s::pg_catalog.int8
) AS found"""


def clean_up(table: str) -> str:
    return f"""
DELETE FROM {_escaped(table)}
WHERE created_at OPERATOR(pg_catalog.<)
    (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => %s))"""


def _escaped(table: str) -> str:
    """In a statement with parameters, psycopg takes a percent sign for one of them."""
    return table.replace("%", "%%")
