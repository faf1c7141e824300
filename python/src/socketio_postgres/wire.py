"""Messages as they travel: checked when they come in, written inline or as attachments."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from .errors import InvalidEvent, InvalidValue, Malformed
from .values import content_bytes, read_json, read_messagepack, rounded, write_json, write_messagepack

#: What PostgreSQL takes as the payload of a notification.
PAYLOAD_BYTES = 7999
#: The sender of messages of a process without sockets. It is not a node.
EMITTER = "emitter"
#: Workers of a Node.js cluster hear only messages with this mark.
SOURCE = "_sio_adapter"
#: What a server says of `binary` that takes packed messages.
PACKED = "packed"
#: The type of a Socket.IO packet that is an event.
EVENT = 2
#: Ids are kept, so longer ones are refused.
_ID_BYTES = 256
_LARGEST_ROW = 2**63 - 1
_ROW = re.compile(r"[1-9][0-9]{0,18}\Z")

#: Clients that get an event with one of these names disconnect.
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
#: Names that Node.js's servers refuse for events between servers.
RESERVED_BETWEEN_SERVERS = frozenset({"connect", "connection", "new_namespace"})
#: The event that asks a server about itself.
ABOUT_SERVER = "socketio-pg:node"


class Type(IntEnum):
    """What a message is."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


@dataclass(frozen=True)
class Incoming:
    """A notification that is well-formed: a message, or the header of one in the table."""

    uid: str
    kind: int
    nsp: str | None
    #: The row of the message, or `None` when `body` is the message itself.
    row: int | None
    body: dict[str, Any]


def read_notification(payload: str) -> Incoming:
    """Raises `Unreadable` or `Malformed`."""
    message = read_json(payload)
    if not isinstance(message, dict):
        raise Malformed("a notification is not a JSON object")
    reference = message.get("attachmentId")
    if reference in ("", 0, False, None):
        if "packed" in message and "type" not in message:
            message = _unpacked(message)
        return _incoming(message, None)
    # A number that stands for itself is read, too.
    digits = str(reference) if isinstance(reference, int) else reference
    if not isinstance(digits, str) or _ROW.match(digits) is None or int(digits) > _LARGEST_ROW:
        raise Malformed(f"attachmentId {_short(reference)}")
    return _incoming(message, int(digits))


def _unpacked(message: dict[str, Any]) -> dict[str, Any]:
    """The message of which `type` and `data` are packed."""
    packed = message.pop("packed")
    try:
        inner = read_messagepack(base64.b64decode(packed, validate=True))
    except (TypeError, ValueError, binascii.Error) as error:
        raise Malformed(f"packed {_short(packed)}") from error
    if not isinstance(inner, dict):
        raise Malformed("what is packed is not a map")
    origin = {key: value for key, value in message.items() if key not in ("type", "data")}
    return {key: inner[key] for key in ("type", "data") if key in inner} | origin


def read_attachment(payload: bytes) -> Incoming:
    """Raises `Unreadable` or `Malformed`."""
    message = read_messagepack(payload)
    if not isinstance(message, dict):
        raise Malformed("an attachment is not a map")
    return _incoming(message, None)


def _incoming(message: dict[str, Any], row: int | None) -> Incoming:
    kind, nsp = message.get("type"), message.get("nsp")
    if isinstance(kind, bool) or not isinstance(kind, (int, float)) or not -1e9 < kind < 1e9 or int(kind) != kind:
        raise Malformed(f"type {_short(kind)}")
    if nsp is not None and not isinstance(nsp, str):
        raise Malformed(f"nsp {_short(nsp)}")
    return Incoming(_id(message, "uid"), int(kind), nsp, row, message)


@dataclass(frozen=True)
class Opts:
    """Which sockets a message selects."""

    rooms: tuple[Any, ...] = ()
    without: tuple[Any, ...] = ()
    #: In milliseconds, as on the wire.
    timeout: float | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.timeout is None else self.timeout / 1000


def data_of(message: dict[str, Any]) -> dict[str, Any]:
    data = message.get("data")
    if not isinstance(data, dict):
        raise Malformed(f"data {_short(data)}")
    return data


