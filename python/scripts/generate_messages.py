"""Writes src/socketio_postgres/messages.py from protocol/schema/writer-types.json.

    python scripts/generate_messages.py           writes the file
    python scripts/generate_messages.py --check   fails if the file is not what it would write

It needs nothing but Python, and understands just what the schemas use. It fails on anything else.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parent.parent
SCHEMAS = PYTHON.parent / "protocol" / "schema"
TARGET = PYTHON / "src" / "socketio_postgres" / "messages.py"

HEAD = '''\
"""The messages between the servers of a cluster, as types.

Generated from protocol/schema by scripts/generate_messages.py: do not edit.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from typing_extensions import NotRequired

'''

SIMPLE = {"string": "str", "boolean": "bool", "integer": "int", "number": "float", "null": "None"}


def annotation(schema: dict[str, Any]) -> str:
    """The type of a value."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix("#/$defs/")
    if "allOf" in schema:
        [only] = schema["allOf"]
        return annotation(only)
    if "const" in schema or "enum" in schema:
        choices = schema["enum"] if "enum" in schema else [schema["const"]]
        return f"Literal[{', '.join(map(repr, choices))}]".replace("'", '"')
    if "anyOf" in schema:
        return " | ".join(annotation(each) for each in schema["anyOf"])
    kind = schema["type"]
    if isinstance(kind, list):
        if "object" in kind:
            return "Any"
        return " | ".join(SIMPLE[each] for each in kind)
    if kind == "array":
        return f"list[{annotation(schema['items'])}]"
    if kind == "object":
        of = schema["additionalProperties"]
        return f"dict[str, {'Any' if of is True else annotation(of)}]"
    return SIMPLE[kind]


def documented(text: str, indent: str) -> list[str]:
    first = " ".join(text.split("\n\n")[0].split())
    lines = textwrap.wrap(f'"""{first}', 99 - len(indent), break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        lines[0] += '"""'
    else:
        lines.append('"""')
    return [indent + line for line in lines]


def definition(name: str, schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return "\n".join([f"{name} = {annotation(schema)}", *documented(schema["description"], "")])
    required = set(schema.get("required", []))
    fields = {}
    for key, value in schema["properties"].items():
        kind = annotation(value)
        fields[key] = kind if key in required else f"NotRequired[{kind}]"
    if "except" in fields:  # a keyword of Python
        # In this form the types are expressions, so they cannot name what comes later.
        body = ", ".join(f'"{key}": {kind}' for key, kind in fields.items())
        return "\n".join([f'{name} = TypedDict("{name}", {{{body}}})', *documented(schema["description"], "")])
    lines = [f"class {name}(TypedDict):", *documented(schema["description"], "    "), ""]
    lines += [f"    {key}: {kind}" for key, kind in fields.items()]
    return "\n".join(lines)


def in_order(definitions: dict[str, Any]) -> list[str]:
    """What is named comes before what names it."""
    done: list[str] = []

    def add(name: str) -> None:
        if name in done:
            return
        for other in definitions:
            if other != name and f'"#/$defs/{other}"' in json.dumps(definitions[name]):
                add(other)
        done.append(name)

    for name in definitions:
        add(name)
    return done


def generate() -> str:
    messages = json.loads((SCHEMAS / "writer-types.json").read_text())
    definitions = messages["$defs"]
    parts = [definition(name, definitions[name]) for name in in_order(definitions)]
    members = "\n    | ".join(annotation(each) for each in messages["oneOf"])
    union = f"{messages['title']} = (\n    {members}\n)"
    parts.append("\n".join([union, *documented(messages["description"], "")]))
    return HEAD + "\n\n\n".join(parts) + "\n"


def main() -> int:
    text = generate()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET} is not what protocol/schema says: run `python scripts/generate_messages.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
