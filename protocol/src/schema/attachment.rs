//! The schema of an attachment's row, and of what only MessagePack has.

use serde_json::{Map, Value, json};

use super::examples;

/// The media type of MessagePack.
pub(super) const MESSAGEPACK: &str = "application/vnd.msgpack";

/// The description and the schema of a row, whose message is as another document says.
pub(super) fn schema(message: &str) -> (&'static str, Value) {
    let description = "A row of the attachments table: a message that does not fit into a notification, or that holds \
                       binary. A notification header points to it. Every node deletes rows that are older than its \
                       cleanup interval (30 s by default), also those of other nodes.";
    let schema = json!({
        "type": "object",
        "properties": {
            "id": {
                "description": "The number of the row, from a sequence (`bigserial`). The header carries it as a \
                                decimal string.",
                "type": "integer",
                "minimum": 1,
                "maximum": i64::MAX,
            },
            "created_at": {
                "description": "When the row was written: `timestamptz DEFAULT now()`.",
                "type": "string",
                "format": "date-time",
            },
            "payload": {
                "description": "The message, of the same shape as in JSON, in MessagePack; a `bytea`, here in hex. \
                                Objects are maps with string keys, in the same order; integers up to 2^53 take their \
                                shortest form, all other numbers are float 64. Readers take any valid form, and refuse \
                                bytes after the value. Node.js writes values up to 100 levels deep.",
                "type": "string",
                "contentMediaType": MESSAGEPACK,
                "contentEncoding": "base16",
                "contentSchema": { "$ref": message },
            },
        },
        "required": ["id", "payload"],
        "examples": examples::attachments().map(|(header, payload)| row(header, payload)).collect::<Vec<_>>(),
    });
    (description, schema)
}

/// Adds what application data may be in MessagePack, and only there.
pub(super) fn add_parts(parts: &mut Map<String, Value>) {
    parts.insert("MessagePackBinary".into(), binary());
    parts.insert("MessagePackTimestamp".into(), timestamp());
}

fn row(header: &Value, payload: &str) -> Value {
    let id = header["attachmentId"].as_str().and_then(|id| id.parse::<i64>().ok());
    json!({ "id": id, "payload": payload })
}

fn binary() -> Value {
    json!({
        "title": "MessagePackBinary",
        "description": "Binary in application data, of an attachment: MessagePack `bin 8`, `bin 16` or `bin 32`, from \
                        a Buffer or a typed array. JSON has no binary: in a FETCH_SOCKETS_RESPONSE, and only there, Node.js \
                        writes `{\"type\":\"Buffer\",\"data\":[1,2,3]}` instead. Here the bytes of the value in hex.",
        "type": "string",
        "contentEncoding": "base16",
        "pattern": "^([0-9a-f]{2})*$",
        "examples": ["01020304"],
    })
}

fn timestamp() -> Value {
    json!({
        "title": "MessagePackTimestamp",
        "description": "A date in application data, of an attachment: MessagePack extension type -1. Its bytes, big \
                        endian, are 4: seconds since 1970 (u32); or 8: nanoseconds (30 bits) and seconds (34 bits); or \
                        12: nanoseconds (u32) and seconds (i64). In JSON a date is the string of JavaScript's \
                        `toISOString`, which is also what clients get of this one. Here the bytes in hex.",
        "type": "string",
        "contentEncoding": "base16",
        "pattern": "^([0-9a-f]{8}|[0-9a-f]{16}|[0-9a-f]{24})$",
        "examples": ["6553f100", "1d5353006553f100", "1dcd6500ffffffffffffffff"],
    })
}
