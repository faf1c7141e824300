"""Lost connections, bad input, hostile names, and what happens at the end."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import psycopg
import pytest
from conftest import DEADLINE, Proxy, StartServer, until

from socketio_postgres import (
    Closed,
    ConfigurationError,
    InvalidNamespace,
    NotConnected,
    Options,
    PostgresManager,
    PublishError,
    ResponseTimeout,
)
from socketio_postgres.names import channel_of

QUICK = {"heartbeat_interval": 0.3, "heartbeat_timeout": 1.5, "check_interval": 0.3, "query_timeout": 2.0}


def execute(database: str, statement: str, parameters: list[Any] | None = None) -> list[Any]:
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def notify(database: str, payload: str, channel: str = "socket.io#/") -> None:
    execute(database, "SELECT pg_notify(%s, %s)", [channel, payload])


def end_sessions(database: str) -> None:
    """Ends the connections of all servers."""
    statement = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'socketio-postgres' AND datname = current_database()"""
    assert execute(database, statement) != []


async def test_the_sequence_of_ids_is_logged_so_that_none_comes_twice(start: StartServer, database: str) -> None:
    await start(table='"strange ""table$"')
    logged = """SELECT relname, relpersistence FROM pg_class WHERE relkind = 'S'"""
    assert execute(database, logged) == [('strange "table$_id_seq', "p")]


async def test_it_reconnects_and_reports_the_gap(start: StartServer, database: str) -> None:
    one, two = await start(**QUICK), await start(**QUICK)
    await one.count(2)
    b = await two.client()
    end_sessions(database)
    await until(lambda: bool(one.gaps) and bool(two.gaps))
    assert two.gaps[0].since <= two.gaps[0].until
    await two.count(2)
    await one.sio.emit("after")
    await b.wait_for("after")
    assert two.manager.health().is_listening


