//! STUB by the lead, to be replaced by the real conversion.
use socketio_pg_protocol::Payload;
use socketioxide_core::{Value, packet::Packet, parser::Parse};
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub(crate) struct PacketError;
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parser { Common, Msgpack }
impl Parser { pub(crate) fn detect(_: impl Parse) -> Self { Self::Common } }
pub(crate) fn payload_from_packet(_: &Packet) -> Result<Payload, PacketError> { Err(PacketError) }
pub(crate) fn packet_from_payload(_: &Payload, _: &str, _: Parser) -> Result<Packet, PacketError> { Err(PacketError) }
pub(crate) fn payload_from_ack(_: &Value) -> Result<Option<Payload>, PacketError> { Err(PacketError) }
pub(crate) fn ack_from_payload(_: Option<&Payload>, _: Parser) -> Result<Value, PacketError> { Err(PacketError) }
