//! Who in the node receives a message: its local sockets, or its rules.

use crate::{
    Body,
    message::{Broadcast, DisconnectSockets, FetchSockets, ServerSideEmit, SocketsJoin, SocketsLeave},
};

/// Who in the node receives a message, and what of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    /// For local sockets.
    Local(LocalRequest),
    /// For [`NodeRules::handle_in_order`](super::NodeRules::handle_in_order).
    Rules(RulesMessage),
}

/// A request for local sockets. It concerns no rule, so it need not wait for the rules.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalRequest {
    /// Deliver an event to the local sockets that match. When it has a `request_id`, respond with
    /// their number and with each acknowledgement.
    Broadcast(Broadcast),
    /// Let the local sockets that match join rooms.
    SocketsJoin(SocketsJoin),
    /// Let the local sockets that match leave rooms.
    SocketsLeave(SocketsLeave),
    /// Disconnect the local sockets that match.
    DisconnectSockets(DisconnectSockets),
    /// Respond with the local sockets that match.
    FetchSockets(FetchSockets),
}

/// A message that the rules handle: a heartbeat, a close message, an event between servers, or a
/// response. Made by [`Recipient::from`].
#[derive(Clone, Debug, PartialEq)]
pub struct RulesMessage(pub(super) RulesBody);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RulesBody {
    /// It only says that its sender lives.
    Heartbeat,
    Close,
    ServerSideEmit(ServerSideEmit),
    Response(Body),
}

impl From<Body> for Recipient {
    fn from(body: Body) -> Self {
        let body = match body {
            Body::Broadcast(data) => return Self::Local(LocalRequest::Broadcast(data)),
            Body::SocketsJoin(data) => return Self::Local(LocalRequest::SocketsJoin(data)),
            Body::SocketsLeave(data) => return Self::Local(LocalRequest::SocketsLeave(data)),
            Body::DisconnectSockets(data) => return Self::Local(LocalRequest::DisconnectSockets(data)),
            Body::FetchSockets(data) => return Self::Local(LocalRequest::FetchSockets(data)),
            Body::InitialHeartbeat | Body::Heartbeat | Body::Unknown { .. } => RulesBody::Heartbeat,
            Body::AdapterClose => RulesBody::Close,
            Body::ServerSideEmit(data) => RulesBody::ServerSideEmit(data),
            response @ (Body::FetchSocketsResponse(_)
            | Body::ServerSideEmitResponse(_)
            | Body::BroadcastClientCount(_)
            | Body::BroadcastAck(_)) => RulesBody::Response(response),
        };
        Self::Rules(RulesMessage(body))
    }
}
