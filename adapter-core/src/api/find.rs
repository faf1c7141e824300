//! Finding the selected sockets of all nodes: in full, their number, their ids.

use std::sync::Arc;

use socketio_pg_protocol::{NodeId, SocketId, message::Selector};

use crate::{
    api::{namespace::ClusterNamespace, socket::ClusterSocket},
    backend::Backend,
    error::Error,
    node::{
        namespace::{LocalSockets, Namespace},
        requests::{count_in_time, fetch_in_time, ids_in_time},
    },
};

/// What was found on the nodes that responded in time, and why it is not all.
///
/// ```no_run
/// # use socketio_pg_core::{ClusterNamespace, Error, backend::Backend};
/// # async fn example<B: Backend>(lobby: ClusterNamespace<B>) -> Result<(), Error> {
/// let sockets = lobby.fetch_sockets_in_time().await?;
/// for node in sockets.missing() {
///     println!("without the sockets of {node}");
/// }
/// println!("{} sockets", sockets.found.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "it may be incomplete: `missing` says whose part is not there"]
pub struct InTime<T> {
    /// What was found on this node, and on the nodes that responded in time.
    pub found: T,
    /// Why that is not all: [`Error::Timeout`] when nodes did not respond in time,
    /// [`Error::TooManyResponses`] when there was too much, [`Error::Publish`] or
    /// [`Error::Unconfirmed`] when the others could not be asked. `None` when it is all.
    pub error: Option<Error>,
}

impl<T> InTime<T> {
    /// Whether `found` is all: every node that is still in the cluster responded in time, and no
    /// limit was reached.
    pub fn is_complete(&self) -> bool {
        self.error.is_none()
    }

    /// The uids of the nodes that did not respond in time; `socketio-pg nodes` shows the names of
    /// the nodes that respond now. Empty when [`Self::error`] is another one than
    /// [`Error::Timeout`].
    pub fn missing(&self) -> &[NodeId] {
        match &self.error {
            Some(Error::Timeout { missing }) => missing,
            _ => &[],
        }
    }

    /// What was found, if that is all.
    ///
    /// # Errors
    /// [`Self::error`], when it is not all.
    pub fn complete(self) -> Result<T, Error> {
        self.error.map_or(Ok(self.found), Err)
    }
}

/// Finding the selected sockets.
impl<B: Backend> ClusterNamespace<B> {
    /// The selected sockets, with rooms, handshake and data: Node.js's included, whose ids do not
    /// fit into socketioxide's. Where their number or their ids are enough, [`Self::socket_count`] and
    /// [`Self::socket_ids`] cost far less.
    ///
    /// # Errors
    /// [`Error::Timeout`] when a node does not respond in time, as in Node.js;
    /// [`Error::TooManyResponses`] and [`Error::TooManyRequests`] at the limits of
    /// [`Options`](crate::Options); [`Error::Closed`], and what publishing can fail with.
    #[doc(alias = "fetchSockets")]
    pub async fn fetch_sockets(&self) -> Result<Vec<ClusterSocket>, Error> {
        self.fetch_sockets_in_time().await?.complete()
    }

    /// As [`Self::fetch_sockets`], but when nodes do not respond in time, it returns the sockets of
    /// all others, and says which nodes are missing. [`Self::timeout`] says how long to wait.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TooManyRequests`], and a namespace that this server does not have.
    pub async fn fetch_sockets_in_time(&self) -> Result<InTime<Vec<ClusterSocket>>, Error> {
        let (namespace, selector) = (self.namespace()?, self.selector());
        let local = of_local(&namespace, &selector, LocalSockets::describe);
        let uid = namespace.uid();
        let mut found: Vec<_> = local.into_iter().map(|socket| ClusterSocket::new(Some(uid.clone()), socket)).collect();
        if self.is_local() {
            return Ok(InTime { found, error: None });
        }
        let (remote, error) = asked(fetch_in_time(self.node()?, &namespace, selector).await)?;
        found.extend(remote.into_iter().map(|(node, socket)| ClusterSocket::new(node, socket)));
        Ok(InTime { found, error })
    }

    /// How many sockets are selected, on all nodes: as many as [`Self::fetch_sockets`] would
    /// return. Servers in Rust and Python respond with a number of some bytes; those on Node.js
    /// describe their sockets, which are then counted here.
    ///
    /// ```no_run
    /// # use socketio_pg_core::{Cluster, Error, backend::Backend};
    /// # async fn example<B: Backend>(cluster: Cluster<B>) -> Result<(), Error> {
    /// let players = cluster.of("/game").to("lobby").except("bots").socket_count().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Timeout`] when a node does not respond in time; it names the node. Otherwise as
    /// [`Self::fetch_sockets`].
    #[doc(alias("count", "clientsCount"))]
    pub async fn socket_count(&self) -> Result<u64, Error> {
        self.socket_count_in_time().await?.complete()
    }

    /// As [`Self::socket_count`], but without the sockets of nodes that do not respond in time.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TooManyRequests`], and a namespace that this server does not have.
    pub async fn socket_count_in_time(&self) -> Result<InTime<u64>, Error> {
        let (namespace, selector) = (self.namespace()?, self.selector());
        let local = of_local(&namespace, &selector, LocalSockets::count);
        if self.is_local() {
            return Ok(InTime { found: local, error: None });
        }
        let (remote, error) = asked(count_in_time(self.node()?, &namespace, selector).await)?;
        Ok(InTime { found: local.saturating_add(remote), error })
    }

    /// The ids of the selected sockets, on all nodes, without what describes them: some 20 bytes
    /// for each socket of a server in Rust or Python. Servers on Node.js describe them all the same.
    /// [`Options::max_responses`](crate::Options::max_responses) limits how many may come from other
    /// nodes.
    ///
    /// # Errors
    /// [`Error::Timeout`] when a node does not respond in time; it names the node. Otherwise as
    /// [`Self::fetch_sockets`].
    #[doc(alias = "allSockets")]
    pub async fn socket_ids(&self) -> Result<Vec<SocketId>, Error> {
        self.socket_ids_in_time().await?.complete()
    }

    /// As [`Self::socket_ids`], but without the sockets of nodes that do not respond in time.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TooManyRequests`], and a namespace that this server does not have.
    pub async fn socket_ids_in_time(&self) -> Result<InTime<Vec<SocketId>>, Error> {
        let (namespace, selector) = (self.namespace()?, self.selector());
        let mut found = of_local(&namespace, &selector, LocalSockets::ids);
        if self.is_local() {
            return Ok(InTime { found, error: None });
        }
        let (remote, error) = asked(ids_in_time(self.node()?, &namespace, selector).await)?;
        found.extend(remote.into_iter().map(|(_, id)| id));
        Ok(InTime { found, error })
    }
}

/// Where the others could not be asked, nothing was found on them.
fn asked<T: Default>(outcome: Result<(T, Option<Error>), Error>) -> Result<(T, Option<Error>), Error> {
    match outcome {
        Err(error @ (Error::Publish(_) | Error::Unconfirmed(_))) => Ok((T::default(), Some(error))),
        outcome => outcome,
    }
}

/// What this node's own sockets contribute.
fn of_local<T: Default>(
    namespace: &Arc<Namespace>,
    selector: &Selector,
    find: impl FnOnce(&(dyn LocalSockets + 'static), &Selector) -> T,
) -> T {
    namespace.local().map(|local| find(&*local, selector)).unwrap_or_default()
}
