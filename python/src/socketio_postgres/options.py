"""The settings of a manager, and what it reports."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime

from .errors import ConfigurationError
from .names import check_prefix, table_identifier


@dataclass(frozen=True)
class Gap:
    """A time in which this server heard nothing, so that messages of other servers may be missing."""

    #: When the connection was last known to work, in UTC.
    since: datetime
    #: When this server listened again, in UTC.
    until: datetime


#: Is called with each gap, in the order in which they end. It may be a coroutine function.
OnGap = Callable[[Gap], Awaitable[None] | None]


@dataclass(frozen=True)
class Options:
    """Settings. Those of the first group must be the same on all servers of a cluster.

    All times are in seconds. The defaults are those of Node.js's adapter where it has the setting.
    """

    #: What the names of channels begin with (Node.js: `channelPrefix`).
    channel_prefix: str = "socket.io"
    #: The attachments table, `table` or `schema.table` (Node.js: `tableName`).
    table: str = "socket_io_attachments"

    #: A message of this many bytes or more becomes an attachment (Node.js: `payloadThreshold`).
    payload_threshold: int = 8000
    #: After how much silence a heartbeat is sent (Node.js: `heartbeatInterval`).
    heartbeat_interval: float = 5.0
    #: After how much silence another server counts as dead (Node.js: `heartbeatTimeout`).
    heartbeat_timeout: float = 10.0
    #: How often attachments that are older than this are deleted (Node.js: `cleanupInterval`).
    cleanup_interval: float = 30.0
    #: How long requests to other servers wait for the responses.
    request_timeout: float = 5.0
    #: How long clients have for callbacks. Not shorter than the timeouts of `AsyncServer.call`.
    ack_timeout: float = 60.0

    #: What this server calls itself when it is asked, as `socketio-pg nodes` does. By default the host
    #: and the process.
    node_name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    #: A connection that does not go through a pooler, when the first URL does.
    listen_url: str | None = None
    #: Whether the attachments table is created when it is missing.
    create_table: bool = True
    #: How long PostgreSQL may take for a statement. To publish attachments it has no more than half of the
    #: time between the two heartbeat settings, and a second for each 8 MiB: heartbeats wait behind them.
    query_timeout: float = 10.0
    #: How long connecting may take.
    connect_timeout: float = 10.0
    #: How often the listening connection is checked with a query.
    check_interval: float = 5.0
    #: The longest pause between two attempts to connect. The pauses grow from 0.1 s.
    max_reconnect_delay: float = 10.0

    #: The size of the largest attachment that is read, in bytes.
    max_attachment_bytes: int = 64 * 1024 * 1024
    #: How much may wait to be handled, in bytes. What comes on top is lost, and reported as a gap.
    max_inbox_bytes: int = 64 * 1024 * 1024
    #: How much may wait to be published, in bytes. On top of it, `PublishError` is raised.
    max_queued_bytes: int = 64 * 1024 * 1024
    #: How many namespaces this server may take part in: clients choose the names of dynamic ones.
    max_namespaces: int = 1000
    #: How many other servers are remembered. Each role that can notify can invent servers.
    max_servers: int = 1000
    #: How many responses one request keeps: acknowledgements, servers, or sockets in `fetch_sockets` and
    #: `socket_ids`. What comes on top does not answer it, so that it ends with `ResponseTimeout`, and is
    #: counted as a problem.
    max_responses: int = 1_000_000
    #: How many handlers of server-side events may run at the same time.
    max_handlers: int = 1000

    #: Declares that no server of the cluster is on Node.js: then messages with up to about 5900 bytes of
    #: binary travel inside of notifications. While there is a server without this option, and for two
    #: `heartbeat_timeout`s after it has left, it gets attachments as ever, and that is counted as the problem
    #: "needs attachments".
    inline_binary: bool = False

    #: Is called when messages may have been missed.
    on_gap: OnGap | None = None
    #: Which dynamic namespaces clients may create: `re.compile("/room-[0-9]+").fullmatch`. By default
    #: all that python-socketio accepts.
    accept_namespace: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        check_prefix(self.channel_prefix)
        table_identifier(self.table)
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(each.default, (int, float)) and not isinstance(each.default, bool):
                is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if not is_number or not math.isfinite(value) or value <= 0:
                    raise ConfigurationError(f"{each.name} is {value!r}: give a number over 0")
        for name in ("create_table", "inline_binary"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}: give True or False")
        if self.heartbeat_timeout <= self.heartbeat_interval:
            raise ConfigurationError(
                f"heartbeat_timeout ({self.heartbeat_timeout} s) is not longer than heartbeat_interval "
                f"({self.heartbeat_interval} s): other servers would count as dead between two heartbeats"
            )


@dataclass(frozen=True)
class Health:
    """How a manager is at this moment."""

    #: Whether it hears the other servers.
    is_listening: bool
    #: How many servers it knows in each namespace, itself included.
    servers: dict[str, int] = field(default_factory=dict)
    #: What it could not use or do, by kind, since it was made: `{"malformed": 1}`.
    problems: dict[str, int] = field(default_factory=dict)
