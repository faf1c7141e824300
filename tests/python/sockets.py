"""Virtual sockets, in place of the clients of a Socket.IO server.

A virtual socket records the events that its client would get, and acknowledges as commands say.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from lines import tell


@dataclass
class Reply:
    """How a client or a server acknowledges an event."""

    args: list = field(default_factory=list)
    never: bool = False
    after: float = 0.0

    @classmethod
    def of(cls, command: dict) -> "Reply":
        return cls(command.get("with", []), command.get("never", False), command.get("afterMs", 0) / 1000)

    def give(self, acknowledge: Callable[[list], None]):
        if not self.never:
            asyncio.get_running_loop().call_later(self.after, acknowledge, self.args)


def is_room(name: Any) -> bool:
    """Whether a value names a room: a string or a number. In Python, True would equal 1."""
    return isinstance(name, (str, int, float)) and not isinstance(name, bool)


@dataclass
class Socket:
    client: int
    nsp: str
    id: str = field(default_factory=lambda: secrets.token_hex(10))
    rooms: "set" = field(default_factory=set)
    data: Any = field(default_factory=dict)
    handshake: dict = field(default_factory=dict)
    replies: "dict[str, Reply]" = field(default_factory=dict)
    received: "list[dict]" = field(default_factory=list)

    def deliver(self, packet: list, acknowledge: "Optional[Callable[[list], None]]" = None):
        event, args = packet[0], packet[1:]
        self.received.append({"event": event, "args": args})
        tell("packet", client=self.client, name=event, args=args)
        if acknowledge:
            self.replies.get(event, Reply()).give(acknowledge)

    def matches(self, opts: dict) -> bool:
        """Whether the `opts` of a message select it."""
        # A missing list is empty.
        rooms, left_out = opts.get("rooms") or [], opts.get("except") or []
        return (not rooms or self._is_in(rooms)) and not self._is_in(left_out)

    def described(self) -> dict:
        """The socket as other nodes see it."""
        rooms = [self.id, *sorted(self.rooms - {self.id}, key=str)]
        return {"id": self.id, "handshake": self.handshake, "rooms": rooms, "data": self.data}

    def _is_in(self, rooms: list) -> bool:
        # A room may also be null, which no socket is in.
        return any(room == self.id or room in self.rooms for room in rooms if is_room(room))


def handshake(command: dict) -> dict:
    """The handshake of a client that does not exist: known fields, and defaults for others."""
    now = time.time()
    return {
        "headers": command.get("headers", {}),
        "time": time.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", time.gmtime(now)),
        "address": "127.0.0.1",
        "xdomain": False,
        "secure": False,
        "issued": int(now * 1000),
        "url": "/socket.io/",
        "query": command.get("query", {}),
        "auth": command.get("auth", {}),
    }
