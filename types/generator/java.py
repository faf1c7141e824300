"""Types for Java 17: a record for each type of message, in a sealed interface."""

from __future__ import annotations

import textwrap

from .model import Body, Field, Object, Protocol

HEAD = """\
// Generated from protocol/schema by types/generate.py: do not edit.
package socketio.pg.messages;

import java.util.List;
import java.util.Map;
import socketio.pg.messages.Input.Rule;
"""

KINDS = {"text": "String", "bool": "boolean", "whole": "long", "row": "long", "any": "Object"}


def write(protocol: Protocol) -> str:
    source = next(field.const for field in protocol.envelope if field.key == "source")
    parameters = ", ".join(f"{_type(field)} {field.key}" for field in protocol.envelope)
    documented = "".join(f" * @param {field.key} {_html(field.doc)}\n" for field in protocol.envelope)
    reads = "".join(f"{_read(field)}, " for field in protocol.envelope)
    cases = "".join(
        f"            case {body.kind} -> "
        + (f'{body.name}.read(in.object("data"));\n' if body.fields is not None else f"new {body.name}();\n")
        for body in protocol.bodies
    )
    writes = "".join(f"        {_write(field)}\n" for field in protocol.envelope)
    given = {"uid": "uid", "nsp": "nsp", "source": f'"{source}"'}
    ours = ", ".join(given.get(field.key, "null") for field in protocol.envelope)
    message = f"""\
{HEAD}
/**
 * A message from one node to all others of its namespace.
 *
 * <p>{{@link #read}} takes what a decoder of JSON or MessagePack returns: maps, lists, strings, booleans, numbers, null,
 * and in application data also byte arrays and dates. {{@link #toMap}} returns the same, for an encoder.
 *
{_fold(documented)} * @param body What the message says.
 */
public record Message({parameters}, Body body) {{
    /** Stands for a value of the application that is missing. Null is a value. */
    public static final Object ABSENT = new Object() {{
        @Override
        public String toString() {{
            return "absent";
        }}
    }};

    /** A message that every node hears, also the workers of a Node.js cluster. */
    public Message(String uid, String nsp, Body body) {{
        this({ours}, body);
    }}

    /**
     * Reads a message. Keys that it does not know are ignored.
     *
     * @throws InvalidMessage if it is not a message. Report it, and go on with the next one.
     */
    public static Message read(Object value) {{
        Input in = Input.of(value);
        long kind = in.whole("type");
        return new Message({reads}Body.read(kind, in));
    }}

    /**
     * The message for an encoder, with its keys in the order in which Node.js writes them.
     *
     * @throws InvalidMessage if no other node would understand it.
     */
    public Map<String, Object> toMap() {{
        Output out = new Output("");
        if (body == null) {{
            throw new InvalidMessage("not a message: it has no body");
        }}
        out.put("type", body.kind());
        Map<String, Object> data = body.toMap("/data");
        if (data != null) {{
            out.put("data", data);
        }}
{writes}        return out.values();
    }}

    /** What a message says. */
    public sealed interface Body {{
        /** The number of the message's type. */
        long kind();

        /** Its data; null if it has none. */
        Map<String, Object> toMap(String place);

        private static Body read(long kind, Input in) {{
            if (kind < {protocol.bodies[0].kind} || kind > {protocol.bodies[-1].kind}) {{
                return new Unknown(kind, in.any("data", Rule.OPTIONAL));
            }}
            return switch ((int) kind) {{
{textwrap.indent(cases, "    ")}                default -> throw new IllegalStateException();
            }};
        }}
    }}

    /** A message of a type that is not known here. Its node lives; ignore the rest. */
    public record Unknown(long kind, Object data) implements Body {{
        @Override
        public Map<String, Object> toMap(String place) {{
            throw new InvalidMessage("not a message: /type " + kind + " is unknown");
        }}
    }}
"""
    parts = [message, *(_body(body) for body in protocol.bodies), *(_object(each) for each in protocol.objects)]
    parts.append(_header(protocol.header))
    return "\n".join(parts) + "}\n"


