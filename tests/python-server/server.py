"""A test node: one server of python-socketio on the package `socketio-postgres`, driven by JSON lines.

    python server.py --database-url URL [options]

The commands and events are those of the other test nodes. It shares `lines.py` with the node in
`tests/python`, and nothing else.
"""

import argparse
import asyncio
import contextlib
import inspect
import re
import signal
import socket
import sys
from pathlib import Path

import socketio
import uvicorn
from socketio_postgres import InvalidNamespace, Options, PostgresManager, ResponseTimeout

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))
from lines import commands, log, say, tell  # noqa: E402

# As for a Rust server.
ACK_TIMEOUT = 5.0
# Lines may hold some thousand levels of lists, also those that the server then refuses.
sys.setrecursionlimit(20_000)


class Refused(Exception):
    """The node cannot do what a command asks for."""


class Manager(PostgresManager):
    """Tells which clients come and go."""

    async def connect(self, sid: str, namespace: str) -> str:
        sid = await super().connect(sid, namespace)
        tell("connected", nsp=namespace, socket=sid)
        return sid

    async def disconnect(self, sid: str, namespace: str, **kwargs):
        was_there = kwargs.get("ignore_queue") and self.is_sid_room(namespace, sid)
        await super().disconnect(sid, namespace, **kwargs)
        if was_there:
            tell("disconnected", nsp=namespace, socket=sid)


