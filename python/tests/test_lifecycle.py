"""Starting, closing and leaving at bad moments, and whoever stops waiting."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import msgpack
import pytest
import socketio
from conftest import DEADLINE, Proxy, Server, StartServer, until
from test_faults import end_sessions

from socketio_postgres import Closed, ClusterError, NotConnected, Options, PostgresManager, PublishError

#: PostgreSQL may take this long before a manager gives up.
IMPATIENT = {"query_timeout": 1.0, "connect_timeout": 1.0}


async def ended(task: asyncio.Future[Any]) -> None:
    await asyncio.wait_for(asyncio.wait({task}), DEADLINE)


# Starting


def unstarted(url: str) -> PostgresManager:
    manager = PostgresManager(url, Options(connect_timeout=2))
    socketio.AsyncServer(client_manager=manager, async_mode="asgi")
    return manager


async def test_a_client_starts_the_manager_after_a_start_that_has_failed(proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    manager = unstarted(url)
    way.cut()
    with pytest.raises(NotConnected):
        await manager.start()
    way.mend()
    # As python-socketio does for the first client.
    manager.initialize()
    await until(lambda: manager.health().is_listening)
    await manager.close()


async def test_starting_says_that_it_fails_also_when_a_client_was_first(proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    manager = unstarted(url)
    way.cut()
    manager.initialize()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(manager.start(), DEADLINE)
    way.mend()
    # Nobody need try again.
    await until(lambda: manager.health().is_listening)
    await manager.close()


async def test_starting_ends_with_an_error_when_the_manager_is_closed(proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    manager = unstarted(url)
    way.stall()
    starting = asyncio.ensure_future(manager.start())
    await asyncio.sleep(0.05)
    await manager.close()
    with pytest.raises(Closed):
        await starting


# Closing


async def test_closing_leaves_no_sender_waiting(start: StartServer, proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    one = await start(url, **IMPATIENT)
    a = await one.client()
    node = await one.manager._node("/")
    publisher = one.manager._cluster._publisher
    way.stall()
    emits = [asyncio.ensure_future(one.sio.emit("e", 1))]
    await until(lambda: bool(publisher._under_way))
    emits.append(asyncio.ensure_future(one.sio.emit("e", 2)))
    await until(lambda: bool(publisher._queue))
    # While one is published and another one waits.
    await one.manager._cluster.stop()
    for emit in emits:
        with pytest.raises(PublishError):
            await asyncio.wait_for(emit, DEADLINE)
    await until(lambda: len(a.received) == 2)
    assert a.received == [("e", 1), ("e", 2)]
    assert (publisher._bytes, node._requests) == (0, {})


async def test_closing_goes_on_when_nobody_waits_for_it(start: StartServer, proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    one = await start(url, **IMPATIENT)
    way.stall()
    sending = asyncio.ensure_future(one.sio.emit("e"))
    await asyncio.sleep(0.05)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(one.manager.close(), 0.05)
    await asyncio.wait_for(one.manager.close(), DEADLINE)
    await ended(sending)
    with pytest.raises(PublishError):
        sending.result()
    assert one.manager._cluster._publishing is None


async def test_a_handler_between_servers_and_a_callback_may_close_the_manager(start: StartServer) -> None:
    servers = [await start() for _ in range(3)]
    one, two, three = servers
    for server in servers:
        await server.count(3)
    closed: list[str] = []

    @one.manager.of("/").on("stop")
    async def stop() -> None:
        await one.manager.close()
        closed.append("by a handler")

    async def acknowledged() -> None:
        await three.manager.close()
        closed.append("by a callback")

    await two.manager.of("/").server_side_emit("stop")
    await two.count(2)
    c = await three.client()
    await three.sio.emit("ask", to=c.sid, callback=acknowledged)
    await two.count(1)
    await until(lambda: closed == ["by a handler", "by a callback"])
    for server in (one, three):
        assert server.manager._cluster._publisher._connection is None


async def test_closing_ends_what_waits_for_a_namespace(start: StartServer, proxy: tuple[str, Proxy]) -> None:
    url, way = proxy
    one = await start(url)
    way.stall()
    sending = asyncio.ensure_future(one.sio.emit("e", namespace="/new"))
    await until(lambda: "/new" in one.manager.health().servers)
    closing = asyncio.ensure_future(one.manager.close())
    await ended(sending)
    assert isinstance(sending.exception(), ClusterError)
    way.mend()
    await closing


# Cancelling


async def test_a_namespace_is_announced_when_nobody_waits_for_it(start: StartServer) -> None:
    # No heartbeat does it in its place.
    rarely = {"heartbeat_interval": 2 * DEADLINE, "heartbeat_timeout": 4 * DEADLINE}
    one, two = await start(**rarely), await start(**rarely)
    # Its own announcement was published before.
    await two.manager.of("/new").server_side_emit("e")
    joining = asyncio.ensure_future(one.manager.of("/new").uid())
    await asyncio.sleep(0)
    joining.cancel()
    await ended(joining)
    assert joining.cancelled()
    await one.count(2, "/new")
    await two.count(2, "/new")


async def test_whoever_stops_waiting_for_an_acknowledgement_leaves_nothing_behind(start: StartServer) -> None:
    one = await start(ack_timeout=0.05)
    a = await one.client()
    a.sio.on("ask", asyncio.Event().wait)
    asking = asyncio.ensure_future(one.sio.emit("ask", to=a.sid, callback=print))
    while len(one.manager.callbacks.get(a.sid, ())) < 2:
        await asyncio.sleep(0)
    asking.cancel()
    await ended(asking)
    assert asking.cancelled()
    # Besides the counter of python-socketio.
    await until(lambda: len(one.manager.callbacks[a.sid]) == 1)


# Clients


class Polling:
    """A client that polls, and can leave while a request of it is under way."""

    def __init__(self, http: aiohttp.ClientSession, server: Server) -> None:
        self._http, self._url = http, f"http://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> None:
        async with self._http.get(self._url) as response:
            self._url += "&sid=" + json.loads((await response.text())[1:])["sid"]

    async def get(self) -> list[str]:
        async with self._http.get(self._url) as response:
            assert response.status == 200, await response.text()
            return (await response.text()).split("\x1e")

    async def post(self, packet: str) -> None:
        async with self._http.post(self._url, data=packet):
            pass


class Connects:
    """A connect handler that waits for its release."""

    def __init__(self, sio: Any) -> None:
        self.runs, self.goes_on = asyncio.Event(), asyncio.Event()
        self.disconnected: list[str] = []
        sio.on("connect", self._connect)
        sio.on("disconnect", lambda sid, _: self.disconnected.append(sid))

    async def _connect(self, sid: str, environ: Any, auth: Any) -> None:
        self.runs.set()
        await self.goes_on.wait()


async def test_a_client_that_leaves_while_its_handler_runs_is_forgotten(start: StartServer) -> None:
    one = await start()
    handler = Connects(one.sio)
    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        connecting = asyncio.ensure_future(client.post("40"))
        await handler.runs.wait()
        await client.post("1")
        handler.goes_on.set()
        await connecting
    assert await one.manager.of("/").fetch_sockets() == []
    assert one.manager.rooms == {}
    assert len(handler.disconnected) == 1


async def test_a_client_that_leaves_while_its_namespace_is_joined_is_forgotten(
    start: StartServer, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one = await start(url, server={"namespaces": "*"})
    way.stall()
    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        connecting = asyncio.ensure_future(client.post("40/dynamic,"))
        await until(lambda: "/dynamic" in one.manager.health().servers)
        await client.post("1")
        way.mend()
        await connecting
    assert (one.manager.rooms, one.manager.pending_connect) == ({}, {})


async def test_a_client_whose_handler_fails_is_forgotten(start: StartServer) -> None:
    one = await start()

    @one.sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await one.sio.enter_room(sid, "room")
        raise RuntimeError("a defect of the application")

    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        await client.post("40")
        assert (one.manager.rooms, one.manager.pending_connect) == ({}, {})
        await client.post("1")


async def test_a_client_that_connects_twice_is_connected_once(start: StartServer) -> None:
    one = await start()
    handler = Connects(one.sio)
    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        connecting = asyncio.ensure_future(client.post("40"))
        await handler.runs.wait()
        await client.post("40")
        handler.goes_on.set()
        await connecting
        assert len(await one.manager.of("/").fetch_sockets()) == 1
        await client.post("1")
    assert len(handler.disconnected) == 1


async def test_a_busy_client_that_polls_late_is_told_that_it_is_disconnected(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_postgres.sockets._CLOSE_AFTER", 0.05)
    monkeypatch.setattr("socketio_postgres.sockets._CLOSES_ITSELF", 0.05)
    one = await start()
    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        await client.post("40")
        [connected] = await client.get()
        assert connected.startswith("40")
        await one.manager.of("/").disconnect_sockets(close=True)
        # Much longer than these.
        await asyncio.sleep(0.5)
        assert await client.get() == ["41"]
        # Then the connection ends, since this client does not end it.
        assert await client.get() == ["1"]


async def test_a_client_whose_disconnect_handler_fails_is_forgotten(start: StartServer) -> None:
    one = await start(server={"namespaces": ["/", "/a", "/b"]})
    left: list[str] = []

    @one.sio.on("disconnect", namespace="/a")
    async def disconnect(sid: str, reason: str) -> None:
        raise RuntimeError("a defect of the application")

    one.sio.on("disconnect", lambda sid, _: left.append(sid), namespace="/b")
    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        for namespace in ("/", "/a", "/b"):
            await client.post(f"40{namespace},")
        # By the server, in one of them.
        await one.manager.of("/a").disconnect_sockets()
        assert await one.manager.of("/b").count() == 1
        await client.post("1")
    assert one.manager.rooms == {}
    assert one.manager.pending_disconnect == {}
    assert len(left) == 1

    async with aiohttp.ClientSession() as http:
        client = Polling(http, one)
        await client.open()
        for namespace in ("/", "/a", "/b"):
            await client.post(f"40{namespace},")
        await client.post("1")
    assert (one.manager.rooms, one.sio.environ) == ({}, {})
    assert len(left) == 2


async def test_lone_surrogates_reach_clients_with_the_msgpack_parser(start: StartServer) -> None:
    servers = [await start(server={"serializer": "msgpack"}) for _ in range(2)]
    for server in servers:
        await server.count(2)
    async with aiohttp.ClientSession() as http:
        clients = [Polling(http, server) for server in servers]
        for client in clients:
            await client.open()
            await client.post("b" + base64.b64encode(msgpack.packb({"type": 0, "nsp": "/"})).decode())
            await client.get()
        await servers[0].sio.emit("e", {"\udfffk": ["lone \ud800", "😀"]})
        for client in clients:
            [packet] = await client.get()
            assert msgpack.unpackb(base64.b64decode(packet[1:]))["data"] == ["e", {"\ufffdk": ["lone \ufffd", "😀"]}]
            await client.post("1")


async def test_whoever_is_told_of_a_gap_may_close_the_manager(start: StartServer, database: str) -> None:
    async def give_up(gap: Any) -> None:
        await one.manager.close()

    one = await start(on_gap=give_up, check_interval=0.3)
    end_sessions(database)
    cluster = one.manager._cluster
    await until(lambda: cluster.is_closed)
    await one.manager.close()
    await until(lambda: not any("Cluster" in str(task.get_coro()) for task in asyncio.all_tasks()))


async def test_a_manager_that_was_never_started_can_be_closed(database: str) -> None:
    manager = unstarted(database)
    await manager.close()
    with pytest.raises(Closed):
        await manager.start()
