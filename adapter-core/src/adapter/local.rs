//! What other nodes ask of local sockets: deliver events, change rooms, disconnect, describe.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use socketio_pg_protocol::{
    Body, NodeId, Payload, RequestId, SocketId,
    cluster::LocalRequest,
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, DisconnectSockets, FetchSockets, FetchSocketsResponse, Only,
        Packet, Room as WireRoom, Selector, SocketDescription, SocketsJoin, SocketsLeave,
    },
};
use socketioxide_core::{
    Sid, Value as ServerValue,
    adapter::{BroadcastFlags, BroadcastOptions, Room, SocketEmitter, errors::SocketError},
    packet::{Packet as ServerPacket, PacketData},
    parser::Parse,
};

use super::{PostgresAdapter, ack_stream::AckStream};
use crate::{
    backend::Backend,
    node::{
        namespace::{LocalAck, LocalSockets},
        requester::Requester,
    },
    observe::{
        classes::{Dropped, InvalidMessage},
        event::Event,
    },
    socketio::{
        packet, room,
        selection::{self, Selection},
    },
};

/// How many bytes may be copied to find out which clients lose an event. Sent to all together, its text
/// is shared.
const MAX_COPIED: usize = 16 * 1024 * 1024;

/// The pauses between checks for clients of a namespace that was replaced.
const MIN_REPLACED_PAUSE: Duration = Duration::from_millis(5);
const MAX_REPLACED_PAUSE: Duration = Duration::from_secs(1);

impl<E: SocketEmitter, B: Backend> LocalSockets for PostgresAdapter<E, B> {
    fn carry_out(&self, request: LocalRequest, requester: &Requester) -> Vec<Body> {
        match request {
            LocalRequest::Broadcast(broadcast) => return self.deliver(broadcast, requester),
            LocalRequest::FetchSockets(FetchSockets { opts, request_id, only }) => {
                return vec![Body::FetchSocketsResponse(match only {
                    Some(Only::Count) => FetchSocketsResponse::of_count(request_id, self.count(&opts)),
                    Some(Only::Ids) => FetchSocketsResponse::of_ids(request_id, self.ids(&opts)),
                    _ => FetchSocketsResponse::full(request_id, self.describe(&opts)),
                })];
            }
            LocalRequest::SocketsJoin(SocketsJoin { opts, rooms }) => {
                let rooms = room::names(&rooms);
                for options in Selection::of_message(&self.local, &opts).into_options() {
                    self.join_local(options, &rooms);
                }
            }
            LocalRequest::SocketsLeave(SocketsLeave { opts, rooms }) => {
                for options in Selection::of_message(&self.local, &opts).into_options() {
                    self.local.del_sockets(options, room::names(&rooms));
                }
            }
            LocalRequest::DisconnectSockets(disconnect) => self.disconnect(disconnect),
        }
        Vec::new()
    }

    fn ask_clients(&self, Broadcast { packet, opts, .. }: Broadcast) -> BoxStream<'static, LocalAck> {
        let event = match packet::packet_from_payload(&packet.data, self.local.path().clone(), self.parser) {
            Ok(event) => event,
            Err(error) => {
                self.refuse(None, InvalidMessage::InvalidEvent, error);
                return Box::pin(futures_util::stream::empty());
            }
        };
        let timeout = opts.flags.as_ref().and_then(|flags| flags.timeout());
        let streams = Selection::of_message(&self.local, &opts)
            .into_options()
            .map(|options| self.local.broadcast_with_ack(event.clone(), options, timeout).0);
        let acks = AckStream::<E>::local(streams);
        Box::pin(acks.map(|(_, value)| packet::payload_from_ack(&value.ok()?).ok()))
    }

    fn replaced(&self) {
        let Some(this) = self.this.get().cloned() else { return };
        self.node().spawn(async move {
            // Until the last client is gone, as some may still be connecting.
            let mut pause = MIN_REPLACED_PAUSE;
            while let Some(adapter) = this.upgrade() {
                adapter.send_clients_away();
                drop(adapter);
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(MAX_REPLACED_PAUSE);
            }
        });
    }

    fn count(&self, options: &Selector) -> u64 {
        u64::try_from(self.connected(options).len()).unwrap_or(u64::MAX)
    }

    fn ids(&self, options: &Selector) -> Vec<SocketId> {
        self.connected(options).iter().map(|sid| SocketId::from(sid.as_str())).collect()
    }

    fn describe(&self, options: &Selector) -> Vec<SocketDescription> {
        let sids = Selection::of_message(&self.local, options).sids(&self.local);
        let describe = |sid| self.cluster.describe(self.namespace.name(), sid, self.rooms_of(sid));
        sids.into_iter().filter_map(describe).collect()
    }
}