class Server:
    """Carries out commands. Each method that begins with `op_` is one, by its name."""

    def __init__(self, options: argparse.Namespace):
        self.namespaces = options.namespace or ["/"]
        self.patterns = [re.compile(pattern) for pattern in options.dynamic_namespace or []]
        self.manager = Manager(options.database_url, cluster_options(options, self.is_dynamic))
        self.sio = socketio.AsyncServer(
            client_manager=self.manager,
            async_mode="asgi",
            serializer="msgpack" if options.parser == "msgpack" else "default",
            namespaces="*" if self.patterns else self.namespaces,
            max_http_buffer_size=100_000_000,
            cors_allowed_origins="*",
        )
        self.replies: "dict[tuple[str, str], dict]" = {}
        self.served: "set[str]" = set()
        for namespace in self.namespaces:
            self.serve(namespace)
        self.sio.on("*", self.packet_of_dynamic, namespace="*")

    def is_dynamic(self, namespace: str) -> bool:
        return any(pattern.search(namespace) for pattern in self.patterns)

    def serve(self, namespace: str):
        """Tells of all events of a namespace."""
        if namespace in self.served:
            return
        self.served.add(namespace)
        if not self.is_dynamic(namespace):
            self.sio.on("*", lambda event, sid, *args: self.packet(namespace, event, sid, args), namespace=namespace)
        self.manager.of(namespace).on("*")(lambda event, *args: self.server_event(namespace, event, args))

    def packet_of_dynamic(self, event: str, namespace: str, sid: str, *args):
        return self.packet(namespace, event, sid, args)

    def packet(self, namespace: str, event: str, sid: str, args):
        tell("packet", nsp=namespace, socket=sid, name=event, args=list(args))
        return self.sio.not_handled

    async def server_event(self, namespace: str, event: str, args):
        tell("serverSide", nsp=namespace, name=event, args=list(args))
        reply = self.replies.get((namespace, event), {"never": True})
        if reply.get("never"):
            await asyncio.Event().wait()
        given = reply.get("with", [])
        return given[0] if given else None

    async def namespace(self, command: dict):
        name = command.get("nsp", "/")
        if name not in self.namespaces and not self.is_dynamic(name):
            raise Refused(f"no such namespace: {name}")
        self.serve(name)
        return self.manager.of(name)

    async def selection(self, command: dict):
        selection = await self.namespace(command)
        if command.get("rooms"):
            selection = selection.to(*command["rooms"])
        if command.get("except"):
            selection = selection.except_(*command["except"])
        if "from" in command:
            selection = selection.except_(self.local_socket(command["from"], command))
        if command.get("local"):
            selection = selection.local
        if command.get("volatile"):
            selection = selection.volatile
        if "compress" in command:
            selection = selection.compress(command["compress"])
        return selection.timeout(command["timeout"] / 1000) if "timeout" in command else selection

    def local_socket(self, sid: str, command: dict) -> str:
        namespace = command.get("nsp", "/")
        if not self.manager.is_connected(sid, namespace):
            raise Refused(f"no such socket on this node in {namespace}: {sid}")
        return sid

    # Events

    async def op_emit(self, command: dict):
        # python-socketio does not publish what is for one client of this server: here it is a room.
        is_of_client = any(self.manager.is_connected(room, command.get("nsp", "/")) for room in command.get("rooms", []))
        if is_of_client or command.keys() & {"except", "volatile", "compress", "timeout"}:
            await (await self.selection(command)).emit(command["event"], *command.get("args", []))
            return
        # The API of python-socketio where it can say what is asked for.
        await self.namespace(command)
        await self.sio.emit(
            command["event"],
            tuple(command.get("args", [])),
            to=command.get("rooms"),
            skip_sid=self.local_socket(command["from"], command) if "from" in command else None,
            namespace=command.get("nsp", "/"),
            ignore_queue=command.get("local", False),
        )

    async def op_emitWithAck(self, command: dict):
        selection = await self.selection({"timeout": ACK_TIMEOUT * 1000, **command})
        return await responses(selection.emit_with_ack(command["event"], *command.get("args", [])))

    async def op_serverSideEmit(self, command: dict):
        await (await self.namespace(command)).server_side_emit(command["event"], *command.get("args", []))

    async def op_serverSideEmitWithAck(self, command: dict):
        namespace = await self.namespace(command)
        return await responses(namespace.server_side_emit_with_ack(command["event"], *command.get("args", [])))

    async def op_replyServerSide(self, command: dict):
        await self.namespace(command)
        self.replies[command.get("nsp", "/"), command["event"]] = command

    # Sockets of any server

    async def op_socketsJoin(self, command: dict):
        await (await self.selection(command)).sockets_join(*command["join"])

    async def op_socketsLeave(self, command: dict):
        await (await self.selection(command)).sockets_leave(*command["leave"])

    async def op_disconnectSockets(self, command: dict):
        await (await self.selection(command)).disconnect_sockets(command.get("close", False))

    async def op_fetchSockets(self, command: dict):
        found = await (await self.selection(command)).fetch_sockets()
        return [{"id": it.id, "rooms": it.rooms, "handshake": it.handshake, "data": it.data} for it in found]

    async def op_countSockets(self, command: dict):
        return await (await self.selection(command)).count()

    async def op_socketIds(self, command: dict):
        return await (await self.selection(command)).socket_ids()

    async def op_remote(self, command: dict):
        """An operation on one socket of any server."""
        namespace = await self.namespace(command)
        found = await namespace.to(command["target"]).fetch_sockets()
        target = next((each for each in found if each.id == command["target"]), None)
        if target is None:
            raise Refused(f"no such socket in {namespace.namespace}: {command['target']}")
        args = command.get("args", [])
        if command["do"] == "emit":
            await target.emit(command["event"], *args)
        elif command["do"] == "emitWithAck":
            timeout = command.get("timeout", ACK_TIMEOUT * 1000) / 1000
            return await responses(listed(target.emit_with_ack(command["event"], *args, timeout=timeout)))
        elif command["do"] == "join":
            await target.join(*command["join"])
        elif command["do"] == "leave":
            await target.leave(*command["leave"])
        elif command["do"] == "disconnect":
            await target.disconnect(command.get("close", False))
        else:
            raise Refused(f"remote cannot do: {command['do']}")
        return None

    # This server

    async def op_serverCount(self, command: dict):
        return await (await self.namespace(command)).server_count()

    async def op_localSockets(self, command: dict):
        await self.namespace(command)
        nsp = command.get("nsp", "/")
        sids = [sid for sid, _ in self.manager.get_participants(nsp, None) if self.manager.is_connected(sid, nsp)]
        return [{"id": sid, "rooms": self.sio.rooms(sid, nsp)} for sid in sids]

    async def op_localRooms(self, command: dict):
        """All rooms that this server has, without the rooms of its own sockets' ids."""
        rooms = self.manager.rooms.get(command.get("nsp", "/"), {})
        return [room for room in rooms if room is not None and room not in rooms.get(None, {})]

    async def op_setData(self, command: dict):
        (await self.namespace(command)).set_data(self.local_socket(command["socket"], command), command["data"])

    def op_problems(self, command: dict):
        """How often each kind of bad input came."""
        return self.manager.health().problems

    async def carry_out(self, command: dict):
        try:
            operation = getattr(self, f"op_{command.get('op')}", None)
            if operation is None:
                raise Refused(f"unknown op: {command.get('op')}")
            result = operation(command)
            if inspect.isawaitable(result):
                result = await result
            say({"id": command.get("id"), "ok": result})
        except KeyError as error:
            say({"id": command.get("id"), "error": f"there is no {error}"})
        except Exception as error:
            say({"id": command.get("id"), "error": str(error) or type(error).__name__})


