"""What is published: one queue in order, drained into batches of one transaction each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from . import statements
from .connection import Connection, TimedOut, close, connect, within
from .errors import NotConnected, PublishError, Unconfirmed
from .names import table_identifier
from .options import Options
from .wire import PAYLOAD_BYTES, Outgoing

_log = logging.getLogger("socketio_postgres")
_BATCH_ITEMS = 500
_BATCH_BYTES = 8 * 1024 * 1024
#: How many bytes of attachments PostgreSQL has an additional second for.
_BYTES_PER_SECOND = 8 * 1024 * 1024
#: How long they may take at least: a database that is busy is not one that hangs.
_SHORTEST_LIMIT = 1.0
#: The time-outs of a role, `lock_timeout` and `statement_timeout`, are over.
_TIME_IS_OVER = frozenset({"55P03", "57014"})

#: What a message does on its own server. It happens when the message is published, or could not be.
Effect = Callable[[], Awaitable[None]]


@dataclass
class _Item:
    outgoing: Outgoing
    effect: Effect | None
    #: Why it is not published, as far as that is known; `None` once it is.
    error: PublishError | None = field(
        default_factory=lambda: PublishError("the manager was closed before the message was published")
    )
    #: It is not sent. It keeps its place, so that its effect comes in its turn.
    is_dropped: bool = False
    queued: float = field(default_factory=time.monotonic)
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
        #: Whether the last attachments took too long, as while another session locks the table. Then what
        #: does not need the table is not published together with what does.
        self._table_hangs = False

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
        limit = self._options.max_queued_bytes
        self._bytes += outgoing.size
        if self._bytes > limit:
            text = f"over {limit} bytes wait to be published (max_queued_bytes): send less, or slower"
            self._drop(item, PublishError(text))
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
                    await self._publish_batch(batch)
                except Exception as error:  # a defect, but later messages must go out
                    _log.exception("a batch could not be published")
                    for item in batch:
                        if item.error is not None:
                            item.error = type(item.error)(f"the message could not be published: {error!r}")
                while self._under_way:
                    await self._finish(self._under_way.popleft())
            self._idle.set()

    async def flush(self, timeout: float) -> None:
        """Waits until the queue is empty, but not longer than this."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)

    async def close(self) -> None:
        """What is still queued fails, after it has had its effect. `run` must have ended."""
        await self._give_up()
        while self._under_way:
            await self._finish(self._under_way.popleft())
        while self._queue:
            await self._finish(self._queue.popleft())
        # Nothing was queued since: from the last look at the queue on, no other task could run.
        self._bytes = 0
        self._idle.set()

    # One batch

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        seen: dict[tuple[str, str], int] = {}
        size = 0
        while self._queue and len(batch) < _BATCH_ITEMS:
            item = self._queue[0]
            outgoing = item.outgoing
            if batch and (size + outgoing.size > _BATCH_BYTES or not self._fit_together(batch[0], item)):
                break
            if outgoing.body is None and not item.is_dropped:
                # PostgreSQL folds equal notifications of one transaction into one.
                key = (outgoing.channel, outgoing.payload)
                before = seen.get(key, 0)
                if before and len(outgoing.payload.encode()) + before > PAYLOAD_BYTES:
                    break
                seen[key] = before + 1
                item.outgoing = Outgoing(outgoing.channel, outgoing.payload + " " * before)
            self._queue.popleft()
            self._bytes -= outgoing.size
            size += outgoing.size
            batch.append(item)
        return batch

    def _fit_together(self, one: _Item, other: _Item) -> bool:
        if one.is_dropped != other.is_dropped:
            return False
        return not self._table_hangs or (one.outgoing.body is None) == (other.outgoing.body is None)

    def _drop(self, item: _Item, reason: PublishError) -> None:
        """What is queued is not sent. The effect still comes after those of earlier messages."""
        self._bytes -= item.outgoing.size
        item.outgoing, item.error, item.is_dropped = Outgoing("", ""), reason, True

    async def _publish_batch(self, batch: list[_Item]) -> None:
        """Afterwards each message has its `error`, if it was not published."""
        if batch[0].is_dropped:
            return
        error = await self._try(batch)
        if isinstance(error, _Hung):
            # What does not need the table is published all the same, if that was the reason.
            others = [item for item in batch if item.outgoing.body is None]
            if 0 < len(others) < len(batch):
                await self._publish_batch(others)
        elif error is not None and not isinstance(error, _Lost) and len(batch) > 1:
            await self._publish_alone(batch)

    async def _publish_alone(self, batch: list[_Item]) -> None:
        """PostgreSQL refuses a batch as a whole. One bad message must not stop the others."""
        failed: _Failed | None = None
        only_table = True
        for item in batch:
            needs_table = item.outgoing.body is not None
            if failed is not None and (needs_table or not only_table):
                item.error = _not_tried(failed)
                continue
            error = await self._try([item])
            if isinstance(error, (_Hung, _Lost)):
                failed, only_table = error, needs_table and isinstance(error, _Hung)

    def _give_up_waiting(self, error: _Failed, only_table: bool) -> None:
        """After a failure, nothing in the queue waits for the same time-out again: neither what needs the
        table that hangs nor, unless that was all, what has waited for as long. Otherwise heartbeats would
        wait behind all that."""
        end = time.monotonic() - self._options.query_timeout
        for item in self._queue:
            would_hang = self._table_hangs and item.outgoing.body is not None
            if not item.is_dropped and (would_hang or (item.queued <= end and not only_table)):
                self._drop(item, _not_tried(error))

    async def _try(self, batch: list[_Item]) -> _Failed | None:
        async with self._using:
            error = await self._try_alone(batch)
        for item in batch:
            item.error = None if error is None else error.public
        needs_table = any(item.outgoing.body is not None for item in batch)
        if needs_table and (error is None or isinstance(error, (_Hung, _Late))):
            self._table_hangs = error is not None
        if isinstance(error, (_Hung, _Lost)):
            self._give_up_waiting(error, needs_table and isinstance(error, _Hung))
        return error

    async def _try_alone(self, batch: list[_Item]) -> _Failed | None:
        try:
            connection = await self._connected()
        except psycopg.Error as error:
            return _Lost(PublishError(f"no other server gets the message: {_text(error)}"))
        try:
            await self._notify(connection, batch)
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
        for item in batch:
            item.error = PublishError(f"PostgreSQL has refused the message: {_text(error)}")
        try:
            await self._create_table(connection)
        except psycopg.Error as again:
            failed = await self._failure(connection, again)
            # Whatever has become of the connection, the message was not published.
            failed.public = PublishError(f"the table {self._options.table} could not be created: {_text(again)}")
            return failed
        try:
            await self._notify(connection, batch)
            return None
        except psycopg.Error as again:
            return await self._failure(connection, again)

    async def _failure(self, connection: Connection, error: psycopg.Error) -> _Failed:
        text = _text(error)
        if (isinstance(error, TimedOut) and error.is_undone) or error.sqlstate in _TIME_IS_OVER:
            return _Hung(PublishError(f"the message is given up: {text}"))
        if connection.closed or error.sqlstate is None:
            await self._give_up()
            lost = _Late if isinstance(error, TimedOut) else _Lost
            return lost(Unconfirmed(f"the connection was lost while a message was published: {text}"))
        return _Failed(PublishError(f"PostgreSQL has refused the message: {text}"))

    async def _notify(self, connection: Connection, batch: list[_Item]) -> None:
        for item in batch:
            item.error = Unconfirmed("the manager was closed while the message was published")
        messages = [item.outgoing for item in batch]
        channels = [each.channel for each in messages]
        payloads = [each.payload for each in messages]
        bodies = [each.body for each in messages if each.body is not None]
        if bodies:
            after = [each.after_id for each in messages]
            statement = statements.notify_with_attachments(self._table)
            limit = self._limit(sum(map(len, bodies)))
            await self._execute(connection, statement, [bodies, channels, payloads, after], limit)
        else:
            await self._execute(connection, statements.NOTIFY, [channels, payloads])

    def _limit(self, size: int) -> float:
        """How long attachments may take. Heartbeats wait meanwhile, and must not be too late for others."""
        options = self._options
        spare = (options.heartbeat_timeout - options.heartbeat_interval) / 2
        return min(options.query_timeout, max(spare, _SHORTEST_LIMIT) + size / _BYTES_PER_SECOND)

    async def _finish(self, item: _Item) -> None:
        try:
            if item.effect is not None:
                await item.effect()
        except Exception:
            _log.exception("a message had no effect on this server's clients")
        finally:
            # Unless the sender has stopped waiting. Also when this task ends: nobody else would tell it.
            if not item.done.done():
                if item.error is None:
                    item.done.set_result(None)
                else:
                    item.done.set_exception(item.error)

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

    async def _execute(
        self, connection: Connection, statement: str, parameters: list[object], limit: float | None = None
    ) -> object:
        async def execute() -> object:
            cursor = await connection.execute(statement.encode(), parameters)
            row = await cursor.fetchone() if cursor.description else None
            return row[0] if row else None

        return await within(connection, limit or self._options.query_timeout, execute(), cancels=True)

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

        await within(connection, self._options.query_timeout, create(), cancels=True)


@dataclass
class _Failed(Exception):
    """PostgreSQL has refused a batch."""

    public: PublishError


class _Lost(_Failed):
    """There is no connection, so that trying again at once is useless."""


class _Late(_Lost):
    """There is no connection any more, since PostgreSQL took too long."""


class _Hung(_Failed):
    """PostgreSQL took too long, and has published nothing of it."""


def _not_tried(error: _Failed) -> PublishError:
    return PublishError(f"the message was not sent, as what was sent before it failed: {error.public}")


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _take_error(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for heartbeats and responses
