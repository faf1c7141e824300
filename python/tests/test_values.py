"""Application data in JSON and MessagePack, against recorded traffic of Node.js and at random."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketio_postgres import InvalidValue
from socketio_postgres.errors import NotUsable, Unreadable
from socketio_postgres.values import (
    read_json,
    read_messagepack,
    restore_buffers,
    to_wire,
    write_json,
    write_messagepack,
)
from socketio_postgres.wire import (
    PAYLOAD_BYTES,
    Type,
    new_message,
    read_attachment,
    read_notification,
    write_message,
)

FIXTURES = Path(__file__).resolve().parents[2] / "protocol" / "tests" / "fixtures"

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
# Lone surrogates among them: JavaScript allows these in strings.
text = st.text(st.characters(codec=None))
without_binary = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)
values = st.recursive(
    st.none() | st.booleans() | numbers | text | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)


@given(without_binary)
def test_json_gives_back_what_it_was_given(value: Any) -> None:
    written = write_json(to_wire(value))
    assert written is not None
    assert read_json(written.decode()) == value


@given(values)
def test_messagepack_gives_back_what_it_was_given(value: Any) -> None:
    assert read_messagepack(write_messagepack(to_wire(value))) == value


def has_binary(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_binary, value.values()))
    if isinstance(value, list):
        return any(map(has_binary, value))
    return isinstance(value, bytes)


@given(values)
def test_json_refuses_binary_and_nothing_else(value: Any) -> None:
    assert (write_json(value) is None) == has_binary(value)


@given(values, st.integers(1, 9000), st.booleans())
def test_a_message_travels_inline_or_as_an_attachment(value: Any, threshold: int, packs: bool) -> None:
    message = new_message(3, "x", "/", {"packet": {"type": 2, "data": ["e", to_wire(value)]}})  # type: ignore[arg-type]
    outgoing = write_message("socket.io#/", message, threshold, packs)
    if outgoing.body is None:
        assert ('"type"' in outgoing.payload) or (packs and has_binary(to_wire(value)))
        assert len(outgoing.payload.encode()) <= min(PAYLOAD_BYTES, threshold - 1)
        assert read_notification(outgoing.payload).body == message
    else:
        header = read_notification(outgoing.payload + "17" + (outgoing.after_id or ""))
        assert (header.row, header.uid, header.kind, header.nsp) == (17, "x", 3, "/")
        assert read_attachment(outgoing.body).body == message


@given(st.binary(max_size=300))
def test_bytes_from_anywhere_are_a_message_or_an_error(payload: bytes) -> None:
    with suppress(NotUsable):
        read_attachment(payload)
    with suppress(NotUsable):
        read_notification(payload.decode("latin-1"))


def captured() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for file in sorted((FIXTURES / "captures").glob("*.jsonl")):
        lines += [json.loads(line) for line in file.read_text().split("\n") if line]
    return lines


def test_what_node_js_sent_is_read_and_written_as_it_was() -> None:
    inline = attached = 0
    for line in captured():
        if "type" not in json.loads(line["payload"]):
            continue  # what an application's own worker has sent to its primary
        incoming = read_notification(line["payload"])
        if line["attachment_hex"] is None:
            # In this order of keys, too. Node.js writes some numbers otherwise: 1e21 and 1e+21.
            written = write_json(incoming.body)
            assert written is not None
            assert json.loads(written, parse_int=float) == json.loads(line["payload"], parse_int=float)
            inline += written.decode() == line["payload"]
        elif line["attachment_hex"]:
            payload = bytes.fromhex(line["attachment_hex"])
            message = read_attachment(payload)
            assert (message.uid, message.kind) == (incoming.uid, incoming.kind)
            attached += write_messagepack(message.body) == payload
    assert inline > 100
    assert attached > 20


def test_messages_that_others_refuse_are_refused_or_read_and_never_raise_anything_else() -> None:
    refused = 0
    for line in (FIXTURES / "refused.jsonl").read_text().split("\n")[:-1]:
        try:
            read_notification(json.dumps(json.loads(line)["message"]))
        except NotUsable:
            refused += 1
    assert refused >= 5


class Colour(str, Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ((1, (2,)), [1, [2]]),
        (float("nan"), None),
        (-math.inf, None),
        (10**400, None),
        (2**53, 9007199254740992.0),
        (2**64, 18446744073709551616.0),
        (True, True),
        (Colour.RED, "red"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        ({1: 2, None: 3, False: 4, 1.5: 5}, {"1": 2, "null": 3, "false": 4, "1.5": 5}),
        (datetime(2023, 11, 14, 22, 13, 20, 123_999, timezone.utc), "2023-11-14T22:13:20.123Z"),
    ],
)
def test_what_python_has_becomes_what_javascript_has(value: Any, sent: Any) -> None:
    assert to_wire(value) == sent
    assert type(to_wire(value)) is type(sent)


# Their dates in UTC are out of range for Python.
EARLY = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
LATE = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))


@pytest.mark.parametrize("value", [object(), {1, 2}, {(1,): 2}, 1j, print, EARLY, LATE])
def test_what_no_client_can_read_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        to_wire(value)


@pytest.mark.parametrize(
    ("packed", "read"),
    [
        ("d6ff6553f100", "2023-11-14T22:13:20.000Z"),
        ("d7ff1d5353006553f100", "2023-11-14T22:13:20.123Z"),
        ("c70cff1dcd6500fffffffffffffffe", "1969-12-31T23:59:58.500Z"),
        ("c70cff000000000000084595161401484a000000"[:30], None),
        ("d40100", None),
        ("cb7ff8000000000000", None),
        ("cfffffffffffffffff", 18446744073709551615.0),
        ("a3eda080", "\ud800"),
    ],
)
def test_messagepack_of_javascript(packed: str, read: Any) -> None:
    assert read_messagepack(bytes.fromhex(packed)) == read


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x01\x02",  # more bytes after the value
        b"\x81\x01\x02",  # a key that is not a string
        b"\x81\xc4\x01a\x02",  # a key that is binary
        b"\xdd\xff\xff\xff\xff",  # a length without items
        b"\xa1\xff",  # not UTF-8
        b"\x91" * 200 + b"\x01",
        b"\x91" * 100_000,
    ],
)
def test_bytes_that_are_not_messagepack_are_refused(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        read_messagepack(payload)


@pytest.mark.parametrize("payload", ["", "{", "NaN", "[Infinity]", "[" * 200 + "]" * 200, "[" * 100_000])
def test_text_that_is_not_json_is_refused(payload: str) -> None:
    with pytest.raises(Unreadable):
        read_json(payload)


def test_numbers_of_many_digits_are_rounded_as_in_javascript() -> None:
    assert read_json("[9007199254740993, 1e400, -0]") == [9007199254740992.0, math.inf, 0]
    assert read_json("9" * 5000) == math.inf


def test_buffers_in_the_form_of_node_js_become_bytes() -> None:
    buffer = {"type": "Buffer", "data": [1, 255]}
    assert restore_buffers({"a": [buffer]}) == {"a": [b"\x01\xff"]}
    for other in ({"type": "Buffer", "data": [256]}, {"type": "Buffer", "data": ["1"]}, {**buffer, "more": 1}):
        assert restore_buffers(other) == other


def test_the_shortest_forms_are_written() -> None:
    assert write_messagepack([1, "a", b"a", -1]) == msgpack.packb([1, "a", b"a", -1])
    assert write_messagepack([1, "a", b"a", -1]).hex() == "9401a161c40161ff"


def test_binary_is_packed_while_it_fits() -> None:
    def written(size: int, packs: bool = True) -> Any:
        data = {"packet": {"type": 2, "data": ["e", bytes(size)]}, "opts": {"rooms": [], "except": [], "flags": {}}}
        return write_message("socket.io#/", new_message(Type.BROADCAST, "x", "/", data, nonce="1"), 8000, packs)

    for size in (0, 1, 1024, 5700):
        payload = written(size).payload
        assert payload.endswith('","uid":"x","nsp":"/","source":"_sio_adapter","nonce":"1"}')
        incoming = read_notification(payload)
        assert (incoming.kind, incoming.uid, incoming.nsp, incoming.row) == (3, "x", "/", None)
        assert incoming.body["data"]["packet"]["data"] == ["e", bytes(size)]
    assert written(6000).body is not None
    assert written(1, packs=False).body is not None


@pytest.mark.parametrize("packed", ["17", "null", '"?"', '"gqR0e"', '"wQ=="', '""', '"kA=="', '"gA=="'])
def test_what_is_packed_wrong_is_refused(packed: str) -> None:
    with pytest.raises(NotUsable):
        read_notification(f'{{"packed":{packed},"uid":"a","nsp":"/"}}')


def test_beside_a_type_or_an_attachment_it_is_an_unknown_key() -> None:
    assert read_notification('{"type":2,"packed":17,"uid":"a","nsp":"/"}').kind == 2
    assert read_notification('{"packed":"?","type":3,"uid":"a","attachmentId":"5"}').row == 5
    # {"type":2,"uid":"b","nsp":"/other"}, {"type":2,"uid":7}, {"type":2} with bits behind the last byte
    for packed in ("g6R0eXBlAqN1aWShYqNuc3CmL290aGVy", "gqR0eXBlAqN1aWQH", "gaR0eXBlAh=="):
        payload = f'{{"data":{{"x":1}},"packed":"{packed}","uid":"a","nsp":"/"}}'
        assert read_notification(payload).body == {"type": 2, "uid": "a", "nsp": "/"}
