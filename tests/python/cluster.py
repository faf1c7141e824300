"""The node: one namespace of this process, in the cluster with all others. See docs/protocol.md."""

import asyncio
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Optional

from lines import log, tell
from postgres import Postgres, channel_name
from sockets import Reply, Socket, is_room
from values import Unreadable, read_json, read_messagepack, with_bytes
from waiting import Acknowledgements, Request

EMITTER = "emitter"
EVENT = 2
DEFAULT_TIMEOUT = 5.0
MOST_REMEMBERED = 1000
LARGEST_ROW = 2**63 - 1
RESERVED = {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
RESERVED_BY_SERVERS = {"connect", "connection", "new_namespace"}


class Type(IntEnum):
    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


class TimedOut(Exception):
    """Some responses are missing. `responses` has those that came."""

    def __init__(self, text: str, responses: list):
        super().__init__(text)
        self.responses = responses


@dataclass
class Selection:
    """The selected sockets, and how to send: the `opts` of a message."""

    rooms: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    flags: dict = field(default_factory=dict)
    local: bool = False

    def opts(self) -> dict:
        return {"rooms": self.rooms, "except": self.left_out, "flags": self.flags}

    def timeout(self, default: "Optional[float]") -> "Optional[float]":
        """In seconds."""
        return self.flags["timeout"] / 1000 if "timeout" in self.flags else default


class Process:
    """All nodes of this process, which share one listening connection."""

    def __init__(self, postgres: Postgres, prefix: str):
        self.nodes: "list[Node]" = []
        self.problems: Counter = Counter()
        self._postgres = postgres
        self._prefix = prefix

    async def heard(self, channel: str, payload: str):
        """Handles a notification. The next one waits until this one is done."""
        try:
            message = _object(read_json(payload))
            if message.get("attachmentId") not in ("", 0, False, None):
                if not self._receivers(channel, message):
                    return
                message = await self._attachment(message["attachmentId"])
            for node in self._receivers(channel, message):
                node.receive(message)
        except Unreadable as error:
            self.problem("unreadable", error)
        except Malformed as error:
            self.problem("malformed", error)
        except Exception as error:  # whatever is wrong with this message, the next may be well
            self.problem("failed", f"{type(error).__name__}: {error}")

    def problem(self, kind: str, text):
        self.problems[kind] += 1
        log(f"{kind}: {text}")

    def _receivers(self, channel: str, message: dict) -> "list[Node]":
        """The node that a message or a header is for. Two long namespaces may share a channel."""
        nsp = message.get("nsp")
        if nsp is None:
            nsp = channel[len(self._prefix) + 1 :]
        uid = message.get("uid")
        return [node for node in self.nodes if (node.channel, node.nsp) == (channel, nsp) and node.uid != uid]

    async def _attachment(self, row) -> dict:
        try:
            row = int(row)
        except (TypeError, ValueError) as error:
            raise Malformed(f"attachmentId {row!r}") from error
        payload = await self._postgres.attachment(row) if 0 < row <= LARGEST_ROW else None
        if payload is None:
            raise Unreadable(f"attachment {row} is gone")
        return _object(read_messagepack(payload))


class Node:
    """A node: the other nodes that it knows, its sockets, and the requests that wait."""

    def __init__(self, process: Process, postgres: Postgres, prefix: str, nsp: str):
        self.nsp = nsp
        self.uid = secrets.token_hex(8)
        self.channel = channel_name(prefix, nsp)
        self.sockets: "dict[str, Socket]" = {}
        self.replies: "dict[str, Reply]" = {}
        self._process = process
        self._postgres = postgres
        self._others: "dict[str, float]" = {}  # when each was last heard
        self._published = 0.0
        self._requests: "dict[str, Request]" = {}

    # Membership

    def server_count(self) -> int:
        return 1 + len(self._others)

    def join(self) -> asyncio.Future:
        return self._send(Type.INITIAL_HEARTBEAT)

    def leave(self) -> asyncio.Future:
        return self._send(Type.ADAPTER_CLOSE)

    async def beat(self, interval: float):
        """Sends a heartbeat whenever nothing was published for this many seconds, for ever."""
        while True:
            rest = self._published + interval - time.monotonic()
            if rest <= 0:
                self._send(Type.HEARTBEAT)
            else:
                await asyncio.sleep(rest)

    async def forget_silent_nodes(self, timeout: float):
        """Forgets the nodes that were not heard for this many seconds, for ever."""
        while True:
            await asyncio.sleep(min(1, timeout / 2))
            dead = [uid for uid, heard in self._others.items() if time.monotonic() - heard > timeout]
            for uid in dead:
                self._forget(uid)

    def _remember(self, uid: str):
        if uid in self._others or len(self._others) < MOST_REMEMBERED:
            self._others[uid] = time.monotonic()
        else:
            self._process.problem("too many nodes", uid)

    def _forget(self, uid: str):
        self._others.pop(uid, None)
        for request in self._requests.values():
            request.gone(uid)

    # Operations of the application

    async def emit(self, packet: list, to: Selection):
        for socket in self._selected(to.opts()):
            socket.deliver(packet)
        if not to.local:
            await self._send(Type.BROADCAST, packet={"type": EVENT, "data": packet}, opts=to.opts())

    async def emit_with_ack(self, packet: list, to: Selection) -> list:
        request = Acknowledgements([] if to.local else self._others)
        # Its own sockets count as those of one more node.
        own = self._selected(to.opts())
        request.counted(self.uid, len(own))
        for socket in own:
            socket.deliver(packet, lambda args: request.acknowledged(self.uid, args[0] if args else None))
        if not to.local:
            self._wait_for(request)
            packet = {"type": EVENT, "data": packet}
            await self._send(Type.BROADCAST, packet=packet, requestId=request.id, opts=to.opts())
        return await self._finish(request, to.timeout(None), "operation has timed out")

    async def fetch_sockets(self, of: Selection) -> "list[dict]":
        own = [socket.described() for socket in self._selected(of.opts())]
        if of.local or not self._others:
            return own
        request = self._wait_for(Request(self._others))
        await self._send(Type.FETCH_SOCKETS, opts=of.opts(), requestId=request.id)
        theirs = await self._finish(request, of.timeout(DEFAULT_TIMEOUT))
        return own + [socket for sockets in theirs for socket in sockets]

    async def join_rooms(self, rooms: list, of: Selection):
        self._join_rooms(rooms, of.opts())
        if not of.local:
            await self._send(Type.SOCKETS_JOIN, opts=of.opts(), rooms=rooms)

    async def leave_rooms(self, rooms: list, of: Selection):
        self._leave_rooms(rooms, of.opts())
        if not of.local:
            await self._send(Type.SOCKETS_LEAVE, opts=of.opts(), rooms=rooms)

    async def disconnect(self, close: bool, of: Selection):
        self._disconnect(of.opts())
        if not of.local:
            await self._send(Type.DISCONNECT_SOCKETS, opts=of.opts(), close=close)

    async def server_side_emit(self, packet: list):
        await self._send(Type.SERVER_SIDE_EMIT, packet=packet)

    async def server_side_emit_with_ack(self, packet: list) -> list:
        if not self._others:
            return []
        request = self._wait_for(Request(self._others))
        await self._send(Type.SERVER_SIDE_EMIT, requestId=request.id, packet=packet)
        return await self._finish(request, DEFAULT_TIMEOUT)

    def disconnected(self, socket: Socket, reason: str):
        """A socket of this node has gone."""
        del self.sockets[socket.id]
        tell("disconnected", nsp=self.nsp, socket=socket.id)
        tell("disconnect", client=socket.client, reason=reason)

    # Messages of other nodes

    def receive(self, message: dict):
        uid, kind, data = message.get("uid"), message.get("type"), message.get("data", {})
        if not isinstance(uid, str) or isinstance(kind, bool) or not isinstance(kind, (int, float)):
            raise Malformed(f"uid {uid!r}, type {kind!r}")
        if kind == Type.ADAPTER_CLOSE:
            self._forget(uid)
            return
        if uid != EMITTER:
            self._remember(uid)
        if kind == Type.INITIAL_HEARTBEAT:
            self._send(Type.HEARTBEAT)
        elif kind == Type.BROADCAST:
            self._on_broadcast(_object(data))
        elif kind == Type.SOCKETS_JOIN:
            self._join_rooms(_need(data, "rooms", list), _opts(data))
        elif kind == Type.SOCKETS_LEAVE:
            self._leave_rooms(_need(data, "rooms", list), _opts(data))
        elif kind == Type.DISCONNECT_SOCKETS:
            self._disconnect(_opts(data))
        elif kind == Type.FETCH_SOCKETS:
            request, sockets = _need(data, "requestId", str), self._selected(_opts(data))
            described = [socket.described() for socket in sockets]
            self._send(Type.FETCH_SOCKETS_RESPONSE, requestId=request, sockets=described)
        elif kind == Type.SERVER_SIDE_EMIT:
            self._on_server_side_emit(_object(data))
        elif kind in (Type.FETCH_SOCKETS_RESPONSE, Type.SERVER_SIDE_EMIT_RESPONSE):
            self._on_response(uid, kind, data)
        elif kind in (Type.BROADCAST_CLIENT_COUNT, Type.BROADCAST_ACK):
            self._on_acknowledgement(uid, kind, data)
        elif kind != Type.HEARTBEAT:
            self._process.problem("unknown type", kind)

    def _on_broadcast(self, data: dict):
        packet, opts, request = _need(data, "packet", dict), _opts(data), data.get("requestId")
        event = packet.get("data")
        is_event = packet.get("type") == EVENT and isinstance(event, list) and event[:1] and _is_name(event[0])
        is_event = is_event and event[0] not in RESERVED  # the client would disconnect
        sockets = self._selected(opts) if is_event else []
        for socket in sockets:
            socket.deliver(event, self._answer(Type.BROADCAST_ACK, request) if request else None)
        if request:
            self._send(Type.BROADCAST_CLIENT_COUNT, requestId=request, clientCount=len(sockets))
        if not is_event:
            raise Malformed(f"packet {str(packet)[:200]}")

    def _on_server_side_emit(self, data: dict):
        packet, request = _need(data, "packet", list), data.get("requestId")
        if not packet or not _is_name(packet[0]):
            raise Malformed(f"packet {str(packet)[:200]}")
        tell("serverSide", nsp=self.nsp, name=packet[0], args=packet[1:])
        if request:
            reply = self.replies.get(packet[0], Reply())
            reply.give(self._answer(Type.SERVER_SIDE_EMIT_RESPONSE, request))

    def _on_response(self, uid: str, kind: int, data: dict):
        request = self._requests.get(_need(data, "requestId", str))
        if request is None:
            return  # another node has asked, or it is too late
        response = data.get("packet")
        if kind == Type.FETCH_SOCKETS_RESPONSE:
            response = [with_bytes(_object(socket)) for socket in _need(data, "sockets", list)]
        request.answered(uid, response)

    def _on_acknowledgement(self, uid: str, kind: int, data: dict):
        request = self._requests.get(_need(data, "requestId", str))
        if not isinstance(request, Acknowledgements):
            return
        if kind == Type.BROADCAST_ACK:
            request.acknowledged(uid, data.get("packet"))
        else:
            request.counted(uid, int(_need(data, "clientCount", (int, float))))

    # How to respond

    def _selected(self, opts: dict) -> "list[Socket]":
        return [socket for socket in self.sockets.values() if socket.matches(opts)]

    def _join_rooms(self, rooms: list, opts: dict):
        for socket in self._selected(opts):
            socket.rooms.update(room for room in rooms if is_room(room))

    def _leave_rooms(self, rooms: list, opts: dict):
        for socket in self._selected(opts):
            socket.rooms.difference_update(room for room in rooms if is_room(room))

    def _disconnect(self, opts: dict):
        # `close` makes no difference: a virtual socket shares its connection with no other.
        for socket in self._selected(opts):
            self.disconnected(socket, "io server disconnect")

    def _answer(self, kind: Type, request: str):
        """The first argument is the acknowledgement; without arguments it is empty."""
        return lambda args: self._send(kind, requestId=request, **({"packet": args[0]} if args else {}))

    def _wait_for(self, request: Request) -> Request:
        self._requests[request.id] = request
        return request

    async def _finish(self, request: Request, timeout: "Optional[float]", text: str = "") -> list:
        try:
            if await request.finish(timeout):
                return request.responses
            text = text or f"timeout reached: missing {len(request.missing)} responses"
            raise TimedOut(text, request.responses)
        finally:
            self._requests.pop(request.id, None)

    def _send(self, kind: Type, **data) -> asyncio.Future:
        message = {"type": int(kind)}
        if data:
            message["data"] = data
        message.update(uid=self.uid, nsp=self.nsp, source="_sio_adapter")
        self._published = time.monotonic()
        return self._postgres.publish(self.channel, message)


class Malformed(Exception):
    """A message without a key that its type needs."""


def _object(value) -> dict:
    if not isinstance(value, dict):
        raise Malformed(f"no object: {str(value)[:200]}")
    return value


def _need(data: dict, key: str, kind):
    value = _object(data).get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Malformed(f"{key}: {str(value)[:200]}")
    return value


def _opts(data: dict) -> dict:
    opts = _need(data, "opts", dict)
    for key in ("rooms", "except"):
        if not isinstance(opts.get(key), (list, type(None))):
            raise Malformed(f"{key}: {str(opts[key])[:200]}")
    return opts


def _is_name(event) -> bool:
    return isinstance(event, (str, int, float))
