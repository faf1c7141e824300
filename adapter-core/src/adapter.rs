//! The adapter that socketioxide sees: one for each namespace.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use socketio_pg_protocol::{
    Body, NodeId, Payload, RequestId,
    cluster::{Cluster as Rules, Progress},
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, DisconnectSockets, FetchSocketsResponse, Flags, Options, Packet,
        Room as WireRoom, SocketDescription, SocketsJoin, SocketsLeave,
    },
};
use socketioxide_core::{
    Sid,
    adapter::{
        BroadcastFlags, BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, RemoteSocketData, Room,
        RoomParam, SocketEmitter, Spawnable,
        errors::{AdapterError, BroadcastError, SocketError},
    },
    packet::{Packet as ServerPacket, PacketData},
    parser::Parse,
};
use tokio::task::JoinHandle;

use crate::{
    ack::AckStream,
    backend::Backend,
    cluster::Cluster,
    effect::{Effect, Returned},
    error::Error,
    event::{Dropped, Event, Poison},
    hub::Hub,
    namespace::{Answer, LocalRequest, LocalSockets, Namespace},
    operators::{self, LocalAck},
    origin::Origin,
    packet::{self, Parser},
    room,
    selection::{self, Selection},
    slow_clients::SlowClients,
};

/// The pauses between looks for clients of a namespace that was replaced.
const MIN_REPLACED_PAUSE: Duration = Duration::from_millis(5);
const MAX_REPLACED_PAUSE: Duration = Duration::from_secs(1);

/// The adapter of one namespace. Made by socketioxide from a [`Cluster`]: see there.
pub struct PostgresAdapter<E: SocketEmitter, B: Backend> {
    cluster: Cluster<B>,
    /// That of the namespace's database.
    hub: Arc<Hub<B>>,
    /// Why the namespace cannot join, if it cannot.
    refused: Option<Error>,
    namespace: Arc<Namespace>,
    local: CoreLocalAdapter<E>,
    parser: Parser,
    slow_clients: SlowClients,
    /// The adapter itself, for work that goes on in the background.
    this: std::sync::OnceLock<Weak<Self>>,
}

impl<E: SocketEmitter, B: Backend> DefinedAdapter for PostgresAdapter<E, B> {}

impl<E: SocketEmitter, B: Backend> CoreAdapter<E> for PostgresAdapter<E, B> {
    type Error = Error;
    type State = Cluster<B>;
    type AckStream = AckStream<E>;
    type InitRes = Init;

    fn new(cluster: &Cluster<B>, local: CoreLocalAdapter<E>) -> Self {
        let (hub, refused) = match cluster.hub_of(local.path()) {
            Ok(hub) => (hub.clone(), None),
            // Any will do: the namespace never joins.
            Err(error) => (cluster.any_hub().clone(), Some(error)),
        };
        let namespace = hub.new_namespace(local.path());
        let parser = Parser::detect(local.parser());
        let (slow_clients, this) = (SlowClients::default(), std::sync::OnceLock::new());
        Self { cluster: cluster.clone(), hub, refused, namespace, local, parser, slow_clients, this }
    }

