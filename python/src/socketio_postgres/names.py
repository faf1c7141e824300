"""Names of channels, namespaces and tables, within what PostgreSQL allows."""

from __future__ import annotations

import re

from .errors import ConfigurationError, InvalidNamespace

#: PostgreSQL cuts longer names of channels.
CHANNEL_BYTES = 63
#: The header of an attachment carries the namespace, and must fit into a notification.
NAMESPACE_BYTES = 999


def channel_of(prefix: str, namespace: str) -> str:
    """The channel of a namespace, cut as PostgreSQL cuts it: at the last character that fits."""
    return f"{prefix}#{namespace}".encode()[:CHANNEL_BYTES].decode(errors="ignore")


def quoted(name: str) -> str:
    """A name as an identifier in SQL. Clients choose the names of dynamic namespaces."""
    return '"' + name.replace('"', '""') + '"'


def check_namespace(namespace: str) -> None:
    """Raises `InvalidNamespace` for a name that PostgreSQL cannot carry."""
    if not namespace.startswith("/"):
        raise InvalidNamespace(f"the namespace {namespace!r} does not begin with a slash")
    if "\0" in namespace:
        raise InvalidNamespace("a namespace contains NUL, which PostgreSQL cannot store")
    try:
        length = len(namespace.encode())
    except UnicodeEncodeError as error:
        raise InvalidNamespace("the name of a namespace is not Unicode") from error
    if length > NAMESPACE_BYTES:
        raise InvalidNamespace(f"a namespace has a name of {length} bytes, {NAMESPACE_BYTES} at most are allowed")


def check_prefix(prefix: str) -> None:
    """Raises `ConfigurationError` for a prefix that leaves no room for a namespace."""
    if "\0" in prefix or len(prefix.encode(errors="replace")) > CHANNEL_BYTES - 2:
        raise ConfigurationError(
            f"channel_prefix {prefix!r} cannot be used: it needs {CHANNEL_BYTES - 2} bytes at most, and no NUL"
        )


_PART = re.compile(r'"(?:[^"\0]|"")+"|[^."\0]+')


def table_identifier(name: str) -> str:
    """`table` or `schema.table`, quoted.

    As in SQL, a part without quotes is taken in lower case, and `"a.b"` in double quotes is one part.
    Raises `ConfigurationError`.
    """
    parts: list[str] = []
    rest = name
    while found := _PART.match(rest):
        part = found.group()
        if part.startswith('"'):
            parts.append(part)
        else:
            parts.append(quoted(part.lower()))
        rest = rest[found.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest or name.endswith(".") or not 1 <= len(parts) <= 2:
        raise ConfigurationError(
            f"table {name!r} is not a table: give `table` or `schema.table`, a part with a dot in it in double quotes"
        )
    return ".".join(parts)


def reply_channel_pattern(prefix: str) -> re.Pattern[str]:
    """Channels to which other servers want their responses sent, instead of to all servers."""
    return re.compile(re.escape(prefix) + r"\?[0-9a-f]{16}\Z")
