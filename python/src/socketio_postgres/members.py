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
        # What they said in their last heartbeat: whether they take packed messages.
        self._packed: dict[str, bool] = {}

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
        if uid not in self._heard:
            return False
        before = self._packed.get(uid)
        self._packed[uid] = takes_packed
        return before is not False and not takes_packed

    def all_take_packed(self) -> bool:
        """Whether all have said so, and there is none that is not remembered."""
        return sum(self._packed.values()) == len(self._heard) < self._most

    def left(self, uid: str, now: float) -> None:
        """A close message was handled."""
        self._heard.pop(uid, None)
        self._packed.pop(uid, None)
        if uid not in self._left and len(self._left) < self._most:
            self._left[uid] = now

    def silent(self, now: float) -> list[str]:
        """Forgets the servers that were not heard for too long, and returns their uids."""
        dead = [uid for uid, heard in self._heard.items() if now - heard > self._timeout]
        for uid in dead:
            del self._heard[uid]
            self._packed.pop(uid, None)
        for uid in [uid for uid, left in self._left.items() if now - left > self._timeout]:
            del self._left[uid]
        return dead
