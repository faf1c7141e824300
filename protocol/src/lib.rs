//! The inter-node protocol of the Socket.IO Postgres adapter.
pub mod budget;
pub mod channel;
pub mod cluster;
mod encoding;
pub mod error;
mod id;
pub mod message;
pub mod notification;
mod payload;
pub mod value;

pub use self::{
    error::{DecodeError, DecodeErrorKind, EncodeError},
    id::{NodeId, RequestId, SocketId},
    message::{Body, Message, Relay},
    notification::Notification,
    payload::Payload,
    value::Value,
};