class Http(uvicorn.Server):
    """Leaves signals to the node."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def listed(value):
    return [await value]


async def responses(waiting) -> dict:
    try:
        return {"responses": await waiting, "error": None}
    except ResponseTimeout as error:
        return {"responses": error.responses, "error": str(error)}


def cluster_options(options: argparse.Namespace, accept) -> Options:
    given = {
        "channel_prefix": options.channel_prefix,
        "table": options.table,
        "payload_threshold": options.payload_threshold,
        "heartbeat_interval": seconds(options.heartbeat_interval_ms),
        "heartbeat_timeout": seconds(options.heartbeat_timeout_ms),
        "cleanup_interval": seconds(options.cleanup_interval_ms),
        "listen_url": options.listen_url,
    }
    given["inline_binary"] = options.inline_binary
    set_ones = {name: value for name, value in given.items() if value is not None}
    return Options(**set_ones, accept_namespace=accept, on_gap=lambda gap: log(f"gap: {gap}"))


def seconds(milliseconds):
    return None if milliseconds is None else milliseconds / 1000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True)
    for name in ("--listen-url", "--channel-prefix", "--table"):
        parser.add_argument(name)
    for name in ("--payload-threshold", "--heartbeat-interval-ms", "--heartbeat-timeout-ms", "--cleanup-interval-ms"):
        parser.add_argument(name, type=int)
    parser.add_argument("--namespace", action="append")
    parser.add_argument("--dynamic-namespace", action="append")
    parser.add_argument("--inline-binary", action="store_true")
    parser.add_argument("--parser", default="common")
    parser.add_argument("--pool-size", help=argparse.SUPPRESS)  # it has no pool
    return parser.parse_args()


async def main():
    server = Server(arguments())
    await server.manager.start()
    listener = socket.create_server(("127.0.0.1", 0))
    app = socketio.ASGIApp(server.sio)
    http = Http(uvicorn.Config(app, log_config=None, lifespan="off", ws_max_size=2**30, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    while not http.started:
        await asyncio.sleep(0.005)
    uid = await server.manager.of("/").uid()
    say({"ready": True, "port": listener.getsockname()[1], "uid": uid})

    under_way = set()
    last = None
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)

    async def serve_commands():
        async for command in commands():
            if command.get("op") == "close":
                return command
            task = asyncio.create_task(server.carry_out(command))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        return None

    serving_commands = asyncio.create_task(serve_commands())
    stopping = asyncio.create_task(terminated.wait())
    await asyncio.wait({serving_commands, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving_commands.done():
        last = serving_commands.result()
    with contextlib.suppress(InvalidNamespace):
        for namespace in list(server.manager.get_namespaces()):
            await server.manager.of(namespace).local.disconnect_sockets(True)
    await server.manager.close()
    if last is not None:
        say({"id": last["id"], "ok": None})
    http.should_exit = True
    await asyncio.wait({serving}, timeout=2)


asyncio.run(main())
