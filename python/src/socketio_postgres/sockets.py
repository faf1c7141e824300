"""The clients of this server, in one place: what a message does to sockets of python-socketio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from bidict import bidict
from engineio import packet as eio_packet
from socketio import packet as sio_packet

from .errors import InvalidValue
from .messages import Handshake, SocketDescription
from .values import to_wire, unicode_only
from .wire import Opts, is_name

_log = logging.getLogger("socketio_postgres")
#: How long a client may take for the packet that says that its connection ends.
_CLOSE_AFTER = 10.0
#: How long it may take to close the connection by itself, on a busy machine as well.
_CLOSES_ITSELF = 5.0
#: As Node.js, which keeps the first of these when a client has sent several.
_ONCE = frozenset(
    {
        "age",
        "authorization",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "from",
        "host",
        "if-modified-since",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "proxy-authorization",
        "referer",
        "retry-after",
        "server",
        "user-agent",
    }
)


@dataclass
class _Socket:
    """What python-socketio does not keep about a socket."""

    issued: float
    auth: Any = None
    data: Any = field(default_factory=dict)


class Asked:
    """The clients of this server that were asked to acknowledge one event.

    Nothing of it is kept any longer than it is needed: until each of them has acknowledged or has left,
    the time is over, or nobody waits any more.
    """

    def __init__(self, sockets: LocalSockets, acknowledged: Callable[..., None]) -> None:
        self._sockets = sockets
        self._acknowledged = acknowledged
        self._waiting: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        #: How many they were.
        self.count = 0

    def add(self, sid: str, number: int) -> None:
        self.count += 1
        self._waiting[sid] = number

    def given(self, sid: str, *given: Any) -> None:
        """A client has acknowledged."""
        self.settled(sid)
        self._sockets.no_longer_asked(sid, self)
        self._acknowledged(*given)

    def settled(self, sid: str) -> None:
        """A client will not acknowledge any more."""
        self._waiting.pop(sid, None)
        if not self._waiting:
            self._end_timer()

    def forget_after(self, seconds: float) -> None:
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.forget)

    def forget(self) -> None:
        """Waits no longer for those that have not acknowledged."""
        self._end_timer()
        waiting, self._waiting = self._waiting, {}
        for sid, number in waiting.items():
            self._sockets.no_longer_asked(sid, self, number)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LocalSockets:
    """Selects, describes and changes the sockets of this server."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._sockets: dict[tuple[str, str], _Socket] = {}
        #: What each socket still has to acknowledge.
        self._asked: dict[str, set[Asked]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # What the manager tells

    def connected(self, namespace: str, sid: str, auth: Any) -> None:
        self._sockets[namespace, sid] = _Socket(time.time(), auth)

    def disconnected(self, namespace: str, sid: str) -> None:
        self._sockets.pop((namespace, sid), None)
        # python-socketio has forgotten its callbacks.
        for asked in self._asked.pop(sid, ()):
            asked.settled(sid)

    def has_clients(self, namespace: str) -> bool:
        return namespace in self._manager.rooms

    def set_data(self, namespace: str, sid: str, data: Any) -> None:
        """Raises `InvalidValue`, or `KeyError` when the socket is not on this server."""
        self._sockets[namespace, sid].data = to_wire(data)

    # Selection

    def select(self, namespace: str, opts: Opts) -> list[str]:
        """The sockets that a message is for, each once."""
        rooms: dict[Any, Any] = self._manager.rooms.get(namespace) or {}
        leaving = self._manager.pending_disconnect.get(namespace, ())
        if opts.rooms:
            found: dict[str, None] = {}
            for room in opts.rooms:
                if room is not None:
                    found.update(dict.fromkeys(rooms.get(room, ())))
        else:
            # A client whose connect handler still runs may be refused: it is not one of all.
            connecting = self._manager.pending_connect.get(namespace, ())
            found = dict.fromkeys(sid for sid in rooms.get(None, ()) if sid not in connecting)
        for room in opts.without:
            if room is not None:
                for sid in rooms.get(room, ()):
                    found.pop(sid, None)
        return [sid for sid in found if sid not in leaving]

    def is_local(self, namespace: str, sid: Any) -> bool:
        return bool(self._manager.is_connected(sid, namespace) or self._manager.is_pre_connected(sid, namespace))

    # Events

    async def deliver(
        self,
        namespace: str,
        event: list[Any],
        sids: Iterable[str],
        asked: Asked | None = None,
    ) -> None:
        """Sends an event. With `asked`, asks each client for an acknowledgement."""
        server = self._manager.server
        shared: list[Any] | None = None
        for sid in sids:
            eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
            if eio_sid is None:
                continue
            if asked is None:
                # The same packet for all.
                shared = self._encoded(server, namespace, event, None) if shared is None else _copied(shared)
                packets = shared
            else:
                number = self._manager._generate_ack_id(sid, partial(asked.given, sid))
                try:
                    packets = self._encoded(server, namespace, event, number)
                except Exception:
                    self._manager.callbacks[sid].pop(number)
                    raise
                asked.add(sid, number)
                self._asked.setdefault(sid, set()).add(asked)
            self._spawn(self._send(server, eio_sid, packets))
        # Each of these tasks now hands its packets on, in this order. They end at once, except when a
        # client turns out to be gone: then its disconnect handler runs, for which others do not wait.
        await asyncio.sleep(0)

    def asking(self, acknowledged: Callable[..., None]) -> Asked:
        """For `deliver`: clients that are asked, and what is done with each acknowledgement."""
        return Asked(self, acknowledged)

    def no_longer_asked(self, sid: str, asked: Asked, number: int | None = None) -> None:
        """Forgets what a socket has acknowledged or, by its number, need not acknowledge."""
        if number is not None:
            self._manager.callbacks.get(sid, {}).pop(number, None)
        of_socket = self._asked.get(sid, set())
        of_socket.discard(asked)
        if not of_socket:
            self._asked.pop(sid, None)

    def forget_all(self) -> None:
        """Waits for no acknowledgement any more."""
        for asked in set[Asked]().union(*self._asked.values()):
            asked.forget()

    def _encoded(self, server: Any, namespace: str, event: list[Any], number: int | None) -> list[Any]:
        try:
            encoded = server.packet_class(sio_packet.EVENT, namespace=namespace, data=event, id=number).encode()
        except UnicodeEncodeError:
            # A lone surrogate, which is not MessagePack: python-socketio's serializer refuses it.
            event = unicode_only(event)
            encoded = server.packet_class(sio_packet.EVENT, namespace=namespace, data=event, id=number).encode()
        text = encoded[0] if isinstance(encoded, list) else encoded
        if isinstance(text, str) and "Infinity" in text:
            # Perhaps another process has sent 1e400: this is not JSON, and clients would disconnect.
            event = to_wire(event)
            encoded = server.packet_class(sio_packet.EVENT, namespace=namespace, data=event, id=number).encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        return [eio_packet.Packet(eio_packet.MESSAGE, part) for part in parts]

    async def _send(self, server: Any, eio_sid: str, packets: list[Any]) -> None:
        try:
            for each in packets:
                await server._send_eio_packet(eio_sid, each)
        except Exception as error:  # the client is gone
            _log.debug("an event was not sent to %s: %r", eio_sid, error)

    # Rooms

    def join(self, namespace: str, sids: Iterable[str], rooms: Iterable[Any]) -> None:
        of_namespace = self._manager.rooms.get(namespace)
        for sid in sids:
            eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
            for room in rooms:
                if of_namespace is not None and eio_sid is not None and is_name(room):
                    # Not basic_enter_room, which refuses rooms that are named like sockets.
                    of_namespace.setdefault(room, bidict())[sid] = eio_sid

    def leave(self, namespace: str, sids: Iterable[str], rooms: Iterable[Any]) -> None:
        for sid in sids:
            for room in rooms:
                # A socket stays in the room of its own id, by which python-socketio finds it.
                if is_name(room) and room != sid:
                    self._manager.basic_leave_room(sid, namespace, room)

    # Disconnecting

    async def disconnect(self, namespace: str, sids: Iterable[str], close: bool) -> None:
        """Disconnects sockets, without waiting for their handlers. With `close`, the connections of
        these clients end, and so all namespaces that they are in."""
        server = self._manager.server
        for sid in list(sids):
            eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
            if eio_sid is None:
                continue
            namespaces = list(self._manager.get_namespaces()) if close else [namespace]
            for each in namespaces:
                if (local := self._manager.sid_from_eio_sid(eio_sid, each)) is not None:
                    self._spawn(server.disconnect(local, namespace=each, ignore_queue=True))
            if close:
                self._spawn(self._close(server, eio_sid))
        # Each of these tasks has now marked its socket as one that leaves, so later messages are not
        # for it.
        await asyncio.sleep(0)

    async def _close(self, server: Any, eio_sid: str) -> None:
        """Ends a connection once the client has taken the packets that say so, or does not take them."""
        await asyncio.sleep(0)
        connection = server.eio.sockets.get(eio_sid)
        if connection is None:
            return
        with suppress(asyncio.TimeoutError):
            # In one response to a client that polls, the end of the connection would come first, and once it is
            # closed there is no response. So a busy client has as long as Engine.IO waits for a silent one.
            patience = server.eio.ping_interval + server.eio.ping_timeout
            await asyncio.wait_for(connection.queue.join(), patience)
        # Clients in JavaScript close a connection by themselves that has no namespace any more. Until then,
        # the end of the connection could still overtake the packets in what they read.
        end = asyncio.get_running_loop().time() + _CLOSES_ITSELF
        while not connection.closed and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        with suppress(Exception):
            await asyncio.wait_for(server.eio.disconnect(eio_sid), _CLOSE_AFTER)

    # Descriptions

    def described(self, namespace: str, sids: Iterable[str]) -> list[str]:
        """Those sockets that `describe` tells of."""
        is_there = self._manager.eio_sid_from_sid
        return [sid for sid in sids if (namespace, sid) in self._sockets and is_there(sid, namespace) is not None]

    def describe(self, namespace: str, sids: Iterable[str]) -> list[SocketDescription]:
        """The sockets as other servers see them."""
        found: list[SocketDescription] = []
        for sid in self.described(namespace, sids):
            socket = self._sockets[namespace, sid]
            eio_sid = self._manager.eio_sid_from_sid(sid, namespace)
            rooms = [room for room in self._manager.get_rooms(sid, namespace) if is_name(room) and room != sid]
            environ = self._manager.server.environ.get(eio_sid) or {}
            how = handshake(environ, socket.issued, socket.auth)
            found.append({"id": sid, "handshake": how, "rooms": [sid, *rooms], "data": socket.data})
        return found

    # Tasks

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a socket could not be disconnected", exc_info=error)


def handshake(environ: dict[str, Any], issued: float, auth: Any) -> Handshake:
    """How a client connected, with the keys that Node.js has."""
    scope = environ.get("asgi.scope") or {}
    client = scope.get("client")
    headers = _headers(environ, scope)
    query = parse_qs(environ.get("QUERY_STRING") or "", keep_blank_values=True)
    try:
        auth = to_wire(auth)
    except InvalidValue:
        auth = None
    scheme = scope.get("scheme") or environ.get("wsgi.url_scheme") or "http"
    return {
        "headers": headers,
        "time": time.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", time.gmtime(issued)),
        "address": str(client[0] if client else environ.get("REMOTE_ADDR") or ""),
        "xdomain": "origin" in headers,
        "secure": scheme in ("https", "wss"),
        "issued": int(issued * 1000),
        "url": str(environ.get("RAW_URI") or environ.get("PATH_INFO") or ""),
        "query": {key: values[-1] for key, values in query.items()},
        "auth": auth if isinstance(auth, dict) else {},
    }


def _headers(environ: dict[str, Any], scope: dict[str, Any]) -> dict[str, str | list[str]]:
    """The headers of the first request, with several of one name joined as by Node.js."""
    if "headers" not in scope:  # not ASGI
        named = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
        return {key: str(value) for key, value in named.items()}
    headers: dict[str, str | list[str]] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key not in headers:
            headers[key] = text
        elif key not in _ONCE:
            headers[key] = f"{headers[key]}{'; ' if key == 'cookie' else ', '}{text}"
    return headers


def _copied(packets: list[Any]) -> list[Any]:
    """The same packets for another client.

    engineio encodes a packet once, and bytes in another way for a client that polls than for a WebSocket: such a packet
    is for one client alone.
    """
    return [
        each if isinstance(each.data, str) else eio_packet.Packet(eio_packet.MESSAGE, each.data) for each in packets
    ]
