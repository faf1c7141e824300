//! Conversions between socketioxide's types and the protocol's: packets, rooms, ids, handshakes.

pub(crate) mod alias;
pub(crate) mod arguments;
pub(crate) mod describe;
pub(crate) mod handshake;
pub(crate) mod packet;
pub(crate) mod room;
pub(crate) mod selection;