    /// The server has the namespace before this returns, so that all clients that enter it meet in it; it joins the cluster in the
    /// background.
    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) -> Init {
        let weak = Arc::downgrade(&self);
        self.namespace.set_local(weak.clone());
        let _ = self.this.set(weak);
        if let Some(error) = &self.refused {
            return Init::failed(error.clone());
        }
        let (hub, namespace) = (self.hub(), &self.namespace);
        let enter = || {
            let listening = hub.register(namespace)?;
            // Before the next one of that name is registered: the server must keep the same one as the node.
            on_success();
            Ok(listening)
        };
        match self.cluster.for_server(self.local.server_id(), enter) {
            Ok(listening) => Init(InitState::Joining(hub.join(namespace.clone(), listening))),
            Err(error) => Init::failed(error),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        // What must happen happens before the first await: socketioxide polls this once when it deletes the namespace.
        let farewell = self.hub().leave(&self.namespace);
        tokio::task::yield_now().await;
        // Polled again: the whole server closes.
        self.cluster.server_closed();
        match farewell {
            Some(farewell) => farewell.committed().await,
            None => Ok(()),
        }
    }

    async fn server_count(&self) -> Result<u16, Error> {
        Ok(u16::try_from(self.namespace.lock().server_count()).unwrap_or(u16::MAX))
    }

    /// Publishes the event, then delivers it to local sockets. When it cannot be published, local sockets get it all the
    /// same, and the error tells that the others did not. An event that nobody may be sent, nobody gets.
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

    /// As [`broadcast`](Self::broadcast): when it cannot be published, local sockets get it all the same.
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
        let start = |rules: &mut Rules, now, id| {
            let broadcast = Broadcast { packet: Packet::event(data), request_id: Some(id), opts };
            rules.broadcast_with_ack(now, broadcast, timeout);
        };
        let request = self.hub().ask(&self.namespace, start, None, effect).await?;
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

    /// Node's protocol has no message for it: the rooms are those of the sockets that match. A room that is named like a socket
    /// is one of them when the socket joined it, as with socketioxide's own adapters.
    async fn rooms(&self, options: BroadcastOptions) -> Result<Vec<Room>, Error> {
        let mut rooms = std::collections::HashSet::new();
        if let Some(opts) = self.remote_options(&options, None) {
            for (_, socket) in operators::fetch_remote(self.hub(), &self.namespace, opts).await? {
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
            for (node, socket) in operators::fetch_remote(self.hub(), &self.namespace, opts).await? {
                sockets.push(RemoteSocketData {
                    id: aliases.alias(&socket.id),
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
    fn hub(&self) -> &Arc<Hub<B>> {
        &self.hub
    }

    /// Publishes a message, and does the same to local sockets when that is committed or has failed: in the order of the messages,
    /// whoever is still waiting. Without a message, it is done at once.
    async fn everywhere<T: Send + 'static>(
        &self,
        body: Option<Body>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> (Result<(), Error>, Option<T>) {
        let Some(body) = body else { return (Ok(()), Some(work(self))) };
        let (effect, returned) = self.effect(work);
        let published = self.hub().publish(&self.namespace, body, effect).await;
        (published, returned.take().flatten())
    }

    /// Work on the adapter's sockets, if the adapter is still there.
    fn effect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> (Effect, Returned<Option<T>>) {
        let this = self.this.get().cloned().unwrap_or_default();
        Effect::returning(move || this.upgrade().map(|this| work(&this)))
    }

    /// Makes the clients of a namespace that was replaced connect again.
    ///
    /// socketioxide looks a client's namespace up by its name, so such a client would never be heard, nor would its end be noticed.
    /// A CONNECT whose payload is no object is an error to it, upon which Socket.IO clients open a new connection. One that does not
    /// mind is told that it is disconnected.
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

    /// The options as other nodes understand them; `None` when nobody there is meant.
    fn remote_options(&self, options: &BroadcastOptions, timeout: Option<Duration>) -> Option<Options> {
        if options.is_local(self.local.server_id()) {
            return None;
        }
        let mut flags = Flags::default();
        let mut rooms = room::all_to_wire(&options.rooms);
        let mut except = room::all_to_wire(&options.except);
        if options.has_flag(BroadcastFlags::Broadcast) {
            except.extend(options.sid.map(|sender| WireRoom::from(sender.as_str())));
        } else if rooms.is_empty() {
            // One socket, in the room of its id.
            rooms.push(WireRoom::from(self.cluster.aliases().resolve(options.sid?).as_str()));
            flags.set("expectSingleResponse", true);
        }
        if options.has_flag(BroadcastFlags::Volatile) {
            flags.set("volatile", true);
        }
        if let Some(timeout) = timeout {
            flags.set_timeout(timeout);
        }
        Some(Options { rooms, except, flags: Some(flags), ..Options::default() })
    }

    /// Delivers an event of another node, and answers with acknowledgements when it wants them.
    fn deliver(&self, Broadcast { packet, request_id, opts }: Broadcast, origin: &Origin) -> Vec<Body> {
        let event = match packet::packet_from_payload(&packet.data, self.local.path().clone(), self.parser) {
            Ok(event) if packet.kind == Packet::<Payload>::EVENT => Ok(event),
            Ok(_) => Err(format!("packet type {} is no event", packet.kind)),
            Err(error) => Err(error.to_string()),
        };
        let event = match event {
            Ok(event) => event,
            Err(reason) => {
                self.refuse(origin.sender(), Poison::InvalidEvent, reason);
                // No client gets it, and whoever asks need not wait for one.
                return request_id.map(|request_id| count(request_id, 0)).into_iter().collect();
            }
        };
        let selected = Selection::of_message(&self.local, &opts).into_options();
        // Without a place, its clients get the event like any other, and none is said to answer.
        let answering = request_id.map(|request_id| (request_id, self.hub().place_for_work()));
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
            let acknowledging = this.acknowledge(request_id.clone(), origin.clone(), AckStream::local(streams));
            tokio::spawn(async move {
                acknowledging.await;
                drop(place);
            });
        }
        vec![count(request_id, client_count)]
    }

    /// Passes on what local clients acknowledge.
    async fn acknowledge(self: Arc<Self>, request_id: RequestId, origin: Origin, mut acks: AckStream<E>) {
        while let Some((_, value)) = acks.next().await {
            // A client that does not acknowledge is missed by whoever asked, at the same time as here.
            let Ok(value) = value else { continue };
            let packet = match packet::payload_from_ack(&value) {
                Ok(packet) => packet,
                Err(error) => {
                    self.refuse(None, Poison::InvalidAnswer, error);
                    continue;
                }
            };
            let body = Body::BroadcastAck(BroadcastAck { request_id: request_id.clone(), packet });
            if let Err(error) = self.hub().answer(&self.namespace, body, &origin).await {
                tracing::debug!(%error, "an acknowledgement was not published");
            }
        }
    }

    /// Sends a packet to local clients, and reports those that do not take it where it is known which they are.
    fn send(&self, packet: &ServerPacket, options: BroadcastOptions) -> Vec<SocketError> {
        let is_one = options.rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast);
        if !is_one && !self.slow_clients.are_watched() {
            let errors = self.local.broadcast(packet.clone(), options).err().unwrap_or_default();
            if errors.iter().any(is_loss) {
                self.slow_clients.lost();
            }
            return errors;
        }
        let is_volatile = options.has_flag(BroadcastFlags::Volatile);
        let mut errors = Vec::new();
        for sid in self.local.sockets(options) {
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
            self.hub().events().emit(Event::SlowClient { namespace, socket: sid });
        }
    }

    /// Some local clients did not take an event of another node. One that is gone misses nothing.
    fn not_taken(&self, errors: &[SocketError]) {
        for _ in errors.iter().filter(|error| is_loss(error)) {
            self.hub().events().dropped(Dropped::Clients);
        }
    }

    fn refuse(&self, sender: Option<&NodeId>, kind: Poison, reason: impl ToString) {
        self.hub().events().poisoned(self.namespace.channel(), sender, kind, reason);
    }

    fn disconnect(&self, DisconnectSockets { opts, close }: DisconnectSockets) {
        let sids = Selection::of_message(&self.local, &opts).sids(&self.local);
        for sid in sids {
            if close && self.cluster.disconnect_everywhere(sid) {
                continue;
            }
            if let Err(errors) = self.local.disconnect_socket(BroadcastOptions::new(sid)) {
                tracing::debug!(?errors, %sid, "a socket was not disconnected");
            }
        }
    }
}

/// Whether a client lost a packet for lack of room in its buffer. One that is gone loses nothing.
fn is_loss(error: &SocketError) -> bool {
    matches!(error, SocketError::InternalChannelFull)
}

impl<E: SocketEmitter, B: Backend> LocalSockets for PostgresAdapter<E, B> {
    fn carry_out(&self, request: LocalRequest, origin: &Origin) -> Vec<Body> {
        match request {
            LocalRequest::Broadcast(broadcast) => return self.deliver(broadcast, origin),
            LocalRequest::Fetch(fetch) => {
                let sockets = self.describe(&fetch.opts);
                return vec![Body::FetchSocketsResponse(FetchSocketsResponse {
                    request_id: fetch.request_id,
                    sockets,
                })];
            }
            LocalRequest::Join(SocketsJoin { opts, rooms }) => {
                let rooms = room::names(&rooms);
                for options in Selection::of_message(&self.local, &opts).into_options() {
                    self.join_local(options, &rooms);
                }
            }
            LocalRequest::Leave(SocketsLeave { opts, rooms }) => {
                for options in Selection::of_message(&self.local, &opts).into_options() {
                    self.local.del_sockets(options, room::names(&rooms));
                }
            }
            LocalRequest::Disconnect(disconnect) => self.disconnect(disconnect),
        }
        Vec::new()
    }

    fn ask_clients(&self, Broadcast { packet, opts, .. }: Broadcast) -> BoxStream<'static, LocalAck> {
        let event = match packet::packet_from_payload(&packet.data, self.local.path().clone(), self.parser) {
            Ok(event) => event,
            Err(error) => {
                self.refuse(None, Poison::InvalidEvent, error);
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
        self.hub().spawn(async move {
            // Until the last client is gone, as some may be on their way in.
            let mut pause = MIN_REPLACED_PAUSE;
            while let Some(adapter) = this.upgrade() {
                adapter.send_clients_away();
                drop(adapter);
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(MAX_REPLACED_PAUSE);
            }
        });
    }

    fn describe(&self, options: &Options) -> Vec<SocketDescription> {
        let sids = Selection::of_message(&self.local, options).sids(&self.local);
        let describe = |sid| self.cluster.describe(self.namespace.name(), sid, self.rooms_of(sid));
        sids.into_iter().filter_map(describe).collect()
    }
}

impl<E: SocketEmitter, B: Backend> PostgresAdapter<E, B> {
    /// The rooms of a local socket as Node tells them: its own id first. When it has joined a room of that name it is told again,
    /// which is for [`room::joined`] of other Rust nodes: Node makes a set of them.
    fn rooms_of(&self, sid: Sid) -> Vec<WireRoom> {
        let mut rooms = vec![WireRoom::from(sid.as_str())];
        rooms.extend(self.local.socket_rooms(sid).iter().map(|name| room::to_wire(name)));
        rooms
    }

    /// Lets local sockets join rooms.
    fn join_local(&self, options: BroadcastOptions, rooms: &[Room]) {
        let is_one = options.rooms.is_empty() && !options.has_flag(BroadcastFlags::Broadcast);
        let one = options.sid.filter(|_| is_one);
        self.local.add_sockets(options, rooms.to_vec());
        // It may have gone since it was selected, and the rooms would keep it for ever.
        if let Some(sid) = one.filter(|sid| !selection::is_local(&self.local, *sid)) {
            self.local.del_all(sid);
        }
    }
}

impl<E: SocketEmitter, B: Backend> Drop for PostgresAdapter<E, B> {
    fn drop(&mut self) {
        self.hub().leave(&self.namespace);
    }
}

fn count(request_id: RequestId, client_count: u64) -> Body {
    Body::BroadcastClientCount(BroadcastClientCount { request_id, client_count })
}

/// What did not reach the other nodes weighs more than a local client that did not take it.
fn outcome(published: Result<(), Error>, errors: Vec<SocketError>) -> Result<(), BroadcastError> {
    published?;
    if errors.is_empty() { Ok(()) } else { Err(BroadcastError::Socket(errors)) }
}

/// Resolves once the namespace has joined the cluster. What `io.ns(…)` returns.
///
/// The namespace joins in the background, whether this is awaited or not, and takes clients meanwhile. When it cannot join, this
/// tells why.
#[must_use = "it tells when the namespace has joined the cluster, or why it cannot"]
pub struct Init(InitState);

enum InitState {
    Joining(JoinHandle<Result<(), Error>>),
    Failed(Option<Error>),
}

impl Init {
    fn failed(error: Error) -> Self {
        Self(InitState::Failed(Some(error)))
    }
}

impl Future for Init {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // The task ends before its time with its runtime only.
            InitState::Joining(joining) => {
                Pin::new(joining).poll(context).map(|joined| joined.unwrap_or(Err(Error::Closed)))
            }
            InitState::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}

impl Spawnable for Init {
    fn spawn(self) {
        tokio::spawn(async move {
            match self.await {
                // It was deleted, or the node left, before it had joined.
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => tracing::error!(%error, "a namespace could not join the cluster"),
            }
        });
    }
}

impl From<packet::PacketError> for Error {
    fn from(error: packet::PacketError) -> Self {
        match error {
            packet::PacketError::ReservedEvent(event) => Self::ReservedEvent { event },
            error => Self::Data(Arc::new(error)),
        }
    }
}

impl From<packet::PacketError> for AdapterError {
    fn from(error: packet::PacketError) -> Self {
        Error::from(error).into()
    }
}

/// Collects the answers to FETCH_SOCKETS, each with its node.
pub(crate) async fn collect_sockets(
    mut request: crate::namespace::Request,
) -> Result<Vec<(Option<socketio_pg_protocol::NodeId>, SocketDescription)>, Error> {
    let mut sockets = Vec::new();
    while let Some(answer) = request.next().await {
        match answer {
            Answer::Progress { node, progress: Progress::Sockets(described) } => {
                sockets.extend(described.into_iter().map(|socket| (node.clone(), socket)));
            }
            Answer::Progress { .. } => {}
            Answer::Completed(outcome) if outcome.is_complete() => return Ok(sockets),
            Answer::Completed(outcome) => return Err(Error::Timeout { missing: outcome.missing_nodes }),
            Answer::TooMany { limit } => return Err(Error::TooManyAnswers { limit }),
        }
    }
    Err(Error::Closed)
}