def opts_of(data: dict[str, Any]) -> Opts:
    opts = data.get("opts")
    if not isinstance(opts, dict):
        raise Malformed(f"opts {_short(opts)}")
    flags = opts.get("flags")
    timeout = flags.get("timeout") if isinstance(flags, dict) else None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout < math.inf:
        timeout = None
    return Opts(_rooms(opts, "rooms"), _rooms(opts, "except"), timeout)


def query_of(argument: Any) -> Opts:
    """Which sockets whoever asks about this server wants to be counted; all without an argument."""
    return opts_of({"opts": {} if argument is None else argument})


def rooms_of(data: dict[str, Any]) -> tuple[Any, ...]:
    """The rooms to join or to leave."""
    if data.get("rooms") is None:
        raise Malformed("rooms are missing")
    return _rooms(data, "rooms")


def request_id_of(data: dict[str, Any]) -> str | None:
    return None if data.get("requestId") is None else _id(data, "requestId")


def needed_request_id_of(data: dict[str, Any]) -> str:
    return _id(data, "requestId")


def event_of(data: dict[str, Any]) -> list[Any] | None:
    """The event of a broadcast: `[name, *arguments]`. `None` when clients must not get it."""
    packet = data.get("packet")
    if not isinstance(packet, dict):
        raise Malformed(f"packet {_short(packet)}")
    event = packet.get("data")
    return event if packet.get("type") == EVENT and is_event(event) else None


def server_event_of(data: dict[str, Any]) -> list[Any]:
    """The event of a 9: `[name, *arguments]`."""
    event = data.get("packet")
    if not isinstance(event, list) or not is_event(event):
        raise Malformed(f"packet {_short(event)}")
    return event


def is_event(event: Any) -> bool:
    return isinstance(event, list) and len(event) > 0 and is_name(event[0])


def is_name(name: Any) -> bool:
    """Whether a value names an event or a room: a string or a number. In Python, True equals 1."""
    if isinstance(name, float):
        return math.isfinite(name)
    if isinstance(name, int) and not isinstance(name, bool):
        return rounded(name) is not None
    return isinstance(name, str)


def checked_rooms(rooms: Iterable[Any]) -> tuple[Any, ...]:
    """Rooms that the application names, as other servers see them. Raises `InvalidValue`."""
    found = []
    for room in rooms:
        if not is_name(room):
            raise InvalidValue(f"a room is a {type(room).__name__}: other servers know strings and numbers only")
        found.append(rounded(int(room)) if isinstance(room, int) else room)
    return tuple(found)


def named_rooms(rooms: Iterable[Any]) -> tuple[Any, ...]:
    """As `checked_rooms`, where the application must name one. Raises `InvalidValue`."""
    found = checked_rooms(rooms)
    if not found:
        raise InvalidValue("no room is named: name one, or leave the call out to reach all sockets")
    return found


def count_of(data: dict[str, Any], key: str) -> int:
    count = data.get(key)
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not 0 <= count < 2**53 or int(count) != count:
        raise Malformed(f"{key} {_short(count)}")
    return int(count)


@dataclass(frozen=True)
class Told:
    """What an 8 tells of the sockets of one server. Brief answers have `count` or `ids` and no sockets.

    Descriptions come first, whatever else is there. A brief answer never counts as "no sockets" for
    whoever needs more than it tells: that raises `Malformed`.
    """

    sockets: list[dict[str, Any]]
    count: int | None
    ids: list[str] | None

    def descriptions(self) -> list[dict[str, Any]]:
        if not self.sockets and (self.count or self.ids):
            raise Malformed("the sockets are not described: a brief answer to a full question")
        return self.sockets

    def number(self) -> int:
        if self.sockets or self.count is None:
            return len(self.sockets or self.ids or ())
        return self.count

    def socket_ids(self) -> list[str]:
        if self.sockets:
            return [socket["id"] for socket in self.sockets]
        if self.count and not self.ids:
            raise Malformed("a number of sockets is no answer to the question for their ids")
        return self.ids or []


def told_of(data: dict[str, Any]) -> Told:
    # Some writers write null for what is not set.
    count = None if data.get("count") is None else count_of(data, "count")
    return Told(_sockets_of(data), count, None if data.get("ids") is None else _ids_of(data))


