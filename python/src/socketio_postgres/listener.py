"""The listening connection, kept alive: LISTEN on each channel, reconnection, gaps."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

import psycopg

from . import statements
from .connection import Connection, close, connect, within
from .names import quoted
from .options import Gap, Options

_log = logging.getLogger("socketio_postgres")
_FIRST_DELAY = 0.1
#: In how many intervals a session to which notifications keep coming is asked once.
_SELDOM = 4


class Listener:
    """Hears notifications on the channels that are wanted, for as long as `run` runs."""

    def __init__(
        self,
        url: str,
        options: Options,
        heard: Callable[[str, bytes], None],
        listens: Callable[[Gap | None], None],
    ) -> None:
        """`heard` gets each notification, in order. `listens` is called whenever all wanted channels
        are listened to: with a gap, if the connection was lost before."""
        self._url = url
        self._options = options
        self._heard = heard
        self._listens = listens
        self._wanted: set[str] = set()
        self._listened: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._last_alive: datetime | None = None
        self.is_listening = False
        #: Until when everything that others published has been read, as `time.monotonic` says.
        self.heard_until = time.monotonic()
        self.last_error: str | None = None

    def want(self, channels: Iterable[str]) -> asyncio.Future[None]:
        """Sets which channels to listen to. The future is done when that is so.

        It fails with `psycopg.OperationalError` when the connection is lost, and then the channels
        are listened to as soon as there is one again.
        """
        self._wanted = set(channels)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not self.is_listening:
            done.set_exception(psycopg.OperationalError("not listening at the moment"))
        elif self._wanted == self._listened:
            done.set_result(None)
        else:
            self._waiting.append(done)
            self._wake.set()
        return done

    async def run(self) -> None:
        """Listens for ever, on one connection after the other."""
        delay = _FIRST_DELAY
        while True:
            connection: Connection | None = None
            began = time.monotonic()
            try:
                connection = await connect(self._url, self._options.connect_timeout)
                await self._serve(connection)
            except Exception as error:  # whatever it is, without this task the server hears nothing more
                self._lost(error)
            except asyncio.CancelledError:
                self._end_waiting("the manager was closed")
                raise
            finally:
                self.is_listening = False
                self._listened = set()
                await close(connection)
            if time.monotonic() - began > self._options.max_reconnect_delay:
                delay = _FIRST_DELAY
            # Random, so that the servers do not all connect at the same moment.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, self._options.max_reconnect_delay)

    def _lost(self, error: BaseException) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        if self.is_listening or text != self.last_error:
            _log.warning("this server hears no other server: %s", text)
        self.last_error = text
        self._end_waiting(text)

    def _end_waiting(self, text: str) -> None:
        for done in self._waiting:
            if not done.done():
                done.set_exception(psycopg.OperationalError(text))
        self._waiting.clear()

    async def _serve(self, connection: Connection) -> None:
        # psycopg calls this for what arrives while a statement runs.
        connection.pgconn.notify_handler = self._take
        # Until all that is wanted is listened to, also what was wanted meanwhile: nobody may be told before.
        while self._wanted != self._listened:
            await self._update(connection)
        since, until = self._last_alive, datetime.now(timezone.utc)
        self.is_listening, self.last_error = True, None
        self.heard_until = time.monotonic()
        self._listens(Gap(since, until) if since is not None else None)
        self._last_alive = until
        asked = time.monotonic()
        while True:
            self._drain(connection)
            is_readable = await self._is_readable(connection)
            # What comes proves that the session lives, but PostgreSQL's idle_session_timeout counts from the last
            # statement.
            if not is_readable or time.monotonic() - asked >= _SELDOM * self._options.check_interval:
                asked = time.monotonic()
                await self._execute(connection, statements.CHECK)
                self.heard_until = asked
            self._last_alive = datetime.now(timezone.utc)
            if self._wanted != self._listened or self._waiting:
                await self._update(connection)

    async def _is_readable(self, connection: Connection) -> bool:
        """Waits until something arrives or is wanted. False when it is time for a check."""
        loop, descriptor = asyncio.get_running_loop(), connection.fileno()
        end = loop.time() + self._options.check_interval
        # Not asyncio.wait_for, which costs a task for each notification.
        timer = loop.call_at(end, self._wake.set)
        loop.add_reader(descriptor, self._wake.set)
        try:
            await self._wake.wait()
            return loop.time() < end
        finally:
            self._wake.clear()
            timer.cancel()
            loop.remove_reader(descriptor)

    def _drain(self, connection: Connection) -> None:
        connection.pgconn.consume_input()
        while (notification := connection.pgconn.notifies()) is not None:
            self._take(notification)

    def _take(self, notification: Any) -> None:
        self.heard_until = time.monotonic()
        self._heard(notification.relname.decode(errors="replace"), notification.extra)

    async def _update(self, connection: Connection) -> None:
        wanted, waiting = set(self._wanted), self._waiting
        self._waiting = []
        orders = [f"UNLISTEN {quoted(channel)}" for channel in self._listened - wanted]
        orders += [f"LISTEN {quoted(channel)}" for channel in wanted - self._listened]
        try:
            if orders:
                await self._execute(connection, "; ".join(orders))
        except BaseException:
            self._waiting = waiting + self._waiting
            raise
        self._listened = wanted
        for done in waiting:
            if not done.done():
                done.set_result(None)

    async def _execute(self, connection: Connection, statement: str) -> None:
        await within(connection, self._options.query_timeout, connection.execute(statement.encode()))
