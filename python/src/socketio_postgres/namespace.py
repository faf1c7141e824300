"""One namespace on all servers: what python-socketio's `AsyncServer` has no method for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .cluster import Cluster
from .errors import InvalidValue, ResponseTimeout
from .messages import Flags
from .node import Node
from .wire import Opts, is_name, named_rooms

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Selection:
    """The sockets that an operation is for, on all servers. Each method returns a narrower selection.

    Without `to`, these are all sockets of the namespace.
    """

    _node: Callable[[str], Awaitable[Node]]
    _cluster: Cluster
    namespace: str
    _opts: Opts = field(default_factory=Opts)
    _flags: Flags = field(default_factory=Flags)
    _local: bool = False
    _seconds: float | None = None

    def to(self, *rooms: str | float) -> Selection:
        """Sockets in any of these rooms. The id of a socket is the name of a room, too."""
        return replace(self, _opts=replace(self._opts, rooms=self._opts.rooms + named_rooms(rooms)))

    def except_(self, *rooms: str | float) -> Selection:
        """But not the sockets in any of these rooms."""
        return replace(self, _opts=replace(self._opts, without=self._opts.without + named_rooms(rooms)))

    @property
    def local(self) -> Selection:
        """Sockets of this server only."""
        return replace(self, _local=True)

    @property
    def volatile(self) -> Selection:
        """Node.js servers may drop the event for clients that are not ready to receive."""
        return replace(self, _flags={**self._flags, "volatile": True})

    def compress(self, value: bool) -> Selection:
        """Whether the transports of other servers may compress the event."""
        return replace(self, _flags={**self._flags, "compress": bool(value)})

    def timeout(self, seconds: float) -> Selection:
        """How long responses and acknowledgements are waited for."""
        if not seconds > 0:
            raise InvalidValue(f"a timeout is {seconds!r}: give seconds over 0")
        return replace(self, _seconds=seconds)

    async def emit(self, event: str, *arguments: Any) -> None:
        """Sends an event. Unlike with `AsyncServer.emit`, each argument is one argument.

        Raises `PublishError` when other servers do not get it; local clients get it all the same.
        """
        node = await self._node(self.namespace)
        await node.emit([event, *arguments], self._opts, self._flags, self._local)

    async def emit_with_ack(self, event: str, *arguments: Any) -> list[Any]:
        """Sends an event, and returns the first argument of each client's acknowledgement.

        Raises `ResponseTimeout`, with those that came, when the time is over (5 s), and `PublishError`.
        """
        node = await self._node(self.namespace)
        return await node.ask_clients([event, *arguments], self._opts, self._flags, self._limit(), self._local)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """The sockets of all servers.

        Raises `ResponseTimeout`, with those that were found, when a server does not respond in time (5 s),
        and `PublishError`.
        """
        node = await self._node(self.namespace)
        try:
            found = await node.fetch_sockets(self._opts, self._limit(), self._local)
        except ResponseTimeout as error:
            error.responses = [RemoteSocket._of(self, each) for each in error.responses]
            raise
        return [RemoteSocket._of(self, each) for each in found]

    async def count(self) -> int:
        """How many sockets all servers have, as many as `fetch_sockets` would return. Servers in Rust and Python
        respond with a number only.

        Raises `ResponseTimeout`, with the numbers of the servers that responded in time (5 s), and `PublishError`.
        """
        node = await self._node(self.namespace)
        return await node.count(self._opts, self._limit(), self._local)

    async def socket_ids(self) -> list[str]:
        """The ids of the sockets of all servers. Servers in Rust and Python do not describe them for that.

        Raises `ResponseTimeout`, with a list of each server that responded in time (5 s), and `PublishError`.
        """
        node = await self._node(self.namespace)
        return await node.socket_ids(self._opts, self._limit(), self._local)

    async def sockets_join(self, *rooms: str | float) -> None:
        """Makes the sockets join rooms. Raises `PublishError`."""
        await (await self._node(self.namespace)).join_rooms(list(named_rooms(rooms)), self._opts, self._local)

    async def sockets_leave(self, *rooms: str | float) -> None:
        """Makes the sockets leave rooms. Raises `PublishError`."""
        await (await self._node(self.namespace)).leave_rooms(list(named_rooms(rooms)), self._opts, self._local)

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnects the sockets; with `close`, the connections of their clients. Raises `PublishError`."""
        await (await self._node(self.namespace)).disconnect(self._opts, close, self._local)

    def _limit(self) -> float:
        return self._cluster.options.request_timeout if self._seconds is None else self._seconds


