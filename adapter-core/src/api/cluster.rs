//! The application's handle of the cluster.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use socketio_pg_protocol::message::{Room, SocketDescription};
use socketioxide::{SocketIo, adapter::Adapter};
use socketioxide_core::{Sid, Uid};

use crate::{
    backend::Backend,
    error::{ConnectError, Error},
    node::{
        check_tables::{TableCheck, check_tables},
        databases::Databases,
        handlers::Handlers,
        shared::Node,
    },
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
/// when every clone and every namespace that uses it has been dropped: it then does in the
/// background, on the runtime on which it was connected, what `close` does. The node holds a server
/// that was [attached](Self::attach), and the server holds its namespaces: such a node leaves when
/// `close` is called, or after the server's own `close`. If you stop waiting for the server's
/// `close` before it ends, call this one.
pub struct Cluster<B: Backend> {
    shared: Arc<Shared<B>>,
}

struct Shared<B: Backend> {
    databases: Databases<B>,
    aliases: Aliases,
    /// Holds the server, which holds its adapters, which hold this handle: dropped when the node or
    /// the server closes.
    server: RwLock<Option<Box<dyn Server>>>,
    /// The server to which the namespaces belong.
    serves: Mutex<Option<Uid>>,
    /// Whether the data of each socket also says which client the socket belongs to.
    tells_clients: AtomicBool,
}

impl<B: Backend> Shared<B> {
    fn new(databases: Databases<B>, aliases: Aliases) -> Self {
        Self {
            databases,
            aliases,
            server: RwLock::default(),
            serves: Mutex::default(),
            tells_clients: AtomicBool::default(),
        }
    }
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
    /// connection, and checks that what is sent comes back. That takes
    /// [`Options::connect_timeout`] at most, 10 s by default.
    ///
    /// `backend` is a database URL, or a backend that was set up by hand. Namespaces join one by
    /// one, when they are added to the server.
    ///
    /// # Errors
    /// Each [`ConnectError`] says what to do about it.
    pub async fn connect<T>(backend: T, options: Options) -> Result<Self, ConnectError>
    where
        T: TryInto<B>,
        T::Error: Into<ConnectError>,
    {
        let backend = backend.try_into().map_err(Into::into)?;
        let aliases = Aliases::new(options.max_remote_sockets);
        let databases = Databases::connect_one(backend, options).await?;
        Ok(Self { shared: Arc::new(Shared::new(databases, aliases)) })
    }

    /// Connects a node to a cluster whose namespaces are spread over several databases: `rule` maps
    /// a namespace's name to the index of its database in `backends`, counted from 0.
    ///
    /// Each database carries the traffic of its own namespaces, over its own connections, and knows
    /// nothing of the others: one that fails stops its own namespaces only, and messages of
    /// different databases have no order among them. The options hold for all. To the application
    /// it is one node: one server, one handle, one stream of events
    /// ([`EventStream::next_with_database`] tells where each happened).
    ///
    /// **The rule must be the same on all nodes**, Node.js's servers included, and must not change
    /// while any of them runs: nodes that look for a namespace in different databases do not find
    /// each other there. Where the server has dynamic namespaces, the rule must know every name
    /// that clients may choose; a namespace for which it returns no database is refused with
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
    /// The errors of [`Self::connect`], in a [`ConnectError::InDatabase`] that says which database:
    /// all databases must be available at the start.
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
        Ok(Self { shared: Arc::new(Shared::new(databases, aliases)) })
    }

    /// Checks the tables that nodes with these options need: whether they exist, have the necessary
    /// columns, and give the role its rights. Changes nothing, and is not a node.
    ///
    /// Where [`Self::connect`] stops at the first problem, this finds one for each table.
    pub async fn check_tables(backend: &B, options: &Options) -> Vec<TableCheck> {
        check_tables(backend, options).await
    }

    /// Gives the node its server, so that other nodes see handshake and data of its sockets, and so
    /// that `disconnectSockets(true)` of another node closes connections. Call it right after
    /// building the server.
    pub fn attach<A: Adapter>(&self, server: &SocketIo<A>) {
        self.attach_with_address(server, handshake::plain_address);
    }

    /// As [`Self::attach`], with a function that finds the address of a client. It gets the request
    /// with which the client connected, where the HTTP server stores the address. With axum:
    ///
    /// ```
    /// # use socketio_pg_core::{Cluster, backend::Backend};
    /// # fn example<B: Backend>(
    /// #     cluster: Cluster<B>,
    /// #     io: socketioxide::SocketIo,
    /// #     layer: socketioxide::layer::SocketIoLayer,
    /// # ) {
    /// use axum::extract::ConnectInfo;
    /// use std::net::SocketAddr;
    ///
    /// cluster.attach_with_address(&io, |request| {
    ///     Some(request.extensions.get::<ConnectInfo<SocketAddr>>()?.ip())
    /// });
    /// // axum provides it to a service that is made like this
    /// let app = axum::Router::<()>::new()
    ///     .layer(layer)
    ///     .into_make_service_with_connect_info::<SocketAddr>();
    /// # }
    /// ```
    pub fn attach_with_address<A, F>(&self, server: &SocketIo<A>, address: F)
    where
        A: Adapter,
        F: Fn(&http::request::Parts) -> Option<IpAddr> + Send + Sync + 'static,
    {
        let attached = Box::new(Attached::new(server.clone(), address));
        let earlier = self.shared.server.write().replace(attached);
        // Not under the lock: it may be the last handle of a server, which runs code when it is dropped.
        drop(earlier);
    }

    /// Makes this server tell, in the data of each of its sockets under the key `_admin`, which
    /// client the socket belongs to and by which transport: there the Admin UI of Node.js's servers
    /// looks for it. [Attaches](Self::attach) the server if none is attached.
    ///
    /// For `socketio-pg-admin-ui`; an application does not need it.
    #[doc(hidden)]
    pub fn tell_clients<A: Adapter>(&self, server: &SocketIo<A>) {
        self.shared.tells_clients.store(true, Ordering::Relaxed);
        let mut attached = self.shared.server.write();
        if attached.is_none() {
            *attached = Some(Box::new(Attached::new(server.clone(), handshake::plain_address)));
        }
    }

    /// A stream of what happens to the node from now on: see [`Event`](crate::Event). Each call
    /// returns a stream of its own, which has every event.
    #[doc(alias = "errorHandler")]
    pub fn events(&self) -> EventStream {
        self.shared.databases.first().events().subscribe()
    }

    /// The index of a namespace's database, counted from 0: always 0 for a node with one database.
    /// An [`Emitter`](crate::Emitter) needs a connection to that database.
    ///
    /// # Errors
    /// [`Error::NoDatabase`] when the rule returns none.
    pub fn database_of(&self, namespace: &str) -> Result<usize, Error> {
        self.shared.databases.database_of(namespace)
    }

    /// The counts so far, of all databases together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.databases.counts()
    }

    /// The state of the node at this moment. Cheap, and it never waits for PostgreSQL: it may be
    /// called every second.
    ///
    /// With several databases it is the sum of their numbers, and the worst of their states: the
    /// node is ready when it is ready in all of them. [`Self::health_by_database`] tells them
    /// apart.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.databases.health()
    }

    /// The state of the node in each of its databases, in the order in which they were given.
    #[must_use]
    pub fn health_by_database(&self) -> Vec<Health> {
        self.shared.databases.health_by_database().collect()
    }

    /// Leaves the cluster: publishes what was accepted, sends a close message in every namespace,
    /// ends every task and connection. That takes 5 s at most, and continues when the caller stops
    /// waiting: another call waits for the same. Operations fail from then on; local sockets stay
    /// connected.
    pub async fn close(&self) {
        // Also when this future is dropped: the server would hold itself through its adapters.
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

    /// Does something for a server, if it is the one that the handle serves: one call at a time, as
    /// long as the server has namespaces.
    pub(crate) fn for_server<T>(&self, id: Uid, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let mut serves = self.shared.serves.lock();
        if serves.is_some_and(|other| other != id) && !self.shared.databases.has_no_namespace() {
            return Err(Error::AnotherServer);
        }
        *serves = Some(id);
        work()
    }

    /// Releases the attached server when it has closed, if it has no namespace left.
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
            Some(server) => Some(server.describe(namespace, sid, self.shared.tells_clients.load(Ordering::Relaxed))?),
            None => None,
        };
        Some(describe::description(sid, rooms, details))
    }

    /// Leaves out the sockets that are being disconnected.
    pub(crate) fn retain_connected(&self, namespace: &str, sids: &mut Vec<Sid>) {
        if let Some(server) = &*self.shared.server.read() {
            server.retain_connected(namespace, sids);
        }
    }

    /// Disconnects clients from all their namespaces; false when no server is attached.
    pub(crate) fn disconnect_everywhere(&self, sids: &[Sid]) -> bool {
        match &*self.shared.server.read() {
            Some(server) => {
                server.disconnect_everywhere(sids);
                true
            }
            None => false,
        }
    }
}

/// Releases the attached server when it is dropped.
struct ReleaseServer<'a>(&'a RwLock<Option<Box<dyn Server>>>);

impl Drop for ReleaseServer<'_> {
    fn drop(&mut self) {
        // Dropped outside of the lock: it may be the last handle of the server.
        let server = self.0.write().take();
        drop(server);
    }
}