def _body(body: Body) -> str:
    kind = f"""\
        @Override
        public long kind() {{
            return {body.kind};
        }}
"""
    if body.fields is None:
        nothing = """
        @Override
        public Map<String, Object> toMap(String place) {
            return null;
        }
"""
        return _record(body.name, body.doc, [], " implements Body", kind + nothing)
    return _record(body.name, body.doc, body.fields, " implements Body", kind + "\n" + _members(body.name, body.fields, public=True))


def _object(each: Object) -> str:
    return _record(each.name, each.doc, each.fields, "", _members(each.name, each.fields, public=False))


def _header(header: Object) -> str:
    reads = ",\n                ".join(_read(field) for field in header.fields)
    members = f"""\
        /**
         * Reads a header.
         *
         * @throws InvalidMessage if it is none.
         */
        public static {header.name} read(Object value) {{
            Input in = Input.of(value);
            return new {header.name}(
                {reads});
        }}
"""
    return _record(header.name, header.doc, header.fields, "", members)


def _members(name: str, fields: list[Field], public: bool) -> str:
    reads = ",\n                ".join(_read(field) for field in fields)
    writes = "".join(f"            {_write(field)}\n" for field in fields)
    access = "@Override\n        public " if public else ""
    return f"""\
        private static {name} read(Input in) {{
            return new {name}(
                {reads});
        }}

        {access}Map<String, Object> toMap(String place) {{
            Output out = new Output(place);
{writes}            return out.values();
        }}
"""


def _record(name: str, doc: str, fields: list[Field], implements: str, members: str) -> str:
    parameters = ", ".join(f"{_type(field)} {field.key}" for field in fields)
    lines = [_html(doc), *([""] if fields else []), *(f"@param {field.key} {_html(field.doc)}" for field in fields)]
    folded = [part for line in lines for part in textwrap.wrap(line, 110, break_on_hyphens=False) or [""]]
    comment = "".join(f"     * {line}".rstrip() + "\n" for line in folded)
    return f"    /**\n{comment}     */\n    public record {name}({parameters}){implements} {{\n{members}    }}\n"


def _type(field: Field) -> str:
    if field.kind == "object":
        return str(field.of)
    if field.kind == "list":
        return f"List<{field.of or 'Object'}>"
    if field.kind == "texts":
        return "List<String>"
    if field.kind == "whole" and field.optional:
        return "Long"
    return KINDS[field.kind]


def _read(field: Field) -> str:
    rules = [] if field.read else ["Rule.OPTIONAL"]
    rules += ["Rule.NULL"] if field.null else []
    rules += ["Rule.LENIENT"] if field.lenient else []
    arguments = [f'"{field.key}"']
    if field.kind in ("text", "texts"):
        arguments.append(str(field.limit or 0))
    if field.kind == "list" and field.of:
        arguments.append(f"{field.of}::read")
    call = f"in.{field.kind}({', '.join(arguments + rules)})"
    if field.kind == "whole" and not field.optional and not field.read:
        return f"java.util.Objects.requireNonNullElse({call}, 0L)"
    return f"{field.of}.read({call})" if field.kind == "object" else call


def _write(field: Field) -> str:
    key, required = f'"{field.key}", {field.key}', str(field.written).lower()
    if field.kind == "text":
        constant = f'"{field.const}"' if field.const else "null"
        return f"out.text({key}, {required}, {constant});"
    if field.kind == "texts" or (field.kind == "whole" and field.optional):
        return f"out.putIfAny({key});"
    if field.kind == "whole":
        return f"out.whole({key}, {field.const or 0});"
    if field.kind == "any":
        return f"out.any({key}, {required}, {field.items or 0});"
    if field.of:
        return f"out.{field.kind}({key}, {field.of}::toMap);"
    return f"out.{'list' if field.kind == 'list' else 'put'}({key});"


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fold(text: str) -> str:
    lines = (line.removeprefix(" * ") for line in text.splitlines())
    folded = (part for line in lines for part in textwrap.wrap(line, 110, break_on_hyphens=False))
    return "".join(f" * {line}\n" for line in folded)
