"""Names, members, requests and options: rules without I/O."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import get_type_hints

from socketio_postgres import ConfigurationError
from socketio_postgres.members import Members
from socketio_postgres.messages import FetchSocketsData
from socketio_postgres.names import CHANNEL_BYTES, channel_of, check_prefix, quoted, table_identifier
from socketio_postgres.requests import Acknowledgements, Request
from socketio_postgres.wire import Type

PYTHON = Path(__file__).resolve().parents[1]


def test_the_types_of_messages_are_those_of_the_schemas() -> None:
    script = PYTHON / "scripts" / "generate_messages.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_choice_of_the_schemas_is_a_literal() -> None:
    hints = get_type_hints(FetchSocketsData)
    assert hints["only"] == Literal["count", "ids"]


def test_python_socketio_still_has_the_functions_that_the_manager_uses() -> None:
    server, manager = socketio.AsyncServer, socketio.AsyncManager
    wanted = {
        server._handle_connect: ["self", "eio_sid", "namespace", "data"],
        server._handle_disconnect: ["self", "eio_sid", "namespace", "reason"],
        server._trigger_event: ["self", "event", "namespace", "args"],
        server._send_eio_packet: ["self", "eio_sid", "eio_pkt"],
        manager._generate_ack_id: ["self", "sid", "callback"],
        manager.basic_leave_room: ["self", "sid", "namespace", "room"],
        manager.pre_connect: ["self", "eio_sid", "namespace"],
        manager.trigger_callback: ["self", "sid", "id", "data"],
    }
    for function, parameters in wanted.items():
        assert list(inspect.signature(function).parameters) == parameters, function


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_channels_are_cut_as_postgresql_cuts_them(rest: str) -> None:
    channel, whole = channel_of("socket.io", "/" + rest), f"socket.io#/{rest}"
    assert len(channel.encode()) <= CHANNEL_BYTES
    assert whole.startswith(channel)
    # Not shorter than it must be.
    if channel != whole:
        assert len(whole[: len(channel) + 1].encode()) > CHANNEL_BYTES


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_quotes_cannot_end_an_identifier(name: str) -> None:
    inner = quoted(name)[1:-1]
    assert inner.replace('""', "").count('"') == 0
    assert inner.replace('""', '"') == name


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("attachments", '"attachments"'),
        ("Attachments", '"attachments"'),
        ("app.attachments", '"app"."attachments"'),
        ('"App"."a.b"', '"App"."a.b"'),
        ('"a""b"', '"a""b"'),
        ("a b;--", '"a b;--"'),
    ],
)
def test_names_of_tables_are_read_as_sql_reads_them(name: str, identifier: str) -> None:
    assert table_identifier(name) == identifier


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a.b.c", 'a"b', '"a', '""', "a\0b"])
def test_what_is_not_the_name_of_a_table_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        table_identifier(name)


@pytest.mark.parametrize("prefix", ["x" * 62, "a\0b", "ä" * 31])
def test_a_prefix_without_room_for_a_namespace_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError):
        check_prefix(prefix)


def test_servers_are_remembered_while_they_are_heard() -> None:
    members = Members(timeout=10, most=2)
    assert members.heard("a", 0)
    assert members.heard("b", 5)
    assert not members.heard("c", 5)
    assert members.silent(10) == []
    assert members.silent(10.1) == [("a", True)]
    assert members.heard("c", 11)
    assert list(members) == ["b", "c"]


def test_late_messages_of_a_server_that_left_do_not_bring_it_back() -> None:
    members = Members(timeout=10, most=10)
    members.heard("a", 0)
    members.left("a", 1)
    assert members.heard("a", 2)
    members.left("a", 9)
    assert list(members) == []
    # Late messages do not make the time longer.
    assert members.heard("a", 11.1)
    assert list(members) == ["a"]
    for number in range(50):
        members.left(str(number), 12)
    assert len(members._left) <= 10


async def test_a_request_waits_for_the_servers_that_were_known_when_it_was_sent() -> None:
    request = Request(["a", "b"], [Type.SERVER_SIDE_EMIT_RESPONSE], 10)
    request.responded("a", 1)
    request.responded("of another", 2)
    assert not await request.wait(0.01)
    request.gone("b")
    assert await request.wait(0.01)
    assert request.responses == [1, 2]


async def test_acknowledgements_may_come_before_the_number_of_clients() -> None:
    request = Acknowledgements(["a", "b"], 10)
    request.acknowledged("a", (1,))
    request.acknowledged("a", ())
    assert not await request.wait(0)
    request.counted("a", 2)
    request.counted("a", 5)
    assert not await request.wait(0)
    request.counted("b", 0)
    assert await request.wait(0)
    assert request.responses == [1, None]


async def test_a_server_that_is_gone_is_not_waited_for_whatever_it_announced() -> None:
    request = Acknowledgements(["a"], 10)
    request.counted("a", 3)
    request.acknowledged("a", (1,))
    waiting = asyncio.ensure_future(request.wait(30))
    await asyncio.sleep(0)
    request.gone("a")
    assert await waiting
    assert request.responses == [1]
