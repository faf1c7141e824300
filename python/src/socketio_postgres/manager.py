"""The client manager of `socketio.AsyncServer`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from socketio import AsyncManager

from .cluster import Cluster
from .errors import Closed, InvalidNamespace, InvalidValue, NotConnected
from .namespace import ClusterNamespace
from .node import Node, Question
from .options import Health, Options
from .sockets import LocalSockets
from .wire import Opts, checked_rooms, is_name

_log = logging.getLogger("socketio_postgres")
#: The client that connects in this task.
_connecting: ContextVar[_Connecting | None] = ContextVar("connecting", default=None)
#: The `AsyncServer.call` that runs in this task.
_calling: ContextVar[_Calling | None] = ContextVar("calling", default=None)
_LONGEST_RETRY = 10.0


@dataclass
class _Connecting:
    """A client whose connect handler runs."""

    auth: Any
    sid: str | None = None


@dataclass
class _Calling:
    """Who waits for a client, in a task. Tasks that it starts have the same context, but do not wait."""

    task: asyncio.Task[Any] | None
    question: Question | None = None


class PostgresManager(AsyncManager):  # type: ignore[misc]
    """Connects an `AsyncServer` with all other servers on the same database.

        manager = PostgresManager("postgres://user:password@localhost/database")
        sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi")
        app = socketio.ASGIApp(sio, on_startup=manager.start, on_shutdown=manager.close)

    The methods of `sio` then reach the clients of all servers. `of` is a handle for what python-socketio
    has no method for: sockets of other servers, acknowledgements of many clients, events between servers.

    Raises `ConfigurationError` when the URL or an option cannot work. Nothing is connected before `start`.
    """

    name = "postgres"

    def __init__(self, url: str, options: Options | None = None, *, logger: Any = None) -> None:
        super().__init__()
        self.logger = logger
        self._sockets = LocalSockets(self)
        self._cluster = Cluster(url, options or Options(), self._sockets)
        #: The attempt to start that is under way, or was the last one.
        self._starting: asyncio.Task[None] | None = None
        #: Starts it for clients that connect, and tries again until it works.
        self._retrying: asyncio.Task[None] | None = None

    # Joining and leaving the cluster

    async def start(self) -> None:
        """Joins the cluster: returns once this server hears the others and has announced itself.

        Raises `NotConnected` when it cannot, and `Closed` after `close`. Without it, the first client that
        connects starts the manager, and until then this server is not in the cluster.
        """
        if self._cluster.is_closed:
            raise Closed("the manager has left the cluster: make a new one")
        if self._starting is None or _has_failed(self._starting):
            self._starting = asyncio.create_task(self._start())
        starting = self._starting
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():
                raise Closed("the manager was closed while it started: make a new one") from None
            raise

    async def close(self) -> None:
        """Leaves the cluster, so that no other server waits for this one. It cannot start again."""
        await self._cluster.close([task for task in (self._retrying, self._starting) if task is not None])

    async def __aenter__(self) -> PostgresManager:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def health(self) -> Health:
        """How it is at this moment, for a readiness probe. It asks nobody."""
        return self._cluster.health()

    def of(self, namespace: str = "/") -> ClusterNamespace:
        """One namespace on all servers. Raises `InvalidNamespace`."""
        self._cluster.add(namespace)
        return ClusterNamespace(self._node, self._cluster, namespace)

    # What python-socketio calls

    def set_server(self, server: Any) -> None:
        super().set_server(server)
        handle_connect = server._handle_connect

        async def with_auth(eio_sid: str, namespace: str, data: Any) -> None:
            # python-socketio tells its managers of a client, but not of the `auth` that it gave.
            client = _Connecting(data)
            token = _connecting.set(client)
            try:
                await handle_connect(eio_sid, namespace, data)
            finally:
                _connecting.reset(token)
                if client.sid is not None:
                    await self._forget_if_gone(eio_sid, client.sid, namespace or "/")

        server._handle_connect = with_auth
        trigger_event = server._trigger_event

        async def to_the_end(event: Any, namespace: str, *args: Any) -> Any:
            try:
                return await trigger_event(event, namespace, *args)
            except Exception:
                if event != "disconnect":
                    raise
                # python-socketio would not forget the client, nor disconnect it from its other namespaces.
                _log.exception("a disconnect handler in %s has failed", namespace)

        server._trigger_event = to_the_end
        call = server.call

        async def call_and_forget(*args: Any, **kwargs: Any) -> Any:
            # python-socketio does not tell its managers that it waits no longer: its time is over, or its
            # caller was cancelled.
            calling = _Calling(asyncio.current_task())
            token = _calling.set(calling)
            try:
                return await call(*args, **kwargs)
            finally:
                _calling.reset(token)
                if calling.question is not None:
                    calling.question.end()
                # Tasks that it has started keep their context for as long as they run.
                calling.task = calling.question = None

        server.call = call_and_forget

    def initialize(self) -> None:
        super().initialize()
        is_starting = self._starting is not None and not _has_failed(self._starting)
        is_trying = self._retrying is not None and not self._retrying.done()
        if not is_starting and not is_trying and not self._cluster.is_closed:
            self._retrying = asyncio.create_task(self._start_until_it_works())

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        accept = self._cluster.options.accept_namespace
        try:
            if namespace not in self._static() and accept is not None and not accept(namespace):
                return None
            await self._cluster.join(namespace)
        except InvalidNamespace as error:
            _log.debug("a client is refused: %s", error)
            return None
        except Closed:
            return None
        sid: str | None = await super().pre_connect(eio_sid, namespace)
        if sid is not None:
            client = _connecting.get()
            if client is not None:
                client.sid = sid
            self._sockets.connected(namespace, sid, client.auth if client is not None else None)
        return sid

    async def emit(
        self,
        event: Any,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `AsyncServer.emit`, to the clients of all servers.

        With a callback, it is called once for each client that acknowledges. The clients of other
        servers hand on the first argument of their acknowledgement only.

        Raises `PublishError` when other servers do not get the event; local clients get it all the same.
        """
        namespace = namespace or "/"
        opts = Opts(_rooms(to or room), checked_rooms(_listed(skip_sid)))
        # A client of this server alone: no other server need hear of it.
        local = bool(kwargs.get("ignore_queue")) or (
            len(opts.rooms) == 1 and self._sockets.is_local(namespace, opts.rooms[0])
        )
        packet = [event, *_arguments(data)]
        node = await self._node(namespace)
        if callback is None:
            await node.emit(packet, opts, {}, local)
            return
        calling = _calling.get()
        if calling is not None and calling.task is not asyncio.current_task():
            calling = None
        question = await node.call_back(
            packet,
            opts,
            self._cluster.options.ack_timeout,
            local,
            lambda given: self._call(callback, given),
            is_call=calling is not None,
        )
        if calling is not None:
            calling.question = question

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        if self._sockets.is_local(namespace, sid):
            return bool(self.is_connected(sid, namespace))
        node = await self._node(namespace)
        await node.disconnect(Opts((sid,)), close=False)
        return False

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        if kwargs.get("ignore_queue"):
            await super().disconnect(sid, namespace)
            self._sockets.disconnected(namespace, sid)
            return
        node = await self._node(namespace)
        await node.disconnect(Opts((sid,)), close=False, local=self._sockets.is_local(namespace, sid))

    async def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        if eio_sid is not None or self._sockets.is_local(namespace, sid):
            await super().enter_room(sid, namespace, _local_room(room), eio_sid=eio_sid)
        else:
            node = await self._node(namespace)
            await node.join_rooms(list(_rooms(room)), Opts((sid,)))

    async def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        if self._sockets.is_local(namespace, sid):
            await super().leave_room(sid, namespace, _local_room(room))
        else:
            node = await self._node(namespace)
            await node.leave_rooms(list(_rooms(room)), Opts((sid,)))

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        namespace = namespace or "/"
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot close a sid room")
        node = await self._node(namespace)
        await node.leave_rooms(list(_rooms(room)), Opts(_rooms(room)))

    async def trigger_callback(self, sid: str, id: int, data: Any) -> None:
        # Under 0 python-socketio keeps the counter of ids. A client must not be able to take it away.
        callback = self.callbacks.get(sid, {}).pop(id, None) if id else None
        if callback is None:
            _log.debug("%s has acknowledged what it was not asked, or too late", sid)
            return
        self._call(callback, tuple(data or ()))

    # How it works

    async def _start(self) -> None:
        if self.server is None:
            raise NotConnected("the manager has no server: give it to socketio.AsyncServer as client_manager first")
        self._add_static()
        try:
            await self._cluster.start()
        except Exception as error:
            # python-socketio's ASGIApp does not say why a start has failed.
            _log.error("the server is not in the cluster: %s", error)
            await self._cluster.stop()
            raise
        self._cluster.serve(self._follow_handlers())

    async def _start_until_it_works(self) -> None:
        delay = 0.5
        while True:
            try:
                await self.start()
                return
            except Closed:
                return
            except Exception:  # which is logged
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_RETRY)

    async def _follow_handlers(self) -> None:
        """Joins the namespaces that get their first handler later."""
        while True:
            await asyncio.sleep(1)
            self._add_static()
            await self._cluster.join_lasting()

    def _add_static(self) -> None:
        for namespace in self._static():
            try:
                self._cluster.add(namespace)
            except InvalidNamespace as error:
                self._cluster.problem("invalid namespace", error)

    async def _node(self, namespace: str | None) -> Node:
        """The node of a namespace, whether the manager was started or not. Raises `NotConnected`."""
        if self.server is None:
            raise NotConnected("the manager has no server. In a process without a server, use AsyncEmitter")
        self.initialize()
        return await self._cluster.join(namespace or "/")

    async def _forget_if_gone(self, eio_sid: str, sid: str, namespace: str) -> None:
        """python-socketio forgets neither a client whose connect handler has failed, nor one that has left
        while it ran. Other servers would see their sockets for ever."""
        connection = self.server.eio.sockets.get(eio_sid)
        if self.is_pre_connected(sid, namespace):
            await self.disconnect(sid, namespace, ignore_queue=True)
        elif connection is None or connection.closing or connection.closed:
            # It calls the disconnect handler, unless that was done.
            await self.server._handle_disconnect(eio_sid, namespace, self.server.reason.TRANSPORT_CLOSE)

    def _static(self) -> set[str]:
        """The namespaces of the application, which every server of a cluster listens to."""
        listed = self.server.namespaces if isinstance(self.server.namespaces, (list, tuple, set)) else ["/"]
        found = {*listed, *self.server.handlers, *self.server.namespace_handlers}
        return {namespace for namespace in found if namespace != "*"}

    def _call(self, callback: Any, given: tuple[Any, ...]) -> None:
        """Calls the application. Nothing waits for a coroutine: no message, and no client."""
        try:
            returned = callback(*given)
        except Exception:
            _log.exception("a callback has failed")
            return
        if inspect.isawaitable(returned):
            self._cluster.spawn(_logged(returned))


def _has_failed(starting: asyncio.Task[None]) -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)


async def _logged(returned: Any) -> None:
    try:
        await returned
    except Exception:
        _log.exception("a callback has failed")


def _arguments(data: Any) -> list[Any]:
    """python-socketio: a tuple is several arguments, None is none, all else is one."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]


def _rooms(room: Any) -> tuple[Any, ...]:
    rooms = _listed(room)
    if room is not None and not rooms:
        raise InvalidValue("the list of rooms is empty: name a room, or leave it out to reach all clients")
    return checked_rooms(rooms)


def _local_room(room: Any) -> Any:
    """python-socketio takes anything for a room of a client of this server, which others cannot name."""
    return checked_rooms([room])[0] if is_name(room) else room


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
