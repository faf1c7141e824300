//! Operations on the sockets of a namespace, on all nodes: everything that Node.js's operators can
//! do.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use socketio_pg_protocol::{
    Body, NodeId, SocketId,
    cluster::{LocalRequest, NodeRules},
    message::{Broadcast, DisconnectSockets, Flags, Packet, Room, Selector, SocketsJoin, SocketsLeave},
};

use crate::{
    api::{cluster::Cluster, responses::Acknowledgements},
    backend::Backend,
    error::Error,
    node::{handlers::Handlers, namespace::Namespace, requester::Requester, shared::Node},
    outbound::effect::Effect,
    socketio::{arguments, room},
};

/// One namespace of the cluster, and a selection of its sockets across all nodes.
///
/// Made by [`Cluster::of`]; cheap to make and to clone. It offers what socketioxide's own operators do not: `compress`,
/// `disconnect_sockets(true)`, sockets with all that their nodes tell of them, and events from
/// server to server.
///
/// ```no_run
/// # use socketio_pg_core::{Cluster, Error, backend::Backend};
/// # async fn example<B: Backend>(cluster: Cluster<B>) -> Result<(), Error> {
/// cluster.of("/").to("news").except("muted").compress(false).emit("headline", "It works").await?;
/// let everyone = cluster.of("/chat").fetch_sockets().await?;
/// let muted = cluster.of("/chat").to("muted").socket_count().await?;
/// cluster.of("/chat").to("idle").disconnect_sockets(true).await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
#[doc(alias = "BroadcastOperator")]
pub struct ClusterNamespace<B: Backend> {
    cluster: Cluster<B>,
    name: String,
    rooms: Vec<Room>,
    except: Vec<Room>,
    flags: Flags,
    local: bool,
}

impl<B: Backend> Cluster<B> {
    /// One namespace of the cluster, with all its sockets selected. It need not exist yet: the
    /// operations on it fail with [`Error::UnknownNamespace`] until this server has it. A name
    /// without a slash in front gets one, as in Node.js.
    pub fn of(&self, namespace: impl Into<String>) -> ClusterNamespace<B> {
        ClusterNamespace::new(self.clone(), with_slash(namespace.into()))
    }
}

/// A namespace's name, with a slash in front.
pub(crate) fn with_slash(mut name: String) -> String {
    if !name.starts_with('/') {
        name.insert(0, '/');
    }
    name
}

impl<B: Backend> Clone for ClusterNamespace<B> {
    fn clone(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            name: self.name.clone(),
            rooms: self.rooms.clone(),
            except: self.except.clone(),
            flags: self.flags.clone(),
            local: self.local,
        }
    }
}

/// Selecting sockets.
impl<B: Backend> ClusterNamespace<B> {
    pub(crate) fn new(cluster: Cluster<B>, name: String) -> Self {
        Self { cluster, name, rooms: Vec::new(), except: Vec::new(), flags: Flags::default(), local: false }
    }

    /// The namespace's name, such as `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Selects the sockets of a room; with several calls, the sockets of any of the rooms. Without
    /// a room, all sockets are selected. A socket's id is a room with just that socket; a number is
    /// another room than the text of its digits.
    #[doc(alias("in", "within"))]
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        self.rooms.push(room::named_to_wire(room));
        self
    }

    /// Leaves out the sockets of a room; with several calls, the sockets of each of the rooms. With
    /// the id of a socket it leaves out that socket.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        self.except.push(room::named_to_wire(room));
        self
    }

    /// Selects sockets of this server only; nothing is published.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Lets the event be dropped for clients that are not ready to receive.
    pub fn volatile(mut self) -> Self {
        self.flags.set("volatile", true);
        self
    }

    /// Says whether Node.js servers may compress the event on its way to the client; socketioxide
    /// does not compress.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.set("compress", compress);
        self
    }

    /// How long to wait for acknowledgements, or for the responses of other nodes: instead of
    /// [`Options::request_timeout`](crate::Options::request_timeout), 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.set_timeout(timeout);
        self
    }

    pub(crate) fn selector(&self) -> Selector {
        Selector {
            rooms: self.rooms.clone(),
            except: self.except.clone(),
            flags: Some(self.flags.clone()),
            ..Selector::default()
        }
    }

    /// Whether it selects sockets of this server only.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    pub(crate) fn node(&self) -> Result<&Arc<Node<B>>, Error> {
        self.cluster.node_of(&self.name)
    }

    pub(crate) fn handlers(&self) -> &Handlers {
        self.cluster.handlers()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.flags.timeout().unwrap_or(self.cluster.options().request_timeout)
    }

    pub(crate) fn namespace(&self) -> Result<Arc<Namespace>, Error> {
        self.node()?.namespace(&self.name).ok_or_else(|| Error::UnknownNamespace(self.name.clone()))
    }
}

/// What this node knows of the cluster.
impl<B: Backend> ClusterNamespace<B> {
    /// How many servers have this namespace, this one included, as far as this one has heard them.
    /// A server that was killed counts for
    /// [`Options::heartbeat_timeout`](crate::Options::heartbeat_timeout) more. 0 when this server
    /// does not have the namespace.
    #[doc(alias = "serverCount")]
    #[must_use]
    pub fn server_count(&self) -> usize {
        self.namespace().map_or(0, |namespace| namespace.lock().server_count())
    }

