"""JSON lines to and from the process that started this one: commands in, answers and events out.

Binary is `{"$bin": "<base64>"}`, a string with a lone surrogate is `{"$utf16": "<base64>"}`.
"""

import asyncio
import base64
import sys
from typing import AsyncIterator

from values import SURROGATES, as_javascript_writes, read_json, write_json


async def commands() -> AsyncIterator[dict]:
    """Reads commands until stdin ends."""
    reader = asyncio.StreamReader(limit=2**30)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield _read(read_json(line.decode()))


def tell(event: str, **fields):
    """Prints an event."""
    say({"event": event, **fields})


def say(line: dict):
    sys.stdout.buffer.write(write_json(_written(line)) + b"\n")
    sys.stdout.buffer.flush()


def log(*parts):
    """Prints to stderr, for people."""
    print(*parts, file=sys.stderr, flush=True)


def _read(value):
    if isinstance(value, list):
        return [_read(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$bin"}:
            return base64.b64decode(value["$bin"])
        if value.keys() == {"$utf16"}:
            return base64.b64decode(value["$utf16"]).decode("utf-16-le", SURROGATES)
        return {key: _read(item) for key, item in value.items()}
    return value


def _written(value):
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return as_javascript_writes(value)
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return {"$utf16": base64.b64encode(value.encode("utf-16-le", SURROGATES)).decode()}
    return value
