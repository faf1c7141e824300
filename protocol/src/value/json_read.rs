//! Reads JSON into values, as `JSON.parse` and socket.io-parser do.
//!
//! serde_json would refuse lone surrogates, and rounds some numbers to another double than
//! JavaScript does.

use super::{
    MAX_DEPTH, Value,
    javascript::{plain_len, safe_integer, sort_indices_first, surviving_assignments, write_surrogate},
    malformed,
};
use crate::error::{DecodeError, DecodeErrorKind};

pub(super) fn read(text: &str) -> Result<Value, DecodeError> {
    Reader::<&[u8]> { text, position: 0, attachments: None }.document()
}

pub(super) fn read_with_attachments<A: AsRef<[u8]>>(text: &str, attachments: &[A]) -> Result<Value, DecodeError> {
    Reader { text, position: 0, attachments: Some(attachments) }.document()
}

struct Reader<'a, A> {
    text: &'a str,
    position: usize,
    /// The binary that placeholders refer to. Without it they are ordinary objects.
    attachments: Option<&'a [A]>,
}

impl<A: AsRef<[u8]>> Reader<'_, A> {
    fn document(mut self) -> Result<Value, DecodeError> {
        let value = self.value(0)?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.malformed("the value is followed by other text")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.literal("null", Value::Nil),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(_) => Err(self.malformed("no value begins with this character")),
            None => Err(self.malformed("the text ends where a value is expected")),
        }
    }

    fn literal(&mut self, literal: &str, value: Value) -> Result<Value, DecodeError> {
        if !self.text[self.position..].starts_with(literal) {
            return Err(self.malformed(format_args!("`{literal}` expected")));
        }
        self.position += literal.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let depth = self.descend(depth)?;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.position += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b']') => {
                    self.position += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.malformed("`,` or `]` expected")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let start = self.position;
        let depth = self.descend(depth)?;
        let mut entries = Vec::new();
        if self.peek() == Some(b'}') {
            self.position += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.malformed("a key expected"));
            }
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.malformed("`:` expected"));
            }
            self.position += 1;
            entries.push((key, self.value(depth)?));
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b'}') => {
                    self.position += 1;
                    return self.replace_placeholder(Value::Map(assigned(entries)), start);
                }
                _ => return Err(self.malformed("`,` or `}` expected")),
            }
        }
    }

    /// Puts the binary in the place of its placeholder, by socket.io-parser's rule.
    fn replace_placeholder(&self, object: Value, start: usize) -> Result<Value, DecodeError> {
        let Some(attachments) = self.attachments else { return Ok(object) };
        if object.get("_placeholder") != Some(&Value::Bool(true)) {
            return Ok(object);
        }
        let number = object.get("num").and_then(Value::as_i64).and_then(|number| usize::try_from(number).ok());
        match number.and_then(|number| attachments.get(number)) {
            Some(attachment) => Ok(Value::Bin(attachment.as_ref().to_vec())),
            None => Err(malformed(
                DecodeErrorKind::Shape,
                start,
                format_args!("a placeholder without attachment (there are {})", attachments.len()),
            )),
        }
    }

    fn descend(&mut self, depth: usize) -> Result<usize, DecodeError> {
        if depth == MAX_DEPTH {
            return Err(malformed(
                DecodeErrorKind::TooDeep,
                self.position,
                format_args!("more than {MAX_DEPTH} levels"),
            ));
        }
        self.position += 1; // the bracket
        Ok(depth + 1)
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.position;
        self.skip_if(|byte| byte == b'-');
        if !self.skip_if(|byte| byte == b'0') {
            self.digits()?;
        }
        let mut plain = true;
        if self.skip_if(|byte| byte == b'.') {
            plain = false;
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            plain = false;
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        let text = &self.text[start..self.position];
        // the common case: too short to be beyond the safe integers
        if plain
            && text.len() <= 15
            && let Ok(integer) = text.parse()
        {
            return Ok(Value::Int(integer));
        }
        let number: f64 = text.parse().map_err(|_| self.malformed("a number expected"))?;
        Ok(safe_integer(number).map_or(Value::Float(number), Value::Int))
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        if !self.skip_if(|byte| byte.is_ascii_digit()) {
            return Err(self.malformed("a digit expected"));
        }
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    fn string(&mut self) -> Result<Value, DecodeError> {
        self.position += 1; // the quote
        let mut bytes = Vec::new();
        let mut broken = false;
        loop {
            let rest = &self.text.as_bytes()[self.position..];
            let plain = plain_len(rest);
            bytes.extend_from_slice(&rest[..plain]);
            self.position += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.position += 1;
                    break;
                }
                Some(b'\\') => broken |= self.escape(&mut bytes)?,
                Some(_) => return Err(self.malformed("a control character that is not escaped")),
                None => return Err(self.malformed("the text ends within a string")),
            }
        }
        if broken {
            return Ok(Value::BrokenStr(bytes));
        }
        // Without lone surrogates all bytes came from valid text.
        Ok(String::from_utf8(bytes).map_or_else(|error| Value::BrokenStr(error.into_bytes()), Value::Str))
    }

    /// Reads an escape and writes what it stands for. True when that is a lone surrogate.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let escaped = self.text.as_bytes().get(self.position + 1).copied();
        let c = match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(bytes),
            _ => return Err(self.malformed("an unknown escape")),
        };
        self.position += 2;
        bytes.push(c as u8);
        Ok(false)
    }

    fn unicode_escape(&mut self, bytes: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let first =
            self.unicode_unit().ok_or_else(|| self.malformed("four hexadecimal digits expected after `\\u`"))?;
        self.position += 6;
        let pair = self.unicode_unit().filter(|second| matches!((first, second), (0xd800..=0xdbff, 0xdc00..=0xdfff)));
        let code = match pair {
            Some(second) => {
                self.position += 6;
                0x1_0000 + ((u32::from(first) & 0x3ff) << 10 | u32::from(second) & 0x3ff)
            }
            None => first.into(),
        };
        match char::from_u32(code) {
            Some(c) => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(false)
            }
            None => {
                write_surrogate(bytes, first);
                Ok(true)
            }
        }
    }

    /// The UTF-16 unit of the escape `\u1234` that is next, if one is.
    fn unicode_unit(&self) -> Option<u16> {
        let digits = self.text.as_bytes()[self.position..].strip_prefix(b"\\u")?.first_chunk::<4>()?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
    }

    /// The next byte that is not a space.
    fn peek(&mut self) -> Option<u8> {
        while self.skip_if(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_if(&mut self, condition: impl Fn(u8) -> bool) -> bool {
        let next = self.text.as_bytes().get(self.position).copied().is_some_and(condition);
        self.position += usize::from(next);
        next
    }

    fn malformed(&self, what: impl std::fmt::Display) -> DecodeError {
        malformed(DecodeErrorKind::Json, self.position, what)
    }
}

/// The entries that an object has after each of them was assigned to it, in its order.
pub(crate) fn assigned(mut entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let names: Vec<&[u8]> = entries.iter().map(name).collect();
    if let Some(surviving) = surviving_assignments(&names) {
        let mut all: Vec<_> = entries.into_iter().map(Some).collect();
        entries = surviving.into_iter().filter_map(|position| all[position].take()).collect();
    }
    sort_indices_first(&mut entries, name);
    entries
}

fn name(entry: &(Value, Value)) -> &[u8] {
    match &entry.0 {
        Value::Str(text) => text.as_bytes(),
        Value::BrokenStr(bytes) => bytes,
        _ => &[], // JSON cannot have other keys
    }
}
