//! The adapter that socketioxide uses: one for each namespace.

pub(crate) mod ack_stream;
pub(crate) mod init;
mod local;
mod slow_clients;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use socketio_pg_protocol::{
    Body,
    cluster::NodeRules,
    message::{Broadcast, DisconnectSockets, Flags, Packet, Room as WireRoom, Selector, SocketsJoin, SocketsLeave},
};
use socketioxide_core::{
    adapter::{
        BroadcastFlags, BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, RemoteSocketData, Room,
        RoomParam, SocketEmitter,
        errors::{BroadcastError, SocketError},
    },
    packet::Packet as ServerPacket,
};

use crate::{
    adapter::{ack_stream::AckStream, init::Init, slow_clients::SlowClients},
    api::cluster::Cluster,
    backend::Backend,
    error::Error,
    node::{
        namespace::Namespace,
        requests::{fetch_remote, fetch_remote_ids},
        shared::Node,
    },
    outbound::effect::{Effect, Returned},
    socketio::{
        packet::{self, Parser},
        room,
        selection::Selection,
    },
};

/// The adapter of one namespace. Made by socketioxide from a [`Cluster`]: see there.
pub struct PostgresAdapter<E: SocketEmitter, B: Backend> {
    cluster: Cluster<B>,
    /// The node of the namespace's database.
    node: Arc<Node<B>>,
    /// Why the namespace cannot join; `None` when it can.
    refused: Option<Error>,
    namespace: Arc<Namespace>,
    local: CoreLocalAdapter<E>,
    parser: Parser,
    slow_clients: SlowClients,
    /// The adapter itself, for work that continues in the background.
    this: std::sync::OnceLock<Weak<Self>>,
}

impl<E: SocketEmitter, B: Backend> DefinedAdapter for PostgresAdapter<E, B> {}

impl<E: SocketEmitter, B: Backend> CoreAdapter<E> for PostgresAdapter<E, B> {
    type Error = Error;
    type State = Cluster<B>;
    type AckStream = AckStream<E>;
    type InitRes = Init;

    fn new(cluster: &Cluster<B>, local: CoreLocalAdapter<E>) -> Self {
        let (node, refused) = match cluster.node_of(local.path()) {
            Ok(node) => (node.clone(), None),
            // Any node will do: the namespace never joins.
            Err(error) => (cluster.any_node().clone(), Some(error)),
        };
        let namespace = node.new_namespace(local.path());
        let parser = Parser::detect(local.parser());
        let (slow_clients, this) = (SlowClients::default(), std::sync::OnceLock::new());
        Self { cluster: cluster.clone(), node, refused, namespace, local, parser, slow_clients, this }
    }

