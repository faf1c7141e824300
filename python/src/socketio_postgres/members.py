"""Which other servers there are in one namespace."""

from __future__ import annotations

from collections.abc import Iterator


class Members:
    """The uids that were heard, and when. It has no clock: the caller says what time it is."""

    def __init__(self, timeout: float, most: int) -> None:
        self._timeout = timeout
        self._most = most
        self._heard: dict[str, float] = {}
        # Node.js sometimes sends a heartbeat after its close message.
        self._left: dict[str, float] = {}
        # Whether they take packed messages, as they said in heartbeats. A server cannot take back that it
        # takes none: its settings last as long as its uid.
        self._packed: dict[str, bool] = {}
        self._takers = 0
        # Those that have sent no heartbeat, and were asked for one.
        self._asked: set[str] = set()

    def __len__(self) -> int:
        return len(self._heard)

    def __contains__(self, uid: object) -> bool:
        return uid in self._heard

    def __iter__(self) -> Iterator[str]:
        return iter(self._heard)

    def heard(self, uid: str, now: float) -> bool:
        """A message proves that its server lives. False when too many servers are remembered."""
        if uid in self._heard:
            self._heard[uid] = now
            return True
        if uid in self._left:
            if now - self._left[uid] <= self._timeout:
                return True
            del self._left[uid]
        if len(self._heard) >= self._most:
            return False
        self._heard[uid] = now
        return True

    def said(self, uid: str, takes_packed: bool) -> bool:
        """What a heartbeat says of packed messages. True when it is new that the server takes none."""
        before = self._packed.get(uid)
        if uid not in self._heard or before is False or before == takes_packed:
            return False
        self._packed[uid] = takes_packed
        self._takers += 1 if takes_packed else -(before is True)
        return not takes_packed

    def needs_attachments(self, uid: str) -> bool:
        """Whether it is known, and not that it takes packed messages."""
        return uid in self._heard and self._packed.get(uid) is not True

    def all_take_packed(self) -> bool:
        """Whether all have said so, and there is none that is not remembered."""
        return self._takers == len(self._heard) < self._most

    def ask(self) -> bool:
        """Notes that all are asked for a heartbeat. Whether there is one that has sent none, and was not."""
        unasked = self._heard.keys() - self._packed.keys() - self._asked
        self._asked |= unasked
        return bool(unasked)

    def _forget(self, uid: str) -> None:
        if self._heard.pop(uid, None) is not None:
            self._takers -= self._packed.pop(uid, False)
            self._asked.discard(uid)

    def left(self, uid: str, now: float) -> None:
        """A close message was handled."""
        self._forget(uid)
        if uid not in self._left and len(self._left) < self._most:
            self._left[uid] = now

    def wait_anew(self, now: float) -> None:
        """Nobody could be heard until now: each has the whole time to be heard."""
        self._heard = dict.fromkeys(self._heard, now)

    def silent(self, now: float) -> list[tuple[str, bool]]:
        """Forgets the servers that were not heard for too long. Returns their uids, and whether they needed
        attachments."""
        dead = [uid for uid, heard in self._heard.items() if now - heard > self._timeout]
        gone = [(uid, self.needs_attachments(uid)) for uid in dead]
        for uid in dead:
            self._forget(uid)
        for uid in [uid for uid, left in self._left.items() if now - left > self._timeout]:
            del self._left[uid]
        return gone
