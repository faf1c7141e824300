"""What must not be kept, and not be waited for, any longer than it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import Coroutine, Iterator
from typing import Any, cast

import psycopg
import pytest
import socketio
from conftest import DEADLINE, Proxy, Server, StartServer, until
from test_faults import execute, notify

from socketio_postgres import (
    ClusterError,
    InvalidValue,
    NotConnected,
    Options,
    PostgresManager,
    PublishError,
    Unconfirmed,
)
from socketio_postgres import attachments as attachments_module
from socketio_postgres import cluster as cluster_module
from socketio_postgres import connection as connection_module
from socketio_postgres import publisher as publisher_module
from socketio_postgres.cluster import Cluster
from socketio_postgres.connection import TimedOut, connect, sever, within
from socketio_postgres.listener import Listener
from socketio_postgres.publisher import Publisher, _Failed, _Hung, _Lost
from socketio_postgres.tasks import end
from socketio_postgres.wire import Outgoing

#: Longer than any test takes: nothing ends by it.
LONG = 1000.0
#: A heartbeat may be late by 7 s, and attachments may take half of that, but other statements longer.
PATIENT = {"heartbeat_interval": 1.0, "heartbeat_timeout": 8.0, "query_timeout": 20.0}
LARGE = "x" * 9000
#: Before libpq 17, a compiled psycopg cannot cancel a statement without blocking the process.
needs_cancel = pytest.mark.skipif(
    not psycopg.capabilities.has_cancel_safe() and psycopg.pq.__impl__ != "python",
    reason="psycopg has no libpq 17",
)


def timers() -> list[Any]:
    """Those of acknowledgements that are waited for."""
    loop: Any = asyncio.get_running_loop()
    of_loop = [each for each in loop._scheduled if not each.cancelled()]
    return [each for each in of_loop if getattr(each._callback, "__name__", "") == "forget"]


async def is_at_rest(*servers: Server) -> None:
    """Waits until no acknowledgement is waited for."""

    def is_so(server: Server) -> bool:
        # Besides the counters of python-socketio.
        callbacks = sum(len(each) - 1 for each in server.manager.callbacks.values())
        nodes = server.manager._cluster._nodes.values()
        return callbacks == 0 and not any(node._requests for node in nodes)

    await until(lambda: all(map(is_so, servers)))
    await until(lambda: timers() == [])


async def two_servers(start: StartServer, **options: Any) -> tuple[Server, Server]:
    one, two = await start(**options), await start(**options)
    await one.count(2)
    await two.count(2)
    return one, two


async def cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait_for(asyncio.wait({task}), DEADLINE)
    assert task.cancelled()


# Acknowledgements


async def test_a_broadcast_whose_acknowledgements_have_come_leaves_nothing_behind(start: StartServer) -> None:
    one, two = await two_servers(start, ack_timeout=LONG)
    a, b = await one.client(), await two.client()
    a.replies["ask"], b.replies["ask"] = 1, 2
    assert sorted(await one.manager.of("/").timeout(LONG).emit_with_ack("ask")) == [1, 2]
    called: list[Any] = []
    await one.sio.emit("ask", callback=called.append)
    await until(lambda: sorted(called) == [1, 2])
    assert await one.sio.call("ask", to=b.sid, timeout=LONG) == 2
    await is_at_rest(one, two)


async def test_a_client_that_leaves_is_not_waited_for_by_its_own_server(start: StartServer) -> None:
    one, two = await two_servers(start)
    b, c = await two.client(), await two.client()
    for client in (b, c):
        client.sio.on("ask", asyncio.Event().wait)
    asking = asyncio.ensure_future(one.manager.of("/").timeout(LONG).emit_with_ack("ask"))
    await until(lambda: len(timers()) == 1)
    await b.sio.disconnect()
    await until(lambda: b.sid not in two.manager.callbacks)
    assert len(timers()) == 1
    await c.sio.disconnect()
    await until(lambda: timers() == [])
    await cancelled(asking)
    await is_at_rest(one, two)


@pytest.mark.parametrize("how", ["emit_with_ack", "callback", "call"])
@pytest.mark.parametrize("when", ["published", "delivered"])
async def test_a_request_that_is_cancelled_leaves_nothing_behind(start: StartServer, how: str, when: str) -> None:
    one, two = await two_servers(start, ack_timeout=LONG)
    a, b = await one.client(), await two.client()
    for client in (a, b):
        client.sio.on("ask", asyncio.Event().wait)
    publisher = one.manager._cluster._publisher
    if when == "published":
        # So that the event waits in the queue.
        await publisher._using.acquire()
    if how == "emit_with_ack":
        asking = asyncio.ensure_future(one.manager.of("/").timeout(LONG).emit_with_ack("ask"))
    elif how == "callback":
        asking = asyncio.ensure_future(one.sio.emit("ask", callback=print))
    else:
        asking = asyncio.ensure_future(one.sio.call("ask", to="/", timeout=LONG))
        await one.sio.enter_room(a.sid, "/")
    if when == "published":
        await until(lambda: bool(publisher._under_way))
        await cancelled(asking)
        publisher._using.release()
        await one.sio.emit("after")
    elif how == "callback":
        # It ends once the event is published, so cancel its last step.
        while not one.manager.callbacks.get(a.sid):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
    else:
        await until(lambda: bool(one.manager.callbacks.get(a.sid)))
        await cancelled(asking)
    # The other server waits for its own client, until the time of the question is over.
    await is_at_rest_but_for_timers(one)
    await b.sio.disconnect()
    await is_at_rest(one, two)


async def is_at_rest_but_for_timers(server: Server) -> None:
    node = await server.manager._node("/")
    await until(lambda: not node._requests)
    await until(lambda: all(len(each) == 1 for each in server.manager.callbacks.values()))
    assert server.manager._sockets._asked == {}


async def test_a_call_whose_time_is_over_leaves_nothing_behind(start: StartServer) -> None:
    one, two = await two_servers(start, ack_timeout=LONG)
    a, b = await one.client(), await two.client()
    for client in (a, b):
        client.sio.on("ask", asyncio.Event().wait)
        with pytest.raises(socketio.exceptions.TimeoutError):
            await one.sio.call("ask", to=client.sid, timeout=0.1)
    await is_at_rest_but_for_timers(one)


async def test_after_an_error_own_clients_are_still_called_back_and_nothing_is_kept(
    start: StartServer, database: str, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one = await start(url, ack_timeout=LONG)
    a = await one.client()
    a.replies["ask"] = 1
    notify(database, json.dumps({"type": 2, "uid": "other", "nsp": "/"}))
    await one.count(2)
    way.cut()
    called: list[Any] = []
    with pytest.raises(PublishError):
        await one.sio.emit("ask", callback=called.append)
    await until(lambda: called == [1])
    # `other` has not got it, and is not waited for.
    await is_at_rest(one)
    with pytest.raises(PublishError):
        await one.sio.call("ask", to="other room", timeout=LONG)
    with pytest.raises(PublishError):
        await one.manager.of("/").timeout(LONG).emit_with_ack("ask")
    await is_at_rest(one)


async def test_closing_forgets_acknowledgements(start: StartServer) -> None:
    one, two = await two_servers(start, ack_timeout=LONG)
    b = await two.client()
    b.sio.on("ask", asyncio.Event().wait)
    asking = asyncio.ensure_future(one.manager.of("/").timeout(LONG).emit_with_ack("ask"))
    await two.sio.emit("ask", callback=print)
    await until(lambda: len(two.manager.callbacks.get(b.sid, ())) == 3)
    await two.manager.close()
    await is_at_rest(two)
    # `two` has left, so nobody is waited for any more.
    assert await asyncio.wait_for(asking, DEADLINE) == []
    await is_at_rest(one)


WORK = ["emit", "callback", "call", "emit_with_ack", "fetch_sockets", "count", "socket_ids", "servers"]


def work(server: Server, what: str) -> Coroutine[Any, Any, Any]:
    patient = server.manager.of("/").timeout(LONG)
    if what == "emit":
        return patient.emit("ask", LARGE)
    if what == "callback":
        return cast("Coroutine[Any, Any, Any]", server.sio.emit("ask", callback=print))
    if what == "call":
        return cast("Coroutine[Any, Any, Any]", server.sio.call("ask", to="room", timeout=LONG))
    if what == "servers":
        return server.manager.of("/").server_side_emit_with_ack("ask", timeout=LONG)
    found: Coroutine[Any, Any, Any] = getattr(patient, what)(*["ask"] if what == "emit_with_ack" else [])
    return found


@pytest.mark.parametrize("what", WORK)
async def test_a_request_that_is_cancelled_at_any_step_leaves_nothing_behind(start: StartServer, what: str) -> None:
    one, two = await two_servers(start, ack_timeout=LONG)
    a, b = await one.client(), await two.client()
    for client, server in ((a, one), (b, two)):
        client.replies["ask"] = 1
        await server.sio.enter_room(client.sid, "room")
    two.manager.of("/").on("ask")(lambda: 1)
    for steps in range(25):
        task = asyncio.ensure_future(work(one, what))
        for _ in range(steps):
            await asyncio.sleep(0.0005 if steps % 2 else 0)
        task.cancel()
        await asyncio.wait_for(asyncio.wait({task}), DEADLINE)
        if not task.cancelled():
            task.result()
    await asyncio.wait_for(work(one, what), DEADLINE)
    await is_at_rest(one, two)
    cluster = one.manager._cluster
    await until(lambda: not cluster._publisher._queue and cluster._publisher._bytes == 0)
    await until(lambda: not any("call_back" in str(each.get_coro()) for each in cluster._tasks))


# Locked tables, and a database that hangs


@contextlib.contextmanager
def locked(database: str) -> Iterator[None]:
    """The attachments table, by another session."""
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE socket_io_attachments")
        yield
        connection.rollback()


def waiting_sessions(database: str) -> int:
    statement = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'relation'"""
    [(count,)] = execute(database, statement)
    return int(count)