    /// The uid of this node in the namespace; `None` when this server does not have the namespace.
    #[must_use]
    pub fn uid(&self) -> Option<NodeId> {
        self.namespace().ok().map(|namespace| namespace.uid().clone())
    }

    /// The other nodes that have this namespace, without this one: empty when this server does not
    /// have the namespace.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.namespace().map_or_else(|_| Vec::new(), |namespace| namespace.lock().nodes().cloned().collect())
    }
}

/// Operations on the selected sockets.
impl<B: Backend> ClusterNamespace<B> {
    /// Emits an event to the selected sockets. Returns once it is published and handed to the local
    /// ones.
    ///
    /// `data` is sent as socketioxide's `emit` sends it: a tuple becomes several arguments.
    ///
    /// # Errors
    /// When the event's name is reserved or the data cannot be written, no socket gets the event.
    /// When PostgreSQL does not take the message, local sockets still get it.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
        let packet = Packet::event(arguments::encode(event, data)?);
        let broadcast = Broadcast { packet, request_id: None, opts: self.selector() };
        self.everywhere(Body::Broadcast(broadcast.clone()), LocalRequest::Broadcast(broadcast)).await
    }

    /// Emits an event to the selected sockets and waits for their acknowledgements: as many as
    /// there are sockets, of all nodes. See [`Acknowledgements`]. They are waited for as long as
    /// [`Self::timeout`] says.
    ///
    /// # Errors
    /// When the event's name is reserved or the data cannot be written, no socket gets the event.
    /// When PostgreSQL does not take the message, local sockets still get it, and their
    /// acknowledgements are dropped.
    #[doc(alias = "emitWithAck")]
    pub async fn emit_with_ack<T, R>(&self, event: &str, data: &T) -> Result<Acknowledgements<R>, Error>
    where
        T: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let namespace = self.namespace()?;
        let timeout = self.request_timeout();
        let mut opts = self.selector();
        opts.flags.get_or_insert_default().set_timeout(timeout);
        let packet = Packet::event(arguments::encode(event, data)?);
        let broadcast = Broadcast { packet: packet.clone(), request_id: None, opts: opts.clone() };
        let (remote, local) = if self.local {
            (None, namespace.local().map(|local| local.ask_clients(broadcast)))
        } else {
            let (effect, asked) = Effect::returning({
                let namespace = namespace.clone();
                move || namespace.local().map(|local| local.ask_clients(broadcast))
            });
            let start = |cluster: &mut NodeRules, now, id| {
                let broadcast = Broadcast { packet, request_id: Some(id), opts };
                cluster.broadcast_with_ack(now, broadcast, timeout);
            };
            (Some(self.node()?.ask(&namespace, start, None, effect).await?), asked.take().flatten())
        };
        Ok(Acknowledgements::new(local, remote))
    }

    /// Lets the selected sockets join rooms.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message; local sockets still join then.
    #[doc(alias = "socketsJoin")]
    pub async fn sockets_join<R: Into<Room>>(&self, rooms: impl IntoIterator<Item = R>) -> Result<(), Error> {
        let join = SocketsJoin { opts: self.selector(), rooms: rooms.into_iter().map(room::named_to_wire).collect() };
        self.everywhere(Body::SocketsJoin(join.clone()), LocalRequest::SocketsJoin(join)).await
    }

    /// Lets the selected sockets leave rooms.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message; local sockets still leave then.
    #[doc(alias = "socketsLeave")]
    pub async fn sockets_leave<R: Into<Room>>(&self, rooms: impl IntoIterator<Item = R>) -> Result<(), Error> {
        let leave = SocketsLeave { opts: self.selector(), rooms: rooms.into_iter().map(room::named_to_wire).collect() };
        self.everywhere(Body::SocketsLeave(leave.clone()), LocalRequest::SocketsLeave(leave)).await
    }

    /// Disconnects the selected sockets: from this namespace, or, with `close`, from the server
    /// altogether.
    ///
    /// # Errors
    /// When PostgreSQL does not take the message; local sockets are still disconnected then.
    #[doc(alias = "disconnectSockets")]
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), Error> {
        let disconnect = DisconnectSockets { opts: self.selector(), close };
        self.everywhere(Body::DisconnectSockets(disconnect.clone()), LocalRequest::DisconnectSockets(disconnect)).await
    }

    /// One socket, on whichever node it is. The operations on it do what Node.js's `RemoteSocket`
    /// does.
    #[doc(alias = "RemoteSocket")]
    pub fn socket(&self, id: &SocketId) -> Self {
        let mut one = Self::new(self.cluster.clone(), self.name.clone()).to(id.as_str());
        one.flags.set("expectSingleResponse", true);
        one
    }

    /// Publishes, and applies the same to local sockets when that is committed, as Node.js does.
    async fn everywhere(&self, body: Body, request: LocalRequest) -> Result<(), Error> {
        let namespace = self.namespace()?;
        let carry_out = {
            let namespace = namespace.clone();
            move || namespace.local().map(|local| local.carry_out(request, &Requester::default()))
        };
        if self.local {
            carry_out();
            return Ok(());
        }
        self.node()?.publish(&namespace, body, Effect::new(move |_| drop(carry_out()))).await
    }
}
