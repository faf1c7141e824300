"""The Python node of the demo: python-socketio on the package `socketio-postgres`. README.md describes
its events.

    python python-server.py --database-url URL --name NAME [--port PORT]

Prints {"ready":true,"port":…,"software":…} and serves until stdin ends, so the process that started
it need not kill it.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from importlib.metadata import version
from pathlib import Path

import socketio
import uvicorn

# The package of this repository, whose packages are installed without it.
sys.path.append(str(Path(__file__).resolve().parent.parent / "python" / "src"))
from socketio_postgres import Options, PostgresManager, ResponseTimeout

parser = argparse.ArgumentParser()
parser.add_argument("--database-url", required=True)
parser.add_argument("--name", default="Python node")
parser.add_argument("--port", type=int, default=0)
options = parser.parse_args()
node = options.name

manager = PostgresManager(options.database_url, Options(node_name=node))
sio = socketio.AsyncServer(
    client_manager=manager,
    async_mode="asgi",
    max_http_buffer_size=8 * 1024 * 1024,
    cors_allowed_origins="*",
)


class Visitor:
    """A client of this node. Each of its events is handled in a task, and the lock lets one after the
    other in: otherwise the points of a stroke could overtake each other."""

    def __init__(self, sid: str, name: str):
        self.person = {"id": sid, "node": node, "name": name}
        self.turn = asyncio.Lock()


visitors: "dict[str, Visitor]" = {}


@contextlib.asynccontextmanager
async def turn(sid):
    """Waits until a client's earlier events are handled, and tells who the client is. The events of a
    client that has disconnected meanwhile are handled all the same."""
    visitor = visitors.get(sid) or Visitor(sid, "Guest")
    async with visitor.turn:
        yield visitor.person


@sio.event
async def connect(sid, environ, auth):
    name = str(auth["name"]) if isinstance(auth, dict) and "name" in auth else "Guest"
    visitors[sid] = Visitor(sid, name)
    manager.of("/").set_data(sid, {"node": node, "name": name})
    # What is sent before this handler returns would reach the client before it is connected.
    sio.start_background_task(greet, sid)


async def greet(sid):
    async with turn(sid) as person:
        await sio.emit("hello", person, to=sid)
        await sio.emit("joined", person, skip_sid=sid)


@sio.event
async def disconnect(sid, reason):
    async with turn(sid) as person:
        visitors.pop(sid, None)
        await sio.emit("left", person)


@sio.event
async def chat(sid, message):
    async with turn(sid) as person:
        await sio.emit("chat", {"from": person, **message}, to=message.get("room"))


@sio.event
async def draw(sid, segment):
    async with turn(sid) as person:
        await sio.emit("draw", {"from": person, **segment}, skip_sid=sid)


@sio.event
async def clear(sid):
    async with turn(sid) as person:
        await sio.emit("clear", {"from": person})


@sio.event
async def file(sid, sent):
    async with turn(sid) as person:
        await sio.emit("file", {"from": person, **sent})


@sio.event
async def private(sid, message):
    async with turn(sid) as person:
        sent = {"from": person, "text": message["text"], "at": message["at"]}
        await sio.emit("private", sent, to=message["to"])


@sio.event
async def join(sid, room):
    async with turn(sid):
        await sio.enter_room(sid, room)


@sio.event
async def leave(sid, room):
    async with turn(sid):
        await sio.leave_room(sid, room)


@sio.event
async def stats(sid):
    """The cluster as this node knows it, with the nodes in other languages and their sockets."""
    cluster = manager.of("/")
    servers = await cluster.server_count()
    try:
        sockets = await cluster.fetch_sockets()
    except ResponseTimeout as error:
        return {"servers": servers, "error": str(error)}
    described = [
        {
            "id": socket.id,
            "node": (socket.data or {}).get("node"),
            "name": (socket.data or {}).get("name"),
            "rooms": [room for room in socket.rooms if room != socket.id],
        }
        for socket in sockets
    ]
    return {"servers": servers, "sockets": described}


async def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen()  # now, for clients that read of it below
    await manager.start()
    config = uvicorn.Config(socketio.ASGIApp(sio), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    # Ctrl-C reaches the whole process group: the demo itself closes stdin when it is ready to.
    server.capture_signals = contextlib.nullcontext
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    software = f"python-socketio {version('python-socketio')}"
    print(json.dumps({"ready": True, "port": listener.getsockname()[1], "software": software}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await manager.close()
    server.should_exit = True
    server.force_exit = True
    await asyncio.wait({serving}, timeout=2)


asyncio.run(main())
