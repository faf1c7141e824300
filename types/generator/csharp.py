"""Types for C# 7 and later: a class for each type of message, under an abstract one."""

from __future__ import annotations

import textwrap

from .model import Body, Field, Object, Protocol

HEAD = """\
// Generated from protocol/schema by types/generate.py: do not edit.
#pragma warning disable CS1591

using System;
using System.Collections.Generic;

namespace SocketIO.Postgres
{
"""

KINDS = {"text": "string", "bool": "bool", "whole": "long", "row": "long", "any": "object"}


def write(protocol: Protocol) -> str:
    source = next(field for field in protocol.envelope if field.key == "source")
    fields = "\n".join(_property(field) for field in protocol.envelope)
    reads = "".join(f"                {_name(field)} = {_read(field)},\n" for field in protocol.envelope)
    writes = "".join(f"            {_write(field)}\n" for field in protocol.envelope)
    cases = "".join(
        f"                case {body.kind}: return "
        + (f'{body.name}.Read(input.Object("data"));\n' if body.fields is not None else f"new {body.name}();\n")
        for body in protocol.bodies
    )
    message = f"""\
    /// <summary>
    /// A message from one node to all others of its namespace.
    ///
    /// <see cref="Read"/> takes what a decoder of JSON or MessagePack returns: dictionaries, lists, strings, booleans,
    /// numbers, null, and in application data also byte arrays and dates. <see cref="ToDictionary"/> returns the same, for
    /// an encoder.
    /// </summary>
    public sealed class Message
    {{
{fields}
        /// <summary>What the message says.</summary>
        public Body Body {{ get; set; }}

        public Message() {{ }}

        /// <summary>A message that every node hears, also the workers of a Node.js cluster.</summary>
        public Message(string uid, string nsp, Body body)
        {{
            Uid = uid;
            Nsp = nsp;
            Source = "{source.const}";
            Body = body;
        }}

        /// <summary>Reads a message. Keys that it does not know are ignored.</summary>
        /// <exception cref="InvalidMessageException">It is not a message. Report it, and go on with the next one.</exception>
        public static Message Read(object value)
        {{
            var input = Input.Of(value);
            var kind = input.Whole("type").Value;
            return new Message
            {{
{reads}                Body = Read(kind, input),
            }};
        }}

        /// <summary>The message for an encoder.</summary>
        /// <exception cref="InvalidMessageException">No other node would understand it.</exception>
        public Dictionary<string, object> ToDictionary()
        {{
            if (Body == null) throw new InvalidMessageException("it has no body");
            var output = new Output("");
            output.Put("type", Body.Kind);
            var data = Body.ToDictionary("/data");
            if (data != null) output.Put("data", data);
{writes}            return output.Values;
        }}

        private static Body Read(long kind, Input input)
        {{
            switch (kind)
            {{
{cases}                default: return new Unknown(kind, input.Any("data", Rule.Optional));
            }}
        }}
    }}

    /// <summary>What a message says: one of the types below, or <see cref="Unknown"/>.</summary>
    public abstract class Body
    {{
        internal Body() {{ }}

        /// <summary>The number of the message's type.</summary>
        public abstract long Kind {{ get; }}

        internal abstract Dictionary<string, object> ToDictionary(string place);
    }}

    /// <summary>A message of a type that is not known here. Its node lives; ignore the rest.</summary>
    public sealed class Unknown : Body
    {{
        internal Unknown(long kind, object data)
        {{
            Kind = kind;
            Data = data;
        }}

        public override long Kind {{ get; }}

        public object Data {{ get; }}

        internal override Dictionary<string, object> ToDictionary(string place)
        {{
            throw new InvalidMessageException("/type " + Kind + " is unknown");
        }}
    }}
"""
    parts = [message, *(_body(body) for body in protocol.bodies), *(_object(each) for each in protocol.objects)]
    parts.append(_header(protocol.header))
    return HEAD + "\n".join(parts) + "}\n"


