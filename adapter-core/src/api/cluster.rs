//! The node's handle of its cluster.

use std::{net::IpAddr, sync::Arc};

use parking_lot::{Mutex, RwLock};
use socketio_pg_protocol::message::{Room, SocketDescription};
use socketioxide::{SocketIo, adapter::Adapter};
use socketioxide_core::{Sid, Uid};

use crate::{
    backend::Backend,
    error::{ConnectError, Error},
    node::{databases::Databases, handlers::Handlers, shared::Node},
    observe::{
        event::EventStream,
        health::{Counts, Health},
    },
    options::Options,
    socketio::{
        alias::Aliases,
        describe::{self, Attached, Server},
        handshake,
    },
};

/// A node's membership in a cluster: give it to socketioxide as the state of its adapter.
///
/// Cheap to clone; all clones are the same node. The node leaves when [`Self::close`] is called, or
/// when every clone and every namespace that uses it is gone: then it does in the background, on
/// the runtime on which it was connected, what `close` does. A server that was
/// [attached](Self::attach) is held by the node, and holds its namespaces: such a node leaves when
/// `close` is called, or after the server's own `close`. Where the latter is given up before its
/// end, call this one.
pub struct Cluster<B: Backend> {
    shared: Arc<Shared<B>>,
}

struct Shared<B: Backend> {
    databases: Databases<B>,
    aliases: Aliases,
    /// Holds the server, which holds its adapters, which hold this: dropped when the node or the
    /// server closes.
    server: RwLock<Option<Box<dyn Server>>>,
    /// The server whose namespaces these are.
    serves: Mutex<Option<Uid>>,
}

impl<B: Backend> Clone for Cluster<B> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<B: Backend> std::fmt::Debug for Cluster<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("options", self.options()).finish_non_exhaustive()
    }
}

impl<B: Backend> Cluster<B> {
    /// Connects a node to the cluster: prepares the attachments table, opens the listening
    /// connection, and proves that what is sent comes back.
    ///
    /// `backend` is a database URL, or a backend that was set up by hand. Namespaces join one by
    /// one, when they are added to the server.
    ///
    /// # Errors
    /// Each [`ConnectError`] says what to do.
    pub async fn connect<T>(backend: T, options: Options) -> Result<Self, ConnectError>
    where
        T: TryInto<B>,
        T::Error: Into<ConnectError>,
    {
        let backend = backend.try_into().map_err(Into::into)?;
        let aliases = Aliases::new(options.max_remote_sockets);
        let databases = Databases::connect_one(backend, options).await?;
        Ok(Self {
            shared: Arc::new(Shared { databases, aliases, server: RwLock::default(), serves: Mutex::default() }),
        })
    }

    /// Connects a node to a cluster whose namespaces are spread over several databases: `rule` says
    /// by a namespace's name in which of the `backends` it is, counted from 0.
    ///
    /// Each database carries the traffic of its own namespaces, over connections of its own, and
    /// knows nothing of the others: one that fails stops its own namespaces only, and there is no
    /// order between messages of different databases. The options hold for all. To the application
    /// it is one node: one server, one handle, one stream of events
    /// ([`EventStream::next_with_database`] tells where each happened).
    ///
    /// **The rule must be the same on all nodes**, Node.js's servers included, and must not change
    /// while any of them runs: nodes that look for a namespace in different databases do not find
    /// each other there. It must know every name that clients may bring where the server has
    /// dynamic namespaces; a namespace for which it names no database is refused with
    /// [`Error::NoDatabase`].
    ///
    /// ```no_run
    /// # use socketio_pg_core::{Cluster, ConnectError, Options, backend::Backend};
    /// # async fn example<B: Backend>(main: B, games: B) -> Result<(), ConnectError> {
    /// let rule = |namespace: &str| if namespace.starts_with("/game/") { 1 } else { 0 };
    /// let cluster = Cluster::<B>::connect_split([main, games], rule, Options::default()).await?;
    /// assert_eq!(cluster.database_of("/game/chess").ok(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::connect`], in a [`ConnectError::InDatabase`] that says which database: all
    /// must be there at the start.
    pub async fn connect_split<T>(
        backends: impl IntoIterator<Item = T>,
        rule: impl Fn(&str) -> usize + Send + Sync + 'static,
        options: Options,
    ) -> Result<Self, ConnectError>
    where
        T: TryInto<B>,
        T::Error: Into<ConnectError>,
    {
        let backends = backends.into_iter().enumerate().map(|(database, backend)| {
            backend.try_into().map_err(|error| Into::<ConnectError>::into(error).of_database(database))
        });
        let backends = backends.collect::<Result<Vec<B>, _>>()?;
        let aliases = Aliases::new(options.max_remote_sockets);
        let databases = Databases::connect(backends, Box::new(rule), options).await?;
        Ok(Self {
            shared: Arc::new(Shared { databases, aliases, server: RwLock::default(), serves: Mutex::default() }),
        })
    }

    /// Tells the node about its server, so that other nodes see handshake and data of its sockets,
    /// and so that `disconnectSockets(true)` of another node closes connections. Call it right
    /// after building the server.
    pub fn attach<A: Adapter>(&self, server: &SocketIo<A>) {
        self.attach_with_address(server, handshake::plain_address);
    }

