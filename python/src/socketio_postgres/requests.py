"""Requests that wait for the responses of other servers and of clients."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

from .errors import TooManyResponses
from .wire import Type

#: A value that a client or a server has not given: its acknowledgement was empty.
MISSING = object()


class Request:
    """Waits for one response of each server, until the server leaves or dies."""

    def __init__(self, servers: Iterable[str], kinds: Iterable[Type], most: int) -> None:
        """Only messages of these types answer it. It keeps no more than `most` responses."""
        self.id = secrets.token_hex(8)
        self.kinds = frozenset(kinds)
        self.responses: list[Any] = []
        self.missing = set(servers)
        self._most = most
        self._kept = 0
        self._complete = asyncio.Event()

    def responded(self, uid: str, response: Any, weight: int = 1) -> None:
        """The response of a server that the request does not wait for is accepted, too. It counts as
        `weight` responses, at least as one. Raises `TooManyResponses`."""
        self._keep(response, max(weight, 1))
        self.gone(uid)

    def gone(self, uid: str) -> None:
        self.missing.discard(uid)
        self._check()

    def _check(self) -> None:
        if self._is_complete():
            self._complete.set()

    def _is_complete(self) -> bool:
        return not self.missing

    def _keep(self, response: Any, weight: int = 1) -> None:
        if self._kept + weight > self._most:
            raise TooManyResponses(f"a request has more responses than max_responses ({self._most})")
        self._kept += weight
        self.responses.append(response)

    async def wait(self, timeout: float) -> bool:
        """Whether the request was complete in time."""
        self._check()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._complete.wait(), timeout)
        # Also when it became complete at the last moment.
        return self._complete.is_set()


class Brief(Request):
    """Waits for the number (`count`) or the `ids` of the sockets of each server. Each server counts once."""

    def __init__(self, servers: Iterable[str], only: Literal["count", "ids"], most: int) -> None:
        super().__init__(servers, [Type.FETCH_SOCKETS_RESPONSE], most)
        self.only = only
        self._answered: set[str] = set()

    def responded(self, uid: str, response: Any, weight: int = 1) -> None:
        if uid not in self._answered:
            super().responded(uid, response, weight)
            # Not before, so that there are no more of these than responses that are kept.
            self._answered.add(uid)


class Acknowledgements(Request):
    """Waits for the number of clients of each server, and for as many acknowledgements."""

    def __init__(
        self, servers: Iterable[str], most: int, each: Callable[[tuple[Any, ...]], None] | None = None
    ) -> None:
        """With `each`, acknowledgements are handed on as they come instead of being kept."""
        super().__init__(servers, [Type.BROADCAST_CLIENT_COUNT, Type.BROADCAST_ACK], most)
        self._each = each
        # For each server; below zero while acknowledgements come before the number.
        self._outstanding: dict[str, int] = defaultdict(int)
        self._counted: set[str] = set()

    def counted(self, uid: str, clients: int) -> None:
        if uid in self._counted:
            return  # a second number would make it wait for clients that do not exist
        self._counted.add(uid)
        self._outstanding[uid] += clients
        self.missing.discard(uid)
        self._check()

    def acknowledged(self, uid: str, given: tuple[Any, ...], is_waited_for: bool = True) -> None:
        """Raises `TooManyResponses`."""
        if self._each is not None:
            self._each(given)
        else:
            self._keep(given[0] if given else None)
        if is_waited_for:
            self._outstanding[uid] -= 1
            self._check()

    def gone(self, uid: str) -> None:
        self._outstanding.pop(uid, None)
        self._counted.discard(uid)
        super().gone(uid)

    def wait_only_for(self, uid: str) -> None:
        """What others respond is accepted, but not waited for."""
        for other in {*self.missing, *self._outstanding} - {uid}:
            self.gone(other)

    def _is_complete(self) -> bool:
        return not self.missing and not any(self._outstanding.values())
