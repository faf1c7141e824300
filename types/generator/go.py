"""Types for Go: a struct for each type of message, behind an interface."""

from __future__ import annotations

import textwrap

from .model import Field, Object, Protocol

HEAD = """\
// Code generated from protocol/schema by types/generate.py. DO NOT EDIT.

package messages

import "fmt"
"""

#: What Go writes in capitals.
INITIALS = {"Id": "ID", "Uid": "UID"}

KINDS = {"text": "string", "bool": "bool", "whole": "uint64", "row": "int64", "any": "any"}


def write(protocol: Protocol) -> str:
    parts = [HEAD, _message(protocol)]
    for body in protocol.bodies:
        # Its fields lie in its data.
        parts.append(_struct(body.name, body.doc, body.fields or []))
        parts.append(f"// Kind is {body.kind}.\nfunc (*{body.name}) Kind() uint64 {{ return {body.kind} }}\n")
        parts += _conversions(body.name, body.fields or [])
        result = "out := object.output()\n\treturn out, out.err" if body.fields is not None else "return nil, nil"
        parts.append(f"func (object *{body.name}) write() (*output, error) {{\n\t{result}\n}}\n")
    for each in protocol.objects:
        parts += [_struct(each.name, each.doc, each.fields), *_conversions(each.name, each.fields)]
    parts.append(_header(protocol.header))
    return "\n".join(parts)


def _message(protocol: Protocol) -> str:
    fields = [*(_member(field) for field in protocol.envelope), "\t// Body is what the message says.\n\tBody Body\n"]
    reads = _aligned(protocol.envelope)
    cases = "".join(
        f"\tcase {body.kind}:\n"
        + (f"\t\tmessage.Body = read{body.name}(in.object(\"data\", rule{{}}))\n" if body.fields is not None else f"\t\tmessage.Body = &{body.name}{{}}\n")
        for body in protocol.bodies
    )
    writes = "".join(f"\t{_write(field, 'message')}\n" for field in protocol.envelope)
    return f"""\
{_doc("Message is a message from one node to all others of its namespace.", "")}type Message struct {{
{"".join(fields)}}}

// New is a message that every node hears, also the workers of a Node.js cluster.
func New(uid, nsp string, body Body) *Message {{
	source := "{_source(protocol)}"
	return &Message{{UID: &uid, Nsp: &nsp, Source: &source, Body: body}}
}}

// Read reads a message. Keys that it does not know are ignored.
func Read(value any) (*Message, error) {{
	in, err := read(value)
	if err != nil {{
		return nil, err
	}}
	message := &Message{{
{reads}	}}
	kind := in.whole("type", rule{{}})
	if *in.err != nil {{
		return nil, fmt.Errorf("not a message: %w", *in.err)
	}}
	switch *kind {{
{cases}	default:
		message.Body = &Unknown{{Type: *kind, Data: in.any("data", rule{{optional: true}})}}
	}}
	if *in.err != nil {{
		return nil, fmt.Errorf("not a message: %w", *in.err)
	}}
	return message, nil
}}

// Map is the message for an encoder. It is an error if no other node would understand it.
func (message *Message) Map() (map[string]any, error) {{
	out := &output{{values: map[string]any{{}}}}
	if message.Body == nil {{
		return nil, fmt.Errorf("not a message: it has no body")
	}}
	out.put("type", message.Body.Kind())
	data, err := message.Body.write()
	if err != nil {{
		return nil, fmt.Errorf("not a message: data/%w", err)
	}}
	if data != nil {{
		out.put("data", data.values)
	}}
{writes}	if out.err != nil {{
		return nil, fmt.Errorf("not a message: %w", out.err)
	}}
	return out.values, nil
}}
"""


def _source(protocol: Protocol) -> str:
    [source] = (field.const for field in protocol.envelope if field.key == "source")
    return str(source)


def _struct(name: str, doc: str, fields: list[Field]) -> str:
    members = "".join(_member(field) for field in fields)
    inner = f" struct {{\n{members}}}" if fields else " struct{}"
    return f"{_doc(f'{name} is {doc[0].lower() + doc[1:]}' if not doc[0].isdigit() else f'{name} is {doc}', '')}type {name}{inner}\n"


