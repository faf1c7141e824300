//! Reads MessagePack into values, byte by byte: serde cannot distinguish a `str` that is not UTF-8
//! from a `bin`.

use rmp::Marker;

use super::{MAX_DEPTH, Value, javascript::decode_str, malformed};
use crate::error::{DecodeError, DecodeErrorKind};

/// The most items that memory is reserved for at once because a header claims so many.
const MAX_RESERVED: usize = 1024;

pub(super) fn read(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader { bytes, position: 0 };
    let value = reader.value(0)?;
    if reader.position < bytes.len() {
        let rest = bytes.len() - reader.position;
        return Err(reader.malformed(reader.position, format_args!("the value is followed by {rest} more bytes")));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let start = self.position;
        let marker = Marker::from_u8(u8::from_be_bytes(self.array()?));
        Ok(match marker {
            Marker::Null => Value::Nil,
            Marker::False => Value::Bool(false),
            Marker::True => Value::Bool(true),
            Marker::FixPos(number) => Value::Int(number.into()),
            Marker::FixNeg(number) => Value::Int(number.into()),
            Marker::U8 => Value::Int(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Value::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Value::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Value::from(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Value::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Value::Float32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Value::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let length = self.length(marker)?;
                decode_str(self.take(length)?)
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let length = self.length(marker)?;
                Value::Bin(self.take(length)?.to_vec())
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let length = self.length(marker)?;
                self.items(length, start, depth)?
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                let length = self.length(marker)?;
                self.entries(length, start, depth)?
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => {
                let length = self.length(marker)?;
                let kind = i8::from_be_bytes(self.array()?);
                Value::Ext(kind, self.take(length)?.to_vec())
            }
            Marker::Reserved => return Err(self.malformed(start, "0xc1, which begins no value,")),
        })
    }

    /// The length that the marker holds or is followed by. Scalars have none.
    fn length(&mut self, marker: Marker) -> Result<usize, DecodeError> {
        Ok(match marker {
            Marker::FixStr(length) | Marker::FixArray(length) | Marker::FixMap(length) => length.into(),
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => u8::from_be_bytes(self.array()?).into(),
            Marker::Str16 | Marker::Bin16 | Marker::Ext16 | Marker::Array16 | Marker::Map16 => {
                u16::from_be_bytes(self.array()?).into()
            }
            Marker::Str32 | Marker::Bin32 | Marker::Ext32 | Marker::Array32 | Marker::Map32 => {
                // where a pointer is smaller than 32 bits, no input can be as long as this
                usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX)
            }
            _ => 0,
        })
    }

    fn items(&mut self, length: usize, start: usize, depth: usize) -> Result<Value, DecodeError> {
        let depth = self.descend(start, depth)?;
        let mut items = Vec::with_capacity(length.min(MAX_RESERVED));
        for _ in 0..length {
            items.push(self.value(depth)?);
        }
        Ok(Value::Array(items))
    }

    fn entries(&mut self, length: usize, start: usize, depth: usize) -> Result<Value, DecodeError> {
        let depth = self.descend(start, depth)?;
        let mut entries = Vec::with_capacity(length.min(MAX_RESERVED));
        for _ in 0..length {
            let offset = self.position;
            let key = self.value(depth)?;
            if !key.is_key() {
                return Err(self.malformed(offset, "a map key that is neither a string nor a number"));
            }
            entries.push((key, self.value(depth)?));
        }
        Ok(Value::Map(entries))
    }

    fn descend(&self, start: usize, depth: usize) -> Result<usize, DecodeError> {
        if depth == MAX_DEPTH {
            return Err(malformed(DecodeErrorKind::TooDeep, start, format_args!("more than {MAX_DEPTH} levels")));
        }
        Ok(depth + 1)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.position..].first_chunk() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(self.cut_short(N)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.bytes[self.position..].get(..length) {
            Some(bytes) => {
                self.position += length;
                Ok(bytes)
            }
            None => Err(self.cut_short(length)),
        }
    }

    fn cut_short(&self, wanted: usize) -> DecodeError {
        let left = self.bytes.len() - self.position;
        self.malformed(self.position, format_args!("{wanted} bytes expected and only {left} left"))
    }

    fn malformed(&self, offset: usize, what: impl std::fmt::Display) -> DecodeError {
        malformed(DecodeErrorKind::MessagePack, offset, what)
    }
}

impl Value {
    /// Whether JavaScript has property names of this kind.
    fn is_key(&self) -> bool {
        matches!(
            self,
            Self::Str(_) | Self::BrokenStr(_) | Self::Int(_) | Self::UInt(_) | Self::Float(_) | Self::Float32(_)
        )
    }
}
