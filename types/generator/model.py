"""What the schemas say, in the form that the writers of types need.

Each type is one for readers and writers, as in the Rust crate: it has the keys that a writer may
write, and a key is optional if it may be missing when it is read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: How many types JSON has for a schema. One with all of them says nothing.
ALL_TYPES = 7


@dataclass(frozen=True)
class Field:
    """A key of an object."""

    key: str
    #: "text", "texts", "bool", "whole", "row", "any", "object" or "list".
    kind: str
    #: The name of the object, or of each object in a list.
    of: str | None
    doc: str
    #: Whether it must be there when it is read, and when it is written.
    read: bool
    written: bool
    #: Whether null counts as missing, and whether a value of another type does.
    null: bool = False
    lenient: bool = False
    #: The most bytes of a text, or of each of several.
    limit: int | None = None
    #: The one value that may be written.
    const: int | str | None = None
    #: For any value: that it is an array, and of how many items at least, when it is written.
    items: int | None = None

    @property
    def optional(self) -> bool:
        """Whether there is a value for a missing one; a missing list is empty, and what is not said is false."""
        # What a writer must fix to one number, or to an array, is read as 0 or null when it is missing.
        is_fixed = self.written and (self.kind == "whole" and self.const is not None or self.items is not None)
        return self.kind in ("text", "texts", "whole", "any") and not (self.read and self.written) and not is_fixed

    @property
    def words(self) -> list[str]:
        return re.findall(r"[A-Z]?[a-z]+", self.key)


@dataclass(frozen=True)
class Object:
    name: str
    doc: str
    fields: list[Field]


@dataclass(frozen=True)
class Body:
    """What a message says: its type and its data."""

    kind: int
    name: str
    doc: str
    #: `None` where a type has no data.
    fields: list[Field] | None


@dataclass(frozen=True)
class Protocol:
    doc: str
    envelope: list[Field]
    bodies: list[Body]
    objects: list[Object]
    header: Object


def read(schemas: Path) -> Protocol:
    writer, reader = (json.loads((schemas / f"{each}-types.json").read_text()) for each in ("writer", "reader"))
    return _Model(writer["$defs"], reader["$defs"]).protocol(writer)


class _Model:
    def __init__(self, written: dict[str, Any], read: dict[str, Any]) -> None:
        self.written, self.read = written, read
        self.needed: list[str] = []

    def protocol(self, any_message: dict[str, Any]) -> Protocol:
        names = [each["$ref"].removeprefix("#/$defs/") for each in any_message["oneOf"]]
        envelope: dict[str, Field] = {}
        bodies = []
        for name in names:
            fields = {field.key: field for field in self.fields(name)}
            kind, data = fields.pop("type").const, fields.pop("data", None)
            for key, field in fields.items():
                envelope.setdefault(key, field)
            assert isinstance(kind, int)
            doc = paragraphs(self.written[name])[0]
            # The data's fields are those of the body.
            own = self.fields(data.of) if data is not None and data.of else None
            bodies.append(Body(kind, name.removesuffix("Message"), doc, own))
        data_types = {f"{body.name}Data" for body in bodies}
        objects = [self.object(name) for name in self.needed if name not in data_types]
        order = ["session", "heartbeats", "binary", "uid", "nsp", "source", "requesterUid", "nodeId", "nonce", "replyTo"]
        assert sorted(order) == sorted(envelope), envelope.keys()
        return Protocol(
            paragraphs(any_message)[0], [envelope[key] for key in order], bodies, objects, self.object("NotificationHeader")
        )

    def object(self, name: str) -> Object:
        return Object(name, paragraphs(self.written[name])[0], self.fields(name))

    def fields(self, name: str) -> list[Field]:
        written, read = self.written[name], self.read[name]
        return [
            self.field(
                key,
                schema,
                read["properties"][key],
                key in read.get("required", []),
                key in written.get("required", []),
            )
            for key, schema in written["properties"].items()
        ]

    def field(self, key: str, written: dict[str, Any], read: dict[str, Any], is_read: bool, is_written: bool) -> Field:
        common: dict[str, Any] = {"key": key, "doc": paragraphs(written)[0], "read": is_read, "written": is_written, "of": None}
        name = referenced(written)
        schema = self.written[name] if name else written
        common["doc"] = common["doc"] or paragraphs(schema)[0]
        read_name = referenced(read)
        is_any = is_anything(self.read[read_name] if read_name else read)
        common["null"] = not is_any and is_nullable(read)
        kind = schema["type"]
        if key == "attachmentId":
            return Field(kind="row", **common)
        if kind == "string":
            limit = (read if is_any else schema).get("maxLength")
            return Field(kind="text", lenient=is_any, limit=limit, const=schema.get("const"), **common)
        if is_any or is_anything(schema):
            items = schema.get("minItems", 0) if kind == "array" else None
            return Field(kind="any", items=items, **common)
        if kind == "boolean":
            return Field(kind="bool", **common)
        if kind == "integer":
            return Field(kind="whole", const=schema.get("const"), **common)
        if kind == "array":
            item = referenced(schema["items"])
            assert item is not None
            if is_anything(self.read[item]):
                return Field(kind="list", **common)
            if self.read[item]["type"] == "string":
                return Field(kind="texts", limit=self.read[item].get("maxLength"), **common)
            return Field(kind="list", **{**common, "of": self.need(item)})
        assert kind == "object" and name is not None, (key, written)
        return Field(kind="object", **{**common, "of": self.need(name)})

    def need(self, name: str) -> str:
        if name not in self.needed:
            # First those that it needs itself.
            self.fields(name)
            self.needed.append(name)
        return name


def referenced(schema: dict[str, Any]) -> str | None:
    for each in [schema, *schema.get("allOf", []), *schema.get("anyOf", [])]:
        if "$ref" in each:
            return str(each["$ref"]).removeprefix("#/$defs/")
    return None


def is_anything(schema: dict[str, Any]) -> bool:
    return isinstance(schema.get("type"), list) and len(schema["type"]) == ALL_TYPES


def is_nullable(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type", [each.get("type") for each in schema.get("anyOf", [])])
    return "null" in kinds


def paragraphs(schema: dict[str, Any]) -> list[str]:
    return [" ".join(each.split()) for each in schema.get("description", "").split("\n\n")]
