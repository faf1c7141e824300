//! Strategies for [`proptest`]: messages, application data, and the life of a cluster.
//!
//! They are exported so that every program that works with this protocol can be tested against all
//! of it. What [`message`] makes is valid by the schemas for readers that the feature `schema`
//! exports, with a namespace also by those for writers, and more unusual than real traffic.
//!
//! ```
//! use proptest::prelude::*;
//! use socketio_pg_protocol::{Message, strategies};
//!
//! proptest!(|(message in strategies::message(strategies::json()))| {
//!     let text = message.to_json().unwrap();
//!     prop_assert_eq!(Message::from_json(&text).unwrap(), message);
//! });
//! ```

mod cluster;
mod messages;
mod values;

pub use self::{
    cluster::{Operation, Player, operation, session},
    messages::{flags, message, namespace, node_id, only, options, request_id, room, socket_id},
    values::{data, json},
};
