//! Writes every serializable value as MessagePack, as Node.js's encoder does.
//!
//! This is a separate serializer, because no other one could write a [`Value::BrokenStr`] as it
//! came, nor tell the sender that a message is nested too deep for its readers.

use std::{convert::Infallible, fmt};

use rmp::{
    Marker,
    encode::{self, ValueWriteError},
};
use serde::{
    Deserialize, Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_bytes::ByteBuf;

use super::{
    MAX_DEPTH, Value,
    javascript::encode_broken,
    ser::{BROKEN_STRING, EXTENSION},
};
use crate::error::EncodeError;

/// Encodes as MessagePack, as Node.js's encoder would write the same object: structs and maps as
/// maps with their keys in order, integers in their shortest form, floats as they are.
///
/// # Errors
/// When the type's own `Serialize` fails, when it is nested deeper than 128 levels, which no node
/// reads, or when a map has keys other than strings and numbers.
pub fn to_msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    Encoder::encode(value, false)
}

/// Encodes as MessagePack, but lets types that have a readable form, such as IP addresses, choose
/// it as they do for JSON.
pub(super) fn to_human_readable_msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    Encoder::encode(value, true)
}

struct Encoder {
    out: encode::ByteBuf,
    depth: usize,
    human_readable: bool,
    /// The next string is a [`BrokenString`].
    broken: bool,
}

impl Encoder {
    fn encode<T: Serialize + ?Sized>(value: &T, human_readable: bool) -> Result<Vec<u8>, EncodeError> {
        let mut encoder = Encoder { out: encode::ByteBuf::new(), depth: 0, human_readable, broken: false };
        value.serialize(&mut encoder)?;
        Ok(encoder.out.into_vec())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        written(encode::write_str_len(&mut self.out, length(bytes.len())?));
        self.out.as_mut_vec().extend_from_slice(bytes);
        Ok(())
    }

    fn extension(&mut self, kind: i8, bytes: &[u8]) -> Result<(), EncodeError> {
        written(encode::write_ext_meta(&mut self.out, length(bytes.len())?, kind));
        self.out.as_mut_vec().extend_from_slice(bytes);
        Ok(())
    }

    /// An integer beyond 64 bits: a double, as in JavaScript.
    fn wide_integer(&mut self, number: f64) -> Result<(), EncodeError> {
        written(encode::write_f64(&mut self.out, number));
        Ok(())
    }