@pytest.mark.parametrize("libpq_can", [pytest.param(True, marks=needs_cancel), False])
async def test_a_statement_that_takes_too_long_is_cancelled_and_its_connection_goes_on(
    database: str, monkeypatch: pytest.MonkeyPatch, libpq_can: bool
) -> None:
    if not libpq_can:
        # As before libpq 17.
        monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)
        monkeypatch.setattr(psycopg.pq, "__impl__", "python")
    # The machine may be busy.
    monkeypatch.setattr(connection_module, "_CANCEL_WITHIN", DEADLINE)
    connection = await connect(database, DEADLINE)
    with pytest.raises(TimedOut) as caught:
        await within(connection, 0.05, connection.execute("SELECT pg_sleep(1000)"), cancels=True)
    assert caught.value.is_undone
    await within(connection, DEADLINE, connection.execute("SELECT 1"), cancels=True)
    await connection.close()


@pytest.mark.parametrize("how", ["too long", "cancelled"])
async def test_before_libpq_17_no_call_blocks_the_process(
    proxy: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    url, way = proxy
    connection, asked = await connect(url, DEADLINE), list[Any]()
    monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)
    monkeypatch.setattr(psycopg.pq, "__impl__", "binary")
    # It connects without a time limit and, where psycopg is compiled, keeps Python's lock for as long.
    monkeypatch.setattr(psycopg.AsyncConnection, "cancel", lambda self: asked.append(self))
    way.stall()
    tasks: list[Any] = []

    async def select() -> None:
        tasks.append(asyncio.current_task())
        await connection.execute("SELECT 1")

    monkeypatch.setattr(connection_module, "_CANCEL_WITHIN", 0.1)
    timeout = 0.1 if how == "too long" else LONG
    waiting = asyncio.ensure_future(within(connection, timeout, select(), cancels=True))
    if how == "cancelled":
        await asyncio.sleep(0.1)
        await cancelled(waiting)
    else:
        with pytest.raises(TimedOut):
            await asyncio.wait_for(waiting, DEADLINE)
    assert [task.done() for task in tasks] == [True]
    await connection.close()
    assert asked == []


