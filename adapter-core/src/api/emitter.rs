//! Emitting from processes that have no sockets: workers, cron jobs, request handlers.

use std::{future::Future, marker::PhantomData};

use serde::Serialize;
use socketio_pg_protocol::{
    Body, Message, NodeId, Relay,
    budget::Budget,
    channel,
    message::{
        Broadcast, DisconnectSockets, Flags, KeyOrder, Packet, Room, Selector, ServerSideEmit, SocketsJoin,
        SocketsLeave,
    },
    notification::Encoded,
};

use crate::{
    api::namespace::with_slash,
    backend::{
        BackendError, CatchUp, Content, Outgoing,
        emission::{Emission, OutboxTarget},
        outbox::wake_channel,
    },
    error::Error,
    inbound::catch_up,
    options::Options,
    socketio::{arguments, room},
};

/// A backend that can publish on connections of the application.
///
/// `C` is a connection in the language of the driver: a client, a pool, an open transaction.
pub trait PublishOn<C> {
    /// Publishes a message as part of what the connection is doing: inside a transaction it goes
    /// out if and when that commits. For PostgreSQL this is to run
    /// [`Emission::statement`] on the connection.
    ///
    /// # Errors
    /// When PostgreSQL does not take the statement, or the connection is lost.
    fn publish_on(connection: C, emission: Emission) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// Emits to the sockets of a cluster without being a node of it.
///
/// Built like socketioxide's operators; the connection comes last. On an open transaction of the
/// application, the event is sent if, and only if, the transaction commits. See the backend crate's
/// `Emitter` for an example.
///
/// Where namespaces are spread over several databases
/// ([`Cluster::connect_split`](crate::Cluster::connect_split)), give a connection to the database
/// of the emitter's namespace: the emitter does not know the rule, and an event that is published
/// in another database does not arrive.
#[derive(Debug)]
#[must_use]
pub struct Emitter<B> {
    prefix: String,
    table: String,
    log: Option<CatchUp>,
    outbox: Option<String>,
    budget: Budget,
    inline_binary: bool,
    namespace: String,
    rooms: Vec<Room>,
    except: Vec<Room>,
    flags: Flags,
    backend: PhantomData<fn() -> B>,
}

impl<B> Clone for Emitter<B> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix.clone(),
            table: self.table.clone(),
            log: self.log.clone(),
            outbox: self.outbox.clone(),
            budget: self.budget,
            inline_binary: self.inline_binary,
            namespace: self.namespace.clone(),
            rooms: self.rooms.clone(),
            except: self.except.clone(),
            flags: self.flags.clone(),
            backend: PhantomData,
        }
    }
}

impl<B> Default for Emitter<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Emitter<B> {
    /// An emitter for the main namespace of a cluster with default options.
    pub fn new() -> Self {
        Self::with_options(&Options::default())
    }

    /// An emitter for a cluster with these options. Only the prefix, the table, the threshold,
    /// inline binary, the catch-up log and the outbox matter. With an [outbox](Options::outbox) it
    /// writes its messages there.
    pub fn with_options(options: &Options) -> Self {
        Self {
            prefix: options.channel_prefix.clone(),
            table: options.table.clone(),
            log: options.catch_up.clone(),
            outbox: options.outbox.as_ref().map(|outbox| outbox.table_name().to_owned()),
            budget: options.budget(false),
            inline_binary: options.inline_binary,
            namespace: "/".to_owned(),
            rooms: Vec::new(),
            except: Vec::new(),
            flags: Flags::default(),
            backend: PhantomData,
        }
    }

    /// The same emitter for another namespace, with nothing selected yet. A name without a slash in
    /// front gets one, as in Node.js.
    pub fn of(&self, namespace: impl Into<String>) -> Self {
        Self {
            namespace: with_slash(namespace.into()),
            rooms: Vec::new(),
            except: Vec::new(),
            flags: Flags::default(),
            ..self.clone()
        }
    }

