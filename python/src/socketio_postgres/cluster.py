"""This process in the cluster: its nodes, and the connections and tasks that they share."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import psycopg

from .attachments import Attachments
from .connection import checked_url
from .errors import Closed, InvalidNamespace, NotConnected, PublishError
from .handlers import Handlers
from .inbox import Inbox
from .listener import Listener
from .names import channel_of, check_namespace
from .node import Node
from .options import Gap, Health, Options
from .publisher import Effect, Publisher
from .sockets import LocalSockets
from .tasks import end
from .wire import PAYLOAD_BYTES, Incoming, Type, write_message

_log = logging.getLogger("socketio_postgres")
#: How long a namespace without clients is kept that a client has created.
_IDLE_NAMESPACE = 60.0
#: How often the same kind of problem is logged.
_LOG_EVERY = 10.0


class Cluster:
    """Everything of one process. `start` and `close` are called once each."""

    def __init__(self, url: str, options: Options, sockets: LocalSockets) -> None:
        self.options = options
        self.sockets = sockets
        self.handlers = Handlers(options.max_handlers, self.problem)
        publish_url = checked_url(url)
        listen_url = checked_url(options.listen_url) if options.listen_url else publish_url
        self._nodes: dict[str, Node] = {}
        self._own_uids: set[str] = set()
        self._lasting: set[str] = set()
        self._used: dict[str, float] = {}
        self._joining: dict[str, asyncio.Future[None]] = {}
        self._publisher = Publisher(publish_url, options)
        self._attachments = Attachments(publish_url, options)
        self._listener = Listener(listen_url, options, self._heard, self._listens)
        self._inbox = Inbox(self._attachments, self._receiver, self.problem, self._overflowed, options.max_inbox_bytes)
        self._problems: Counter[str] = Counter()
        self._logged: dict[str, float] = {}
        self._gaps: asyncio.Queue[Gap] = asyncio.Queue(maxsize=1000)
        self._overflow_since: datetime | None = None
        self._own_heard = asyncio.Event()
        self._listened = asyncio.Event()
        self._attachments_seen = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Those of them that end when a start fails. The others are callbacks of the application.
        self._services: set[asyncio.Task[Any]] = set()
        self._publishing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        #: Waits until it is closed, so it cannot end before.
        self._closer: asyncio.Task[Any] | None = None
        self.is_closed = False

    # Joining and leaving

    async def start(self) -> None:
        """Returns once this server listens and has announced itself. Raises `NotConnected`."""
        self._listened.clear()
        self._own_heard.clear()
        await self._publisher.prepare()
        for namespace in self._lasting - self._nodes.keys():
            self._new_node(namespace)
        for work in (self._listener.run(), self._inbox.run(), self._report_gaps()):
            self.serve(work)
        self._want_channels()
        limit = self.options.connect_timeout + self.options.query_timeout
        try:
            await asyncio.wait_for(self._listened.wait(), limit)
        except asyncio.TimeoutError:
            raise NotConnected(f"the database cannot be listened to: {self._listener.last_error}") from None
        self.serve(self._beat())
        self.serve(self._clean_up())
        if self._nodes:
            await self._check_own_are_heard()

    async def _check_own_are_heard(self) -> None:
        try:
            await asyncio.wait_for(self._own_heard.wait(), self.options.query_timeout)
        except asyncio.TimeoutError:
            raise NotConnected(
                "this server does not hear its own notifications. Behind a pooler in transaction or statement mode, "
                "nobody hears any: give listen_url, a URL that leads to PostgreSQL itself"
            ) from None

    async def stop(self) -> None:
        """Ends what `start` has begun, and all connections. After a start that has failed, `start` can be
        called again."""
        await self._end(self._services)
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publisher.run())
        # Until this one has ended there must not be another one: clients may emit meanwhile.
        await end([self._publishing])
        await self._publisher.close()
        self._publishing = None
        await self._attachments.close()

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        await end(task for task in tasks if task is not self._closer)

    async def close(self, starting: Iterable[asyncio.Task[Any]] = ()) -> None:
        """Leaves: a close message of each namespace is the last that this server sends.

        It ends the tasks `starting` first. Whoever stops waiting for it does not stop it, and it may be
        called more than once, also by a task of this process.
        """
        if self._closing is None:
            self.is_closed = True
            self._closing = asyncio.create_task(self._close(list(starting), asyncio.current_task()))
        await asyncio.shield(self._closing)

    async def _close(self, starting: list[asyncio.Task[Any]], caller: asyncio.Task[Any] | None) -> None:
        self._closer = caller
        await end(starting)
        await self._end(self._tasks)
        await self.handlers.close(caller)
        if self._listened.is_set():
            for node in self._nodes.values():
                node.leave()
        # It has ended if this closes a manager while it gives up a start.
        if self._publishing is not None and not self._publishing.done():
            await self._publisher.flush(self.options.query_timeout)
        await self.stop()
        self.sockets.forget_all()
        # Clients may have acknowledged meanwhile.
        await self._end(self._tasks)

    def add(self, namespace: str) -> None:
        """A namespace that this server takes part in until it is closed. Raises `InvalidNamespace`."""
        check_namespace(namespace)
        self._lasting.add(namespace)

    async def join_lasting(self) -> None:
        """Joins the namespaces that were added since the start."""
        for namespace in self._lasting - self._nodes.keys():
            with suppress(InvalidNamespace):  # which is counted
                await self.join(namespace)

    async def join(self, namespace: str) -> Node:
        """The node of a namespace. When it is new, returns once this server listens to its channel, or
        at once while it hears nothing at all. Raises `InvalidNamespace` and `Closed`."""
        if self.is_closed:
            raise Closed("the manager has left the cluster: make a new one")
        if namespace not in self._nodes:
            node = self._new_node(namespace)
            joined = self._joining[namespace] = self._want_channels()
            # Whether or not whoever joins still waits.
            joined.add_done_callback(lambda joined: self._joined(node, joined))
        if (joining := self._joining.get(namespace)) is not None:
            # Others that join it meanwhile wait, too.
            with suppress(psycopg.OperationalError):
                await asyncio.shield(joining)
        found = self._nodes.get(namespace)
        self._used[namespace] = time.monotonic()
        return found if found is not None else await self.join(namespace)

    def _joined(self, node: Node, joined: asyncio.Future[None]) -> None:
        self._joining.pop(node.namespace, None)
        if not joined.cancelled() and joined.exception() is None:
            node.announce()

    def _new_node(self, namespace: str) -> Node:
        check_namespace(namespace)
        if len(self._nodes) >= self.options.max_namespaces:
            self.problem("too many namespaces", f"max_namespaces ({self.options.max_namespaces})")
            raise InvalidNamespace(f"there are {len(self._nodes)} namespaces, and max_namespaces allows no more")
        node = Node(self, namespace, channel_of(self.options.channel_prefix, namespace))
        self._nodes[namespace] = node
        self._own_uids.add(node.uid)
        return node

    def _want_channels(self) -> asyncio.Future[None]:
        return self._listener.want({node.channel for node in self._nodes.values()})

    def _leave_idle(self) -> None:
        """Clients choose the names of dynamic namespaces, so these must not add up."""
        now, left = time.monotonic(), False
        for namespace in list(self._nodes):
            if namespace in self._lasting or self.sockets.has_clients(namespace):
                self._used[namespace] = now
            elif now - self._used.get(namespace, now) > _IDLE_NAMESPACE:
                node = self._nodes.pop(namespace)
                self._used.pop(namespace, None)
                node.leave()
                # Its own last messages may still come, but on a channel that nobody is on.
                self._own_uids.discard(node.uid)
                left = True
            else:
                self._used.setdefault(namespace, now)
        if left:
            self._want_channels()

    # What nodes need

    def send(
        self, channel: str, message: dict[str, Any], effect: Effect | None, packs: bool = False
    ) -> asyncio.Future[None]:
        if self.is_closed and message["type"] != Type.ADAPTER_CLOSE:
            return _failed(Closed("the manager has left the cluster: make a new one"))
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publisher.run())
        # They say what others must hear at once, however low the threshold.
        is_bare = message["type"] in (Type.INITIAL_HEARTBEAT, Type.HEARTBEAT, Type.ADAPTER_CLOSE)
        threshold = PAYLOAD_BYTES + 1 if is_bare else self.options.payload_threshold
        outgoing = write_message(channel, message, threshold, packs and self._listener.is_listening)
        if outgoing.body is not None:
            self._attachments_seen = time.monotonic()
        return self._publisher.send(outgoing, effect)

    def problem(self, kind: str, text: object) -> None:
        self._problems[kind] += 1
        now = time.monotonic()
        if now - self._logged.get(kind, -_LOG_EVERY) >= _LOG_EVERY:
            self._logged[kind] = now
            _log.warning("%s (%d so far): %s", kind, self._problems[kind], text)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def serve(self, work: Coroutine[Any, Any, Any]) -> None:
        """Runs a task until the process leaves the cluster, or the start fails."""
        task = self.spawn(work)
        self._services.add(task)
        task.add_done_callback(self._services.discard)

    def health(self) -> Health:
        servers = {namespace: 1 + len(node.members) for namespace, node in self._nodes.items()}
        return Health(self._listener.is_listening and not self.is_closed, servers, dict(self._problems))

    # Notifications

    def _heard(self, channel: str, payload: bytes) -> None:
        self._inbox.put(channel, payload)

    def _receiver(self, channel: str, incoming: Incoming) -> Node | None:
        if incoming.uid in self._own_uids:
            self._own_heard.set()
            return None
        if incoming.row is not None:
            self._attachments_seen = time.monotonic()
        # Two long namespaces may share a channel.
        nsp = incoming.nsp
        if nsp is None:
            nsp = channel[len(self.options.channel_prefix) + 1 :]
        node = self._nodes.get(nsp)
        return node if node is not None and node.channel == channel else None

    def _listens(self, gap: Gap | None) -> None:
        for node in self._nodes.values():
            node.announce()
        self._listened.set()
        if gap is not None:
            _log.warning("this server listens again: messages from %s to %s may be missing", gap.since, gap.until)
            self._report(gap)

    def _overflowed(self) -> None:
        self.problem("inbox full", f"max_inbox_bytes ({self.options.max_inbox_bytes}): a message is lost")
        if self._overflow_since is None:
            self._overflow_since = datetime.now(timezone.utc)

    def _report(self, gap: Gap) -> None:
        with suppress(asyncio.QueueFull):
            self._gaps.put_nowait(gap)

    # Tasks

    async def _report_gaps(self) -> None:
        while not self.is_closed:  # which on_gap may do
            gap = await self._gaps.get()
            if self.options.on_gap is None:
                continue
            try:
                reported = self.options.on_gap(gap)
                if inspect.isawaitable(reported):
                    await reported
            except Exception:
                _log.exception("on_gap has failed")

    async def _beat(self) -> None:
        """Sends heartbeats, forgets silent servers and idle namespaces."""
        options = self.options
        pause = min(1.0, options.heartbeat_interval / 4, (options.heartbeat_timeout - options.heartbeat_interval) / 4)
        last = time.monotonic()
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            # After a pause of this process itself, what the others sent has yet to be read.
            was_stopped, last = now - last > options.heartbeat_timeout / 2, now
            try:
                self._tick(was_stopped)
            except Exception:  # a defect, but without heartbeats the others would take this server for dead
                _log.exception("the heartbeat has failed")

    def _tick(self, was_stopped: bool) -> None:
        for node in list(self._nodes.values()):
            node.beat(self.options.heartbeat_interval)
            # Who hears nobody does not know who is silent, whether the connection is broken or hangs.
            # Otherwise a request would not wait for the others, and would be complete without them.
            if not was_stopped:
                node.forget_silent(self._listener.heard_until)
        self._leave_idle()
        if self._overflow_since is not None:
            self._report(Gap(self._overflow_since, datetime.now(timezone.utc)))
            self._overflow_since = None

    async def _clean_up(self) -> None:
        """Deletes old attachments while there are any, and every 10 minutes."""
        interval, last = self.options.cleanup_interval, time.monotonic()
        while True:
            await asyncio.sleep(interval)
            now = time.monotonic()
            if now - self._attachments_seen > 3 * interval and now - last < 600:
                continue
            try:
                await self._attachments.delete_old(interval)
                last = now
            except psycopg.Error as error:
                self.problem("not cleaned up", error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task has failed", exc_info=error)


def _failed(error: PublishError | Closed) -> asyncio.Future[None]:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_exception(error)
    done.exception()
    return done
