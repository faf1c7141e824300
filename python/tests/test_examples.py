"""The examples run, and README shows them as they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import socketio
from conftest import DEADLINE, Client

PYTHON = Path(__file__).resolve().parents[1]


def environment(database: str, port: int) -> dict[str, str]:
    path = str(PYTHON / "src")
    return {**os.environ, "DATABASE_URL": database, "PORT": str(port), "PYTHONPATH": path}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.asynccontextmanager
async def running(database: str, *command: str) -> AsyncIterator[int]:
    """Runs an example until it serves, and ends it as an operator does."""
    port = free_port()
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *(part.replace("PORT", str(port)) for part in command),
        cwd=PYTHON / "examples",
        env=environment(database, port),
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stderr is not None
    log = b""
    try:
        while b"running on" not in log:
            line = await asyncio.wait_for(program.stderr.readline(), DEADLINE)
            assert line, log.decode()
            log += line
        yield port
    finally:
        program.terminate()
        _, rest = await asyncio.wait_for(program.communicate(), DEADLINE)
    # It has left the cluster by then.
    assert b"Application shutdown complete" in rest, (log + rest).decode()


async def connected(port: int) -> Client:
    client = Client(socketio.AsyncClient(reconnection=False), "/")
    await client.sio.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
    return client


def test_readme_shows_the_server_as_it_runs() -> None:
    readme, server = (PYTHON / "README.md").read_text(), (PYTHON / "examples" / "server.py").read_text()
    assert f"```python\n{server}```" in readme
    assert len([line for line in server.splitlines() if line.strip()]) <= 25


async def test_two_servers_and_a_worker(database: str) -> None:
    async with running(database, "server.py") as one, running(database, "server.py") as two:
        a, b = await connected(one), await connected(two)
        await a.sio.emit("message", "hello")
        for client in (a, b):
            assert await client.wait_for("message") == ("hello",)
        worker = await asyncio.create_subprocess_exec(
            sys.executable, PYTHON / "examples" / "worker.py", "18", env=environment(database, 0)
        )
        assert await asyncio.wait_for(worker.wait(), DEADLINE) == 0
        await b.sio.emit("message", "end")
        while ("message", "order 18 is paid") not in b.received or ("message", "end") not in b.received:
            await asyncio.sleep(0.005)
        await a.sio.disconnect()
        await b.sio.disconnect()


async def test_fastapi(database: str) -> None:
    command = ("-m", "uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", "PORT")
    async with running(database, *command) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        client = await connected(port)
        async with http.post("/announce", params={"text": "hello"}) as response:
            assert await response.json() == {"sent": True}
        assert await client.wait_for("announcement") == ("hello",)
        async with http.get("/clients") as response:
            assert await response.json() == [client.sid]
        async with http.get("/health") as response:
            assert await response.json() == {"listening": True, "servers": {"/": 1}, "problems": {}}
        await client.sio.disconnect()


@pytest.mark.parametrize("name", ["server.py", "fastapi_app.py", "worker.py"])
def test_examples_are_named_in_readme(name: str) -> None:
    assert f"examples/{name}" in (PYTHON / "README.md").read_text()