def _conversions(name: str, fields: list[Field]) -> list[str]:
    if not fields:
        return []
    before = "".join(_before(field) for field in fields)
    reads = _aligned(fields)
    writes = "".join(f"\t{_write(field, 'object')}\n" for field in fields)
    return [
        f"func read{name}(in *input) *{name} {{\n{before}\treturn &{name}{{\n{reads}\t}}\n}}\n",
        f"func (object *{name}) output() *output {{\n\tout := &output{{values: map[string]any{{}}}}\n\tif object == nil {{\n\t\tout.err = errMissing\n\t\treturn out\n\t}}\n{writes}\treturn out\n}}\n",
    ]


def _header(header: Object) -> str:
    reads = _aligned(header.fields)
    name = header.name
    return f"""{_struct(name, header.doc, header.fields)}
// Read{name} reads a header.
func Read{name}(value any) (*{name}, error) {{
	in, err := read(value)
	if err != nil {{
		return nil, err
	}}
	header := &{name}{{
{reads}	}}
	if *in.err != nil {{
		return nil, fmt.Errorf("not a header: %w", *in.err)
	}}
	return header, nil
}}
"""


def _aligned(fields: list[Field]) -> str:
    """As gofmt aligns them."""
    width = max(len(_name(field)) for field in fields) + 1
    return "".join(f"\t\t{_name(field) + ':':<{width}} {_read(field)},\n" for field in fields)


def _name(field: Field) -> str:
    words = [word.capitalize() for word in field.words]
    return "".join(INITIALS.get(word, word) for word in words)


def _type(field: Field) -> str:
    if field.kind == "object":
        return f"*{field.of}"
    if field.kind == "list":
        return f"[]*{field.of}" if field.of else "[]any"
    if field.kind == "texts":
        return "[]string"
    return ("*" if field.optional else "") + KINDS[field.kind]


def _member(field: Field) -> str:
    return f"{_doc(field.doc, chr(9))}\t{_name(field)} {_type(field)}\n"


def _rule(field: Field) -> str:
    flags = [] if field.read else ["optional: true"]
    flags += ["null: true"] if field.null else []
    flags += ["lenient: true"] if field.lenient else []
    flags += [f"limit: {field.limit}"] if field.limit else []
    return f"rule{{{', '.join(flags)}}}"


def _read(field: Field) -> str:
    call = f'in.{field.kind}("{field.key}", {_rule(field)})'
    if field.kind == "object":
        return f"read{field.of}({call})"
    if field.kind == "list" and field.of:
        return _variable(field)
    if field.kind in ("text", "whole", "any") and not field.optional:
        return f"value({call})"
    return call


def _before(field: Field) -> str:
    if field.kind != "list" or not field.of:
        return ""
    return (
        f"\tvar {_variable(field)} []*{field.of}\n"
        f'\tfor at, value := range in.list("{field.key}", {_rule(field)}) {{\n'
        f'\t\tinner := in.inner(fmt.Sprintf("{field.key}/%d", at), value)\n'
        f"\t\t{_variable(field)} = append({_variable(field)}, read{field.of}(inner))\n\t}}\n"
    )


def _variable(field: Field) -> str:
    return "".join(field.words)


def _write(field: Field, of: str) -> str:
    value = f"{of}.{_name(field)}"
    pointer = value if field.optional else f"&{value}"
    required = str(field.written).lower()
    if field.kind == "text":
        constant = f'"{field.const}"' if field.const else '""'
        return f'out.text("{field.key}", {pointer}, {required}, {constant})'
    if field.kind == "texts":
        return f'out.texts("{field.key}", {value})'
    if field.kind == "whole" and field.optional:
        return f'out.wholeIfAny("{field.key}", {value})'
    if field.kind == "whole":
        return f'out.whole("{field.key}", {value}, {field.const or 0})'
    if field.kind == "any":
        return f'out.any("{field.key}", {pointer}, {required}, {field.items or 0})'
    if field.kind == "list":
        if not field.of:
            return f'out.list("{field.key}", {value})'
        return (
            f"{_variable(field)} := make([]*output, len({value}))\n\tfor at, each := range {value} {{\n"
            f"\t\t{_variable(field)}[at] = each.output()\n\t}}\n\tout.objects(\"{field.key}\", {_variable(field)})"
        )
    if field.kind == "object":
        return f'out.object("{field.key}", {value}.output())'
    return f'out.put("{field.key}", {value})'


def _doc(text: str, indent: str) -> str:
    lines = textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{indent}// {line}\n" for line in lines)
