"""A connection to PostgreSQL on which no statement lasts for ever."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import ConfigurationError

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")
#: How long PostgreSQL may take to hear that a statement is cancelled, and then to end it.
_CANCEL_WITHIN = 1.0
#: How long psycopg may take to notice that a connection was severed.
_END_WITHIN = 1.0


class TimedOut(psycopg.OperationalError):
    """PostgreSQL did not answer in time, so the statement is given up."""

    def __init__(self, text: str, is_undone: bool = False) -> None:
        super().__init__(text)
        #: Whether PostgreSQL has confirmed that the statement has had no effect. Then the connection can still
        #: be used; otherwise it is severed.
        self.is_undone = is_undone


def checked_url(url: str) -> str:
    """A URL or a connection string with the settings that messages need."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(
            f"the database URL cannot be read: {error}. Give it as postgres://user:password@localhost:5432/database"
        ) from None
    given.setdefault("application_name", "socketio-postgres")
    # Not what PGCLIENTENCODING says: messages are UTF-8.
    given["client_encoding"] = "utf8"
    return make_conninfo("", **given)


async def connect(url: str, timeout: float) -> Connection:
    """Raises `psycopg.OperationalError`, also when it takes too long."""
    connecting = psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=max(1, round(timeout)))
    attempt = asyncio.ensure_future(connecting)
    try:
        # Not asyncio.wait_for, which until Python 3.12 may forget that it was cancelled.
        await asyncio.wait({attempt}, timeout=timeout)
    except asyncio.CancelledError:
        _give_up(attempt)
        raise
    if not attempt.done():
        _give_up(attempt)
        raise TimedOut(f"connecting took longer than {timeout:g} s")
    return attempt.result()


def _give_up(attempt: asyncio.Future[Connection]) -> None:
    attempt.cancel()
    attempt.add_done_callback(_discard)


def _discard(attempt: asyncio.Future[Connection]) -> None:
    """Ends a session that nobody waits for any more."""
    try:
        attempt.result().pgconn.finish()
    except (Exception, asyncio.CancelledError) as error:
        # Where it was interrupted it holds a session, perhaps a complete one, and a task keeps its error, and with
        # it the session. Until Python 3.10, a task raises another error than the one from there.
        interrupted: BaseException | None = error
        while interrupted is not None:
            traceback.clear_frames(interrupted.__traceback__)
            interrupted = interrupted.__context__


async def within(connection: Connection, timeout: float, work: Coroutine[Any, Any, T], cancels: bool = False) -> T:
    """Runs a statement with a time limit. When it is over, the connection is severed.

    With `cancels`, PostgreSQL is first asked to end the statement. One that waits for a lock would
    otherwise go on when the lock is free, however late that is, and keep its session until then:
    PostgreSQL does not notice that nobody waits for it any more.

    Cancelling psycopg is not enough: it then waits for PostgreSQL, which may be the one that hangs, and
    before libpq 17 all threads wait with it. On a severed connection it fails by itself, at once.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if done:
            return task.result()
        text = f"PostgreSQL did not answer within {timeout:.3g} s"
        if cancels:
            await _cancel(connection)
            done, _ = await asyncio.wait({task}, timeout=_CANCEL_WITHIN)
        if not done:
            raise TimedOut(text)
        if isinstance(task.exception(), psycopg.errors.QueryCanceled):
            raise TimedOut(text, is_undone=True)
        # It was faster than the request to end it, which must not end the next statement.
        sever(connection)
        return task.result()
    finally:
        task.add_done_callback(_take_result)
        if not task.done():
            sever(connection)
            # Before, the connection must not be closed: another one would get the descriptor that it waits for.
            await asyncio.wait({task}, timeout=_END_WITHIN)
            task.cancel()


async def _cancel(connection: Connection) -> None:
    """Asks PostgreSQL to end the statement of a connection. It may not hear it."""
    with suppress(psycopg.Error, OSError, RuntimeError):
        if psycopg.capabilities.has_cancel_safe():
            await connection.cancel_safe(timeout=_CANCEL_WITHIN)
        elif psycopg.pq.__impl__ == "python":
            # Before libpq 17 it blocks, perhaps for long. Nothing waits for this thread, not even the end
            # of the process.
            request = connection.pgconn.get_cancel()
            threading.Thread(target=_cancel_blocking, args=(request,), daemon=True).start()
        # Where psycopg is compiled, it would block all threads of this process for as long.


def _cancel_blocking(request: psycopg.pq.abc.PGcancel) -> None:
    with suppress(psycopg.Error, OSError):
        request.cancel()


def sever(connection: Connection) -> None:
    """Ends the connection without waiting for the other side: what waits for it fails."""
    with suppress(OSError, psycopg.Error):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


async def close(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(psycopg.Error, OSError):
            await connection.close()


def _take_result(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # marks it as seen
