"""What answers a request, and what does not: a node without a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from socketio_postgres import Options, ResponseTimeout
from socketio_postgres.errors import Malformed, TooManyResponses
from socketio_postgres.names import channel_of
from socketio_postgres.node import Node
from socketio_postgres.requests import Request
from socketio_postgres.sockets import Asked
from socketio_postgres.wire import Incoming, Opts, Type

EMPTY: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}


class _Sockets:
    """Three sockets, of which two can be described."""

    acknowledge = 0

    def select(self, namespace: str, opts: Opts) -> list[str]:
        return ["a", "b", "leaving"]

    def described(self, namespace: str, sids: list[str]) -> list[str]:
        return [sid for sid in sids if sid != "leaving"]

    def describe(self, namespace: str, sids: list[str]) -> list[dict[str, Any]]:
        return [{"id": sid} for sid in self.described(namespace, sids)]

    def asking(self, acknowledged: Callable[..., None]) -> Asked:
        return Asked(self, acknowledged)  # type: ignore[arg-type]

    def no_longer_asked(self, sid: str, asked: Asked, number: int | None = None) -> None:
        pass

    async def deliver(self, namespace: str, event: Any, sids: list[str], asked: Asked) -> None:
        """The clients of this server acknowledge at once."""
        for number in range(self.acknowledge):
            asked.add("a", number)
            asked.given("a", 5 + number)


class _Network:
    """Keeps what the node sends."""

    def __init__(self, **options: Any) -> None:
        self.options = Options(node_name="tested", **options)
        self.sockets: Any = _Sockets()
        self.handlers: Any = None
        self.is_closed = False
        self.sent: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def send(self, channel: str, message: dict[str, Any], effect: Any, packs: bool = False) -> asyncio.Future[None]:
        self.sent.append(message)

        async def publish() -> None:
            if effect is not None:
                await effect()

        task = asyncio.ensure_future(publish())
        self._tasks.add(task)
        return task

    def problem(self, kind: str, text: object) -> None:
        self.problems.append(kind)

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        raise AssertionError(work)


class Asking:
    """A node that knows two others, `one` and `two`, and a request of it that waits."""

    def __init__(self, network: _Network, node: Node, result: asyncio.Future[Any]) -> None:
        self.network, self.node, self.result = network, node, result

    async def respond(self, uid: str, kind: Type, **data: Any) -> None:
        data["requestId"] = self.network.sent[0]["data"]["requestId"]
        body = {"type": int(kind), "data": data, "uid": uid, "nsp": "/"}
        await self.node.receive(Incoming(uid, kind, "/", None, body))

    async def told(self, uid: str, sockets: list[Any], **more: Any) -> None:
        await self.respond(uid, Type.FETCH_SOCKETS_RESPONSE, sockets=sockets, **more)

    @property
    def request(self) -> Request:
        [request] = self.node._requests.values()
        return request


QUESTIONS = ["sockets", "count", "ids", "servers", "clients"]


def ask(node: Node, question: str, timeout: float) -> Coroutine[Any, Any, Any]:
    async def clients() -> Any:
        return await node.ask_clients(["e"], Opts(), {}, timeout)

    if question == "sockets":
        return node.fetch_sockets(Opts(), timeout)
    if question == "count":
        return node.count(Opts(), timeout)
    if question == "ids":
        return node.socket_ids(Opts(), timeout)
    return node.ask_servers(["e"], timeout) if question == "servers" else clients()


@asynccontextmanager
async def asking(question: str, timeout: float = 30, acknowledge: int = 0, **options: Any) -> AsyncIterator[Asking]:
    network = _Network(**options)
    network.sockets.acknowledge = acknowledge
    node = Node(network, "/", "socket.io#/")
    for uid in ("one", "two"):
        node.heard(uid)
    result = asyncio.ensure_future(ask(node, question, timeout))
    try:
        while not network.sent:
            await asyncio.sleep(0)
        # Its time begins to run only when the test waits for it.
        yield Asking(network, node, result)
    finally:
        result.cancel()
        await asyncio.wait({result})
        assert node._requests == {}


RESPONSES: dict[Type, dict[str, Any]] = {
    Type.FETCH_SOCKETS_RESPONSE: {"sockets": [{"id": "c"}]},
    Type.SERVER_SIDE_EMIT_RESPONSE: {"packet": 5},
    Type.BROADCAST_CLIENT_COUNT: {"clientCount": 0},
    Type.BROADCAST_ACK: {"packet": 5},
}
RIGHT: dict[str, set[Type]] = {
    "sockets": {Type.FETCH_SOCKETS_RESPONSE},
    "count": {Type.FETCH_SOCKETS_RESPONSE},
    "ids": {Type.FETCH_SOCKETS_RESPONSE},
    "servers": {Type.SERVER_SIDE_EMIT_RESPONSE},
    "clients": {Type.BROADCAST_CLIENT_COUNT, Type.BROADCAST_ACK},
}


@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize("question", QUESTIONS)
async def test_only_responses_of_the_right_type_answer(question: str, kind: Type) -> None:
    async with asking(question) as asked:
        before = set(asked.request.missing)
        assert before >= {"one", "two"}
        if kind in RIGHT[question]:
            await asked.respond("one", kind, **RESPONSES[kind])
        else:
            with pytest.raises(Malformed, match="another type"):
                await asked.respond("one", kind, **RESPONSES[kind])
            assert asked.request.missing == before
            assert asked.request.responses == []


ONE: dict[str, Any] = {"id": "c"}
# What a server tells of its sockets, and what each question takes from it: descriptions, the number, the ids.
# `None` does not answer the question.
TOLD: list[tuple[dict[str, Any], list[Any] | None, int | None, list[str] | None]] = [
    ({"sockets": []}, [], 0, []),
    ({"sockets": [ONE]}, [ONE], 1, ["c"]),
    # Brief answers.
    ({"sockets": [], "count": 5}, None, 5, None),
    ({"sockets": [], "count": 5.0}, None, 5, None),
    ({"sockets": [], "count": 2**53 - 1}, None, 2**53 - 1, None),
    ({"sockets": [], "ids": ["c", "d"]}, None, 2, ["c", "d"]),
    ({"sockets": [], "count": 0}, [], 0, []),
    ({"sockets": [], "ids": []}, [], 0, []),
    # Some writers write null for what is not set.
    ({"sockets": [ONE], "count": None, "ids": None}, [ONE], 1, ["c"]),
    ({"sockets": [], "count": None, "ids": None}, [], 0, []),
    ({"sockets": [], "count": None, "ids": ["c"]}, None, 1, ["c"]),
    ({"sockets": [], "count": 5, "ids": None}, None, 5, None),
    # Contradictions.
    ({"sockets": [ONE], "count": 5, "ids": ["d", "e"]}, [ONE], 1, ["c"]),
    ({"sockets": [ONE], "count": 0, "ids": []}, [ONE], 1, ["c"]),
    ({"sockets": [], "count": 5, "ids": ["c"]}, None, 5, ["c"]),
    ({"sockets": [], "count": 0, "ids": ["c"]}, None, 0, ["c"]),
    ({"sockets": [], "count": 5, "ids": []}, None, 5, None),
    ({"sockets": [], "count": 0, "ids": []}, [], 0, []),
    # Not usable at all.
    ({"count": 5}, None, None, None),
    ({"sockets": None, "ids": ["c"]}, None, None, None),
    *[
        ({"sockets": sockets, "count": count, "ids": ["c"]}, None, None, None)
        for count in [2**53, -1, 1.5, "5", True, float("inf"), float("nan"), [], {}]
        for sockets in ([], [ONE])
    ],
    *[
        ({"sockets": sockets, "count": 1, "ids": ids}, None, None, None)
        for ids in ["c", [1], [None], {}, 0, ["x" * 257]]
        for sockets in ([], [ONE])
    ],
]


@pytest.mark.parametrize("question", ["sockets", "count", "ids"])
@pytest.mark.parametrize("told", TOLD, ids=lambda told: repr(told[0])[:80])
async def test_what_a_server_tells_of_its_sockets(
    question: str, told: tuple[dict[str, Any], list[Any] | None, int | None, list[str] | None]
) -> None:
    own: dict[str, Any] = {"sockets": [{"id": "a"}, {"id": "b"}], "count": 2, "ids": ["a", "b"]}
    data, *taken = told
    expected: Any = taken[["sockets", "count", "ids"].index(question)]
    async with asking(question) as asked:
        await asked.told("two", [])
        if expected is None:
            with pytest.raises(Malformed):
                await asked.respond("one", Type.FETCH_SOCKETS_RESPONSE, **data)
            assert asked.request.missing == {"one"}
            # A usable answer still counts.
            await asked.told("one", [ONE])
            usable: dict[str, Any] = {"sockets": [ONE], "count": 1, "ids": ["c"]}
            expected = usable[question]
        else:
            await asked.respond("one", Type.FETCH_SOCKETS_RESPONSE, **data)
        assert await asked.result == own[question] + expected


async def test_what_a_server_tells_of_itself_is_what_it_counts() -> None:
    async with asking("count") as asked:
        await asked.told("one", [])
        await asked.told("two", [])
        number = await asked.result
        asked.network.sent.clear()
        data = {"requestId": "r", "packet": ["socketio-pg:node"]}
        body = {"type": 9, "data": data, "uid": "emitter", "nsp": "/"}
        await asked.node.receive(Incoming("emitter", Type.SERVER_SIDE_EMIT, "/", None, body))
        [response] = asked.network.sent
        assert response["data"]["packet"]["sockets"] == number == 2


@pytest.mark.parametrize(
    ("question", "kind", "fits", "too_much", "kept"),
    [
        ("sockets", Type.FETCH_SOCKETS_RESPONSE, {"sockets": [ONE]}, {"sockets": [ONE] * 3}, ["a", "b", "c"]),
        (
            "ids",
            Type.FETCH_SOCKETS_RESPONSE,
            {"sockets": [], "ids": ["c"]},
            {"sockets": [ONE] * 3},
            [["a", "b"], ["c"]],
        ),
        ("servers", Type.SERVER_SIDE_EMIT_RESPONSE, {"packet": 1}, None, [1, 2, 2]),
        ("count", Type.FETCH_SOCKETS_RESPONSE, {"sockets": [], "count": 9}, None, [2, 9, 0, 0]),
    ],
)
async def test_responses_that_are_too_many_do_not_answer(
    question: str, kind: Type, fits: dict[str, Any], too_much: dict[str, Any] | None, kept: list[Any]
) -> None:
    async with asking(question, timeout=0.5, max_responses=3) as asked:
        await asked.respond("one", kind, **fits)
        if too_much is None:
            # Of servers that nobody waits for.
            too_much = {"sockets": [], "packet": 2}
            for number in range(2):
                await asked.respond(f"invented {number}", kind, **too_much)
        with pytest.raises(TooManyResponses, match="max_responses"):
            await asked.respond("two", kind, **too_much)
        assert asked.request.missing == {"two"}
        with pytest.raises(ResponseTimeout) as caught:
            await asked.result
    found = caught.value.responses
    assert [each["id"] for each in found] == kept if question == "sockets" else found == kept


async def test_acknowledgements_that_are_too_many_are_not_kept() -> None:
    async with asking("clients", timeout=0.5, max_responses=2) as asked:
        await asked.respond("one", Type.BROADCAST_CLIENT_COUNT, clientCount=3)
        await asked.respond("two", Type.BROADCAST_CLIENT_COUNT, clientCount=0)
        await asked.respond("one", Type.BROADCAST_ACK, packet=1)
        await asked.respond("one", Type.BROADCAST_ACK, packet=2)
        with pytest.raises(TooManyResponses):
            await asked.respond("one", Type.BROADCAST_ACK, packet=3)
        with pytest.raises(ResponseTimeout) as caught:
            await asked.result
    assert caught.value.responses == [1, 2]


async def test_own_acknowledgements_that_are_too_many_are_counted_as_a_problem() -> None:
    async with asking("clients", timeout=0.5, acknowledge=2, max_responses=1) as asked:
        for uid in ("one", "two"):
            await asked.respond(uid, Type.BROADCAST_CLIENT_COUNT, clientCount=0)
        with pytest.raises(ResponseTimeout) as caught:
            await asked.result
    assert caught.value.responses == [5]
    assert asked.network.problems == ["too many responses"]


async def test_servers_that_are_not_remembered_are_not_waited_for() -> None:
    async with asking("clients", max_servers=2) as asked:
        for number in range(10):
            await asked.respond(f"invented {number}", Type.BROADCAST_ACK, packet=number)
            await asked.respond(f"invented {number}", Type.BROADCAST_CLIENT_COUNT, clientCount=7)
        for uid in ("one", "two"):
            await asked.respond(uid, Type.BROADCAST_CLIENT_COUNT, clientCount=0)
        while asked.node.uid in asked.request.missing:
            await asyncio.sleep(0)
        assert asked.request._complete.is_set()
        # What clients have acknowledged is not lost.
        assert await asked.result == list(range(10))


async def test_a_long_list_of_one_server_is_one_response() -> None:
    async with asking("servers", max_responses=2) as asked:
        for uid in ("one", "two"):
            await asked.respond(uid, Type.SERVER_SIDE_EMIT_RESPONSE, packet=[1, 2, 3])
        assert await asked.result == [[1, 2, 3], [1, 2, 3]]


def _packing(now: list[float], monkeypatch: pytest.MonkeyPatch) -> tuple[_Network, Node, Callable[..., None]]:
    """A server that joined a while ago, at a time that the test sets."""
    monkeypatch.setattr("socketio_postgres.node.time.monotonic", lambda: now[0])
    network = _Network(inline_binary=True)
    node = Node(network, "/", "socket.io#/")
    node.announce()
    assert network.sent[-1] == {
        "type": 1,
        "binary": "packed",
        "uid": node.uid,
        "nsp": "/",
        "source": "_sio_adapter",
    }
    assert not node.packs(), "it does not know yet who is there"
    now[0] += 5
    assert node.packs()

    def heartbeat(uid: str, **keys: Any) -> None:
        node.heard(uid)
        node.heard_heartbeat(uid, keys)

    return network, node, heartbeat


async def test_binary_is_packed_while_all_other_servers_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    network, node, heartbeat = _packing(now, monkeypatch)
    node.heard("rust")
    assert not node.packs(), "it has not said so yet"
    heartbeat("rust", binary="packed")
    assert node.packs()
    heartbeat("node.js")
    heartbeat("node.js", binary="packed")
    heartbeat("node.js")
    assert (node.packs(), network.problems) == (False, ["needs attachments"])
    # It may still be there.
    await node.receive(Incoming("node.js", Type.ADAPTER_CLOSE, "/", None, {}))
    now[0] += 19.9
    heartbeat("rust", binary="packed")
    assert not node.packs()
    now[0] += 0.1
    assert node.packs()


async def test_a_silent_server_that_needed_attachments_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    _network, node, heartbeat = _packing(now, monkeypatch)
    heartbeat("node.js")
    now[0] += 10.1
    node.forget_silent(now[0])
    assert (len(node.members), node.packs()) == (0, False)
    now[0] += 20
    assert node.packs()


async def test_a_server_that_publishes_all_the_time_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    network, node, heartbeat = _packing(now, monkeypatch)
    network.sent.clear()
    for _ in range(3):
        node.heard("busy")
        node.beat(5)
    assert [message["type"] for message in network.sent].count(1) == 1
    assert not node.packs()
    heartbeat("busy", binary="packed")
    assert node.packs()


async def test_on_a_channel_whose_name_is_cut_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("socketio_postgres.node.time.monotonic", lambda: now[0])
    namespace = "/" + "n" * 60
    node = Node(_Network(inline_binary=True), namespace, channel_of("socket.io", namespace))
    node.announce()
    now[0] += 60
    assert not node.packs()


async def test_a_server_without_the_option_tells_nothing_and_packs_nothing() -> None:
    network = _Network()
    node = Node(network, "/", "socket.io#/")
    node.announce()
    assert "binary" not in network.sent[-1]
    node.heard("node.js")
    node.heard_heartbeat("node.js", {})
    assert (node.packs(), network.problems) == (False, [])
