//! Writes and reads an event's name and typed arguments, as socketioxide does for its clients.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use socketio_pg_protocol::{Payload, Value, message::server_side};
use socketioxide_core::{
    packet::Packet,
    parser::{Parse, is_de_tuple},
};
use socketioxide_parser_common::CommonParser;

use crate::{error::Error, socketio::packet};

/// `[event, ...arguments]` for clients. A tuple becomes several arguments, any other type one.
pub(crate) fn encode<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<Payload, Error> {
    encode_unless(packet::is_reserved(event), event, data)
}

/// As [`encode`], for servers.
pub(crate) fn encode_server_side<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<Payload, Error> {
    encode_unless(server_side::RESERVED_EVENTS.contains(&event), event, data)
}

fn encode_unless<T: Serialize + ?Sized>(is_reserved: bool, event: &str, data: &T) -> Result<Payload, Error> {
    if is_reserved {
        return Err(Error::ReservedEvent { event: event.to_owned() });
    }
    let value = CommonParser.encode_value(data, Some(event)).map_err(Error::data)?;
    Ok(packet::unchecked_payload(&Packet::event("/", value))?)
}

/// The arguments of `[event, ...arguments]`: all of them for a tuple, the first for any other type.
pub(crate) fn decode<D: DeserializeOwned>(packet: &Payload) -> Result<D, Error> {
    match packet {
        Payload::Json(text) => {
            let all: Vec<&RawValue> = serde_json::from_str(text.get()).map_err(Error::data)?;
            let arguments = all.get(1..).unwrap_or_default();
            let wanted = if is_de_tuple::<D>() {
                Payload::from_json(serde_json::to_string(arguments).map_err(Error::data)?)?
            } else {
                arguments.first().map_or(Payload::Value(Value::Nil), |first| Payload::from(*first))
            };
            wanted.deserialize().map_err(Error::data)
        }
        Payload::Value(Value::Array(all)) => {
            let mut arguments = all.iter().skip(1).cloned();
            let wanted = if is_de_tuple::<D>() {
                Value::Array(arguments.collect())
            } else {
                arguments.next().unwrap_or(Value::Nil)
            };
            Payload::Value(wanted).deserialize().map_err(Error::data)
        }
        Payload::Value(_) => Err(Error::data("not an array of event and arguments")),
    }
}
