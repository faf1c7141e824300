"""The connections to PostgreSQL: notifications in order, sent and received, and attachments.

There are three: one listens, one publishes, one reads and deletes attachments.
"""

import asyncio
import random
from typing import Awaitable, Callable, Optional

import psycopg
from psycopg import sql

from lines import log
from values import write_json, write_messagepack

CHANNEL_BYTES = 63
PAYLOAD_BYTES = 7999
# How often the listening connection is checked with a query, and the time limit of it, in seconds.
SIGN_OF_LIFE = 5


def channel_name(prefix: str, nsp: str) -> str:
    """The name as PostgreSQL cuts it: at the last character that ends within the limit."""
    return f"{prefix}#{nsp}".encode()[:CHANNEL_BYTES].decode(errors="ignore")


class Postgres:
    def __init__(self, url: str, listen_url: str, table: str, threshold: int):
        self._listen_url = listen_url
        self._publishing, self._reading = Connection(url), Connection(url)
        self._table = sql.Identifier(table)
        self._threshold = threshold
        self._outgoing: asyncio.Queue = asyncio.Queue()

    async def prepare(self):
        """Creates the table, unless it is there. Two nodes at the same time may collide."""
        query = """CREATE TABLE IF NOT EXISTS {}
            (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea)"""
        try:
            await self._reading.execute(self._sql(query))
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
            pass

    # Sending

    def publish(self, channel: str, message: dict) -> asyncio.Future:
        """Queues a message. Messages are sent in order; the future is done when this one is."""
        done = asyncio.get_running_loop().create_future()
        self._outgoing.put_nowait((channel, message, done))
        return done

    async def publish_queued(self):
        """Publishes what is queued, for ever."""
        while True:
            channel, message, done = await self._outgoing.get()
            try:
                await self._publish(channel, message)
                done.set_result(None)
            except Exception as error:  # whatever is wrong with this message, the next may be well
                log(f"message of type {message['type']} not published: {error}")
                done.set_exception(error)
                done.exception()  # marks it as seen: the result of heartbeats and responses is not awaited

    async def _publish(self, channel: str, message: dict):
        inline = write_json(message)
        notify = "SELECT pg_notify(%s, %s)"
        if inline is not None and len(inline) < self._threshold and len(inline) <= PAYLOAD_BYTES:
            await self._publishing.execute(notify, [channel, inline.decode()])
            return
        payload = write_messagepack(message)
        connection = await self._publishing.get()
        async with connection.transaction():
            insert = self._sql("INSERT INTO {} (payload) VALUES (%b) RETURNING id")
            [row] = await (await connection.execute(insert, [payload])).fetchone()
            header = {key: message[key] for key in ("uid", "type", "nsp")}
            await connection.execute(notify, [channel, write_json({**header, "attachmentId": str(row)}).decode()])

    # Receiving

    async def listen(
        self,
        channels: "set[str]",
        listening: Callable[[], None],
        heard: Callable[[str, str], Awaitable[None]],
    ):
        """Passes each notification's channel and payload to `heard`, for ever, one after the other.

        Calls `listening` once it listens, and whenever it listens again after a lost connection.
        """
        delay = 0.1
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._listen_url, autocommit=True) as connection:
                    for channel in channels:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    listening()
                    delay = 0.1
                    while True:
                        async for notification in connection.notifies(timeout=SIGN_OF_LIFE):
                            await heard(notification.channel, notification.payload)
                        await asyncio.wait_for(connection.execute("SELECT 1"), SIGN_OF_LIFE)
            except (psycopg.OperationalError, asyncio.TimeoutError) as error:
                log(f"hears nothing: {error}")
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, 10)

    async def attachment(self, row: int) -> "Optional[bytes]":
        """`None` when it is gone."""
        cursor = await self._reading.execute(self._sql("SELECT payload FROM {} WHERE id = %s"), [row])
        found = await cursor.fetchone()
        return found and found[0]

    async def clean_up(self, interval: float):
        """Deletes the attachments of all nodes that are older than this, for ever."""
        while True:
            await asyncio.sleep(interval)
            try:
                old = "DELETE FROM {} WHERE created_at < now() - make_interval(secs => %s)"
                await self._reading.execute(self._sql(old), [interval])
            except psycopg.Error as error:
                log(f"attachments not deleted: {error}")

    def _sql(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(self._table)


class Connection:
    """A connection that is opened when it is needed, and again after it was lost."""

    def __init__(self, url: str):
        self._url = url
        self._connection: "Optional[psycopg.AsyncConnection]" = None
        self._connecting = asyncio.Lock()

    async def get(self) -> psycopg.AsyncConnection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            return self._connection

    async def execute(self, query, parameters=None) -> psycopg.AsyncCursor:
        return await (await self.get()).execute(query, parameters)
