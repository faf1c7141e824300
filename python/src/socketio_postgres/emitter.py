"""Emitting from processes without a server: workers, scripts, and transactions of the application."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import psycopg

from . import statements, wire
from .errors import PublishError
from .messages import Flags
from .names import channel_of, check_namespace, check_prefix, table_identifier
from .values import to_wire
from .wire import Type, named_rooms

Self = TypeVar("Self", bound="_Emission")


@dataclass(frozen=True)
class _Emission:
    """Which sockets, and on which connection. It does no I/O."""

    _connection: Any
    namespace: str = "/"
    channel_prefix: str = "socket.io"
    table: str = "socket_io_attachments"
    payload_threshold: int = 8000
    #: As `Options.inline_binary` of the servers. An emitter does not know whether all of them have it: what it
    #: sends with binary does not reach servers on Node.js.
    inline_binary: bool = False
    _rooms: tuple[Any, ...] = ()
    _without: tuple[Any, ...] = ()
    _flags: Flags = field(default_factory=Flags)

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        check_prefix(self.channel_prefix)
        table_identifier(self.table)

    def of(self: Self, namespace: str) -> Self:
        """Another namespace. Raises `InvalidNamespace`."""
        return replace(self, namespace=namespace)

    def to(self: Self, *rooms: str | float) -> Self:
        """Sockets in any of these rooms. The id of a socket is the name of a room, too."""
        return replace(self, _rooms=self._rooms + named_rooms(rooms))

    def except_(self: Self, *rooms: str | float) -> Self:
        """But not the sockets in any of these rooms."""
        return replace(self, _without=self._without + named_rooms(rooms))

    @property
    def volatile(self: Self) -> Self:
        """The event may be dropped for clients that are not ready to receive."""
        return replace(self, _flags={**self._flags, "volatile": True})

    def compress(self: Self, value: bool) -> Self:
        """Whether transports may compress the event."""
        return replace(self, _flags={**self._flags, "compress": bool(value)})

    def _event(self, event: str, arguments: tuple[Any, ...]) -> _Statement:
        wire.check_event(event)
        packet = {"type": wire.EVENT, "data": to_wire([event, *arguments])}
        return self._statement(Type.BROADCAST, {"packet": packet, "opts": self._opts()})

    def _join(self, rooms: tuple[Any, ...]) -> _Statement:
        return self._statement(Type.SOCKETS_JOIN, {"opts": self._opts(), "rooms": list(named_rooms(rooms))})

    def _leave(self, rooms: tuple[Any, ...]) -> _Statement:
        return self._statement(Type.SOCKETS_LEAVE, {"opts": self._opts(), "rooms": list(named_rooms(rooms))})

    def _disconnect(self, close: bool) -> _Statement:
        return self._statement(Type.DISCONNECT_SOCKETS, {"opts": self._opts(), "close": close})

    def _server_event(self, event: str, arguments: tuple[Any, ...]) -> _Statement:
        wire.check_event(event, wire.RESERVED_BETWEEN_SERVERS)
        return self._statement(Type.SERVER_SIDE_EMIT, {"packet": to_wire([event, *arguments])})

    def _opts(self) -> dict[str, Any]:
        return {"rooms": list(self._rooms), "flags": self._flags, "except": list(self._without)}

    def _statement(self, kind: Type, data: dict[str, Any]) -> _Statement:
        # The nonce keeps two equal events of one transaction apart, which PostgreSQL would fold.
        message = wire.new_message(kind, wire.EMITTER, self.namespace, data, nonce=secrets.token_hex(8))
        channel = channel_of(self.channel_prefix, self.namespace)
        # Where the name of the channel is cut, servers on Node.js are not heard, and may be there.
        packs = self.inline_binary and channel == f"{self.channel_prefix}#{self.namespace}"
        outgoing = wire.write_message(channel, message, self.payload_threshold, packs)
        if outgoing.body is None:
            return _Statement(statements.NOTIFY_ONE, [channel, outgoing.payload])
        text = statements.notify_one_with_attachment(table_identifier(self.table))
        return _Statement(text, [outgoing.body, channel, outgoing.payload, outgoing.after_id])


@dataclass(frozen=True)
class _Statement:
    text: str
    parameters: list[Any]


@dataclass(frozen=True)
class Emitter(_Emission):
    """Emits on a connection of psycopg, as a part of what the connection is doing: in a transaction,
    the event is sent if, and only if, the transaction commits.

        with psycopg.connect(url) as connection:
            connection.execute("UPDATE orders SET paid = true WHERE id = 17")
            Emitter(connection).to("orders").emit("paid", 17)

    Each method raises `PublishError` when PostgreSQL refuses the message, and the errors of
    `AsyncServer.emit` for values that cannot be sent.
    """

    _connection: psycopg.Connection[Any]

    def emit(self, event: str, *arguments: Any) -> None:
        """Sends an event to the selected sockets of all servers."""
        self._execute(self._event(event, arguments))

    def sockets_join(self, *rooms: str | float) -> None:
        """Makes the selected sockets join rooms."""
        self._execute(self._join(rooms))

    def sockets_leave(self, *rooms: str | float) -> None:
        """Makes the selected sockets leave rooms."""
        self._execute(self._leave(rooms))

    def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnects the selected sockets; with `close`, the connections of their clients."""
        self._execute(self._disconnect(close))

    def server_side_emit(self, event: str, *arguments: Any) -> None:
        """Sends an event to all servers, not to clients."""
        self._execute(self._server_event(event, arguments))

    def _execute(self, statement: _Statement) -> None:
        try:
            # A plain cursor: the connection's own may take other placeholders, or make other rows.
            with psycopg.Cursor(self._connection) as cursor:
                cursor.execute(statement.text.encode(), statement.parameters)
        except psycopg.Error as error:
            raise _refused(error) from error


@dataclass(frozen=True)
class AsyncEmitter(_Emission):
    """As `Emitter`, on an asynchronous connection of psycopg."""

    _connection: psycopg.AsyncConnection[Any]

    async def emit(self, event: str, *arguments: Any) -> None:
        """Sends an event to the selected sockets of all servers."""
        await self._execute(self._event(event, arguments))

    async def sockets_join(self, *rooms: str | float) -> None:
        """Makes the selected sockets join rooms."""
        await self._execute(self._join(rooms))

    async def sockets_leave(self, *rooms: str | float) -> None:
        """Makes the selected sockets leave rooms."""
        await self._execute(self._leave(rooms))

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnects the selected sockets; with `close`, the connections of their clients."""
        await self._execute(self._disconnect(close))

    async def server_side_emit(self, event: str, *arguments: Any) -> None:
        """Sends an event to all servers, not to clients."""
        await self._execute(self._server_event(event, arguments))

    async def _execute(self, statement: _Statement) -> None:
        try:
            async with psycopg.AsyncCursor(self._connection) as cursor:
                await cursor.execute(statement.text.encode(), statement.parameters)
        except psycopg.Error as error:
            raise _refused(error) from error


def _refused(error: psycopg.Error) -> PublishError:
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.UndefinedTable):
        text += ". The first server creates the attachments table at its start; `table` must be the same for all"
    return PublishError(f"the event is not sent: {text}")