class ClusterNamespace(Selection):
    """One namespace of the cluster: `manager.of("/chat")`. As a `Selection`, it is all sockets."""

    async def server_side_emit(self, event: str, *arguments: Any) -> None:
        """Sends an event to the other servers, not to clients. Raises `PublishError`."""
        await (await self._node(self.namespace)).server_side_emit([event, *arguments])

    async def server_side_emit_with_ack(self, event: str, *arguments: Any, timeout: float | None = None) -> list[Any]:
        """Sends an event to the other servers, and returns the response of each.

        Raises `ResponseTimeout`, with those that came, when the time is over (5 s), and `PublishError`.
        """
        limit = self._cluster.options.request_timeout if timeout is None else timeout
        return await (await self._node(self.namespace)).ask_servers([event, *arguments], limit)

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Registers a handler of an event that another server sends with `server_side_emit`.

            @manager.of("/").on("how-many")
            async def how_many(room):
                return len(...)

        What it returns is the response. `"*"` is for events without a handler of their own, and gets the
        name of the event first.
        """

        def register(handler: Handler) -> Handler:
            self._cluster.handlers.add(self.namespace, event, handler)
            return handler

        return register

    async def server_count(self) -> int:
        """How many servers there are in this namespace, this one included."""
        return 1 + len((await self._node(self.namespace)).members)

    async def uid(self) -> str:
        """The id of this server in this namespace, as other servers see it."""
        return (await self._node(self.namespace)).uid

    def set_data(self, sid: str, data: Any) -> None:
        """Stores on a socket of this server what `fetch_sockets` shows to all servers as its data.

        Sessions of python-socketio are private to their server. Raises `InvalidValue`, and `KeyError`
        when the socket is not on this server.
        """
        self._cluster.sockets.set_data(self.namespace, sid, data)


@dataclass(frozen=True)
class RemoteSocket:
    """A socket of any server, as it was when it was fetched."""

    id: str
    #: How the client connected: `headers`, `query`, `auth`, `address` and more, as far as its server says.
    handshake: dict[str, Any]
    rooms: list[str | float]
    data: Any
    _selection: Selection = field(repr=False, compare=False)

    @classmethod
    def _of(cls, selection: Selection, described: dict[str, Any]) -> RemoteSocket:
        handshake, rooms = described.get("handshake"), described.get("rooms")
        one = Selection(selection._node, selection._cluster, selection.namespace).to(described["id"])
        return cls(
            described["id"],
            handshake if isinstance(handshake, dict) else {},
            [room for room in rooms if is_name(room)] if isinstance(rooms, list) else [],
            described.get("data"),
            replace(one, _flags={"expectSingleResponse": True}),
        )

    async def emit(self, event: str, *arguments: Any) -> None:
        """Raises `PublishError`."""
        await self._selection.emit(event, *arguments)

    async def emit_with_ack(self, event: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Returns the first argument of the acknowledgement. `None` when the socket is gone.

        Raises `ResponseTimeout` when the client does not acknowledge in time (5 s), and `PublishError`.
        """
        one = self._selection if timeout is None else self._selection.timeout(timeout)
        responses = await one.emit_with_ack(event, *arguments)
        return responses[0] if responses else None

    async def join(self, *rooms: str | float) -> None:
        """Raises `PublishError`."""
        await self._selection.sockets_join(*rooms)

    async def leave(self, *rooms: str | float) -> None:
        """Raises `PublishError`."""
        await self._selection.sockets_leave(*rooms)

    async def disconnect(self, close: bool = False) -> None:
        """Raises `PublishError`."""
        await self._selection.disconnect_sockets(close)