    /// Selects the sockets of a room; with several calls, the sockets of any of the rooms. Without
    /// a room, all sockets are selected. A socket's id is a room with just that socket.
    #[doc(alias = "in")]
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        self.rooms.push(room::named_to_wire(room));
        self
    }

    /// Leaves out the sockets of a room; with several calls, the sockets of each of the rooms.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        self.except.push(room::named_to_wire(room));
        self
    }

    /// Lets the event be dropped for clients that are not ready to receive.
    pub fn volatile(mut self) -> Self {
        self.flags.set("volatile", true);
        self
    }

    /// Says whether servers may compress the event on its way to the client.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.set("compress", compress);
        self
    }

    /// Emits an event to the selected sockets. `data` is sent as socketioxide's `emit` sends it: a
    /// tuple becomes several arguments.
    ///
    /// # Errors
    /// When the name of the event is reserved, the data cannot be written, or PostgreSQL does not
    /// take the message.
    pub async fn emit<T, C>(&self, event: &str, data: &T, connection: C) -> Result<(), Error>
    where
        T: Serialize + ?Sized,
        B: PublishOn<C>,
    {
        let mut packet = Packet::event(arguments::encode(event, data)?);
        packet.nsp = Some(self.namespace.clone());
        let opts = self.selector(Some(self.flags.clone()));
        self.publish(Body::Broadcast(Broadcast { packet, request_id: None, opts }), connection).await
    }

    /// Lets the selected sockets join rooms.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message.
    #[doc(alias = "socketsJoin")]
    pub async fn sockets_join<R, C>(&self, rooms: impl IntoIterator<Item = R>, connection: C) -> Result<(), Error>
    where
        R: Into<Room>,
        B: PublishOn<C>,
    {
        let rooms = rooms.into_iter().map(room::named_to_wire).collect();
        self.publish(Body::SocketsJoin(SocketsJoin { opts: self.selector(None), rooms }), connection).await
    }

    /// Lets the selected sockets leave rooms.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message.
    #[doc(alias = "socketsLeave")]
    pub async fn sockets_leave<R, C>(&self, rooms: impl IntoIterator<Item = R>, connection: C) -> Result<(), Error>
    where
        R: Into<Room>,
        B: PublishOn<C>,
    {
        let rooms = rooms.into_iter().map(room::named_to_wire).collect();
        self.publish(Body::SocketsLeave(SocketsLeave { opts: self.selector(None), rooms }), connection).await
    }

    /// Disconnects the selected sockets: from this namespace, or, with `close`, from their servers
    /// altogether.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message.
    #[doc(alias = "disconnectSockets")]
    pub async fn disconnect_sockets<C>(&self, close: bool, connection: C) -> Result<(), Error>
    where
        B: PublishOn<C>,
    {
        let disconnect = DisconnectSockets { opts: self.selector(None), close };
        self.publish(Body::DisconnectSockets(disconnect), connection).await
    }

    /// Emits an event to the servers of the namespace. They cannot respond.
    ///
    /// # Errors
    /// When the name of the event is reserved, the data cannot be written, or PostgreSQL does not
    /// take the message.
    #[doc(alias = "serverSideEmit")]
    pub async fn server_side_emit<T, C>(&self, event: &str, data: &T, connection: C) -> Result<(), Error>
    where
        T: Serialize + ?Sized,
        B: PublishOn<C>,
    {
        let packet = arguments::encode_server_side(event, data)?;
        self.publish(Body::ServerSideEmit(ServerSideEmit { request_id: None, packet }), connection).await
    }

    fn selector(&self, flags: Option<Flags>) -> Selector {
        Selector { rooms: self.rooms.clone(), except: self.except.clone(), flags, order: KeyOrder::Emitter }
    }

    async fn publish<C>(&self, body: Body, connection: C) -> Result<(), Error>
    where
        B: PublishOn<C>,
    {
        Error::check_namespace(&self.namespace)?;
        let mut message = Message::new(NodeId::emitter(), self.namespace.as_str(), body);
        message.relay = Relay::marked();
        let is_logged = catch_up::is_logged(&message.body);
        // Without it PostgreSQL would fold two equal events of one transaction into one.
        message.nonce = Some(format!("{:016x}", crate::env::random_u64()));
        // On a channel whose name is cut, servers on Node.js are not heard, and may be there.
        let packs_binary = self.inline_binary && channel::is_whole(&self.prefix, &self.namespace);
        let content = match message.encode(self.budget.pack_binary(packs_binary))? {
            Encoded::Inline(payload) => Content::Inline(payload),
            Encoded::Attachment { body, before_id, after_id } => Content::Attachment { body, before_id, after_id },
        };
        let channel = channel::name(&self.prefix, &self.namespace);
        let wake_channel = || wake_channel(&self.prefix);
        let emission = Emission {
            outgoing: Outgoing { channel, content, is_logged },
            table: self.table.clone(),
            log: self.log.clone(),
            outbox: self.outbox.clone().map(|table| OutboxTarget { table, wake_channel: wake_channel() }),
        };
        B::publish_on(connection, emission).await.map_err(Error::of_publication)
    }
}