@needs_cancel
async def test_after_a_request_to_cancel_only_a_statement_that_it_has_ended_leaves_the_connection(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_CANCEL_WITHIN", DEADLINE)
    connection = await connect(database, DEADLINE)
    fails = """DO $$ BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN RAISE 'another error'; END $$"""
    with pytest.raises(psycopg.errors.RaiseException):
        await within(connection, 0.05, connection.execute(fails), cancels=True)
    # The request may come after it, and would end this one.
    with pytest.raises(psycopg.OperationalError):
        await within(connection, DEADLINE, connection.execute("SELECT 1"), cancels=True)
    await connection.close()


@needs_cancel
async def test_behind_a_locked_table_heartbeats_and_small_messages_go_on(
    start: StartServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await two_servers(start, **PATIENT)
    b = await two.client()
    gone: list[str] = []
    monkeypatch.setattr(await two.manager._node("/"), "_gone", gone.append)
    with locked(database):
        # For longer than `heartbeat_timeout`.
        for number in range(3):
            large = asyncio.ensure_future(one.sio.emit("large", LARGE))
            small = asyncio.ensure_future(one.sio.emit(f"small {number}"))
            with pytest.raises(PublishError, match="given up") as caught:
                await asyncio.wait_for(large, DEADLINE)
            # It is known that it will not be published.
            assert not isinstance(caught.value, Unconfirmed)
            await asyncio.wait_for(small, DEADLINE)
        assert waiting_sessions(database) == 0
        assert gone == []
    await one.sio.emit("large", LARGE)
    assert await b.wait_for("large") == (LARGE,)
    assert [event for event, *_ in b.received] == [*(f"small {number}" for number in range(3)), "large"]
    assert execute(database, "SELECT count(*) FROM socket_io_attachments") == [(1,)]


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_the_time_out_of_a_role_is_waited_for_once(
    start: StartServer, database: str, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    name = database.rsplit("/", 1)[1]
    execute(database, f"ALTER DATABASE \"{name}\" SET {setting} = '2s'")
    one, two = await two_servers(start, **{**PATIENT, "heartbeat_timeout": 60.0})
    b = await two.client()
    publisher, tried = one.manager._cluster._publisher, list[int]()
    try_alone = publisher._try_alone

    async def counting(batch: list[Any]) -> Any:
        tried.append(sum(item.outgoing.body is not None for item in batch))
        return await try_alone(batch)

    monkeypatch.setattr(publisher, "_try_alone", counting)
    with locked(database):
        async with publisher._using:
            emits = [asyncio.ensure_future(one.sio.emit("large", LARGE)) for _ in range(9)]
            small = asyncio.ensure_future(one.sio.emit("small"))
            emits += [asyncio.ensure_future(one.sio.emit("large", LARGE)) for _ in range(9)]
            await until(lambda: len(publisher._under_way) + len(publisher._queue) >= 19)
        await asyncio.wait_for(small, DEADLINE)
        for emit in emits:
            with pytest.raises(PublishError):
                await asyncio.wait_for(emit, DEADLINE)
    await b.wait_for("small")
    # The first ones were together, and what came behind them was not tried.
    assert len([count for count in tried if count]) == 1


@needs_cancel
async def test_attachments_that_cannot_be_read_do_not_wait_one_after_the_other(
    start: StartServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments_module, "_GIVE_UP_AFTER", 0.5)
    monkeypatch.setattr(attachments_module, "_LAST_ATTEMPT", 0.2)
    limits: list[float] = []

    async def recording(connection: Any, timeout: float, *rest: Any, **more: Any) -> Any:
        limits.append(timeout)
        return await within(connection, timeout, *rest, **more)

    monkeypatch.setattr(attachments_module, "within", recording)
    one = await start()
    a = await one.client()
    with locked(database):
        for number in range(5):
            notify(database, json.dumps({"uid": "x", "type": 3, "nsp": "/", "attachmentId": str(number + 1)}))
        data = {"packet": {"type": 2, "data": ["end"]}, "opts": {"rooms": [], "except": [], "flags": {}}}
        notify(database, json.dumps({"type": 3, "data": data, "uid": "emitter", "nsp": "/"}))
        await a.wait_for("end")
        assert one.manager.health().problems == {"attachment missing": 5}
        assert limits
        assert max(limits) <= 0.5
        assert waiting_sessions(database) == 0


async def test_when_the_database_hangs_the_queue_does_not_wait_for_one_time_out_after_the_other(
    start: StartServer, proxy: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_BATCH_ITEMS", 1)
    url, way = proxy
    one = await start(url, query_timeout=1.0, connect_timeout=1.0)
    publisher, tried = one.manager._cluster._publisher, list[Any]()
    try_alone = publisher._try_alone

    async def counting(batch: list[Any]) -> Any:
        tried.append(batch)
        return await try_alone(batch)

    monkeypatch.setattr(publisher, "_try_alone", counting)
    way.stall()
    emits = [asyncio.ensure_future(one.sio.emit("e", number)) for number in range(20)]
    for emit in emits:
        with pytest.raises(PublishError):
            await asyncio.wait_for(emit, DEADLINE)
    # Not each of them: all have waited for as long as the first one.
    assert len(tried) < 10


async def publish_five(
    monkeypatch: pytest.MonkeyPatch, *answers: _Failed
) -> tuple[list[int], list[asyncio.Future[None]]]:
    """The sizes of the batches that were tried, which had these answers, and the messages."""
    publisher, tried, left = Publisher("", Options()), list[int](), iter(answers)

    async def try_alone(batch: list[Any]) -> Any:
        tried.append(len(batch))
        return next(left)

    monkeypatch.setattr(publisher, "_try_alone", try_alone)
    sent = [publisher.send(Outgoing("c", str(number))) for number in range(5)]
    publishing = asyncio.ensure_future(publisher.run())
    await asyncio.wait_for(asyncio.wait(sent), DEADLINE)
    await cancelled(publishing)
    return tried, sent


async def test_messages_are_not_tried_alone_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = (_Failed(PublishError("all")), _Failed(PublishError("first")), _Lost(PublishError("away")))
    tried, sent = await publish_five(monkeypatch, *answers)
    assert tried == [5, 1, 1]
    texts = [str(each.exception()) for each in sent]
    assert texts[:2] == ["first", "away"]
    assert all("not sent" in text for text in texts[2:])


@needs_cancel
async def test_small_messages_that_have_waited_for_a_locked_table_are_sent(start: StartServer, database: str) -> None:
    # As long as attachments may take.
    one, two = await two_servers(start, **{**PATIENT, "query_timeout": 1.0})
    b = await two.client()
    publisher = one.manager._cluster._publisher
    with locked(database):
        large = asyncio.ensure_future(one.sio.emit("large", LARGE))
        await until(lambda: bool(publisher._under_way))
        small = asyncio.ensure_future(one.sio.emit("small"))
        await until(lambda: bool(publisher._queue))
        # As if it had waited since before.
        publisher._queue[0].queued -= 5
        with pytest.raises(PublishError):
            await asyncio.wait_for(large, DEADLINE)
        await asyncio.wait_for(small, DEADLINE)
    await b.wait_for("small")


async def test_when_small_messages_hang_one_by_one_the_others_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried, _ = await publish_five(monkeypatch, _Failed(PublishError("all")), _Hung(PublishError("hangs")))
    assert tried == [5, 1]


async def test_only_what_may_have_been_published_is_unconfirmed_after_closing(
    database: str, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    for is_connected in (True, False):
        publisher = Publisher(url, Options())
        if is_connected:
            await publisher.prepare()
        way.stall()
        sent = [publisher.send(Outgoing("c", str(number))) for number in range(2)]
        publishing = asyncio.ensure_future(publisher.run())
        await until(lambda publisher=publisher: len(publisher._under_way) == 2)  # type: ignore[misc]
        await asyncio.sleep(0.05)
        await cancelled(publishing)
        sent.append(publisher.send(Outgoing("c", "late")))
        await publisher.close()
        kinds = [type(each.exception()) for each in sent]
        assert kinds == [*[Unconfirmed if is_connected else PublishError] * 2, PublishError]
        way.mend()


async def test_a_message_whose_table_could_not_be_created_is_known_not_to_be_published(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(database, Options())
    await publisher.prepare()
    execute(database, "DROP TABLE socket_io_attachments")

    async def is_cut(connection: Any) -> None:
        sever(connection)
        await connection.execute("SELECT 1")

    monkeypatch.setattr(publisher, "_create_table", is_cut)
    sent = publisher.send(Outgoing("c", "{", "}", b"body"))
    publishing = asyncio.ensure_future(publisher.run())
    await asyncio.wait_for(asyncio.wait({sent}), DEADLINE)
    await cancelled(publishing)
    await publisher.close()
    assert type(sent.exception()) is PublishError


async def test_a_start_that_fails_does_not_end_what_own_clients_are_asked(start: StartServer) -> None:
    one = await start(ack_timeout=LONG)
    a = await one.client()
    answer, finished = asyncio.Event(), asyncio.Event()

    async def ask() -> int:
        await answer.wait()
        return 1

    async def called_back(_: Any) -> None:
        await asyncio.sleep(0.1)
        finished.set()

    a.sio.on("ask", ask)
    calling = asyncio.ensure_future(one.sio.call("ask", to=a.sid, timeout=DEADLINE))
    await one.sio.emit("ask", to=a.sid, callback=called_back)
    await until(lambda: len(one.manager.callbacks.get(a.sid, ())) == 3)
    # As after a failure, when clients of this server are connected already.
    await one.manager._cluster.stop()
    answer.set()
    assert await calling == 1
    await until(lambda: len(one.manager.callbacks[a.sid]) == 1)
    await one.manager._cluster.stop()
    await asyncio.wait_for(finished.wait(), DEADLINE)


async def test_what_could_not_be_published_does_not_replace_a_heartbeat(start: StartServer) -> None:
    # No heartbeat comes by itself.
    one = await start(max_queued_bytes=5000, heartbeat_interval=1e9, heartbeat_timeout=2e9)
    node = await one.manager._node("/")
    node._published = -1.0
    with pytest.raises(PublishError):
        await one.sio.emit("large", LARGE)
    assert node._published == -1.0
    await one.sio.emit("small")
    assert node._published > 0
    # And there is one heartbeat at a time, however long it waits.
    node._published = -1.0
    publisher = one.manager._cluster._publisher
    async with publisher._using:
        for _ in range(3):
            node.beat(0.5)
        await until(lambda: bool(publisher._under_way))
        heartbeats = [
            item for item in (*publisher._under_way, *publisher._queue) if '"type":2' in item.outgoing.payload
        ]
        assert len(heartbeats) == 1


# Numbers that only JavaScript's doubles can hold


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, 10**30, -(2**63) - 1, -(2**64) - 1])
async def test_large_integers_are_doubles_in_both_forms(start: StartServer, number: int) -> None:
    one, two = await two_servers(start)
    a, b = await one.client(), await two.client()
    for sid, server in ((a.sid, one), (b.sid, two)):
        await server.sio.enter_room(sid, number)
    for padding in ("", LARGE):
        for client in (a, b):
            client.received.clear()
        # As an argument, inside of one, as a name of a room, and as that of an event.
        await one.sio.emit("e", {"n": [number], "padding": padding}, to=number)
        await one.manager.of("/").to(number).emit("f", number, padding)
        await one.manager.of("/").emit("end", padding)
        for client in (a, b):
            await client.wait_for("end")
            assert client.received == [
                ("e", {"n": [float(number)], "padding": padding}),
                ("f", float(number), padding),
                ("end", padding),
            ]
            assert isinstance(client.received[1][1], (int, float))
    two.manager.of("/").set_data(b.sid, {"n": number, "padding": LARGE})
    [found] = await one.manager.of("/").to(b.sid).fetch_sockets()
    assert (found.data["n"], set(found.rooms)) == (float(number), {b.sid, float(number)})
    await one.sio.leave_room(b.sid, number)
    assert await one.manager.of("/").to(number).count() == 1
    assert one.manager.health().problems == two.manager.health().problems == {}


async def test_what_is_infinity_in_javascript_is_refused_or_null_and_loses_nothing(start: StartServer) -> None:
    one, two = await two_servers(start)
    b = await two.client()
    for huge in (10**400, 10**5000):
        for padding in ("", LARGE):
            await one.sio.emit("e", [huge, padding])
            for work in (
                one.sio.emit("e", padding, to=huge),
                one.sio.emit("e", {huge: padding}),
                one.manager.of("/").server_side_emit("e", {huge: padding}),
            ):
                with pytest.raises(InvalidValue):
                    await work
    for seconds in (1e300, float("inf")):
        b.replies["ask"] = 1
        assert await one.manager.of("/").timeout(seconds).emit_with_ack("ask", LARGE) == [1]
    await one.sio.emit("end")
    await b.wait_for("end")
    assert [args for event, *args in b.received if event == "e"] == 2 * [[[None, ""]], [[None, LARGE]]]


# Starting and closing


async def test_emitting_while_a_start_fails_does_not_end_the_publisher(
    proxy: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, way = proxy
    manager = PostgresManager(url, Options(connect_timeout=1.0))
    sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi")
    emits: list[asyncio.Future[Any]] = []

    async def end_and_emit(tasks: Any) -> None:
        await end(tasks)
        if manager._cluster._publisher._connection is None and len(emits) < 20:
            emits.append(asyncio.ensure_future(sio.emit("meanwhile")))
            await asyncio.sleep(0.01)

    way.stall()
    emits.append(asyncio.ensure_future(sio.emit("before")))
    await asyncio.sleep(0)
    monkeypatch.setattr(cluster_module, "end", end_and_emit)
    with pytest.raises(NotConnected):
        await manager.start()
    monkeypatch.setattr(cluster_module, "end", end)
    for emit in emits:
        with pytest.raises(PublishError):
            await asyncio.wait_for(emit, DEADLINE)
    assert len(emits) > 1
    way.mend()
    await until(lambda: manager.health().is_listening)
    await asyncio.wait_for(sio.emit("after"), DEADLINE)
    await manager.close()


async def test_a_namespace_that_is_wanted_while_it_connects_is_listened_to_before_it_is_announced(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, listens = Listener._execute, Cluster._listens
    is_first = True
    announced: list[bool] = []

    async def joining_meanwhile(self: Listener, connection: Any, statement: str) -> None:
        nonlocal is_first
        await order(self, connection, statement)
        if is_first and statement.startswith("LISTEN"):
            is_first = False
            self.want({*self._wanted, "socket.io#/meanwhile"})

    def announcing(self: Cluster, gap: Any) -> None:
        announced.append(self._listener._wanted == self._listener._listened)
        listens(self, gap)

    monkeypatch.setattr(Listener, "_execute", joining_meanwhile)
    monkeypatch.setattr(Cluster, "_listens", announcing)
    await start()
    assert announced == [True]


@pytest.mark.parametrize("how", ["works", "cut", "stall"])
async def test_closing_twice_at_once_ends_all(start: StartServer, proxy: tuple[str, Proxy], how: str) -> None:
    url, way = proxy
    one = await start(url, query_timeout=1.0, connect_timeout=1.0)
    emits = [asyncio.ensure_future(one.sio.emit("e", number)) for number in range(3)]
    if how != "works":
        getattr(way, how)()
    closing = [asyncio.ensure_future(one.manager.close()) for _ in range(3)]
    await asyncio.sleep(0)
    closing[0].cancel()
    await asyncio.wait_for(asyncio.wait(closing), DEADLINE)
    assert closing[0].cancelled()
    assert [each.exception() for each in closing[1:]] == [None, None]
    await asyncio.wait_for(asyncio.wait(emits), DEADLINE)
    for emit in emits:
        assert isinstance(emit.exception(), (ClusterError, type(None)))
    cluster = one.manager._cluster
    assert (cluster._publishing, cluster._tasks, cluster._publisher._bytes) == (None, set(), 0)
    await one.manager.close()


@pytest.mark.parametrize("what", ["start", "close"])
async def test_starting_or_closing_that_is_cancelled_at_any_step_leaves_nothing_behind(
    database: str, what: str
) -> None:
    for steps in range(15):
        manager = PostgresManager(database, Options(query_timeout=5.0))
        sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi")
        if what == "close":
            await manager.start()
            sending = asyncio.ensure_future(sio.emit("e", LARGE))
            await asyncio.sleep(0)
        task = asyncio.ensure_future(getattr(manager, what)())
        for _ in range(steps):
            await asyncio.sleep(0.002 if steps % 2 else 0)
        task.cancel()
        await asyncio.wait_for(asyncio.wait({task}), DEADLINE)
        if not task.cancelled():
            task.result()
        await asyncio.wait_for(manager.close(), DEADLINE)
        if what == "close":
            await asyncio.wait_for(asyncio.wait({sending}), DEADLINE)
            assert isinstance(sending.exception(), (ClusterError, type(None)))
        cluster = manager._cluster
        assert (cluster._publishing, cluster._tasks) == (None, set())
    of_package = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'socketio-postgres'"
    statement = f"{of_package} AND datname = current_database()"
    await until(lambda: execute(database, statement) == [(0,)])


async def test_connecting_that_is_cancelled_at_any_step_leaves_no_session(database: str) -> None:
    # The garbage collector would end what is kept in cycles, but only some time later.
    gc.disable()
    try:
        for steps in range(40):
            connecting = asyncio.ensure_future(connect(f"{database}?application_name=cancelled", DEADLINE))
            for _ in range(steps):
                await asyncio.sleep(0.0004)
            connecting.cancel()
            await asyncio.wait({connecting})
            if not connecting.cancelled():
                await connecting.result().close()
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cancelled' AND datname = %s"
        await until(lambda: execute(database, statement, [database.rsplit("/", 1)[1]]) == [(0,)])
    finally:
        gc.enable()


@needs_cancel
async def test_closing_behind_a_locked_table_tells_the_others(start: StartServer, database: str) -> None:
    one, two = await two_servers(start, **PATIENT)
    uid, members = await one.manager.of("/").uid(), (await two.manager._node("/")).members
    with locked(database):
        sending = asyncio.ensure_future(one.sio.emit("large", LARGE))
        await until(lambda: bool(one.manager._cluster._publisher._under_way))
        await asyncio.wait_for(one.manager.close(), DEADLINE)
        # It does not have to notice the silence.
        await until(lambda: uid in members._left)
        with pytest.raises(PublishError):
            await sending
    await two.sio.emit("end")
    assert execute(database, "SELECT count(*) FROM socket_io_attachments") == [(0,)]
