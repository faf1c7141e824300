"""Servers of python-socketio in one cluster with Node.js and Rust, over PostgreSQL.

`PostgresManager` is the client manager of a `socketio.AsyncServer`; `Emitter` and `AsyncEmitter` emit
from processes without a server. `messages` has the types of what servers send each other.
"""

from .emitter import AsyncEmitter, Emitter
from .errors import (
    Closed,
    ClusterError,
    ConfigurationError,
    InvalidEvent,
    InvalidNamespace,
    InvalidValue,
    NotConnected,
    PublishError,
    ResponseTimeout,
    Unconfirmed,
)
from .manager import PostgresManager
from .namespace import ClusterNamespace, RemoteSocket, Selection
from .options import Gap, Health, Options

__all__ = [
    "AsyncEmitter",
    "Closed",
    "ClusterError",
    "ClusterNamespace",
    "ConfigurationError",
    "Emitter",
    "Gap",
    "Health",
    "InvalidEvent",
    "InvalidNamespace",
    "InvalidValue",
    "NotConnected",
    "Options",
    "PostgresManager",
    "PublishError",
    "RemoteSocket",
    "ResponseTimeout",
    "Selection",
    "Unconfirmed",
]
