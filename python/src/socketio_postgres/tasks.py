"""Ending tasks, also those that do not hear it at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

_log = logging.getLogger("socketio_postgres")
_ATTEMPTS = 5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks and waits until they have ended.

    Until Python 3.12, asyncio.wait_for forgets a cancellation that comes together with its result. So
    it cancels again, and waits for 5 s at most: a handler of the application may never end.
    """
    pending = set(tasks)
    for _ in range(_ATTEMPTS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
    if pending:
        _log.error("%d tasks do not end", len(pending))
