"""A node of a Socket.IO cluster on PostgreSQL, written from docs/protocol.md alone.

JSON lines drive it. It has no clients: virtual sockets take their place. README.md says how to
run it.
"""

import argparse
import asyncio
import inspect
import sys
from typing import Callable, Coroutine

from cluster import RESERVED, RESERVED_BY_SERVERS, Node, Process, Selection, TimedOut
from lines import commands, log, say, tell
from postgres import Postgres
from sockets import Reply, Socket, handshake

# Values may have some thousand levels of lists.
sys.setrecursionlimit(20_000)


class Refused(Exception):
    """The node cannot do what a command asks for."""


class Server:
    """Carries out commands. Each method that begins with `op_` is one, by its name."""

    def __init__(self, options: argparse.Namespace):
        self.postgres = Postgres(
            options.database_url, options.listen_url or options.database_url, options.table, options.payload_threshold
        )
        self.process = Process(self.postgres, options.channel_prefix)
        self.process.nodes = [
            Node(self.process, self.postgres, options.channel_prefix, nsp) for nsp in options.namespace or ["/"]
        ]
        self.clients: "list[Socket]" = []
        self.options = options
        # Tasks without an end: asyncio itself does not keep them alive.
        self.publishing: "list[asyncio.Task]" = []
        self.living: "list[asyncio.Task]" = []

    async def start(self):
        """Returns once the node listens and has announced itself to the cluster."""
        await self.postgres.prepare()
        nodes, options = self.process.nodes, self.options
        listens = asyncio.Event()

        def listening():
            for node in nodes:
                node.join()
            listens.set()

        channels = {node.channel for node in nodes}
        self.publishing = _forever(self.postgres.publish_queued())
        self.living = _forever(
            self.postgres.listen(channels, listening, self.process.heard),
            self.postgres.clean_up(options.cleanup_interval_ms / 1000),
            *(node.forget_silent_nodes(options.heartbeat_timeout_ms / 1000) for node in nodes),
        )
        await listens.wait()
        self.living += _forever(*(node.beat(options.heartbeat_interval_ms / 1000) for node in nodes))

    async def leave(self):
        # First, or a late response would make the node count as alive again.
        for task in self.living:
            task.cancel()
        await asyncio.gather(*(node.leave() for node in self.process.nodes))

    # Events

    async def op_emit(self, command: dict):
        if "client" in command:
            raise Refused("a virtual socket sends nothing")
        await self._node(command).emit(_event(command), _selection(command))

    async def op_emitWithAck(self, command: dict):
        return await _answers(self._node(command).emit_with_ack(_event(command), _selection(command)))

    async def op_serverSideEmit(self, command: dict):
        await self._node(command).server_side_emit(_event(command, RESERVED_BY_SERVERS))

    async def op_serverSideEmitWithAck(self, command: dict):
        return await _answers(self._node(command).server_side_emit_with_ack(_event(command, RESERVED_BY_SERVERS)))

    def op_replyServerSide(self, command: dict):
        self._node(command).replies[command["event"]] = Reply.of(command)

    # Sockets of any node

    async def op_socketsJoin(self, command: dict):
        await self._node(command).join_rooms(command["join"], _selection(command))

    async def op_socketsLeave(self, command: dict):
        await self._node(command).leave_rooms(command["leave"], _selection(command))

    async def op_disconnectSockets(self, command: dict):
        await self._node(command).disconnect(command.get("close", False), _selection(command))

    async def op_fetchSockets(self, command: dict):
        return await self._node(command).fetch_sockets(_selection(command))

    async def op_countSockets(self, command: dict):
        return len(await self.op_fetchSockets(command))

    async def op_socketIds(self, command: dict):
        return [socket["id"] for socket in await self.op_fetchSockets(command)]

    async def op_remote(self, command: dict):
        """An operation on all sockets, for the one socket with this id."""
        operations = {
            "emit": self.op_emit,
            "emitWithAck": self.op_emitWithAck,
            "join": self.op_socketsJoin,
            "leave": self.op_socketsLeave,
            "disconnect": self.op_disconnectSockets,
        }
        address = {"nsp": command.get("nsp", "/"), "rooms": [command["target"]]}
        if not await self.op_fetchSockets(address):
            raise Refused(f"no such socket: {command['target']}")
        return await operations[command["do"]]({**command, **address, "single": True})

    # This server

    def op_serverCount(self, command: dict):
        return self._node(command).server_count()

    def op_localSockets(self, command: dict):
        described = [socket.described() for socket in self._node(command).sockets.values()]
        return [{"id": socket["id"], "rooms": socket["rooms"]} for socket in described]

    def op_setData(self, command: dict):
        self._node(command).sockets[command["socket"]].data = command["data"]

    def op_problems(self, command: dict):
        """How often each kind of bad input came."""
        return dict(self.process.problems)

    # Virtual sockets

    def op_addSocket(self, command: dict):
        node = self._node(command)
        socket = Socket(client=len(self.clients), nsp=node.nsp, handshake=handshake(command))
        socket.id = command.get("socket", socket.id)
        socket.data = command.get("data", {})
        socket.rooms = {socket.id, *command.get("rooms", [])}
        self.clients.append(socket)
        node.sockets[socket.id] = socket
        tell("connected", nsp=node.nsp, socket=socket.id)
        return {"client": socket.client, "socket": socket.id}

    def op_reply(self, command: dict):
        self.clients[command["client"]].replies[command["event"]] = Reply.of(command)

    def op_received(self, command: dict):
        return self.clients[command["client"]].received

    def op_disconnect(self, command: dict):
        socket = self.clients[command["client"]]
        node = self._node({"nsp": socket.nsp})
        if socket.id in node.sockets:
            node.disconnected(socket, "io client disconnect")

    def _node(self, command: dict) -> Node:
        nsp = command.get("nsp", "/")
        for node in self.process.nodes:
            if node.nsp == nsp:
                return node
        raise Refused(f"Invalid namespace: {nsp}")

    async def carry_out(self, command: dict):
        try:
            operation: "Callable | None" = getattr(self, f"op_{command.get('op')}", None)
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


