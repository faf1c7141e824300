"""The node with one rule broken: `python mutant.py NAME options…`. The kit must tell each mistake."""

import asyncio
import hashlib
import os
import runpy
import secrets
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cluster
import lines
import postgres
import sockets
import values
from cluster import Node, Process, Type


def answers_itself():
    _hear_oneself(lambda message: message.get("type") == Type.FETCH_SOCKETS)


def delivers_twice():
    _hear_oneself(lambda message: message.get("type") == Type.BROADCAST)


def _hear_oneself(which):
    right = Process._receivers

    def receivers(self, channel, message):
        if not which(message):
            return right(self, channel, message)
        return right(self, channel, {**message, "uid": None})

    Process._receivers = receivers


def ignores_except():
    right = sockets.Socket.matches
    sockets.Socket.matches = lambda self, opts: right(self, {**opts, "except": []})


def _changed(kind, change):
    """Changes the messages of a type before they are sent; `None` is not sent."""
    right = postgres.Postgres.publish

    def publish(self, channel, message):
        if message["type"] == kind:
            message = change(message)
            if message is None:
                done = asyncio.get_running_loop().create_future()
                done.set_result(None)
                return done
        return right(self, channel, message)

    postgres.Postgres.publish = publish


def heartbeat_type_is_text():
    _changed(Type.HEARTBEAT, lambda message: {**message, "type": "2"})


def does_not_greet():
    _changed(Type.HEARTBEAT, lambda message: None)


def does_not_close():
    _changed(Type.ADAPTER_CLOSE, lambda message: None)


def response_without_request():
    _changed(Type.FETCH_SOCKETS_RESPONSE, lambda message: {**message, "data": {"sockets": message["data"]["sockets"]}})


def response_in_another_namespace():
    _changed(Type.FETCH_SOCKETS_RESPONSE, lambda message: {**message, "nsp": "/elsewhere"})


def counts_one_too_many():
    def change(message):
        data = message["data"]
        return {**message, "data": {**data, "clientCount": data["clientCount"] + 1}}

    _changed(Type.BROADCAST_CLIENT_COUNT, change)


def writes_null():
    _changed(Type.HEARTBEAT, lambda message: {"type": message["type"], "data": None, **message})


def header_names_another_row():
    right = postgres.Postgres._sql
    postgres.Postgres._sql = lambda self, text: right(self, text.replace("RETURNING id", "RETURNING id + 1000"))


def binary_inline():
    def with_buffers(value):
        if isinstance(value, bytes):
            return {"type": "Buffer", "data": list(value)}
        if isinstance(value, list):
            return [with_buffers(item) for item in value]
        if isinstance(value, dict):
            return {key: with_buffers(item) for key, item in value.items()}
        return value

    postgres.write_json = lambda value: values.write_json(with_buffers(value))


def long_inline():
    postgres.PAYLOAD_BYTES = 2**30
    right = postgres.Postgres.__init__
    postgres.Postgres.__init__ = lambda self, url, listen, table, _: right(self, url, listen, table, 2**30)


def hashes_channels():
    cluster.channel_name = lambda prefix, nsp: f"{prefix}#{hashlib.sha256(nsp.encode()).hexdigest()[:16]}"


def never_joins():
    Node._join_rooms = lambda self, rooms, opts: None


def never_exits():
    AFTERWARDS.append(lambda: time.sleep(3600))


def exits_with_7():
    AFTERWARDS.append(lambda: os._exit(7))


def ignores_close():
    """And goes on sending heartbeats, faster than the kit waits for silence."""
    _commands(lambda command: None if command.get("op") == "close" else command)
    right = Node.beat
    Node.beat = lambda self, interval: right(self, 0.05)


def _commands(change):
    """Changes the commands before they are carried out; `None` is ignored."""
    right = lines.commands

    async def commands():
        async for command in right():
            command = change(command)
            if command is not None:
                yield command

    lines.commands = commands


def only_hears():
    known = ("addSocket", "received", "close")
    _commands(lambda command: command if command["op"] in known else {**command, "op": f"not {command['op']}"})

    def send(self, kind, **data):
        self._published = time.monotonic()
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    Node._send = send


def answers_beside_the_reply_channel():
    channels = {}
    receive, publish = Node.receive, postgres.Postgres.publish

    def noted(self, message):
        if "replyTo" in message:
            channels[message["data"]["requestId"]] = message["replyTo"].replace("?", "#")
        receive(self, message)

    def elsewhere(self, channel, message):
        if message["type"] in (8, 10, 11, 12):
            channel = channels.get(message["data"]["requestId"], channel)
        return publish(self, channel, message)

    Node.receive, postgres.Postgres.publish = noted, elsewhere


def exits_on_bad_input():
    Process.problem = lambda self, kind, text: os._exit(3)


def forwards_any_packet():
    class Any(int):
        def __eq__(self, _):
            return True

    cluster.EVENT = Any(2)


def ignores_nsp():
    def receivers(self, channel, message):
        return [node for node in self.nodes if node.channel == channel and node.uid != message.get("uid")]

    Process._receivers = receivers


def needs_nsp():
    right = Process._receivers
    Process._receivers = lambda self, channel, message: right(self, channel, message) if "nsp" in message else []


def mixes_requests():
    class LastOne(dict):
        def get(self, _):
            return list(self.values())[-1] if self else None

    right = Node.__init__

    def init(self, *arguments):
        right(self, *arguments)
        self._requests = LastOne()

    Node.__init__ = init


def never_listens_again():
    postgres.random = SimpleNamespace(uniform=lambda *_: 1e6)


def cannot_reply():
    _commands(lambda command: {**command, "client": "/"} if command["op"] == "reply" else command)


def has_one_uid():
    uid = secrets.token_hex(8)
    cluster.secrets = SimpleNamespace(token_hex=lambda _: uid)


AFTERWARDS = []

if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    runpy.run_path(str(Path(__file__).with_name("node.py")), run_name="__main__")
    for what in AFTERWARDS:
        what()
