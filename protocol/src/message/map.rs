//! Converts the application data in a message to another form.

use super::*;

impl<P> Message<P> {
    /// Converts all application data in the message.
    pub fn try_map<Q, E>(self, mut convert: impl FnMut(P) -> Result<Q, E>) -> Result<Message<Q>, E> {
        let Self { body, uid, nsp, relay, nonce, reply_to, watch, takes_packed } = self;
        Ok(Message { body: body.try_map(&mut convert)?, uid, nsp, relay, nonce, reply_to, watch, takes_packed })
    }
}

impl<P> Body<P> {
    pub(super) fn try_map<Q, E>(self, convert: &mut impl FnMut(P) -> Result<Q, E>) -> Result<Body<Q>, E> {
        Ok(match self {
            Self::InitialHeartbeat => Body::InitialHeartbeat,
            Self::Heartbeat => Body::Heartbeat,
            Self::AdapterClose => Body::AdapterClose,
            Self::SocketsJoin(data) => Body::SocketsJoin(data),
            Self::SocketsLeave(data) => Body::SocketsLeave(data),
            Self::DisconnectSockets(data) => Body::DisconnectSockets(data),
            Self::FetchSockets(data) => Body::FetchSockets(data),
            Self::BroadcastClientCount(data) => Body::BroadcastClientCount(data),
            Self::Broadcast(Broadcast { packet: Packet { kind, data, nsp }, request_id, opts }) => {
                Body::Broadcast(Broadcast { packet: Packet { kind, data: convert(data)?, nsp }, request_id, opts })
            }
            Self::BroadcastAck(BroadcastAck { request_id, packet }) => {
                Body::BroadcastAck(BroadcastAck { request_id, packet: packet.map(convert).transpose()? })
            }
            Self::FetchSocketsResponse(FetchSocketsResponse { request_id, sockets, count, ids }) => {
                let sockets = sockets.into_iter().map(|socket| socket.try_map(convert)).collect::<Result<_, _>>()?;
                Body::FetchSocketsResponse(FetchSocketsResponse { request_id, sockets, count, ids })
            }
            Self::ServerSideEmit(ServerSideEmit { request_id, packet }) => {
                Body::ServerSideEmit(ServerSideEmit { request_id, packet: convert(packet)? })
            }
            Self::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet }) => {
                let packet = packet.map(convert).transpose()?;
                Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet })
            }
            Self::Unknown { kind, data } => Body::Unknown { kind, data: data.map(convert).transpose()? },
        })
    }

    /// Whether `test` holds for any application data in the message.
    pub(crate) fn any_data(&self, test: impl Fn(&P) -> bool) -> bool {
        match self {
            Self::InitialHeartbeat
            | Self::Heartbeat
            | Self::AdapterClose
            | Self::SocketsJoin(_)
            | Self::SocketsLeave(_)
            | Self::DisconnectSockets(_)
            | Self::FetchSockets(_)
            | Self::BroadcastClientCount(_) => false,
            Self::Broadcast(data) => test(&data.packet.data),
            Self::BroadcastAck(data) => data.packet.as_ref().is_some_and(test),
            Self::FetchSocketsResponse(data) => {
                data.sockets.iter().flat_map(|socket| [&socket.handshake, &socket.data]).flatten().any(test)
            }
            Self::ServerSideEmit(data) => test(&data.packet),
            Self::ServerSideEmitResponse(data) => data.packet.as_ref().is_some_and(test),
            Self::Unknown { data, .. } => data.as_ref().is_some_and(test),
        }
    }
}

impl<P> SocketDescription<P> {
    fn try_map<Q, E>(self, convert: &mut impl FnMut(P) -> Result<Q, E>) -> Result<SocketDescription<Q>, E> {
        Ok(SocketDescription {
            id: self.id,
            handshake: self.handshake.map(&mut *convert).transpose()?,
            rooms: self.rooms,
            data: self.data.map(&mut *convert).transpose()?,
        })
    }
}
