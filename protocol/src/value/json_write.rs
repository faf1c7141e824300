//! Writes values as JSON, as `JSON.stringify` and socket.io-parser do.

use std::fmt::Write;

use super::{
    TIMESTAMP, Value,
    javascript::{self, Name},
};

pub(super) fn write(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), attachments: None };
    writer.value(value);
    writer.out
}

pub(super) fn write_with_attachments(value: &Value) -> (String, Vec<&[u8]>) {
    let mut writer = Writer { out: String::new(), attachments: Some(Vec::new()) };
    writer.value(value);
    (writer.out, writer.attachments.unwrap_or_default())
}

struct Writer<'a> {
    out: String,
    /// Where binary goes, unless it stays in the text.
    attachments: Option<Vec<&'a [u8]>>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, value: &'a Value) {
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => javascript::write_integer(&mut self.out, *number),
            Value::UInt(number) => self.float(*number as f64),
            Value::Float(number) => self.float(*number),
            Value::Float32(number) => self.float(f64::from(*number)),
            Value::Str(text) => self.string(text),
            Value::BrokenStr(bytes) => self.broken_string(bytes),
            Value::Bin(bytes) => self.binary(bytes),
            Value::Array(items) => {
                self.out.push('[');
                for (position, item) in items.iter().enumerate() {
                    self.comma(position);
                    self.value(item);
                }
                self.out.push(']');
            }
            Value::Map(entries) => {
                self.out.push('{');
                for (position, property) in javascript::properties(entries).into_iter().enumerate() {
                    self.comma(position);
                    match property.name {
                        Name::Text(name) => self.string(&name),
                        Name::Broken(name) => self.broken_string(&name),
                    }
                    self.out.push(':');
                    self.value(property.value);
                }
                self.out.push('}');
            }
            Value::Ext(TIMESTAMP, _) => self.date(value),
            // an `ExtData` of @msgpack/msgpack
            Value::Ext(kind, bytes) => {
                // writing to a string cannot fail
                let _ = write!(self.out, r#"{{"type":{kind},"data":"#);
                self.binary(bytes);
                self.out.push('}');
            }
        }
    }

    fn comma(&mut self, position: usize) {
        if position > 0 {
            self.out.push(',');
        }
    }

    fn float(&mut self, number: f64) {
        if number.is_finite() {
            javascript::write_number(&mut self.out, number);
        } else {
            self.out.push_str("null");
        }
    }

    fn date(&mut self, value: &Value) {
        match value.as_date_millis() {
            Some(millis) => {
                self.out.push('"');
                javascript::write_iso_date(&mut self.out, millis);
                self.out.push('"');
            }
            None => self.out.push_str("null"),
        }
    }

    fn binary(&mut self, bytes: &'a [u8]) {
        match &mut self.attachments {
            Some(attachments) => {
                let _ = write!(self.out, r#"{{"_placeholder":true,"num":{}}}"#, attachments.len());
                attachments.push(bytes);
            }
            None => {
                self.out.push_str(r#"{"type":"Buffer","data":["#);
                for (position, byte) in bytes.iter().enumerate() {
                    self.comma(position);
                    let _ = write!(self.out, "{byte}");
                }
                self.out.push_str("]}");
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.reserve(text.len() + 2);
        self.out.push('"');
        let mut rest = text;
        loop {
            let (plain, special) = rest.split_at(javascript::plain_len(rest.as_bytes()));
            self.out.push_str(plain);
            // All special characters are one byte long.
            let Some(byte) = special.bytes().next() else { break };
            self.escaped(char::from(byte));
            rest = &special[1..];
        }
        self.out.push('"');
    }

    fn broken_string(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for unit in char::decode_utf16(javascript::broken_utf16(bytes)) {
            match unit {
                Ok(c) => self.escaped(c),
                Err(lone) => _ = write!(self.out, "\\u{:04x}", lone.unpaired_surrogate()),
            }
        }
        self.out.push('"');
    }

    /// Writes a character of a string, escaped where it must be.
    fn escaped(&mut self, c: char) {
        match c {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            c if c < ' ' => _ = write!(self.out, "\\u{:04x}", u32::from(c)),
            c => self.out.push(c),
        }
    }
}
