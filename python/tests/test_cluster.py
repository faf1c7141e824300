"""Servers in one cluster, with real clients on each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
import socketio
from conftest import DEADLINE, StartServer, until

from socketio_postgres import AsyncEmitter, Emitter, InvalidEvent, InvalidValue, ResponseTimeout
from socketio_postgres.version import VERSION


async def pair(start: StartServer, **options: Any) -> Any:
    one, two = await start(**options), await start(**options)
    await one.count(2)
    await two.count(2)
    return one, two


async def test_binary_reaches_clients_of_both_transports_in_any_order(start: StartServer) -> None:
    server = await start()
    clients = [await server.client(transports=[transport]) for transport in ("websocket", "polling", "websocket")]
    clients.insert(0, await server.client(transports=["polling"]))
    await server.sio.emit("bytes", (b"\x00\xff", {"more": b"x" * 9000}))
    for client in clients:
        assert await client.wait_for("bytes") == (b"\x00\xff", {"more": b"x" * 9000})
    assert all(client.sio.connected for client in clients)


async def test_an_event_reaches_the_clients_of_all_servers(start: StartServer) -> None:
    one, two = await pair(start)
    a, b = await one.client(), await two.client()
    await one.sio.emit("small", ("wörld", {"a": [None, 1.5, True]}))
    await one.sio.emit("binary", b"\x00\xff")
    await one.sio.emit("large", "€" * 20_000)
    await one.sio.emit("nothing")
    for client in (a, b):
        assert await client.wait_for("small") == ("wörld", {"a": [None, 1.5, True]})
        assert await client.wait_for("binary") == (b"\x00\xff",)
        assert await client.wait_for("large") == ("€" * 20_000,)
        assert await client.wait_for("nothing") == ()
        assert [event for event, *_ in client.received] == ["small", "binary", "large", "nothing"]


async def test_rooms_and_skip_sid_select_clients_of_all_servers(start: StartServer) -> None:
    one, two = await pair(start)
    a, b, c = await one.client(), await two.client(), await two.client()
    # Each server moves a client of the other one.
    await one.sio.enter_room(b.sid, "red")
    await two.sio.enter_room(a.sid, "red")
    await one.sio.emit("red", to="red")
    await two.sio.emit("but b", skip_sid=b.sid)
    await one.sio.emit("private", to=c.sid)
    await two.sio.leave_room(a.sid, "red")
    await two.sio.emit("red or c", to=["red", c.sid])
    # Without a namespace, as with other managers of python-socketio.
    await one.manager.close_room("red")
    await one.sio.emit("nobody", to="red")
    await one.sio.emit("end")
    # Messages of two servers have no order among each other.
    for client in (a, b, c):
        await client.wait_for("end")
    names = [sorted(event for event, *_ in client.received) for client in (a, b, c)]
    assert names == [["but b", "end", "red"], ["end", "red", "red or c"], ["but b", "end", "private", "red or c"]]


async def test_callbacks_and_calls_reach_clients_of_other_servers(start: StartServer) -> None:
    one, two = await pair(start)
    a, b = await one.client(), await two.client()
    a.replies["ask"], b.replies["ask"] = ("of a", 2), "of b"
    assert await one.sio.call("ask", 1, to=b.sid) == "of b"
    # To a client of its own, all arguments of the acknowledgement arrive.
    assert await one.sio.call("ask", 1, to=a.sid) == ("of a", 2)
    called: list[tuple[Any, ...]] = []
    await one.sio.emit("ask", callback=lambda *args: called.append(args))
    await until(lambda: len(called) == 2)
    assert sorted(called, key=str) == [("of a", 2), ("of b",)]


async def test_all_acknowledgements_come_or_the_error_has_some(start: StartServer) -> None:
    one, two = await pair(start)
    a, b = await one.client(), await two.client()
    a.replies["ask"], b.replies["ask"] = {"v": 1}, b"\x01"
    found = await two.manager.of("/").timeout(DEADLINE).emit_with_ack("ask")
    assert sorted(found, key=str) == [b"\x01", {"v": 1}]
    assert await two.manager.of("/").to("empty").emit_with_ack("ask") == []

    never = asyncio.Event()
    b.sio.on("ask", never.wait)
    with pytest.raises(ResponseTimeout) as caught:
        await one.manager.of("/").timeout(0.5).emit_with_ack("ask")
    assert caught.value.responses == [{"v": 1}]
    # Nothing is kept for acknowledgements that are too late.
    assert all(list(callbacks) == [0] for callbacks in one.manager.callbacks.values())
    never.set()


async def test_sockets_of_all_servers_are_found_and_moved(start: StartServer) -> None:
    one, two = await pair(start)
    a = await one.client(auth={"token": "a"}, headers={"X-Custom": "yes"})
    b = await two.client()
    two.manager.of("/").set_data(b.sid, {"user": "ada", "bytes": b"\x01"})
    found = {socket.id: socket for socket in await two.manager.of("/").fetch_sockets()}
    assert found.keys() == {a.sid, b.sid}
    assert found[a.sid].handshake["auth"] == {"token": "a"}
    assert found[a.sid].handshake["headers"]["x-custom"] == "yes"
    assert found[b.sid].data == {"user": "ada", "bytes": b"\x01"}

    await found[a.sid].join("blue")
    await two.manager.of("/").to(b.sid).sockets_join("blue", 7)
    # Joining is a message of its own, and fetching the next one of the same server.
    assert {socket.id for socket in await two.manager.of("/").to("blue").fetch_sockets()} == {a.sid, b.sid}
    assert {socket.id for socket in await two.manager.of("/").to(7).fetch_sockets()} == {b.sid}
    assert await two.manager.of("/").to("7").fetch_sockets() == []
    for server in [one, two]:
        namespace = server.manager.of("/")
        assert await namespace.count() == 2
        assert await namespace.to("blue").except_(7).count() == 1
        assert await namespace.to("7").count() == 0
        assert sorted(await namespace.socket_ids()) == sorted([a.sid, b.sid])
        assert await namespace.to(7).socket_ids() == [b.sid]
    assert await one.manager.of("/").local.count() == 1

    a.replies["ask"] = 5
    assert await found[a.sid].emit_with_ack("ask") == 5
    await found[a.sid].disconnect()
    await asyncio.wait_for(a.is_disconnected.wait(), DEADLINE)
    await one.manager.of("/").to(b.sid).disconnect_sockets(close=True)
    await asyncio.wait_for(b.is_disconnected.wait(), DEADLINE)


async def test_disconnecting_can_end_the_connection_and_all_its_namespaces(start: StartServer) -> None:
    one, two = await pair(start, server={"namespaces": ["/", "/second"]})
    client, other = socketio.AsyncClient(reconnection=False), await two.client()
    await client.connect(f"http://127.0.0.1:{two.port}", namespaces=["/", "/second"], transports=["websocket"])
    await one.sio.disconnect(client.get_sid("/"))
    await until(lambda: "/" not in client.namespaces)
    assert "/second" in client.namespaces
    await one.manager.of("/second").disconnect_sockets(close=True)
    await until(lambda: len(two.sio.eio.sockets) == 1)
    # Only where it was said.
    await one.manager.of("/").local.disconnect_sockets(close=True)
    assert not other.is_disconnected.is_set()
    await one.manager.of("/").disconnect_sockets(close=True)
    await until(lambda: two.sio.eio.sockets == {})
    await asyncio.wait_for(client.wait(), DEADLINE)


async def test_servers_send_each_other_events(start: StartServer) -> None:
    one, two = await pair(start)
    heard: list[tuple[Any, ...]] = []
    two.manager.of("/").on("news")(lambda *args: heard.append(args))

    @two.manager.of("/").on("how-many")
    async def how_many(kind: str) -> int:
        return 3 if kind == "red" else 0

    await one.manager.of("/").server_side_emit("news", 1, b"\x02")
    assert await one.manager.of("/").server_side_emit_with_ack("how-many", "red") == [3]
    assert heard == [(1, b"\x02")]
    with pytest.raises(ResponseTimeout, match="missing 1 responses"):
        await one.manager.of("/").server_side_emit_with_ack("unknown", timeout=0.3)


async def test_a_server_tells_about_itself_whoever_asks(start: StartServer) -> None:
    one, two = await pair(start, node_name="web-1")
    a, b = await two.client(), await two.client()
    await one.manager.of("/").to(a.sid).sockets_join("red")
    ask = one.manager.of("/").server_side_emit_with_ack
    told = {"name": "web-1", "language": "Python", "version": VERSION}
    assert await ask("socketio-pg:node") == [{**told, "sockets": 2}]
    assert await ask("socketio-pg:node", {"rooms": ["red"], "except": []}) == [{**told, "sockets": 1}]
    assert await ask("socketio-pg:node", {"rooms": [], "except": [b.sid]}) == [{**told, "sockets": 1}]
    with pytest.raises(ResponseTimeout):
        await ask("socketio-pg:node", 7, timeout=0.3)


def test_the_version_is_that_of_the_package() -> None:
    project = Path(__file__).parents[1].joinpath("pyproject.toml").read_text()
    assert f'version = "{VERSION}"' in project


async def test_events_without_a_handler_of_their_own_go_to_the_one_for_all(start: StartServer) -> None:
    one, two = await pair(start)
    heard: list[tuple[Any, ...]] = []
    two.manager.of("/").on("*")(lambda *args: heard.append(args))
    two.manager.of("/").on("known")(lambda *args: heard.append(args))
    for event in ("known", "unknown", "*"):
        await one.manager.of("/").server_side_emit(event, 1)
    await until(lambda: len(heard) == 3)
    assert heard == [(1,), ("unknown", 1), ("*", 1)]


async def test_a_handler_that_fails_is_counted_and_answers_nothing(start: StartServer) -> None:
    one, two = await pair(start)

    @two.manager.of("/").on("broken")
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ResponseTimeout):
        await one.manager.of("/").server_side_emit_with_ack("broken", timeout=0.3)
    assert two.manager.health().problems == {"handler failed": 1}


async def test_small_and_large_events_keep_their_order(start: StartServer) -> None:
    one, two = await pair(start)
    b = await two.client()
    sent = [one.sio.emit("n", (number, "x" * (20_000 if number % 2 else 1))) for number in range(100)]
    await asyncio.gather(*sent)
    await one.sio.emit("end")
    await b.wait_for("end")
    assert [args[1] for args in b.received if args[0] == "n"] == list(range(100))


async def test_equal_events_of_one_batch_are_not_folded(start: StartServer) -> None:
    one, two = await pair(start)
    b = await two.client()
    await asyncio.gather(*(one.sio.emit("same", 1) for _ in range(50)))
    await one.sio.emit("end")
    await b.wait_for("end")
    assert len([event for event, *_ in b.received if event == "same"]) == 50


@pytest.mark.parametrize("size", [*range(7780, 7830, 7), 7998, 7999, 8000, 8001])
async def test_messages_around_the_limit_arrive(start: StartServer, size: int) -> None:
    one, two = await pair(start)
    b = await two.client()
    await one.sio.emit("size", "x" * size)
    assert await b.wait_for("size") == ("x" * size,)


async def test_an_emitter_emits_in_the_transaction_of_the_application(start: StartServer, database: str) -> None:
    one = await start()
    a = await one.client()
    heard: list[tuple[Any, ...]] = []
    one.manager.of("/").on("news")(lambda *args: heard.append(args))

    with psycopg.connect(database) as connection:
        emitter = Emitter(connection)
        emitter.to(a.sid).emit("rolled back")
        connection.rollback()
        for _ in range(2):
            emitter.emit("twice", 1)
        emitter.emit("large", b"\x01" * 20_000)
        emitter.to(a.sid).sockets_join("red")
        emitter.server_side_emit("news", 1)
        assert a.received == []
        connection.commit()
        emitter.to("red").except_("other").emit("red")
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
        await AsyncEmitter(other).to("red").emit("of another", "x" * 9000)
        await AsyncEmitter(other).disconnect_sockets()
    await asyncio.wait_for(a.is_disconnected.wait(), DEADLINE)
    assert [event for event, *_ in a.received] == ["twice", "twice", "large", "red", "of another"]
    assert heard == [(1,)]
    assert one.manager.health().servers == {"/": 1}, "an emitter is not a server"


async def test_what_cannot_be_sent_is_refused_where_it_is_made(start: StartServer) -> None:
    one = await start()
    with pytest.raises(InvalidEvent, match="reserved"):
        await one.sio.emit("connect_error")
    with pytest.raises(InvalidValue, match="a object cannot be sent"):
        await one.sio.emit("e", object())
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(InvalidValue, match="128 levels"):
        await one.sio.emit("e", deep)
    with pytest.raises(InvalidValue, match="strings and numbers"):
        await one.sio.emit("e", to=b"room")
    with pytest.raises(InvalidValue, match="strings and numbers"):
        await one.sio.emit("e", skip_sid=[object()])
    with pytest.raises(InvalidValue, match="strings and numbers"):
        await one.manager.of("/").to(float("nan")).emit("e")
    with pytest.raises(InvalidValue, match="no room"):
        one.manager.of("/").to()


async def test_a_client_cannot_break_its_acknowledgements_for_others(start: StartServer) -> None:
    one, two = await pair(start)
    hostile, other = await one.client(), await one.client()
    await one.sio.emit("first", to=hostile.sid, callback=lambda *_: None)
    await hostile.wait_for("first")
    # An acknowledgement of what python-socketio keeps under the number 0, and of nothing.
    for packet in ("30[1]", "399[1]"):
        await hostile.sio.eio.send(packet)
    await hostile.sio.emit("after")
    hostile.replies["ask"], other.replies["ask"] = 1, 2
    assert sorted(await two.manager.of("/").emit_with_ack("ask")) == [1, 2]