impl<E: SocketEmitter, B: Backend> PostgresAdapter<E, B> {
    /// The local sockets that match, without those that are being disconnected.
    fn connected(&self, options: &Selector) -> Vec<Sid> {
        let mut sids = Selection::of_message(&self.local, options).sids(&self.local);
        self.cluster.retain_connected(self.namespace.name(), &mut sids);
        sids
    }

    /// Delivers an event of another node, and sends acknowledgements back when it asks for them.
    fn deliver(&self, Broadcast { packet, request_id, opts }: Broadcast, requester: &Requester) -> Vec<Body> {
        let event = match packet::packet_from_payload(&packet.data, self.local.path().clone(), self.parser) {
            Ok(event) if packet.kind == Packet::<Payload>::EVENT => Ok(event),
            Ok(_) => Err(format!("packet type {} is not an event", packet.kind)),
            Err(error) => Err(error.to_string()),
        };
        let event = match event {
            Ok(event) => event,
            Err(reason) => {
                self.refuse(requester.sender(), InvalidMessage::InvalidEvent, reason);
                // No client gets it, and the requesting node need not wait for one.
                return request_id.map(|request_id| count(request_id, 0)).into_iter().collect();
            }
        };
        let selected = Selection::of_message(&self.local, &opts).into_options();
        // Without a free permit, the clients get the event like any other, and the response says
        // that no client acknowledges.
        let answering = request_id.map(|request_id| (request_id, self.node().place_for_acknowledgements()));
        let (request_id, place) = match answering {
            Some((request_id, Some(place))) => (request_id, place),
            none => {
                for options in selected {
                    self.not_taken(&self.send(&event, options));
                }
                return none.map(|(request_id, _)| count(request_id, 0)).into_iter().collect();
            }
        };
        let timeout = opts.flags.as_ref().and_then(|flags| flags.timeout());
        let mut client_count = 0;
        let mut streams = Vec::new();
        for options in selected {
            let (stream, clients) = self.local.broadcast_with_ack(event.clone(), options, timeout);
            client_count += u64::from(clients);
            streams.push(stream);
        }
        if client_count > 0
            && let Some(this) = self.this.get().and_then(Weak::upgrade)
        {
            let acknowledging = this.acknowledge(request_id.clone(), requester.clone(), AckStream::local(streams));
            tokio::spawn(async move {
                acknowledging.await;
                drop(place);
            });
        }
        vec![count(request_id, client_count)]
    }

    /// Passes acknowledgements of local clients on to the requesting node.
    async fn acknowledge(self: Arc<Self>, request_id: RequestId, requester: Requester, mut acks: AckStream<E>) {
        while let Some((_, value)) = acks.next().await {
            // For a client that does not acknowledge, the requesting node's own time-out ends at
            // the same time as this one.
            let Ok(value) = value else { continue };
            let packet = match packet::payload_from_ack(&value) {
                Ok(packet) => packet,
                Err(error) => {
                    self.refuse(None, InvalidMessage::InvalidAnswer, error);
                    continue;
                }
            };
            let body = Body::BroadcastAck(BroadcastAck { request_id: request_id.clone(), packet });
            if let Err(error) = self.node().answer(&self.namespace, body, &requester).await {
                self.node().not_answered(&self.namespace, &requester, error);
            }
        }
    }