    /// As [`Self::attach`], and tells where the address of a client is found: in the request with
    /// which it came, which is for the HTTP server to say. With axum:
    ///
    /// ```
    /// # use socketio_pg_core::{Cluster, backend::Backend};
    /// # fn example<B: Backend>(cluster: Cluster<B>, io: socketioxide::SocketIo, layer: socketioxide::layer::SocketIoLayer) {
    /// use axum::extract::ConnectInfo;
    /// use std::net::SocketAddr;
    ///
    /// cluster.attach_with_address(&io, |request| Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    /// // axum provides it to a service that is made like this
    /// let app = axum::Router::<()>::new().layer(layer).into_make_service_with_connect_info::<SocketAddr>();
    /// # }
    /// ```
    pub fn attach_with_address<A, F>(&self, server: &SocketIo<A>, address: F)
    where
        A: Adapter,
        F: Fn(&http::request::Parts) -> Option<IpAddr> + Send + Sync + 'static,
    {
        *self.shared.server.write() = Some(Box::new(Attached::new(server.clone(), address)));
    }

    /// What happens to the node from now on.
    pub fn events(&self) -> EventStream {
        self.shared.databases.first().events().subscribe()
    }

    /// In which database a namespace is, counted from 0: always 0 for a node with one. An
    /// [`Emitter`](crate::Emitter) needs a connection to that one.
    ///
    /// # Errors
    /// [`Error::NoDatabase`] when the rule names none.
    pub fn database_of(&self, namespace: &str) -> Result<usize, Error> {
        self.shared.databases.database_of(namespace)
    }

    /// What was counted so far, in all databases together.
    pub fn counts(&self) -> Counts {
        self.shared.databases.counts()
    }

    /// How the node is at this moment. Cheap, and it never waits for PostgreSQL: fit to be asked
    /// every second.
    ///
    /// Of several databases it is the sum, and the worst where there is nothing to add up: it is
    /// ready when it is in all of them. [`Self::health_by_database`] tells them apart.
    pub fn health(&self) -> Health {
        self.shared.databases.health()
    }

    /// How the node is in each of its databases.
    pub fn health_by_database(&self) -> Vec<Health> {
        self.shared.databases.health_by_database().collect()
    }

    /// Leaves the cluster: publishes what was accepted, sends a close message in every namespace,
    /// ends every task and connection. That takes 5 s at most, and goes on when the caller stops
    /// waiting: another call waits for the same. Operations fail from then on; local sockets stay
    /// connected.
    pub async fn close(&self) {
        // Also when this is given up: the server would hold itself through its adapters.
        let _release = ReleaseServer(&self.shared.server);
        self.shared.databases.close().await;
    }

    /// The node of the database that has a namespace.
    pub(crate) fn node_of(&self, namespace: &str) -> Result<&Arc<Node<B>>, Error> {
        self.shared.databases.of(namespace)
    }

    /// The node of one of the databases.
    pub(crate) fn any_node(&self) -> &Arc<Node<B>> {
        self.shared.databases.first()
    }

    pub(crate) fn handlers(&self) -> &Handlers {
        self.shared.databases.handlers()
    }

    pub(crate) fn options(&self) -> &Options {
        self.any_node().options()
    }

    pub(crate) fn aliases(&self) -> &Aliases {
        &self.shared.aliases
    }

    /// Does something for a server, if it is the one that the handle serves: one at a time, as long
    /// as it has namespaces.
    pub(crate) fn for_server<T>(&self, id: Uid, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let mut serves = self.shared.serves.lock();
        if serves.is_some_and(|other| other != id) && !self.shared.databases.has_no_namespace() {
            return Err(Error::AnotherServer);
        }
        *serves = Some(id);
        work()
    }

    /// Lets the attached server go when it has closed, if none of its namespaces is left.
    pub(crate) fn server_closed(&self) {
        if self.shared.databases.has_no_namespace() {
            // Dropped outside of the lock: it may be the last handle of the server.
            let server = self.shared.server.write().take();
            drop(server);
        }
    }

    /// `None` for a socket that is being disconnected.
    pub(crate) fn describe(&self, namespace: &str, sid: Sid, rooms: Vec<Room>) -> Option<SocketDescription> {
        let details = match &*self.shared.server.read() {
            Some(server) => Some(server.describe(namespace, sid)?),
            None => None,
        };
        Some(describe::description(sid, rooms, details))
    }

    /// Disconnects a client from all its namespaces; false when the server is not known.
    pub(crate) fn disconnect_everywhere(&self, sid: Sid) -> bool {
        match &*self.shared.server.read() {
            Some(server) => {
                server.disconnect_everywhere(sid);
                true
            }
            None => false,
        }
    }
}

/// Lets the attached server go when it is dropped.
struct ReleaseServer<'a>(&'a RwLock<Option<Box<dyn Server>>>);

impl Drop for ReleaseServer<'_> {
    fn drop(&mut self) {
        // Dropped outside of the lock: it may be the last handle of the server.
        let server = self.0.write().take();
        drop(server);
    }
}
