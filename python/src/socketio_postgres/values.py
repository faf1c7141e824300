"""Application data in Python, in JSON, and in MessagePack for attachments.

JavaScript's numbers are doubles. Here they are `int` up to 2^53 and `float` beyond, so that every
server sees the same number. Dates are their ISO strings, as clients get them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgpack

from .errors import InvalidValue, Unreadable

#: How deep lists and objects may be nested, in what is sent and in what is read.
MAX_DEPTH = 128
LARGEST_INTEGER = 2**53 - 1
# JavaScript allows lone surrogates in strings. They are not Unicode, but must not lose a message.
_SURROGATES = "surrogatepass"
# The calendar repeats after 400 years.
_CALENDAR_DAYS = 146_097
_LARGEST_DATE_MS = 8.64e15


def to_wire(value: Any) -> Any:
    """A value as other servers and clients can read it.

    Tuples become lists, keys become strings, `datetime` becomes an ISO string, NaN becomes null, as
    in JavaScript. `bytes`, `bytearray` and `memoryview` are binary.

    Raises `InvalidValue` for anything else, and for what is nested deeper than 128 levels.
    """
    return _to_wire(value, MAX_DEPTH)


def _to_wire(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # a subclass, such as an enum of strings, is its plain value
    if isinstance(value, int):
        return rounded(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime):
        return _iso_of(value)
    if not isinstance(value, (list, tuple, Mapping)):
        raise InvalidValue(
            f"a {type(value).__name__} cannot be sent: send None, bool, int, float, str, bytes, datetime, "
            "or lists and dicts of these"
        )
    if depth == 0:
        raise InvalidValue(f"a value is nested deeper than {MAX_DEPTH} levels, which cannot be sent: flatten it")
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in value.items():
            found[_key(key)] = _to_wire(item, depth - 1)
        return found
    items = []
    for item in value:
        items.append(_to_wire(item, depth - 1))
    return items


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int) and not isinstance(key, bool) and rounded(key) is None:
        raise InvalidValue("a key of an object is an integer that is no number in JavaScript: use strings")
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)  # as json writes such a key
    raise InvalidValue(f"a key of an object is a {type(key).__name__}: use strings")


def read_json(text: str) -> Any:
    """Raises `Unreadable`."""
    try:
        value = json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {_reason(error)}") from error
    # Counting is fast, and nearly no message has that many brackets.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(value)
    return value


def write_json(value: Any) -> bytes | None:
    """`None` when there is binary in the value, which JSON cannot express."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_refuse_bytes)
    except _HasBinary:
        return None
    # A lone surrogate has no UTF-8, but an escape: \ud800
    return text.encode("utf-8", "backslashreplace")


def read_messagepack(payload: bytes) -> Any:
    """Raises `Unreadable`."""
    try:
        value = msgpack.unpackb(payload, unicode_errors=_SURROGATES)
        return _plain(value, MAX_DEPTH + 3)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Unreadable(f"not MessagePack: {_reason(error)}") from error


def write_messagepack(value: Any) -> bytes:
    """The shortest forms, as Node.js writes them."""
    packed: bytes = msgpack.packb(value, unicode_errors=_SURROGATES)
    return packed


def content_bytes(value: Any) -> int:
    """How many bytes of binary, and characters of text, there are in it."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    if isinstance(value, dict):
        return sum(content_bytes(key) + content_bytes(each) for key, each in value.items())
    if isinstance(value, list):
        return sum(map(content_bytes, value))
    return 0


def check_depth(value: Any) -> None:
    """Raises `Unreadable` when the application data of a message are nested too deep."""
    # A message has three levels around them: itself, its data, the packet.
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH + 3:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level, depth = [item for item in below if isinstance(item, (dict, list))], depth + 1


def restore_buffers(value: Any) -> Any:
    """Restores binary that Node.js has written as `{"type": "Buffer", "data": [1, 2]}`."""
    if isinstance(value, list):
        return [restore_buffers(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"type", "data"} and value["type"] == "Buffer" and isinstance(value["data"], list):
            try:
                return bytes(value["data"])
            except (TypeError, ValueError):  # these are not bytes
                pass
        return {key: restore_buffers(item) for key, item in value.items()}
    return value


def unicode_only(value: Any) -> Any:
    """Replaces lone surrogates by U+FFFD, as Rust servers do for clients with the MessagePack parser."""
    if isinstance(value, str):
        return value.encode("utf-16-le", _SURROGATES).decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [unicode_only(item) for item in value]
    if isinstance(value, dict):
        return {unicode_only(key): unicode_only(item) for key, item in value.items()}
    return value


class _HasBinary(Exception):
    pass


def _refuse_bytes(value: Any) -> Any:
    raise _HasBinary


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH} levels"
    return str(error) or type(error).__name__


def _integer(digits: str) -> int | float:
    # Python limits the number of digits that it reads, and the exact value is not needed.
    if len(digits) < 16:
        return int(digits)
    number = rounded(int(digits)) if len(digits) < 20 else float(digits)
    # 1e400 written out is Infinity to JavaScript, which clients see as null.
    return 0 if number is None else number


def rounded(number: int) -> int | float | None:
    """An integer as the number that JavaScript reads: a double. `None` for what is Infinity to it."""
    if -LARGEST_INTEGER <= number <= LARGEST_INTEGER:
        return number
    try:
        return float(number)
    except OverflowError:
        return None


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, (dict, list)) and depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("a key is not a string")
            found[key] = _plain(item, depth - 1)
        return found
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_plain(item, depth - 1))
        return items
    if isinstance(value, int) and not isinstance(value, bool):
        return rounded(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, msgpack.Timestamp):
        return _iso_of_timestamp(value)
    if isinstance(value, msgpack.ExtType):
        return None
    return value


def _iso_of(time: datetime) -> str:
    """Like JavaScript's `toISOString`. A `datetime` without a time zone is in local time."""
    try:
        time = time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise InvalidValue(f"{time!r} has no date in UTC: years go from 1 to 9999") from None
    return f"{time.year:04}{time:-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def _iso_of_timestamp(timestamp: Any) -> str | None:
    """Like `toISOString`, also for years that Python does not have: `+275760-…`."""
    # Cut off towards 1970, as JavaScript does.
    milliseconds = int(timestamp.seconds * 1000 + timestamp.nanoseconds / 10**6)
    if abs(milliseconds) > _LARGEST_DATE_MS:
        return None  # not a date in JavaScript
    repetitions, rest = divmod(milliseconds, _CALENDAR_DAYS * 86_400_000)
    time = datetime(1970, 1, 1) + timedelta(milliseconds=rest)
    year = time.year + 400 * repetitions
    written = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{written}{time:-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
