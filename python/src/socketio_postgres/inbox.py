"""Notifications in the order of their arrival: one is handled after the other, attachments too."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from . import wire
from .attachments import Attachments
from .errors import NotUsable, Unreadable
from .node import Node
from .wire import Incoming, Type

_log = logging.getLogger("socketio_postgres")


@dataclass
class _Waiting:
    channel: str
    incoming: Incoming
    size: int
    arrived: float


class Inbox:
    """Decodes notifications when they arrive, and handles them in order."""

    def __init__(
        self,
        attachments: Attachments,
        receiver: Callable[[str, Incoming], Node | None],
        problem: Callable[[str, object], None],
        overflowed: Callable[[], None],
        max_bytes: int,
    ) -> None:
        """`receiver` finds the node that a message on a channel is for; `None` to ignore it."""
        self._attachments = attachments
        self._receiver = receiver
        self._problem = problem
        self._overflowed = overflowed
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def put(self, channel: str, payload: bytes) -> None:
        """Takes a notification. It never raises."""
        try:
            incoming = wire.read_notification(_text(payload))
        except NotUsable as error:
            self._problem(error.kind, error)
            return
        except Exception as error:  # whatever is wrong with it, the listener goes on
            self._problem("failed", f"a notification: {error!r}")
            return
        node = self._receiver(channel, incoming)
        if node is None:
            return
        if incoming.kind != Type.ADAPTER_CLOSE:
            # When it arrives: a long queue must not make live servers look dead.
            node.heard(incoming.uid)
        if incoming.kind in (Type.INITIAL_HEARTBEAT, Type.HEARTBEAT) and incoming.row is None:
            node.heard_heartbeat(incoming.uid, incoming.body)
        if self._bytes + len(payload) > self._max_bytes:
            self._overflowed()
            return
        self._bytes += len(payload)
        self._waiting.append(_Waiting(channel, incoming, len(payload), time.monotonic()))
        self._wake.set()

    async def run(self) -> None:
        """Handles what arrives, for ever. No message stops it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                waiting = self._waiting.popleft()
                self._bytes -= waiting.size
                try:
                    await self._handle(waiting)
                except NotUsable as error:
                    self._problem(error.kind, error)
                except Exception as error:
                    self._problem("failed", f"a message of type {waiting.incoming.kind}: {error!r}")
                    _log.debug("a message could not be handled", exc_info=error)

    async def _handle(self, waiting: _Waiting) -> None:
        incoming = waiting.incoming
        if incoming.row is not None:
            incoming = wire.read_attachment(await self._attachments.fetch(incoming.row, waiting.arrived))
        # Again: the namespace may have been left, and the header may not have told it.
        node = self._receiver(waiting.channel, incoming)
        if node is not None:
            await node.receive(incoming)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a notification is not UTF-8: the encoding of the database must be UTF8") from error