    /// Sends a packet to local clients. Where it is known which clients do not take it, reports
    /// them.
    pub(super) fn send(&self, packet: &ServerPacket, options: BroadcastOptions) -> Vec<SocketError> {
        let is_one = options.rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast);
        let is_watched = is_one || self.slow_clients.are_watched();
        let clients = if is_watched { self.local.sockets(options.clone()) } else { Vec::new() };
        let is_one_by_one = is_watched && clients.len().saturating_mul(text_bytes(packet)) <= MAX_COPIED;
        if !is_one && !is_one_by_one {
            let errors = self.local.broadcast(packet.clone(), options).err().unwrap_or_default();
            if errors.iter().any(is_loss) {
                self.slow_clients.lost();
            }
            return errors;
        }
        let is_volatile = options.has_flag(BroadcastFlags::Volatile);
        let mut errors = Vec::new();
        for sid in clients {
            let mut one = BroadcastOptions::new(sid);
            if is_volatile {
                one.add_flag(BroadcastFlags::Volatile);
            }
            let of_client = self.local.broadcast(packet.clone(), one).err().unwrap_or_default();
            self.report_loss(sid, &of_client);
            errors.extend(of_client);
        }
        errors
    }

    /// Reports a client that did not take a packet.
    fn report_loss(&self, sid: Sid, errors: &[SocketError]) {
        if errors.iter().any(is_loss) && self.slow_clients.lost_by(sid) {
            let namespace = self.local.path().to_string();
            self.node().events().emit(Event::SlowClient { namespace, socket: sid });
        }
    }

    /// Counts local clients that did not take an event of another node. A client that is gone
    /// misses nothing.
    fn not_taken(&self, errors: &[SocketError]) {
        for _ in errors.iter().filter(|error| is_loss(error)) {
            self.node().events().dropped(Dropped::Clients);
        }
    }

    fn refuse(&self, sender: Option<&NodeId>, kind: InvalidMessage, reason: impl ToString) {
        self.node().events().rejected(self.namespace.channel(), sender, kind, reason);
    }

    fn disconnect(&self, DisconnectSockets { opts, close }: DisconnectSockets) {
        let sids = Selection::of_message(&self.local, &opts).sids(&self.local);
        if close && self.cluster.disconnect_everywhere(&sids) {
            return;
        }
        for sid in sids {
            if let Err(errors) = self.local.disconnect_socket(BroadcastOptions::new(sid)) {
                tracing::debug!(?errors, %sid, "a socket was not disconnected");
            }
        }
    }

    /// The rooms of a local socket as Node.js describes them: its own id first. When the socket has
    /// joined a room of that name, the name comes twice, which is for [`room::joined`] of other
    /// Rust nodes: Node.js makes a set of the rooms.
    fn rooms_of(&self, sid: Sid) -> Vec<WireRoom> {
        let mut rooms = vec![WireRoom::from(sid.as_str())];
        rooms.extend(self.local.socket_rooms(sid).iter().map(|name| room::to_wire(name)));
        rooms
    }

    /// Lets local sockets join rooms.
    pub(super) fn join_local(&self, options: BroadcastOptions, rooms: &[Room]) {
        let is_one = options.rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast);
        let one = options.sid.filter(|_| is_one);
        self.local.add_sockets(options, rooms.to_vec());
        // The socket may have gone since it was selected; the rooms would then keep its id for
        // ever.
        if let Some(sid) = one.filter(|sid| !selection::is_local(&self.local, *sid)) {
            self.local.del_all(sid);
        }
    }

    /// Makes the clients of a namespace that was replaced connect again.
    ///
    /// socketioxide looks a client's namespace up by its name, so events of such a client would be
    /// ignored, and its disconnection would not be noticed. A CONNECT whose payload is not an
    /// object is an error to it, upon which Socket.IO clients open a new connection. A client that
    /// ignores the CONNECT is disconnected.
    fn send_clients_away(&self) {
        let mut everyone = BroadcastOptions::default();
        everyone.add_flag(BroadcastFlags::Broadcast);
        for sid in self.local.sockets(everyone) {
            let reason = self.local.parser().encode_default("this namespace was replaced").ok();
            let invalid = ServerPacket { inner: PacketData::Connect(reason), ns: self.local.path().clone() };
            let sent = self.local.broadcast(invalid, BroadcastOptions::new(sid));
            if let Err(errors) = sent.and_then(|()| self.local.disconnect_socket(BroadcastOptions::new(sid))) {
                tracing::debug!(?errors, "a client of a namespace that was replaced is gone");
            }
        }
    }
}

/// How many bytes of a packet's data are copied for each client to which it is sent alone.
fn text_bytes(packet: &ServerPacket) -> usize {
    match &packet.inner {
        PacketData::Event(data, _) | PacketData::BinaryEvent(data, _) => match data {
            ServerValue::Str(text, _) => text.len(),
            ServerValue::Bytes(bytes) => bytes.len(),
        },
        _ => 0,
    }
}

/// Whether a client lost a packet because its buffer is full. A client that is gone loses nothing.
fn is_loss(error: &SocketError) -> bool {
    matches!(error, SocketError::InternalChannelFull)
}

fn count(request_id: RequestId, client_count: u64) -> Body {
    Body::BroadcastClientCount(BroadcastClientCount { request_id, client_count })
}
