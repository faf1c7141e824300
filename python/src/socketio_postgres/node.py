"""A node: one namespace of this server in the cluster. docs/protocol.md is the specification."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from . import wire
from .errors import InvalidValue, Malformed, NotUsable, PublishError, ResponseTimeout
from .handlers import Handlers
from .members import Members
from .messages import Flags, Selector
from .names import reply_channel_pattern
from .options import Options
from .publisher import Effect
from .requests import MISSING, Acknowledgements, Brief, Request
from .sockets import Asked, LocalSockets
from .values import LARGEST_INTEGER, restore_buffers, to_wire
from .version import VERSION
from .wire import Incoming, Opts, Type

_log = logging.getLogger("socketio_postgres")


class Network(Protocol):
    """What a node needs of its process."""

    options: Options
    sockets: LocalSockets
    handlers: Handlers
    is_closed: bool

    def send(
        self, channel: str, message: dict[str, Any], effect: Effect | None, packs: bool = False
    ) -> asyncio.Future[None]:
        """Queues a message; with `packs`, binary goes into the notification if it fits. The future fails
        with `PublishError` when it cannot be published."""

    def problem(self, kind: str, text: object) -> None:
        """Counts and logs what could not be used."""

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Runs a task until the process leaves the cluster."""


class Node:
    """The other servers that this one knows in a namespace, what it asks them, and what they ask."""

    def __init__(self, network: Network, namespace: str, channel: str) -> None:
        self.namespace = namespace
        self.channel = channel
        self.uid = secrets.token_hex(8)
        options = network.options
        self.members = Members(options.heartbeat_timeout, options.max_servers)
        self._network = network
        self._most = options.max_responses
        self._published = time.monotonic()
        #: The heartbeat that waits to be published.
        self._heartbeat: asyncio.Future[None] | None = None
        self._requests: dict[str, Request] = {}
        self._reply_channel = reply_channel_pattern(options.channel_prefix)
        # Where the name of the channel is cut, servers on Node.js are not heard, and may be there.
        self._may_pack = options.inline_binary and channel == f"{options.channel_prefix}#{namespace}"
        self._packs_from = 0.0

    # Membership

    def announce(self) -> None:
        """Is called whenever it listens, at first and after the connection was lost."""
        # All servers respond at once, so that this one knows soon who is there.
        self._hold_back(self._network.options.heartbeat_interval)
        self.members.wait_anew(time.monotonic())
        self._send(Type.INITIAL_HEARTBEAT)

    def leave(self) -> None:
        """Sends the close message. Requests that still wait end with what they have."""
        self._send(Type.ADAPTER_CLOSE)
        for uid in [self.uid, *self.members]:
            self._gone(uid)
        for request in list(self._requests.values()):
            for uid in list(request.missing):
                request.gone(uid)

    def heard(self, uid: str) -> None:
        """A message of another server has arrived."""
        if uid != wire.EMITTER and not self.members.heard(uid, time.monotonic()):
            self._network.problem("too many servers", f"max_servers ({self._network.options.max_servers})")

    def heard_heartbeat(self, uid: str, message: dict[str, Any]) -> None:
        """A heartbeat says whether its server takes packed messages."""
        takes_packed = message.get("binary") == wire.PACKED
        if self.members.said(uid, takes_packed) and self._network.options.inline_binary:
            text = f"server {uid} in {self.namespace} has no inline_binary, perhaps it is on Node.js"
            self._network.problem("needs attachments", text)

    def packs(self) -> bool:
        """Whether binary goes into notifications now: all others are known to take it."""
        return self._may_pack and time.monotonic() >= self._packs_from and self.members.all_take_packed()

    def _hold_back(self, seconds: float) -> None:
        self._packs_from = max(self._packs_from, time.monotonic() + seconds)

    def _hold_back_for_one_that_left(self) -> None:
        # A close message can be forged, and a server that was silent can go on.
        self._hold_back(2 * self._network.options.heartbeat_timeout)

    def beat(self, interval: float) -> None:
        """Sends a heartbeat if nothing was published for this long."""
        if self._may_pack and self.members.ask():
            # A server that publishes all the time sends no heartbeat by itself.
            self._send(Type.INITIAL_HEARTBEAT)
        if time.monotonic() - self._published >= interval and (self._heartbeat is None or self._heartbeat.done()):
            self._heartbeat = self._send(Type.HEARTBEAT)

    def forget_silent(self, heard_until: float) -> None:
        """Forgets who was not heard although everything was heard until then."""
        for uid, needed_attachments in self.members.silent(heard_until):
            if needed_attachments:
                self._hold_back_for_one_that_left()
            self._gone(uid)

    def _gone(self, uid: str) -> None:
        for request in list(self._requests.values()):
            request.gone(uid)

    # What the application does

    async def emit(self, event: list[Any], opts: Opts, flags: Flags, local: bool = False) -> None:
        """Raises `InvalidEvent`, `InvalidValue`, and `PublishError` after local clients have got it."""
        wire.check_event(event[0])
        event = to_wire(event)

        async def deliver() -> None:
            sockets = self._network.sockets
            await sockets.deliver(self.namespace, event, sockets.select(self.namespace, opts))

        if local:
            await deliver()
        else:
            data = {"packet": {"type": wire.EVENT, "data": event}, "opts": _written(opts, flags)}
            await self._send(Type.BROADCAST, data, deliver)

    async def ask_clients(
        self, event: list[Any], opts: Opts, flags: Flags, timeout: float, local: bool = False
    ) -> list[Any]:
        """Emits an event, and returns what clients acknowledge. Raises `ResponseTimeout`, and what
        `emit` raises."""
        question = self._question(local, None)
        try:
            await self._ask_clients(question, event, opts, flags, timeout, local)
            return await self._finish(question.request, timeout, "operation has timed out")
        finally:
            question.end()

    async def call_back(
        self,
        event: list[Any],
        opts: Opts,
        timeout: float,
        local: bool,
        each: Callable[[tuple[Any, ...]], None],
        is_call: bool = False,
    ) -> Question:
        """Emits an event. What clients acknowledge in time is handed on to `each`, unless the caller ends
        what it gets, or is cancelled. With `is_call`, nobody waits after an error. Raises what `emit` raises."""
        question = self._question(local, each)
        try:
            await self._ask_clients(question, event, opts, {}, timeout, local)
        except BaseException as error:
            if is_call or not isinstance(error, PublishError):
                question.end()
            else:
                # Clients of this server have got it all the same.
                question.request.wait_only_for(self.uid)
                self._call_back(question, timeout)
            raise
        self._call_back(question, timeout)
        return question

    def _call_back(self, question: Question, timeout: float) -> None:
        if self._network.is_closed:
            question.end()
            return

        async def wait() -> None:
            if not await question.request.wait(timeout):
                _log.debug("not all clients have acknowledged in %g s", timeout)

        waiting = question.waiting = self._network.spawn(wait())
        # Also when it was cancelled before it began.
        waiting.add_done_callback(lambda _: question.end())

    def _question(self, local: bool, each: Callable[[tuple[Any, ...]], None] | None) -> Question:
        request = Acknowledgements([] if local else self.members, self._most, each)
        # Until it has had its effect here.
        request.missing.add(self.uid)

        def acknowledged(*given: Any) -> None:
            try:
                request.acknowledged(self.uid, given)
            except NotUsable as error:
                self._network.problem(error.kind, error)

        self._requests[request.id] = request
        return Question(request, self._network.sockets.asking(acknowledged), self._requests)

    async def _ask_clients(
        self, question: Question, event: list[Any], opts: Opts, flags: Flags, timeout: float, local: bool
    ) -> None:
        wire.check_event(event[0])
        event, request = to_wire(event), question.request

        async def deliver() -> None:
            # The sockets of this server count as those of one more server.
            sockets = self._network.sockets
            sids = sockets.select(self.namespace, opts)
            try:
                await sockets.deliver(self.namespace, event, sids, question.asked)
            finally:
                request.counted(self.uid, question.asked.count)
                if question.is_over:
                    question.asked.forget()

        if local:
            await deliver()
            return
        milliseconds = round(min(timeout * 1000, LARGEST_INTEGER))
        data = {
            "packet": {"type": wire.EVENT, "data": event},
            "requestId": request.id,
            "opts": _written(opts, {**flags, "timeout": milliseconds}),
        }
        await self._send(Type.BROADCAST, data, deliver)

    async def fetch_sockets(self, opts: Opts, timeout: float, local: bool = False) -> list[dict[str, Any]]:
        """Descriptions of sockets of all servers. Raises `ResponseTimeout` and `PublishError`."""
        sockets = self._network.sockets
        described = sockets.describe(self.namespace, sockets.select(self.namespace, opts))
        own: list[dict[str, Any]] = [dict(each) for each in described]
        if local or not len(self.members):
            return own
        request = Request(self.members, [Type.FETCH_SOCKETS_RESPONSE], self._most)
        self._requests[request.id] = request
        data = {"opts": _written(opts, {}), "requestId": request.id}
        try:
            await self._ask(request, Type.FETCH_SOCKETS, data)
            theirs = await self._finish(request, timeout)
        except ResponseTimeout as error:
            error.responses = own + [socket for sockets in error.responses for socket in sockets]
            raise
        return own + [socket for sockets in theirs for socket in sockets]

    async def count(self, opts: Opts, timeout: float, local: bool = False) -> int:
        """How many sockets there are. Raises `ResponseTimeout` and `PublishError`."""
        return sum(await self._ask_briefly("count", len, opts, timeout, local))

    async def socket_ids(self, opts: Opts, timeout: float, local: bool = False) -> list[str]:
        """Raises `ResponseTimeout` and `PublishError`."""
        found = await self._ask_briefly("ids", lambda sids: sids, opts, timeout, local)
        return [sid for sids in found for sid in sids]

    async def _ask_briefly(
        self, only: Literal["count", "ids"], of: Callable[[list[str]], Any], opts: Opts, timeout: float, local: bool
    ) -> list[Any]:
        """What this server and each other one tells of its sockets."""
        own = of(self._described(opts))
        if local or not len(self.members):
            return [own]
        request = Brief(self.members, only, self._most)
        self._requests[request.id] = request
        data = {"opts": _written(opts, {}), "requestId": request.id, "only": only}
        try:
            await self._ask(request, Type.FETCH_SOCKETS, data)
            return [own, *await self._finish(request, timeout)]
        except ResponseTimeout as error:
            error.responses = [own, *error.responses]
            raise

    def _described(self, opts: Opts) -> list[str]:
        sockets = self._network.sockets
        return sockets.described(self.namespace, sockets.select(self.namespace, opts))

    async def join_rooms(self, rooms: list[Any], opts: Opts, local: bool = False) -> None:
        await self._change(Type.SOCKETS_JOIN, opts, {"rooms": rooms}, self._network.sockets.join, local)

    async def leave_rooms(self, rooms: list[Any], opts: Opts, local: bool = False) -> None:
        await self._change(Type.SOCKETS_LEAVE, opts, {"rooms": rooms}, self._network.sockets.leave, local)

    async def _change(
        self, kind: Type, opts: Opts, what: dict[str, list[Any]], change: Callable[..., None], local: bool
    ) -> None:
        async def effect() -> None:
            change(self.namespace, self._network.sockets.select(self.namespace, opts), what["rooms"])

        if local:
            await effect()
        else:
            await self._send(kind, {"opts": _written(opts, {}), **what}, effect)

    async def disconnect(self, opts: Opts, close: bool, local: bool = False) -> None:
        async def effect() -> None:
            sockets = self._network.sockets
            await sockets.disconnect(self.namespace, sockets.select(self.namespace, opts), close)

        if local:
            await effect()
        else:
            await self._send(Type.DISCONNECT_SOCKETS, {"opts": _written(opts, {}), "close": close}, effect)

    async def server_side_emit(self, event: list[Any]) -> None:
        wire.check_event(event[0], wire.RESERVED_BETWEEN_SERVERS)
        await self._send(Type.SERVER_SIDE_EMIT, {"packet": to_wire(event)})

    async def ask_servers(self, event: list[Any], timeout: float) -> list[Any]:
        """One response of each other server. Raises `ResponseTimeout` and `PublishError`."""
        wire.check_event(event[0], wire.RESERVED_BETWEEN_SERVERS)
        event = to_wire(event)
        if not len(self.members):
            return []
        request = Request(self.members, [Type.SERVER_SIDE_EMIT_RESPONSE], self._most)
        self._requests[request.id] = request
        await self._ask(request, Type.SERVER_SIDE_EMIT, {"requestId": request.id, "packet": event})
        return await self._finish(request, timeout)

    async def _ask(self, request: Request, kind: Type, data: dict[str, Any]) -> None:
        try:
            await self._send(kind, data)
        except BaseException:
            self._requests.pop(request.id, None)
            raise

    async def _finish(self, request: Request, timeout: float, text: str = "") -> list[Any]:
        try:
            if await request.wait(timeout):
                return request.responses
            text = text or f"timeout reached: missing {len(request.missing)} responses"
            raise ResponseTimeout(text, request.responses)
        finally:
            self._requests.pop(request.id, None)

    # What other servers ask

    async def receive(self, incoming: Incoming) -> None:
        """Handles a message of another server. Raises `NotUsable`."""
        uid, kind, message = incoming.uid, incoming.kind, incoming.body
        if kind == Type.ADAPTER_CLOSE:
            if self.members.needs_attachments(uid):
                self._hold_back_for_one_that_left()
            self.members.left(uid, time.monotonic())
            self._gone(uid)
        elif kind == Type.INITIAL_HEARTBEAT:
            self._send(Type.HEARTBEAT)
        elif kind == Type.HEARTBEAT:
            pass
        elif kind == Type.BROADCAST:
            await self._on_broadcast(message)
        elif kind in (Type.SOCKETS_JOIN, Type.SOCKETS_LEAVE, Type.DISCONNECT_SOCKETS):
            await self._on_change(kind, wire.data_of(message))
        elif kind == Type.FETCH_SOCKETS:
            self._on_fetch_sockets(message)
        elif kind == Type.SERVER_SIDE_EMIT:
            self._on_server_side_emit(message)
        elif kind in _RESPONSES:
            self._on_response(uid, kind, wire.data_of(message))
        else:
            self._network.problem("unknown type", kind)

    async def _on_broadcast(self, message: dict[str, Any]) -> None:
        data = wire.data_of(message)
        opts, request_id = wire.opts_of(data), wire.request_id_of(data)
        event, sockets = wire.event_of(data), self._network.sockets
        sids = [] if event is None else sockets.select(self.namespace, opts)
        if event is None or request_id is None:
            if event is not None:
                await sockets.deliver(self.namespace, event, sids)
            elif request_id is not None:
                self._respond(message, Type.BROADCAST_CLIENT_COUNT, {"requestId": request_id, "clientCount": 0})
        else:
            await self._deliver_and_count(message, event, sids, opts, request_id)
        if event is None:
            raise Malformed("the packet of a broadcast is not an event that clients may get")

    async def _deliver_and_count(
        self, message: dict[str, Any], event: list[Any], sids: list[str], opts: Opts, request_id: str
    ) -> None:
        def acknowledged(*given: Any) -> None:
            self._respond_with(message, Type.BROADCAST_ACK, request_id, given[0] if given else MISSING)

        asked = self._network.sockets.asking(acknowledged)
        try:
            await self._network.sockets.deliver(self.namespace, event, sids, asked)
        finally:
            # Exactly once, also when the event cannot be written for these clients.
            self._respond(message, Type.BROADCAST_CLIENT_COUNT, {"requestId": request_id, "clientCount": asked.count})
            # The sender does not wait any longer, so this server does not keep it any longer.
            asked.forget_after(min(opts.seconds or self._network.options.ack_timeout, 86_400))

    async def _on_change(self, kind: int, data: dict[str, Any]) -> None:
        opts, sockets = wire.opts_of(data), self._network.sockets
        rooms = () if kind == Type.DISCONNECT_SOCKETS else wire.rooms_of(data)
        sids = sockets.select(self.namespace, opts)
        if kind == Type.SOCKETS_JOIN:
            sockets.join(self.namespace, sids, rooms)
        elif kind == Type.SOCKETS_LEAVE:
            sockets.leave(self.namespace, sids, rooms)
        else:
            await sockets.disconnect(self.namespace, sids, data.get("close") is True)

    def _on_fetch_sockets(self, message: dict[str, Any]) -> None:
        data = wire.data_of(message)
        opts, request_id = wire.opts_of(data), wire.needed_request_id_of(data)
        told: dict[str, Any] = {"requestId": request_id, "sockets": []}
        only = data.get("only")
        if only == "count":
            told["count"] = len(self._described(opts))
        elif only == "ids":
            told["ids"] = self._described(opts)
        else:
            told["sockets"] = self._network.sockets.describe(self.namespace, self._described(opts))
        self._respond(message, Type.FETCH_SOCKETS_RESPONSE, told)

    def _on_server_side_emit(self, message: dict[str, Any]) -> None:
        data = wire.data_of(message)
        event, request_id = wire.server_event_of(data), wire.request_id_of(data)
        if event[0] == wire.ABOUT_SERVER:
            if request_id is not None:
                told = self._about_itself(event[1] if len(event) > 1 else None)
                self._respond_with(message, Type.SERVER_SIDE_EMIT_RESPONSE, request_id, told)
            return

        def respond(value: Any) -> None:
            if request_id is not None:
                value = value if value is MISSING else to_wire(value)
                self._respond_with(message, Type.SERVER_SIDE_EMIT_RESPONSE, request_id, value)

        self._network.handlers.handle(self.namespace, event, respond)

    def _about_itself(self, query: Any) -> dict[str, Any]:
        return {
            "name": self._network.options.node_name,
            "language": "Python",
            "version": VERSION,
            "sockets": len(self._described(wire.query_of(query))),
        }

    def _on_response(self, uid: str, kind: int, data: dict[str, Any]) -> None:
        request_id = wire.request_id_of(data)
        request = None if request_id is None else self._requests.get(request_id)
        if request is None:
            return  # another server has asked, or it is too late
        if kind not in request.kinds:
            raise Malformed(f"a response of type {kind} is of another type than its request")
        if isinstance(request, Acknowledgements):
            # One that is not remembered is not waited for: nothing would tell that it is gone.
            is_member = uid in self.members
            if kind == Type.BROADCAST_ACK:
                request.acknowledged(uid, (data["packet"],) if "packet" in data else (), is_member)
            else:
                clients = wire.count_of(data, "clientCount")
                if is_member:
                    request.counted(uid, clients)
        elif kind == Type.FETCH_SOCKETS_RESPONSE:
            told = wire.told_of(data)
            if not isinstance(request, Brief):
                found = [restore_buffers(socket) for socket in told.descriptions()]
                request.responded(uid, found, len(found))
            elif request.only == "ids":
                sids = told.socket_ids()
                request.responded(uid, sids, len(sids))
            else:
                request.responded(uid, told.number())
        else:
            request.responded(uid, data.get("packet"))

    # Sending

    def _respond_with(self, message: dict[str, Any], kind: Type, request_id: str, value: Any) -> None:
        """A response without a value has no key for it."""
        try:
            data = {"requestId": request_id}
            self._respond(message, kind, data if value is MISSING else {**data, "packet": to_wire(value)})
        except InvalidValue as error:  # what a client acknowledges may be nested too deep
            self._network.problem("invalid response", error)

    def _respond(self, message: dict[str, Any], kind: Type, data: dict[str, Any]) -> None:
        channel = message.get("replyTo")
        if isinstance(channel, str) and self._reply_channel.match(channel):
            # Only the requester hears it, so it is not a sign of life for the others.
            response = wire.new_message(kind, self.uid, self.namespace, data)
            self._network.send(channel, response, None, self.packs())
        else:
            self._send(kind, data)

    def _send(
        self, kind: Type, data: dict[str, Any] | None = None, effect: Effect | None = None
    ) -> asyncio.Future[None]:
        takes_packed = self._network.options.inline_binary and kind in _HEARTBEATS
        message = wire.new_message(kind, self.uid, self.namespace, data, takes_packed=takes_packed)
        sent = self._network.send(self.channel, message, effect, self.packs())
        sent.add_done_callback(self._sent)
        return sent

    def _sent(self, sent: asyncio.Future[None]) -> None:
        # Others have not heard what could not be published, and take this server for dead without heartbeats.
        if not sent.cancelled() and sent.exception() is None:
            self._published = time.monotonic()


@dataclass
class Question:
    """An event that clients of this server and of others are asked to acknowledge."""

    request: Acknowledgements
    asked: Asked
    _requests: dict[str, Request]
    waiting: asyncio.Task[Any] | None = None
    is_over: bool = False

    def end(self) -> None:
        """Nobody waits any more. What has yet to be delivered is delivered, and is not waited for."""
        self.is_over = True
        self._requests.pop(self.request.id, None)
        self.asked.forget()
        if self.waiting is not None:
            self.waiting.cancel()


_HEARTBEATS = frozenset({Type.INITIAL_HEARTBEAT, Type.HEARTBEAT})

_RESPONSES = frozenset(
    {
        Type.FETCH_SOCKETS_RESPONSE,
        Type.SERVER_SIDE_EMIT_RESPONSE,
        Type.BROADCAST_CLIENT_COUNT,
        Type.BROADCAST_ACK,
    }
)


def _written(opts: Opts, flags: Flags) -> Selector:
    return {"rooms": list(opts.rooms), "except": list(opts.without), "flags": flags}
