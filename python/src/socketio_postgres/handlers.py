"""Handlers of events that one server sends to the others."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from .errors import InvalidEvent
from .requests import MISSING
from .tasks import end
from .wire import RESERVED_BETWEEN_SERVERS, check_event

_log = logging.getLogger("socketio_postgres")
#: Handles the events that have no handler of their own; it gets the name first.
ALL = "*"


class Handlers:
    """The handlers of all namespaces of this server. Each event is handled in a task of its own."""

    def __init__(self, most: int, problem: Callable[[str, object], None]) -> None:
        self._handlers: dict[str, dict[Any, Callable[..., Any]]] = {}
        self._most = most
        self._problem = problem
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, namespace: str, event: str, handler: Callable[..., Any]) -> None:
        """Raises `InvalidEvent`."""
        check_event(event, RESERVED_BETWEEN_SERVERS)
        if not callable(handler):
            raise InvalidEvent(f"the handler of {event!r} cannot be called")
        self._handlers.setdefault(namespace, {})[event] = handler

    def handle(self, namespace: str, event: list[Any], respond: Callable[[Any], None] | None) -> None:
        """Starts the handler. `respond` gets what it returns; not when it fails, or when there is none."""
        handlers, name, arguments = self._handlers.get(namespace, {}), event[0], event[1:]
        handler = handlers.get(name)
        if handler is None or name == ALL:
            handler, arguments = handlers.get(ALL), event
        if handler is None:
            return
        if len(self._tasks) >= self._most:
            self._problem("too many handlers", f"max_handlers ({self._most}): the event {name!r} is not handled")
            return
        task = asyncio.ensure_future(self._run(handler, name, arguments, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self, handler: Callable[..., Any], name: Any, arguments: list[Any], respond: Callable[[Any], None] | None
    ) -> None:
        try:
            value = handler(*arguments)
            if inspect.isawaitable(value):
                value = await value
            if respond is not None:
                # As for python-socketio's handlers, None is an acknowledgement without a value.
                respond(MISSING if value is None else value)
        except Exception as error:
            self._problem("handler failed", f"the handler of {name!r} between servers: {error!r}")
            _log.debug("the handler of %r failed", name, exc_info=error)

    async def close(self, caller: asyncio.Task[Any] | None = None) -> None:
        """Ends all handlers but the one that has called."""
        await end(task for task in self._tasks if task is not caller)