def _forever(*work: Coroutine) -> "list[asyncio.Task]":
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(lambda task: task.cancelled() or log(f"a task has ended: {task.exception()!r}"))
    return tasks


def _event(command: dict, reserved: set = RESERVED) -> list:
    """The packet of a command, if its event may be sent."""
    if command["event"] in reserved:
        raise Refused(f"{command['event']!r} is a reserved event name")
    return _packet(command)


def _packet(command: dict) -> list:
    return [command["event"], *command.get("args", [])]


def _selection(command: dict) -> Selection:
    flags = {flag: command[flag] for flag in ("volatile", "compress", "timeout") if flag in command}
    if command.get("single"):
        flags["expectSingleResponse"] = True
    left_out = list(command.get("except", []))
    if "from" in command:  # a socket's own broadcast
        left_out.append(command["from"])
    return Selection(command.get("rooms", []), left_out, flags, command.get("local", False))


async def _answers(responses) -> dict:
    try:
        return {"responses": await responses, "error": None}
    except TimedOut as error:
        return {"responses": error.responses, "error": str(error)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--listen-url")
    parser.add_argument("--channel-prefix", default="socket.io")
    parser.add_argument("--table", default="socket_io_attachments")
    parser.add_argument("--payload-threshold", type=int, default=8000)
    parser.add_argument("--heartbeat-interval-ms", type=int, default=5_000)
    parser.add_argument("--heartbeat-timeout-ms", type=int, default=10_000)
    parser.add_argument("--cleanup-interval-ms", type=int, default=30_000)
    parser.add_argument("--namespace", action="append")
    # Ops that need clients or a pool do nothing on this node.
    for ignored in ("--dynamic-namespace", "--parser", "--pool-size"):
        parser.add_argument(ignored, action="append", help=argparse.SUPPRESS)
    return parser.parse_args()


async def main():
    server = Server(_options())
    await server.start()
    say({"ready": True, "port": 0, "uid": server.process.nodes[0].uid})
    under_way = set()
    async for command in commands():
        if command.get("op") == "close":
            await server.leave()
            say({"id": command["id"], "ok": None})
            return
        task = asyncio.create_task(server.carry_out(command))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await server.leave()


asyncio.run(main())
