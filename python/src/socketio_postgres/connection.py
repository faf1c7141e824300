"""A connection to PostgreSQL on which no statement lasts for ever."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import ConfigurationError

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")


class TimedOut(psycopg.OperationalError):
    """PostgreSQL did not answer in time, so the connection is given up."""


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
    attempt = psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=max(1, round(timeout)))
    try:
        return await asyncio.wait_for(attempt, timeout)
    except asyncio.TimeoutError:
        raise TimedOut(f"connecting took longer than {timeout:g} s") from None


async def within(connection: Connection, timeout: float, work: Coroutine[Any, Any, T]) -> T:
    """Runs a statement with a time limit. When it is over, the connection is severed.

    Cancelling psycopg is not enough: it then waits for PostgreSQL, which may be the one that hangs.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if done:
            return task.result()
        raise TimedOut(f"PostgreSQL did not answer within {timeout:g} s")
    finally:
        if not task.done():
            sever(connection)
            task.add_done_callback(_take_result)
            task.cancel()


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
