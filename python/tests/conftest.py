"""What the tests have in common: a database for each test, servers with real clients, a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import socketio
import uvicorn

from socketio_postgres import Gap, Options, PostgresManager

#: For hangs only: tests wait for events.
DEADLINE = 30.0

_MISSING = (
    "DATABASE_URL is not set: the tests with a database are skipped. Set it to the URL of a server on which "
    "databases may be created, or run `cargo test -p socketio-pg-tests --test python_package`, which starts one"
)


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a database of this test alone."""
    base = os.environ.get("DATABASE_URL")
    if base is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    name = f"python_{secrets.token_hex(6)}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0".encode())
        yield urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


class _Http(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Server:
    """A server with its manager, and the clients that are connected to it."""

    manager: PostgresManager
    sio: Any
    port: int = 0
    gaps: list[Gap] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)

    async def client(self, namespace: str = "/", **how: Any) -> Client:
        client = Client(socketio.AsyncClient(reconnection=False), namespace)
        self.clients.append(client.sio)
        how.setdefault("transports", ["websocket"])
        await client.sio.connect(f"http://127.0.0.1:{self.port}", namespaces=[namespace], **how)
        return client

    async def count(self, wanted: int, namespace: str = "/") -> None:
        await until(lambda: self.manager.health().servers.get(namespace) == wanted)


class Client:
    """A real client, which keeps what it gets."""

    def __init__(self, sio: Any, namespace: str) -> None:
        self.sio, self.namespace = sio, namespace
        self.received: list[tuple[Any, ...]] = []
        self.replies: dict[str, Any] = {}
        self.is_disconnected = asyncio.Event()
        self._came = asyncio.Event()
        sio.on("*", self._packet, namespace=namespace)
        sio.on("disconnect", lambda *_: self.is_disconnected.set(), namespace=namespace)

    @property
    def sid(self) -> str:
        return str(self.sio.get_sid(self.namespace))

    async def _packet(self, event: str, *args: Any) -> Any:
        self.received.append((event, *args))
        self._came.set()
        return self.replies.get(event)

    async def wait_for(self, event: str) -> tuple[Any, ...]:
        """The arguments of the first event of that name."""

        async def wait() -> tuple[Any, ...]:
            while True:
                for name, *args in self.received:
                    if name == event:
                        return tuple(args)
                self._came.clear()
                await self._came.wait()

        return await asyncio.wait_for(wait(), DEADLINE)


StartServer = Callable[..., Any]


@pytest.fixture
async def start(database: str) -> AsyncIterator[StartServer]:
    """Starts servers: `await start()`, with options of the manager and of `AsyncServer`."""
    async with contextlib.AsyncExitStack() as stack:

        async def one(url: str = database, server: dict[str, Any] | None = None, **options: Any) -> Server:
            gaps: list[Gap] = []
            manager = PostgresManager(url, Options(**{"on_gap": gaps.append, **options}))
            sio = socketio.AsyncServer(client_manager=manager, async_mode="asgi", **(server or {}))
            found = Server(manager, sio, gaps=gaps)
            stack.push_async_callback(manager.close)
            await manager.start()
            await _serve(stack, found)
            return found

        yield one


async def _serve(stack: contextlib.AsyncExitStack, server: Server) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    app = socketio.ASGIApp(server.sio)
    http = _Http(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    while not http.started:
        await asyncio.sleep(0.005)
    server.port = listener.getsockname()[1]

    async def stop() -> None:
        for client in server.clients:
            await client.disconnect()
        http.should_exit = True
        await serving

    stack.push_async_callback(stop)


class Proxy:
    """Between a manager and PostgreSQL. It can end all connections, refuse new ones, and stall."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._to = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._goes = asyncio.Event()
        self._goes.set()
        self._is_open = True
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def cut(self) -> None:
        """Ends all connections, and refuses new ones."""
        self._is_open = False
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Passes nothing on, without an error."""
        self._goes.clear()

    def mend(self) -> None:
        self._is_open = True
        self._goes.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        to_reader, to_writer = await asyncio.open_connection(self._host, self._to)
        self._writers |= {writer, to_writer}
        for way in (self._pump(reader, to_writer), self._pump(to_reader, writer)):
            task = asyncio.ensure_future(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._goes.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[tuple[str, Proxy]]:
    """A URL that leads through a proxy, and the proxy."""
    parts = urlsplit(database)
    found = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await found.start()
    user = parts.netloc.rpartition("@")[0]
    yield urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{found.port}")), found
    found.cut()
    server.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what nothing reports."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), DEADLINE)