async def test_without_the_database_local_clients_get_events_and_the_sender_an_error(
    start: StartServer, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one, two = await start(url, **QUICK), await start(**QUICK)
    await one.count(2)
    a, b = await one.client(), await two.client()
    way.cut()
    await until(lambda: not one.manager.health().is_listening)
    with pytest.raises(PublishError, match="no other server gets the message"):
        await one.sio.emit("lost", 1)
    assert await a.wait_for("lost") == (1,)
    # Its acknowledgements are not lost either.
    called: list[tuple[Any, ...]] = []
    a.replies["ask"] = 1
    with pytest.raises(PublishError):
        await one.sio.emit("ask", callback=lambda *args: called.append(args))
    await until(lambda: called == [(1,)])
    # What concerns clients of this server alone needs no database.
    await one.sio.emit("own", to=a.sid)
    await a.wait_for("own")
    with pytest.raises(PublishError):
        await one.manager.of("/").fetch_sockets()
    # New clients are let in meanwhile.
    await one.client()

    way.mend()
    await until(lambda: one.manager.health().is_listening)
    await one.count(2)
    await one.sio.emit("after")
    await b.wait_for("after")
    assert [event for event, *_ in b.received] == ["after"]
    assert len(one.gaps) == 1


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_a_server_that_hears_nobody_takes_no_other_for_dead(
    start: StartServer, proxy: tuple[str, Proxy], how: str
) -> None:
    url, way = proxy
    one, two = await start(url, **QUICK), await start(**QUICK)
    await one.count(2)
    getattr(way, how)()
    # `two` notices it, and by then `one` has heard nothing for as long.
    await two.count(1)
    await asyncio.sleep(QUICK["heartbeat_interval"])
    assert one.manager.health().servers == {"/": 2}
    await until(lambda: not one.manager.health().is_listening)
    assert one.manager.health().servers == {"/": 2}
    await two.manager.close()
    way.mend()
    await until(lambda: one.manager.health().is_listening)
    # It had no chance to say that it left, and is silent now.
    await one.count(1)


async def test_checks_of_the_connection_lose_no_notification(start: StartServer) -> None:
    one, two = await start(), await start(check_interval=0.001)
    await one.count(2)
    b = await two.client()
    for number in range(300):
        await one.sio.emit("n", number)
    await one.sio.emit("end")
    await b.wait_for("end")
    assert [args[1] for args in b.received if args[0] == "n"] == list(range(300))


async def test_a_connection_that_stalls_without_an_error_is_replaced(
    start: StartServer, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one = await start(url, **{**QUICK, "query_timeout": 0.5, "connect_timeout": 1.0})
    a = await one.client()
    way.stall()
    with pytest.raises(PublishError, match="did not answer within"):
        await one.sio.emit("stalled")
    await a.wait_for("stalled")
    await until(lambda: not one.manager.health().is_listening)
    way.mend()
    await until(lambda: bool(one.gaps))
    await one.sio.emit("after")
    await a.wait_for("after")


async def test_a_sender_that_stops_waiting_does_not_lose_the_event(
    start: StartServer, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one, two = await start(url), await start()
    await one.count(2)
    b = await two.client()
    way.stall()
    sending = asyncio.ensure_future(one.sio.emit("sent"))
    await asyncio.sleep(0.05)
    sending.cancel()
    way.mend()
    await one.sio.emit("next")
    await b.wait_for("next")
    assert [event for event, *_ in b.received] == ["sent", "next"]


async def test_a_database_that_was_replaced_by_an_empty_one_gets_the_table(start: StartServer, database: str) -> None:
    one, two = await start(), await start()
    await one.count(2)
    b = await two.client()
    execute(database, "DROP TABLE socket_io_attachments")
    await one.sio.emit("large", "x" * 9000)
    assert await b.wait_for("large") == ("x" * 9000,)


async def test_a_read_only_database_is_an_error_that_says_so(start: StartServer, database: str) -> None:
    one = await start()
    a = await one.client()
    name = database.rsplit("/", 1)[1]
    execute(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    end_sessions(database)
    await until(lambda: bool(one.gaps))
    with pytest.raises(PublishError, match="read-only"):
        await one.sio.emit("large", "x" * 9000)
    # Not lost for its own clients.
    assert await a.wait_for("large") == ("x" * 9000,)


BAD = [
    "no JSON",
    "[1]",
    '{"type":NaN}',
    "1" * 5000,
    "[" * 4000 + "]" * 3900,
    '{"type":2,"nsp":"/"}',
    '{"type":true,"uid":"x","nsp":"/"}',
    '{"type":2.5,"uid":"x","nsp":"/"}',
    '{"type":1e400,"uid":"x","nsp":"/"}',
    json.dumps({"type": 2, "uid": "x" * 257, "nsp": "/"}),
    '{"type":3,"uid":"x","nsp":"/"}',
    '{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":1},"opts":{"rooms":[],"except":[]}}}',
    '{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":[]},"opts":{"rooms":[],"except":[]}}}',
    '{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":"abc"}}}',
    '{"type":4,"uid":"x","nsp":"/","data":{"rooms":"abc","opts":{"rooms":[],"except":[]}}}',
    '{"type":7,"uid":"x","nsp":"/","data":{"opts":{"rooms":[],"except":[]}}}',
    '{"type":9,"uid":"x","nsp":"/","data":{"packet":{}}}',
    '{"type":14,"uid":"x","nsp":"/","data":{}}',
    '{"type":3,"uid":"x","attachmentId":"99999"}',
    '{"type":3,"uid":"x","attachmentId":"many"}',
    '{"type":3,"uid":"x","attachmentId":1e400}',
    '{"type":3,"uid":"x","attachmentId":[1]}',
    '{"type":3,"uid":"x","attachmentId":true}',
    '{"type":3,"uid":"x","attachmentId":"1_7"}',
    '{"type":3,"uid":"x","attachmentId":"9999999999999999999"}',
]


async def test_bad_messages_are_counted_and_do_not_stop_the_listener(start: StartServer, database: str) -> None:
    one = await start()
    a = await one.client()
    for number, payload in enumerate(BAD):
        before = sum(one.manager.health().problems.values())
        notify(database, payload)
        notify(database, _event(f"after {number}"))
        await a.wait_for(f"after {number}")
        assert sum(one.manager.health().problems.values()) == before + 1, payload
    # A row that is not a message.
    [(row,)] = execute(database, "INSERT INTO socket_io_attachments (payload) VALUES ('\\xc1') RETURNING id")
    notify(database, json.dumps({"uid": "x", "type": 3, "attachmentId": str(row)}))
    notify(database, _event("end"))
    await a.wait_for("end")
    assert one.manager.health().problems["unreadable"] >= 2


async def test_unusual_messages_that_are_valid_are_handled(start: StartServer, database: str) -> None:
    one = await start()
    a = await one.client()
    for payload in [
        '{"x":1,"uid":"emitter","data":{"opts":{},"y":2,"packet":{"data":["e",1],"id":7,"type":2.0}},"type":3.0}',
        '{"type":3,"data":{"packet":{"type":2,"data":["e",2]},"opts":{"except":[7,null,"\\ud800"]}},"uid":"emitter"}',
        # For other servers.
        '{"type":3,"data":{},"uid":"emitter","nsp":"/other"}',
        '{"type":3,"uid":"emitter","nsp":"/other","attachmentId":"99999"}',
        # To a room that nobody is in is not to all.
        '{"type":3,"data":{"packet":{"type":2,"data":["null"]},"opts":{"rooms":[null]}},"uid":"emitter"}',
        '{"type":3,"data":{"packet":{"type":2,"data":["true"]},"opts":{"rooms":[true]}},"uid":"emitter"}',
        _event("end"),
    ]:
        notify(database, payload)
    await a.wait_for("end")
    assert a.received == [("e", 1), ("e", 2), ("end",)]
    assert one.manager.health().problems == {}


def _event(name: str, **more: Any) -> str:
    packet = {"type": 2, "data": [name]}
    data = {"packet": packet, "opts": {"rooms": [], "except": [], "flags": {}}}
    return json.dumps({"type": 3, "data": data, "uid": "emitter", "nsp": "/", **more})


async def test_numbers_that_json_cannot_express_do_not_disconnect_clients(start: StartServer, database: str) -> None:
    one = await start()
    a = await one.client()
    for event in ('["e",1e400,[-1e999],"Infinity"]', '["e",{"n":%s}]' % ("9" * 400)):
        data = '{"packet":{"type":2,"data":' + event + '},"opts":{"rooms":[]}}'
        notify(database, '{"type":3,"uid":"emitter","nsp":"/","data":' + data + "}")
    notify(database, _event("end"))
    await a.wait_for("end")
    assert a.received == [("e", None, [None], "Infinity"), ("e", {"n": None}), ("end",)]


async def test_an_acknowledgement_that_is_nested_too_deep_is_counted(
    start: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await start(), await start()
    await one.count(2)
    b = await two.client()
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    b.replies["ask"] = deep
    asking = asyncio.ensure_future(one.manager.of("/").timeout(DEADLINE).emit_with_ack("ask"))
    await until(lambda: two.manager.health().problems == {"invalid response": 1})
    asking.cancel()
    assert "a callback has failed" not in caplog.text


async def test_what_grows_is_limited(start: StartServer, database: str) -> None:
    one = await start(max_servers=3, max_attachment_bytes=10_000)
    a = await one.client()
    for number in range(10):
        notify(database, json.dumps({"type": 2, "uid": f"invented {number}", "nsp": "/"}))
    from_another = await start()
    await from_another.sio.emit("too large", "x" * 20_000)
    notify(database, _event("end"))
    await a.wait_for("end")
    problems = one.manager.health().problems
    assert one.manager.health().servers == {"/": 4}
    assert problems["too many servers"] >= 7
    assert problems["unreadable"] == 1
    assert [event for event, *_ in a.received] == ["end"]


NAMES = [
    '/quote"end',
    '/a"; DROP TABLE socket_io_attachments; --',
    "/räume/雪😀",
    "/" + "lang-ä" * 12,
    "/%s%",
    "/a$b c",
]


@pytest.mark.parametrize("name", NAMES)
async def test_clients_cannot_break_listen_by_the_name_of_a_namespace(start: StartServer, name: str) -> None:
    one = await start(server={"namespaces": "*"})
    two = await start(server={"namespaces": "*"})
    a, b = await one.client(name), await two.client(name)
    await one.count(2, name)
    await one.sio.emit("small", namespace=name)
    await one.sio.emit("large", "x" * 9000, namespace=name)
    for client in (a, b):
        await client.wait_for("large")
        assert [event for event, *_ in client.received] == ["small", "large"]


async def test_namespaces_that_share_a_cut_channel_are_apart(start: StartServer) -> None:
    long = "/" + "x" * 100
    assert channel_of("socket.io", long) == channel_of("socket.io", long + "y")
    one = await start(server={"namespaces": [long, long + "y"]})
    two = await start(server={"namespaces": [long, long + "y"]})
    a, b = await one.client(long), await one.client(long + "y")
    await two.count(2, long)
    await two.sio.emit("for a", namespace=long)
    await two.sio.emit("for b", namespace=long + "y")
    await a.wait_for("for a")
    await b.wait_for("for b")
    assert (len(a.received), len(b.received)) == (1, 1)


async def test_names_that_postgresql_cannot_carry_and_too_many_are_refused(start: StartServer) -> None:
    one = await start(server={"namespaces": "*"}, max_namespaces=2, accept_namespace=lambda name: "no" not in name)
    for refused in ("/\0", "/" + "x" * 3000, "/no"):
        with pytest.raises(Exception, match="namespaces failed"):
            await one.client(refused)
    await one.client("/second")
    with pytest.raises(Exception, match="namespaces failed"):
        await one.client("/third")
    assert one.manager.health().servers.keys() == {"/", "/second"}
    with pytest.raises(InvalidNamespace):
        one.manager.of("no slash")


async def test_only_namespaces_that_are_used_are_listened_to(
    start: StartServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_postgres.cluster._IDLE_NAMESPACE", 0.1)
    one = await start(server={"namespaces": "*"}, **QUICK)
    client = await one.client("/dynamic")
    assert one.manager.health().servers.keys() == {"/", "/dynamic"}
    two = await start(server={"namespaces": "*"}, **QUICK)
    await two.client("/dynamic")
    await two.count(2, "/dynamic")
    await client.sio.disconnect()
    await until(lambda: one.manager.health().servers.keys() == {"/"})
    # It leaves, so no other server waits for it.
    await two.count(1, "/dynamic")

    @one.sio.on("event", namespace="/later")
    async def handler(sid: str) -> None:
        pass

    await until(lambda: one.manager.health().servers.keys() == {"/", "/later"})


async def test_a_server_that_leaves_is_forgotten_and_one_that_dies_is_not_waited_for_long(
    start: StartServer, proxy: tuple[str, Proxy]
) -> None:
    url, way = proxy
    one, two, three = await start(**QUICK), await start(**QUICK), await start(url, **QUICK)
    await one.count(3)
    one.manager.of("/").on("ask")(lambda: 1)
    three.manager.of("/").on("ask")(asyncio.Event().wait)
    await one.manager.close()
    await two.count(2)
    asking = asyncio.ensure_future(two.manager.of("/").server_side_emit_with_ack("ask", timeout=DEADLINE))
    await asyncio.sleep(0.1)
    way.cut()
    assert await asyncio.wait_for(asking, DEADLINE) == []
    await two.count(1)
    with pytest.raises(Closed):
        await one.sio.emit("too late")
    with pytest.raises(Closed):
        await one.manager.start()


async def test_a_request_that_is_cancelled_leaves_nothing_behind(start: StartServer) -> None:
    one, two = await start(), await start()
    await one.count(2)
    two.manager.of("/").on("ask")(asyncio.Event().wait)
    b = await two.client()
    b.sio.on("ask", asyncio.Event().wait)
    namespace = one.manager.of("/")
    for work in (namespace.server_side_emit_with_ack("ask"), namespace.emit_with_ack("ask")):
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
    node = await one.manager._node("/")
    assert node._requests == {}


async def test_a_start_without_a_database_fails_with_a_remedy(caplog: pytest.LogCaptureFixture) -> None:
    import socketio

    manager = PostgresManager("postgres://postgres@127.0.0.1:1/nowhere", Options(connect_timeout=2))
    with pytest.raises(NotConnected, match="no server"):
        await manager.start()
    socketio.AsyncServer(client_manager=manager, async_mode="asgi")
    with caplog.at_level(logging.ERROR), pytest.raises(NotConnected, match="the database cannot be used"):
        await manager.start()
    assert "not in the cluster" in caplog.text
    await manager.close()


async def test_a_channel_that_nobody_hears_is_noticed_at_the_start(
    start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As behind a pooler in transaction mode: LISTEN has no error, and no notification arrives.
    monkeypatch.setattr("socketio_postgres.listener.Listener._take", lambda *_: None)
    with pytest.raises(NotConnected, match="listen_url"):
        await start(query_timeout=0.5)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("postgres://[", {}),
        ("", {"channel_prefix": "x" * 62}),
        ("", {"table": "a.b.c"}),
        ("", {"heartbeat_timeout": 1}),
        ("", {"query_timeout": 0}),
        ("", {"max_servers": "many"}),
        ("", {"ack_timeout": float("nan")}),
    ],
)
def test_settings_that_cannot_work_are_refused(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PostgresManager(url, Options(**options))


async def test_other_prefix_and_table(start: StartServer, database: str) -> None:
    execute(database, 'CREATE SCHEMA "Odd%Name"')
    options = {"channel_prefix": "app", "table": '"Odd%Name".attachments', "payload_threshold": 400}
    one, two = await start(**options), await start(**options)
    await one.count(2)
    b = await two.client()
    await one.sio.emit("e", "x" * 400)
    await b.wait_for("e")
    assert execute(database, 'SELECT count(*) FROM "Odd%Name".attachments') == [(1,)]


async def test_old_attachments_are_deleted(start: StartServer, database: str) -> None:
    one = await start(cleanup_interval=0.3)
    await one.sio.emit("large", "x" * 9000)
    await until(lambda: execute(database, "SELECT count(*) FROM socket_io_attachments") == [(0,)])


async def test_a_full_inbox_is_reported_as_a_gap(start: StartServer, database: str) -> None:
    one = await start(max_inbox_bytes=2000, **QUICK)
    notify(database, _event("e", padding="x" * 3000))
    await until(lambda: bool(one.gaps))
    assert one.manager.health().problems == {"inbox full": 1}


async def test_too_much_to_publish_is_an_error_after_local_delivery(start: StartServer) -> None:
    one = await start(max_queued_bytes=5000)
    a = await one.client()
    with pytest.raises(PublishError, match="max_queued_bytes"):
        await one.sio.emit("e", "x" * 6000)
    await a.wait_for("e")


async def test_responses_go_where_the_requester_wants_them(start: StartServer, database: str) -> None:
    await start()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute('LISTEN "socket.io?0123456789abcdef"')
        data = {"opts": {"rooms": [], "except": [], "flags": {}}, "requestId": "r"}
        request = {"type": 7, "data": data, "uid": "x", "nsp": "/", "replyTo": "socket.io?0123456789abcdef"}
        notify(database, json.dumps(request))
        async for notification in connection.notifies(timeout=DEADLINE, stop_after=1):
            assert json.loads(notification.payload)["data"] == {"requestId": "r", "sockets": []}
            break
        else:
            pytest.fail("no response came")


async def test_a_server_that_does_not_respond_is_named_as_missing(start: StartServer, database: str) -> None:
    one = await start()
    notify(database, json.dumps({"type": 2, "uid": "silent", "nsp": "/"}))
    await one.count(2)
    a = await one.client()
    with pytest.raises(ResponseTimeout, match="missing 1 responses") as caught:
        await one.manager.of("/").timeout(0.3).fetch_sockets()
    assert [socket.id for socket in caught.value.responses] == [a.sid]


async def test_closing_ends_while_something_arrives(start: StartServer) -> None:
    # In Python 3.11, asyncio.wait_for forgets a cancellation that comes together with its result.
    one = await start()
    for _ in range(20):
        await asyncio.sleep(0)
    cluster = one.manager._cluster
    cluster._listener._wake.set()
    cluster._inbox._wake.set()
    await asyncio.sleep(0)
    await asyncio.wait_for(one.manager.close(), DEADLINE)


async def test_cleaning_up_does_not_disturb_what_is_published(start: StartServer) -> None:
    one = await start(cleanup_interval=0.001, query_timeout=3.0)
    # As if attachments came all the time.
    one.manager._cluster._attachments_seen = float("inf")
    for number in range(500):
        await one.sio.emit("n", number)
    assert one.manager.health().problems == {}


async def test_a_response_of_another_type_is_counted_and_does_not_answer(start: StartServer, database: str) -> None:
    one = await start()
    notify(database, json.dumps({"type": 2, "uid": "other", "nsp": "/"}))
    await one.count(2)
    a = await one.client()
    node = await one.manager._node("/")
    counting = asyncio.ensure_future(one.manager.of("/").timeout(DEADLINE).count())
    await until(lambda: bool(node._requests))
    [request_id] = node._requests
    data = {"requestId": request_id, "packet": "wrong"}
    notify(database, json.dumps({"type": 10, "data": data, "uid": "other", "nsp": "/"}))
    notify(database, _event("handled"))
    await a.wait_for("handled")
    assert one.manager.health().problems == {"malformed": 1}
    right = {"requestId": request_id, "sockets": [], "count": 4}
    notify(database, json.dumps({"type": 8, "data": right, "uid": "other", "nsp": "/"}))
    assert await counting == 5