def _body(body: Body) -> str:
    kind = f"        public override long Kind => {body.kind};\n"
    if body.fields is None:
        nothing = "\n        internal override Dictionary<string, object> ToDictionary(string place) => null;\n"
        return _class(body.name, body.doc, " : Body", kind + nothing)
    return _class(body.name, body.doc, " : Body", f"{kind}\n{_members(body.name, body.fields, 'internal override')}")


def _object(each: Object) -> str:
    return _class(each.name, each.doc, "", _members(each.name, each.fields, "internal"))


def _members(name: str, fields: list[Field], access: str) -> str:
    properties = "\n".join(_property(field) for field in fields)
    reads = "".join(f"            {_name(field)} = {_read(field)},\n" for field in fields)
    writes = "".join(f"            {_write(field)}\n" for field in fields)
    return f"""\
{properties}
        internal static {name} Read(Input input) => new {name}
        {{
{reads}        }};

        {access} Dictionary<string, object> ToDictionary(string place)
        {{
            var output = new Output(place);
{writes}            return output.Values;
        }}
"""


def _header(header: Object) -> str:
    properties = "\n".join(_property(field) for field in header.fields)
    reads = "".join(f"                {_name(field)} = {_read(field)},\n" for field in header.fields)
    members = f"""\
{properties}
        /// <summary>Reads a header.</summary>
        /// <exception cref="InvalidMessageException">It is none.</exception>
        public static {header.name} Read(object value)
        {{
            var input = Input.Of(value);
            return new {header.name}
            {{
{reads}            }};
        }}
"""
    return _class(header.name, header.doc, "", members)


def _class(name: str, doc: str, base: str, members: str) -> str:
    return f"{_summary(doc, '    ')}    public sealed class {name}{base}\n    {{\n{members}    }}\n"


def _property(field: Field) -> str:
    initial = ""
    if field.kind == "any":
        initial = " = Absent.Value;"
    elif field.kind == "list":
        initial = f" = new {_type(field)}();"
    elif field.kind == "whole" and field.const:
        initial = f" = {field.const};"
    return f"{_summary(field.doc, '        ')}        public {_type(field)} {_name(field)} {{ get; set; }}{initial}\n"


def _name(field: Field) -> str:
    return field.key[0].upper() + field.key[1:]


def _type(field: Field) -> str:
    if field.kind == "object":
        return str(field.of)
    if field.kind == "list":
        return f"List<{field.of or 'object'}>"
    if field.kind == "texts":
        return "List<string>"
    return KINDS[field.kind] + ("?" if field.kind == "whole" and field.optional else "")


def _read(field: Field) -> str:
    rules = [] if field.read else ["Rule.Optional"]
    rules += ["Rule.Null"] if field.null else []
    rules += ["Rule.Lenient"] if field.lenient else []
    arguments = [f'"{field.key}"']
    if field.kind in ("text", "texts"):
        arguments.append(str(field.limit or 0))
    if field.kind == "list" and field.of:
        arguments.append(f"{field.of}.Read")
    if rules:
        arguments.append(" | ".join(rules))
    call = f"input.{field.kind.capitalize()}({', '.join(arguments)})"
    if field.kind == "object":
        return f"{field.of}.Read({call})"
    if field.kind == "whole" and not field.optional:
        return call + (".Value" if field.read else ".GetValueOrDefault()")
    return call


def _write(field: Field) -> str:
    name = _name(field)
    key, required = f'"{field.key}", {name}', str(field.written).lower()
    if field.kind == "text":
        constant = f'"{field.const}"' if field.const else "null"
        return f"output.Text({key}, {required}, {constant});"
    if field.kind == "texts" or (field.kind == "whole" and field.optional):
        return f"output.PutIfAny({key});"
    if field.kind == "whole":
        return f"output.Whole({key}, {field.const or 0});"
    if field.kind == "any":
        return f"output.Any({key}, {required}, {field.items or 0});"
    if field.of:
        return f"output.{field.kind.capitalize()}({key}, (each, at) => each.ToDictionary(at));"
    return f"output.{'List' if field.kind == 'list' else 'Put'}({key});"


def _summary(doc: str, indent: str) -> str:
    text = doc.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    lines = textwrap.wrap(f"<summary>{text}</summary>", 110, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{indent}/// {line}\n" for line in lines)