    /// The server has the namespace before this returns, so that all clients that enter it find
    /// each other; it joins the cluster in the background.
    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) -> Init {
        let weak = Arc::downgrade(&self);
        self.namespace.set_local(weak.clone());
        let _ = self.this.set(weak);
        if let Some(error) = &self.refused {
            return Init::failed(error.clone());
        }
        let (node, namespace) = (self.node(), &self.namespace);
        let enter = || {
            let listening = node.register(namespace)?;
            // Before the next namespace of that name is registered: the server must keep the same
            // one as the node.
            on_success();
            Ok(listening)
        };
        match self.cluster.for_server(self.local.server_id(), enter) {
            Ok(listening) => Init::joining(node.join(namespace.clone(), listening)),
            Err(error) => Init::failed(error),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        // Everything necessary happens before the first await: socketioxide polls this once when it
        // deletes the namespace.
        let close_message = self.node().leave(&self.namespace);
        tokio::task::yield_now().await;
        // Reached only when it is polled again, which happens when the whole server closes.
        self.cluster.server_closed();
        match close_message {
            Some(close_message) => close_message.committed().await,
            None => Ok(()),
        }
    }

    async fn server_count(&self) -> Result<u16, Error> {
        Ok(u16::try_from(self.namespace.lock().server_count()).unwrap_or(u16::MAX))
    }

    /// Publishes the event, then delivers it to local sockets. When publishing fails, local sockets
    /// still get it, and the error says that the others did not. An event that must not be sent to
    /// clients reaches no client.
    async fn broadcast(&self, packet: ServerPacket, options: BroadcastOptions) -> Result<(), BroadcastError> {
        let mut body = None;
        if let Some(opts) = self.remote_options(&options, None) {
            let data = packet::payload_from_packet(&packet).map_err(Error::from)?;
            body = Some(Body::Broadcast(Broadcast { packet: Packet::event(data), request_id: None, opts }));
        } else {
            packet::check_packet(&packet).map_err(Error::from)?;
        }
        let deliver = move |this: &Self| {
            let mut errors = Vec::new();
            for options in Selection::of_application(&this.local, options).into_options() {
                errors.extend(this.send(&packet, options));
            }
            errors
        };
        let (published, errors) = self.everywhere(body, deliver).await;
        outcome(published, errors.unwrap_or_default())
    }

    /// As [`broadcast`](Self::broadcast): when publishing fails, local sockets still get the event.
    async fn broadcast_with_ack(
        &self,
        packet: ServerPacket,
        options: BroadcastOptions,
        timeout: Option<Duration>,
    ) -> Result<AckStream<E>, Error> {
        let timeout = timeout.unwrap_or_else(|| self.local.ack_timeout());
        let target = options.server_id.and(options.sid);
        let remote = self.remote_options(&options, Some(timeout));
        let data = match &remote {
            Some(_) => Some(packet::payload_from_packet(&packet)?),
            None => {
                packet::check_packet(&packet)?;
                None
            }
        };
        let ask_clients = move |this: &Self| {
            let streams = Selection::of_application(&this.local, options)
                .into_options()
                .map(|options| this.local.broadcast_with_ack(packet.clone(), options, Some(timeout)).0);
            AckStream::local(streams)
        };
        let Some((opts, data)) = remote.zip(data) else { return Ok(ask_clients(self)) };
        let (effect, asked) = self.effect(ask_clients);
        let start = |rules: &mut NodeRules, now, id| {
            let broadcast = Broadcast { packet: Packet::event(data), request_id: Some(id), opts };
            rules.broadcast_with_ack(now, broadcast, timeout);
        };
        let request = self.node().ask(&self.namespace, start, None, effect).await?;
        let stream = asked.take().flatten().unwrap_or_else(|| AckStream::local([]));
        Ok(stream.with_remote(request, self.parser, target))
    }

    async fn add_sockets(&self, options: BroadcastOptions, rooms: impl RoomParam) -> Result<(), Error> {
        let rooms: Vec<Room> = rooms.into_room_iter().collect();
        let opts = self.remote_options(&options, None);
        let body = opts.map(|opts| Body::SocketsJoin(SocketsJoin { opts, rooms: room::all_to_wire(&rooms) }));
        let join = move |this: &Self| {
            for options in Selection::of_application(&this.local, options).into_options() {
                this.join_local(options, &rooms);
            }
        };
        self.everywhere(body, join).await.0
    }

    async fn del_sockets(&self, options: BroadcastOptions, rooms: impl RoomParam) -> Result<(), Error> {
        let rooms: Vec<Room> = rooms.into_room_iter().collect();
        let opts = self.remote_options(&options, None);
        let body = opts.map(|opts| Body::SocketsLeave(SocketsLeave { opts, rooms: room::all_to_wire(&rooms) }));
        let leave = move |this: &Self| {
            for options in Selection::of_application(&this.local, options).into_options() {
                this.local.del_sockets(options, rooms.clone());
            }
        };
        self.everywhere(body, leave).await.0
    }

    async fn disconnect_socket(&self, options: BroadcastOptions) -> Result<(), BroadcastError> {
        let opts = self.remote_options(&options, None);
        let body = opts.map(|opts| Body::DisconnectSockets(DisconnectSockets { opts, close: false }));
        let disconnect = move |this: &Self| {
            let mut errors = Vec::new();
            for options in Selection::of_application(&this.local, options).into_options() {
                errors.extend(this.local.disconnect_socket(options).err().into_iter().flatten());
            }
            errors
        };
        let (published, errors) = self.everywhere(body, disconnect).await;
        outcome(published, errors.unwrap_or_default())
    }

    /// Node.js's protocol has no message for it: the rooms are the rooms of the sockets that match.
    /// A room that is named like a socket is among them when the socket joined it, as with
    /// socketioxide's own adapters.
    async fn rooms(&self, options: BroadcastOptions) -> Result<Vec<Room>, Error> {
        let mut rooms = std::collections::HashSet::new();
        if let Some(opts) = self.remote_options(&options, None) {
            for (_, socket) in fetch_remote(self.node(), &self.namespace, opts).await? {
                rooms.extend(room::joined(&socket));
            }
        }
        for options in Selection::of_application(&self.local, options).into_options() {
            rooms.extend(self.local.rooms(options));
        }
        Ok(rooms.into_iter().collect())
    }

    async fn fetch_sockets(&self, options: BroadcastOptions) -> Result<Vec<RemoteSocketData>, Error> {
        let mut sockets = Vec::new();
        if let Some(opts) = self.remote_options(&options, None) {
            let aliases = self.cluster.aliases();
            // socketioxide asks for no more than that.
            for (node, id) in fetch_remote_ids(self.node(), &self.namespace, opts).await? {
                sockets.push(RemoteSocketData {
                    id: aliases.alias(&id),
                    server_id: aliases.server(node.as_ref()),
                    ns: self.local.path().clone(),
                });
            }
        }
        for options in Selection::of_application(&self.local, options).into_options() {
            sockets.extend(self.local.fetch_sockets(options));
        }
        Ok(sockets)
    }

    fn get_local(&self) -> &CoreLocalAdapter<E> {
        &self.local
    }
}

