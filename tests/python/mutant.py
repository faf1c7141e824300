"""The node with one rule broken: `python mutant.py NAME options…`. The kit must tell each mistake."""

import asyncio
import hashlib
import runpy
import sys
from pathlib import Path

import cluster
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


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    runpy.run_path(str(Path(__file__).with_name("node.py")), run_name="__main__")
