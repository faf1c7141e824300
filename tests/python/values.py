"""Application data in Python, in JSON, and in MessagePack for attachments.

Numbers of JavaScript are doubles. Here they are `int` up to 2^53 and `float` beyond, so that they
have the same precision as on other nodes. A date is its ISO string, as clients get it.
"""

import json
import math
from datetime import datetime, timedelta
from decimal import Decimal

import msgpack

LARGEST_INTEGER = 2**53 - 1
# A lone surrogate is not valid Unicode, but JavaScript allows it in a string.
SURROGATES = "surrogatepass"
# In 400 years.
CALENDAR_DAYS = 146_097


class Unreadable(Exception):
    """Bytes or text that are not a message."""


def read_json(text: str):
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error


def write_json(value) -> "bytes | None":
    """`None` when there is binary in the value, which JSON cannot express."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_refuse_bytes)
    except _HasBinary:
        return None
    # A lone surrogate has no UTF-8, but an escape, and Python writes the same one as JSON: \ud800
    return text.encode("utf-8", "backslashreplace")


def read_messagepack(payload: bytes):
    try:
        return _plain(msgpack.unpackb(payload, unicode_errors=SURROGATES))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no MessagePack: {error or type(error).__name__}") from error


def write_messagepack(value) -> bytes:
    return msgpack.packb(value, unicode_errors=SURROGATES)


def as_javascript_writes(number: float):
    """An `int` where JavaScript writes only digits; `None` where it writes null."""
    if not math.isfinite(number):
        return None
    if number.is_integer() and abs(number) < 1e21:
        return int(Decimal(repr(number)))
    return number


def with_bytes(value):
    """Restores binary that Node.js has sent as `{"type": "Buffer", "data": [1, 2]}`."""
    if isinstance(value, list):
        return [with_bytes(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"type", "data"} and value["type"] == "Buffer" and isinstance(value["data"], list):
            try:
                return bytes(value["data"])
            except (TypeError, ValueError):  # these are no bytes
                pass
        return {key: with_bytes(item) for key, item in value.items()}
    return value


class _HasBinary(Exception):
    pass


def _refuse_bytes(value):
    raise _HasBinary


def _refuse(constant: str):
    raise ValueError(f"{constant} is no JSON")


def _integer(digits: str):
    # Python limits the number of digits that it reads, and the exact value is not needed.
    return _no_more_exact(int(digits)) if len(digits) < 20 else float(digits)


def _no_more_exact(number: int):
    return number if abs(number) <= LARGEST_INTEGER else float(number)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return _no_more_exact(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, msgpack.Timestamp):
        return _iso(value)
    if isinstance(value, msgpack.ExtType):
        return None
    return value


def _iso(timestamp: msgpack.Timestamp):
    """Like JavaScript's `toISOString`, also for years that Python does not have: `+275760-…`."""
    milliseconds = int(timestamp.seconds * 1000 + timestamp.nanoseconds / 10**6)
    if abs(milliseconds) > 8.64e15:
        return None  # not a date in JavaScript
    # The calendar repeats after 400 years.
    repetitions, rest = divmod(milliseconds, CALENDAR_DAYS * 86_400_000)
    time = datetime(1970, 1, 1) + timedelta(milliseconds=rest)
    year = time.year + 400 * repetitions
    written = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{written}{time:-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