    fn descend(&mut self) -> Result<(), EncodeError> {
        if self.depth == MAX_DEPTH {
            return Err(EncodeError::TooDeep(format!("the data has more than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    fn compound(&mut self, kind: Kind, declared: Option<usize>) -> Result<Compound<'_>, EncodeError> {
        self.descend()?;
        let start = self.out.as_slice().len();
        if let Some(count) = declared {
            kind.write_header(&mut self.out, count)?;
        }
        Ok(Compound { encoder: self, levels: 1, kind, start, declared, count: 0 })
    }

    /// The `{variant: …}` around the data of an enum's variant, as serde_json writes it.
    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.descend()?;
        Kind::Map.write_header(&mut self.out, 1)?;
        self.string(name.as_bytes())
    }

    fn compound_variant(&mut self, name: &str, kind: Kind, count: usize) -> Result<Compound<'_>, EncodeError> {
        self.variant(name)?;
        Ok(Compound { levels: 2, ..self.compound(kind, Some(count))? })
    }
}

/// Writing to memory cannot fail.
fn written<T>(result: Result<T, ValueWriteError<Infallible>>) {
    match result {
        Ok(_) => {}
        Err(ValueWriteError::InvalidMarkerWrite(never) | ValueWriteError::InvalidDataWrite(never)) => match never {},
    }
}

fn length(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length)
        .map_err(|_| EncodeError::MessagePack(format!("{length} is more than the 2^32-1 bytes or items that fit")))
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Map,
}

impl Kind {
    fn write_header(self, out: &mut encode::ByteBuf, count: usize) -> Result<(), EncodeError> {
        let count = length(count)?;
        match self {
            Kind::Array => written(encode::write_array_len(out, count)),
            Kind::Map => written(encode::write_map_len(out, count)),
        }
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn is_human_readable(&self) -> bool {
        self.human_readable
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        // The one function of rmp that returns the plain error of writing a byte to memory.
        let Ok(()) = encode::write_bool(&mut self.out, value);
        Ok(())
    }

    fn serialize_i8(self, number: i8) -> Result<(), EncodeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result<(), EncodeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result<(), EncodeError> {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<(), EncodeError> {
        written(encode::write_sint(&mut self.out, number));
        Ok(())
    }

    fn serialize_i128(self, number: i128) -> Result<(), EncodeError> {
        match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => self.serialize_i64(number),
            (_, Ok(number)) => self.serialize_u64(number),
            _ => self.wide_integer(number as f64),
        }
    }

    fn serialize_u8(self, number: u8) -> Result<(), EncodeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result<(), EncodeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result<(), EncodeError> {
        self.serialize_u64(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result<(), EncodeError> {
        written(encode::write_uint(&mut self.out, number));
        Ok(())
    }

    fn serialize_u128(self, number: u128) -> Result<(), EncodeError> {
        match u64::try_from(number) {
            Ok(number) => self.serialize_u64(number),
            Err(_) => self.wide_integer(number as f64),
        }
    }

    fn serialize_f32(self, number: f32) -> Result<(), EncodeError> {
        written(encode::write_f32(&mut self.out, number));
        Ok(())
    }

    fn serialize_f64(self, number: f64) -> Result<(), EncodeError> {
        written(encode::write_f64(&mut self.out, number));
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), EncodeError> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        self.string(text.as_bytes())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, text: &T) -> Result<(), EncodeError> {
        if std::mem::take(&mut self.broken) {
            let bytes: Vec<u8> = format!("{text:#}").chars().map(|byte| u32::from(byte) as u8).collect();
            return self.string(&encode_broken(bytes));
        }
        self.serialize_str(&text.to_string())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        written(encode::write_bin_len(&mut self.out, length(bytes.len())?));
        self.out.as_mut_vec().extend_from_slice(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        let Ok(()) = encode::write_nil(&mut self.out);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        match name {
            EXTENSION => {
                // extensions are few and small: writing them twice takes less than a serializer for
                // their two fields
                let fields = Value::from_msgpack(&to_msgpack(value)?).map_err(ser::Error::custom)?;
                let (kind, bytes) = <(i8, ByteBuf)>::deserialize(fields).map_err(ser::Error::custom)?;
                self.extension(kind, &bytes)
            }
            BROKEN_STRING => {
                self.broken = true;
                value.serialize(self)
            }
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.compound(Kind::Array, count)
    }

    fn serialize_tuple(self, count: usize) -> Result<Compound<'a>, EncodeError> {
        self.compound(Kind::Array, Some(count))
    }

    fn serialize_tuple_struct(self, _name: &'static str, count: usize) -> Result<Compound<'a>, EncodeError> {
        self.compound(Kind::Array, Some(count))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.compound_variant(variant, Kind::Array, count)
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.compound(Kind::Map, count)
    }

    fn serialize_struct(self, _name: &'static str, count: usize) -> Result<Compound<'a>, EncodeError> {
        self.compound(Kind::Map, Some(count))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.compound_variant(variant, Kind::Map, count)
    }
}

/// An array or a map being written.
struct Compound<'a> {
    encoder: &'a mut Encoder,
    /// How many levels it adds: 2 with the map around an enum's variant.
    levels: usize,
    kind: Kind,
    /// Where it begins.
    start: usize,
    /// The length in its header; without one the header is put in front at the end.
    declared: Option<usize>,
    count: usize,
}

impl Compound<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        value.serialize(&mut *self.encoder)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.count += 1;
        let start = self.encoder.out.as_slice().len();
        key.serialize(&mut *self.encoder)?;
        let marker = self.encoder.out.as_slice().get(start).copied().map(Marker::from_u8);
        if marker.is_some_and(is_key) {
            Ok(())
        } else {
            Err(EncodeError::MessagePack("a map key is neither a string nor a number".into()))
        }
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        self.encoder.string(name.as_bytes())?;
        value.serialize(&mut *self.encoder)
    }

    fn finish(self) -> Result<(), EncodeError> {
        self.encoder.depth -= self.levels;
        match self.declared {
            Some(declared) if declared == self.count => Ok(()),
            Some(declared) => Err(EncodeError::MessagePack(format!(
                "{declared} items were announced, and {} were written",
                self.count
            ))),
            None => {
                let mut header = encode::ByteBuf::new();
                self.kind.write_header(&mut header, self.count)?;
                self.encoder.out.as_mut_vec().splice(self.start..self.start, header.into_vec());
                Ok(())
            }
        }
    }
}

/// Whether a value that begins with this marker is a string or a number.
fn is_key(marker: Marker) -> bool {
    use Marker::{F32, F64, FixNeg, FixPos, FixStr, I8, I16, I32, I64, Str8, Str16, Str32, U8, U16, U32, U64};
    matches!(
        marker,
        FixStr(_)
            | Str8
            | Str16
            | Str32
            | FixPos(_)
            | FixNeg(_)
            | U8
            | U16
            | U32
            | U64
            | I8
            | I16
            | I32
            | I64
            | F32
            | F64
    )
}

macro_rules! items {
    ($($trait:ident::$method:ident)*) => {$(
        impl $trait for Compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.item(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl $trait for Compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::MessagePack(message.to_string())
    }
}
