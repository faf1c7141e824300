"""What can go wrong, as types: each error says what happened and what to do about it."""

from __future__ import annotations

from typing import Any


class ClusterError(Exception):
    """The base of all errors of this package."""


class ConfigurationError(ClusterError, ValueError):
    """A setting cannot work. Nothing has been connected yet."""


class InvalidValue(ClusterError, TypeError):
    """An argument of an event, or the data of a socket, has no form that clients could read."""


class InvalidEvent(ClusterError, ValueError):
    """The name of an event is reserved, or not a name: clients that got it would disconnect."""


class InvalidNamespace(ClusterError, ValueError):
    """A namespace has a name that PostgreSQL cannot carry, or there are too many namespaces."""


class NotConnected(ClusterError):
    """The manager could not join the cluster. The text says what to check."""


class PublishError(ClusterError):
    """No other server gets the message. The clients of this server have got it all the same."""


class Unconfirmed(PublishError):
    """PostgreSQL may have published the message: the connection was lost before it said so.

    The clients of this server have got it. Other servers may have got it, so sending it again may
    send it twice.
    """


class Closed(ClusterError):
    """The manager has left the cluster, or leaves it."""


class ResponseTimeout(ClusterError, TimeoutError):
    """Not every server or client answered in time, or more did than `max_responses` allows.

    `responses` has the answers that came.
    """

    def __init__(self, text: str, responses: list[Any]) -> None:
        super().__init__(text)
        self.responses = responses


class NotUsable(ClusterError):
    """A message of another process cannot be used. It is counted and logged, never raised."""

    #: Under which name it is counted.
    kind = "malformed"


class Malformed(NotUsable):
    """A message lacks a key that its type needs, or has a value of another type there."""


class Unreadable(NotUsable):
    """Bytes or text that are not a message, or are larger or deeper than the limits."""

    kind = "unreadable"


class TooManyResponses(NotUsable):
    """A response to a request that keeps no more of them. It does not answer, so its server stays missing."""

    kind = "too many responses"