impl<E: SocketEmitter, B: Backend> PostgresAdapter<E, B> {
    fn node(&self) -> &Arc<Node<B>> {
        &self.node
    }

    /// Publishes a message, and applies it to local sockets when it is committed or has failed: in
    /// the order of the messages, even when the caller no longer waits. Without a message, the
    /// local effect happens at once.
    async fn everywhere<T: Send + 'static>(
        &self,
        body: Option<Body>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> (Result<(), Error>, Option<T>) {
        let Some(body) = body else { return (Ok(()), Some(work(self))) };
        let (effect, returned) = self.effect(work);
        let published = self.node().publish(&self.namespace, body, effect).await;
        (published, returned.take().flatten())
    }

    /// An effect on the adapter's sockets, if the adapter still exists.
    fn effect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> (Effect, Returned<Option<T>>) {
        let this = self.this.get().cloned().unwrap_or_default();
        Effect::returning(move || this.upgrade().map(|this| work(&this)))
    }

    /// The options as other nodes understand them; `None` when they select no socket of another
    /// node.
    fn remote_options(&self, options: &BroadcastOptions, timeout: Option<Duration>) -> Option<Selector> {
        if options.is_local(self.local.server_id()) {
            return None;
        }
        let mut flags = Flags::default();
        let mut rooms = room::all_to_wire(&options.rooms);
        let mut except = room::all_to_wire(&options.except);
        if options.has_flag(BroadcastFlags::Broadcast) {
            except.extend(options.sid.map(|sender| WireRoom::from(sender.as_str())));
        } else if rooms.is_empty() {
            // The message is for one socket, in the room of its id.
            rooms.push(WireRoom::from(self.cluster.aliases().resolve(options.sid?).as_str()));
            flags.set("expectSingleResponse", true);
        }
        if options.has_flag(BroadcastFlags::Volatile) {
            flags.set("volatile", true);
        }
        if let Some(timeout) = timeout {
            flags.set_timeout(timeout);
        }
        Some(Selector { rooms, except, flags: Some(flags), ..Selector::default() })
    }
}

impl<E: SocketEmitter, B: Backend> Drop for PostgresAdapter<E, B> {
    fn drop(&mut self) {
        self.node().leave(&self.namespace);
    }
}

/// A message that did not reach the other nodes is the worse failure: it hides errors of local
/// clients.
fn outcome(published: Result<(), Error>, errors: Vec<SocketError>) -> Result<(), BroadcastError> {
    published?;
    if errors.is_empty() { Ok(()) } else { Err(BroadcastError::Socket(errors)) }
}
