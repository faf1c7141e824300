"""Reading attachments, and deleting old ones, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import time

import psycopg

from . import statements
from .connection import Connection, close, connect, within
from .errors import NotUsable, Unreadable
from .names import table_identifier
from .options import Options

_log = logging.getLogger("socketio_postgres")
#: A row lives for at least 30 s.
_GIVE_UP_AFTER = 25.0
#: How long one attempt takes at most when the time is over: perhaps only this server was late.
_LAST_ATTEMPT = 2.0


class Missing(NotUsable):
    """The row of a message is gone, or could not be read in time: the message is lost."""

    kind = "attachment missing"


class Attachments:
    """Fetches one attachment after the other. psycopg lets one statement wait for the other."""

    def __init__(self, url: str, options: Options) -> None:
        self._url = url
        self._options = options
        self._statement = statements.fetch(table_identifier(options.table)).encode()
        self._clean_up = statements.clean_up(table_identifier(options.table)).encode()
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def fetch(self, row: int, arrived: float) -> bytes:
        """Tries again while the database is away. Raises `Missing` or `Unreadable`.

        Later messages wait for it. So its time begins when it has arrived, as `time.monotonic` says: those
        that wait behind one that cannot be read do not wait as long again.
        """
        end, delay = arrived + _GIVE_UP_AFTER, 0.1
        while True:
            try:
                return await self._fetch(row, max(end - time.monotonic(), _LAST_ATTEMPT))
            except psycopg.OperationalError as error:
                await self.close()
                if time.monotonic() + delay > end:
                    raise Missing(f"attachment {row} could not be read: {error}") from error
            except psycopg.Error as error:
                raise Missing(f"attachment {row} cannot be read: {' '.join(str(error).split())}") from error
            await asyncio.sleep(delay)
            delay = min(2 * delay, 2)

    async def delete_old(self, seconds: float) -> None:
        """Deletes attachments of all servers. Raises `psycopg.Error`.

        Not on the connection that publishes, which one task alone may use.
        """
        connection = await self._connected(self._options.connect_timeout)
        parameters: list[object] = [seconds]
        work = connection.execute(self._clean_up, parameters)
        await within(connection, self._options.query_timeout, work, cancels=True)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        await close(connection)

    async def _fetch(self, row: int, seconds: float) -> bytes:
        connection = await self._connected(min(self._options.connect_timeout, seconds))
        limit = self._options.max_attachment_bytes

        async def read() -> tuple[int | None, bytes | None] | None:
            cursor = connection.cursor(binary=True)
            found = await (await cursor.execute(self._statement, [limit, row])).fetchone()
            return None if found is None else (found[0], found[1])

        found = await within(connection, min(self._options.query_timeout, seconds), read(), cancels=True)
        if found is None or found[0] is None:
            raise Missing(f"attachment {row} is gone")
        size, payload = found
        if payload is None:
            raise Unreadable(f"attachment {row} has {size} bytes, over max_attachment_bytes ({limit})")
        return payload

    async def _connected(self, seconds: float) -> Connection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._url, seconds)
            return self._connection
