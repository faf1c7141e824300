//! Opens the conversion of packets to the fuzz targets in `fuzz/`. Not part of the public API.
//!
//! Errors are their texts.

use socketio_pg_protocol::Payload;
use socketioxide_core::{Value, packet::Packet, parser::Parse};

use crate::socketio::packet::{self, PacketError, Parser};

/// An event of another node as a packet for the sockets of the main namespace.
pub fn packet_from_payload(payload: &Payload, parser: impl Parse) -> Result<Packet, String> {
    packet::packet_from_payload(payload, "/", Parser::detect(parser)).map_err(text)
}

/// The event of a packet, as it is sent to other nodes.
pub fn payload_from_packet(packet: &Packet) -> Result<Payload, String> {
    packet::payload_from_packet(packet).map_err(text)
}

/// The acknowledgement of a client of another node, as one of a client of this server.
pub fn ack_from_payload(payload: Option<&Payload>, parser: impl Parse) -> Result<Value, String> {
    packet::ack_from_payload(payload, Parser::detect(parser)).map_err(text)
}

/// The first argument of a client's acknowledgement, as it is sent to other nodes.
pub fn payload_from_ack(acknowledgement: &Value) -> Result<Option<Payload>, String> {
    packet::payload_from_ack(acknowledgement).map_err(text)
}

fn text(error: PacketError) -> String {
    error.to_string()
}