def _sockets_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    sockets = data.get("sockets")
    if not isinstance(sockets, list):
        raise Malformed(f"sockets {_short(sockets)}")
    for socket in sockets:
        if not isinstance(socket, dict):
            raise Malformed(f"socket {_short(socket)}")
        _id(socket, "id")
    return sockets


def _ids_of(data: dict[str, Any]) -> list[str]:
    ids = data["ids"]
    if not isinstance(ids, list):
        raise Malformed(f"ids {_short(ids)}")
    return [_id({"ids": each}, "ids") for each in ids]


def check_event(name: Any, reserved: frozenset[str] = RESERVED) -> None:
    """Raises `InvalidEvent`."""
    if not is_name(name):
        raise InvalidEvent(f"the name of an event is a {type(name).__name__}: use a string")
    if name in reserved:
        raise InvalidEvent(
            f"{name!r} is a reserved event name: give the event another one, and check names that come from clients"
        )


@dataclass
class Outgoing:
    """A message as it is published: inline, or an attachment with the halves of its header."""

    channel: str
    #: The notification; for an attachment, what comes before the row's id.
    payload: str
    #: What comes after the row's id.
    after_id: str | None = None
    body: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.payload) + len(self.body or b"")


def write_message(channel: str, message: dict[str, Any], threshold: int, packs: bool = False) -> Outgoing:
    """Writes a message inline if it fits and holds no binary, otherwise as an attachment. With `packs`
    one with binary is packed, if it fits."""

    def fits(payload: bytes) -> bool:
        return len(payload) < threshold and len(payload) <= PAYLOAD_BYTES

    inline = write_json(message)
    if inline is not None and fits(inline):
        return Outgoing(channel, inline.decode())
    # What is far too long is not encoded in vain.
    if inline is None and packs and content_bytes(message.get("data")) < PAYLOAD_BYTES:
        inner = write_messagepack({key: message[key] for key in ("type", "data") if key in message})
        if len(inner) < PAYLOAD_BYTES:
            origin = {key: value for key, value in message.items() if key not in ("type", "data")}
            packed = write_json({"packed": base64.b64encode(inner).decode(), **origin}) or b""
            if fits(packed):
                return Outgoing(channel, packed.decode())
    header = {"uid": message["uid"], "type": message["type"], "nsp": message["nsp"], "attachmentId": ""}
    if "nonce" in message:
        header["nonce"] = message["nonce"]
    # The id goes between the quotes after `attachmentId`.
    written = (write_json(header) or b"").decode()
    before, _, after = written.rpartition('"attachmentId":""')
    return Outgoing(channel, before + '"attachmentId":"', '"' + after, write_messagepack(message))


def new_message(
    kind: Type,
    uid: str,
    nsp: str,
    data: dict[str, Any] | None = None,
    nonce: str | None = None,
    takes_packed: bool = False,
) -> dict[str, Any]:
    """The keys in the order in which Node.js writes them."""
    message: dict[str, Any] = {"type": int(kind)}
    if data is not None:
        message["data"] = data
    if takes_packed:
        message["binary"] = PACKED
    message |= {"uid": uid, "nsp": nsp, "source": SOURCE}
    if nonce is not None:
        message["nonce"] = nonce
    return message


def _id(holder: dict[str, Any], key: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key} {_short(value)}")
    if len(value) * 4 > _ID_BYTES and len(value.encode(errors="surrogatepass")) > _ID_BYTES:
        raise Malformed(f"{key} has more than {_ID_BYTES} bytes")
    return value


def _rooms(holder: dict[str, Any], key: str) -> tuple[Any, ...]:
    rooms = holder.get(key)
    if rooms is None:
        return ()
    if not isinstance(rooms, list):
        raise Malformed(f"{key} {_short(rooms)}")
    # A null stays: to a room that nobody is in is not the same as to all.
    return tuple(room if is_name(room) else None for room in rooms)


def _short(value: Any) -> str:
    text = repr(value)[:100]
    return f"cannot be {text.encode('ascii', 'backslashreplace').decode()}"
