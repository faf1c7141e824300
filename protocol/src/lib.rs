//! The inter-node protocol of the Socket.IO Postgres adapter: what its servers say to each other,
//! as Rust types.
//!
//! Node.js's `@socket.io/postgres-adapter` defines it by what it does; this crate writes it down.
//! Its types are the specification: who sends what, when, what answers it, and what it looks like
//! on the wire. It encodes messages exactly as Node.js does, byte for byte.
//!
//! * One channel for each namespace ([`channel`]), one message for each notification
//!   ([`notification`]).
//! * A message is JSON; one that is too long ([`budget`]) or contains binary is a row of the
//!   attachments table, in MessagePack, and the notification is a header that points to it.
//! * 13 types of messages ([`message`]), and the rules of a node, which do no I/O ([`cluster`]).
//!
//! ```
//! use socketio_pg_protocol::{Body, Message, Notification};
//!
//! let payload = concat!(
//!     r#"{"type":3,"data":{"packet":{"type":2,"data":["hello","world"]},"#,
//!     r#""opts":{"rooms":[],"except":[],"flags":{}}},"uid":"8f42b1c09d5e7a36","nsp":"/"}"#,
//! );
//! let Notification::Inline(message) = Notification::decode(payload)? else { panic!("it fits") };
//! let Body::Broadcast(broadcast) = &message.body else { panic!("it is a broadcast") };
//! let (event, text): (String, String) = broadcast.packet.data.deserialize()?;
//! assert_eq!((event.as_str(), text.as_str()), ("hello", "world"));
//! assert_eq!(message.to_json()?, payload);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This is a building block: to run a node, take `socketio-pg-tokio-postgres` or
//! `socketio-pg-diesel`; to write one in another language, read on, or take the specification in
//! prose, `docs/protocol.md` in the repository, and the documents that the feature `schema`
//! exports.
//!
//! Features, none of them on by default:
//!
//! * `schema`: the protocol as JSON Schema and AsyncAPI documents, and the program `export`, which
//!   writes them.
//! * `proptest`: strategies for messages, values and operations of a cluster, to test against this
//!   crate.

mod base64;
pub mod budget;
pub mod channel;
pub mod cluster;
mod encoding;
pub mod error;
mod id;
pub mod message;
pub mod node_info;
pub mod notification;
mod payload;
pub mod peek;
mod reply_channel;
#[cfg(feature = "schema")]
pub mod schema;
mod session_id;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod value;

pub use self::{
    error::{DecodeError, DecodeErrorKind, EncodeError},
    id::{MAX_ID_BYTES, NodeId, RequestId, SocketId},
    message::{Body, Message, Relay},
    notification::Notification,
    payload::{BorrowedPayload, Payload},
    reply_channel::ReplyChannel,
    session_id::SessionId,
    value::Value,
};
