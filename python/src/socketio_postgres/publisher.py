"""What is published: one queue in order, drained into batches of one transaction each."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from . import statements
from .connection import Connection, close, connect, within
from .errors import NotConnected, PublishError, Unconfirmed
from .names import table_identifier
from .options import Options
from .wire import PAYLOAD_BYTES, Outgoing

_log = logging.getLogger("socketio_postgres")
_BATCH_ITEMS = 500
_BATCH_BYTES = 8 * 1024 * 1024

#: What a message does on its own server. It happens when the message is published, or could not be.
Effect = Callable[[], Awaitable[None]]


@dataclass
class _Item:
    outgoing: Outgoing
    effect: Effect | None
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Publisher:
    """Publishes from a connection of its own, which is opened again after it was lost."""

    def __init__(self, url: str, options: Options) -> None:
        self._url = url
        self._options = options
        self._table = table_identifier(options.table)
        self._queue: deque[_Item] = deque()
        self._bytes = 0
        #: The batch that is published, as far as its messages have not had their effects.
        self._under_way: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: Connection | None = None
        #: One task at a time uses the connection.
        self._using = asyncio.Lock()

    async def prepare(self) -> None:
        """Connects, and creates the table unless it is there. Raises `NotConnected`."""
        async with self._using:
            await self._prepare()

    async def _prepare(self) -> None:
        try:
            connection = await self._connected()
            if self._options.create_table:
                await self._create_table(connection)
            exists = await self._execute(connection, statements.TABLE_EXISTS, [self._table])
        except psycopg.Error as error:
            await self._give_up()
            raise NotConnected(f"the database cannot be used: {_text(error)}") from error
        if not exists:
            statement = statements.create_table(self._table)
            raise NotConnected(f"the table {self._options.table} is missing: set create_table, or run:{statement}")

    def send(self, outgoing: Outgoing, effect: Effect | None = None) -> asyncio.Future[None]:
        """Queues a message. The future is done once it is published and has had its effect.

        Fails with `PublishError` after the effect. Nobody need wait for it.
        """
        item = _Item(outgoing, effect)
        item.done.add_done_callback(_take_error)
        if self._bytes + outgoing.size > self._options.max_queued_bytes:
            # Without PostgreSQL's part. The effect still comes after those of earlier messages.
            item.outgoing = Outgoing("", "")
        self._bytes += item.outgoing.size
        self._queue.append(item)
        self._idle.clear()
        self._wake.set()
        return item.done

    async def run(self) -> None:
        """Publishes what is queued, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = self._next_batch()
                self._under_way.extend(batch)
                try:
                    errors = await self._publish_batch(batch)
                except Exception as error:  # a defect, but later messages must go out
                    _log.exception("a batch could not be published")
                    errors = [PublishError(f"the message could not be published: {error!r}")] * len(batch)
                for failure in errors:
                    await self._finish(self._under_way.popleft(), failure)
            self._idle.set()

    async def flush(self, timeout: float) -> None:
        """Waits until the queue is empty, but not longer than this."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)

    async def close(self) -> None:
        """What is still queued fails, after it has had its effect. `run` must have ended."""
        unconfirmed = Unconfirmed("the manager was closed while the message was published")
        while self._under_way:
            await self._finish(self._under_way.popleft(), unconfirmed)
        unpublished = PublishError("the manager was closed before the message was published")
        while self._queue:
            await self._finish(self._queue.popleft(), unpublished)
        self._bytes = 0
        self._idle.set()
        await self._give_up()

    # One batch

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        seen: dict[tuple[str, str], int] = {}
        size = 0
        while self._queue and len(batch) < _BATCH_ITEMS:
            item = self._queue[0]
            outgoing = item.outgoing
            if batch and (size + outgoing.size > _BATCH_BYTES or batch[0].outgoing.channel == ""):
                break
            if batch and outgoing.channel == "":
                break
            if outgoing.body is None:
                # PostgreSQL folds equal notifications of one transaction into one.
                key = (outgoing.channel, outgoing.payload)
                before = seen.get(key, 0)
                if len(outgoing.payload.encode()) + before > PAYLOAD_BYTES:
                    break
                seen[key] = before + 1
                item.outgoing = Outgoing(outgoing.channel, outgoing.payload + " " * before)
            self._queue.popleft()
            self._bytes -= outgoing.size
            size += outgoing.size
            batch.append(item)
        return batch

    async def _publish_batch(self, batch: list[_Item]) -> list[PublishError | None]:
        if batch[0].outgoing.channel == "":
            limit = self._options.max_queued_bytes
            return [PublishError(f"over {limit} bytes wait to be published (max_queued_bytes): send less, or slower")]
        error = await self._try(batch)
        if error is None or isinstance(error, _Lost) or len(batch) == 1:
            return [error.public if error else None] * len(batch)
        # PostgreSQL refuses a batch as a whole. One bad message must not stop the others.
        alone = [await self._try([item]) for item in batch]
        return [error.public if error else None for error in alone]

    async def _try(self, batch: list[_Item]) -> _Failed | None:
        async with self._using:
            return await self._try_alone(batch)

    async def _try_alone(self, batch: list[_Item]) -> _Failed | None:
        try:
            connection = await self._connected()
        except psycopg.Error as error:
            return _Lost(PublishError(f"no other server gets the message: {_text(error)}"))
        try:
            await self._notify(connection, [item.outgoing for item in batch])
            return None
        except psycopg.errors.UndefinedTable as error:
            return await self._retry_with_table(connection, batch, error)
        except psycopg.Error as error:
            return await self._failure(connection, error)

    async def _retry_with_table(
        self, connection: Connection, batch: list[_Item], error: psycopg.Error
    ) -> _Failed | None:
        """The database was replaced by an empty one."""
        if not self._options.create_table:
            return await self._failure(connection, error)
        try:
            await self._create_table(connection)
            await self._notify(connection, [item.outgoing for item in batch])
            return None
        except psycopg.Error as again:
            return await self._failure(connection, again)

    async def _failure(self, connection: Connection, error: psycopg.Error) -> _Failed:
        text = _text(error)
        if connection.closed or error.sqlstate is None:
            await self._give_up()
            return _Lost(Unconfirmed(f"the connection was lost while a message was published: {text}"))
        return _Failed(PublishError(f"PostgreSQL has refused the message: {text}"))

    async def _notify(self, connection: Connection, batch: list[Outgoing]) -> None:
        channels = [each.channel for each in batch]
        payloads = [each.payload for each in batch]
        bodies = [each.body for each in batch if each.body is not None]
        if bodies:
            after = [each.after_id for each in batch]
            statement = statements.notify_with_attachments(self._table)
            await self._execute(connection, statement, [bodies, channels, payloads, after])
        else:
            await self._execute(connection, statements.NOTIFY, [channels, payloads])

    async def _finish(self, item: _Item, error: PublishError | None) -> None:
        try:
            if item.effect is not None:
                await item.effect()
        except Exception:
            _log.exception("a message had no effect on this server's clients")
        finally:
            # Unless the sender has stopped waiting. Also when this task ends: nobody else would tell it.
            if not item.done.done():
                if error is None:
                    item.done.set_result(None)
                else:
                    item.done.set_exception(error)

    # The connection

    async def _connected(self) -> Connection:
        # Under the lock: what it reads here would be missed by a statement that waits for it.
        if self._connection is not None:
            try:
                # Notices an end that came while nothing was published, before anything is sent: the
                # first call reads PostgreSQL's reason, the second one that nothing follows.
                self._connection.pgconn.consume_input()
                self._connection.pgconn.consume_input()
            except psycopg.Error:
                await self._give_up()
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._url, self._options.connect_timeout)
        return self._connection

    async def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        await close(connection)

    async def _execute(self, connection: Connection, statement: str, parameters: list[object]) -> object:
        async def execute() -> object:
            cursor = await connection.execute(statement.encode(), parameters)
            row = await cursor.fetchone() if cursor.description else None
            return row[0] if row else None

        return await within(connection, self._options.query_timeout, execute())

    async def _create_table(self, connection: Connection) -> None:
        async def create() -> None:
            if (await (await connection.execute(statements.TABLE_EXISTS, [self._table])).fetchone() or (False,))[0]:
                return
            try:
                async with connection.transaction():
                    await connection.execute(statements.create_table(self._table).encode())
            except (
                psycopg.errors.UniqueViolation,
                psycopg.errors.DuplicateTable,
                psycopg.errors.DuplicateObject,
            ):
                pass  # another server has created it at the same moment

        await within(connection, self._options.query_timeout, create())


@dataclass
class _Failed(Exception):
    """PostgreSQL has refused a batch."""

    public: PublishError


class _Lost(_Failed):
    """There is no connection, so that trying again at once is useless."""


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _take_error(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for heartbeats and responses
