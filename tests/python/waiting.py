"""Requests, which wait for each known node until it responds, leaves or dies."""

import asyncio
import secrets
from collections import defaultdict
from typing import Iterable, Optional


class Request:
    """Waits for one response of each node."""

    def __init__(self, nodes: Iterable[str]):
        self.id = secrets.token_hex(8)
        self.missing = set(nodes)
        self.responses: list = []
        self._finished = asyncio.Event()

    def answered(self, uid: str, response):
        """The response of a node that the request does not wait for is accepted, too."""
        self.responses.append(response)
        self.gone(uid)

    def gone(self, uid: str):
        self.missing.discard(uid)
        self.check()

    def check(self):
        if self.is_complete():
            self._finished.set()

    def is_complete(self) -> bool:
        return not self.missing

    async def finish(self, timeout: "Optional[float]") -> bool:
        """Whether the request was complete within this many seconds."""
        try:
            await asyncio.wait_for(self._finished.wait(), timeout)
            return True
        except asyncio.TimeoutError:
            return False


class Acknowledgements(Request):
    """Waits for the count of each node, and for as many acknowledgements as they add up to."""

    def __init__(self, nodes: Iterable[str]):
        super().__init__(nodes)
        # For each node; below zero while acknowledgements come before the count.
        self._outstanding: "dict[str, int]" = defaultdict(int)

    def counted(self, uid: str, clients: int):
        self._outstanding[uid] += clients
        self.missing.discard(uid)
        self.check()

    def acknowledged(self, uid: str, value):
        self.responses.append(value)
        self._outstanding[uid] -= 1
        self.check()

    def gone(self, uid: str):
        self._outstanding.pop(uid, None)
        super().gone(uid)

    def is_complete(self) -> bool:
        return not self.missing and not any(self._outstanding.values())
