//! Sockets as they are now: one of this server, or all of the cluster.

use std::time::Duration;

use futures_util::future::join_all;
use socketio_pg_core::{Cluster, Error, backend::Backend};

use crate::protocol::AdminSocket;

/// How long an admin who connects waits for the other servers. What is missing after that belongs
/// to servers that are dead or hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket of this server; `None` when it has gone.
pub(crate) async fn local_socket<B: Backend>(cluster: &Cluster<B>, namespace: &str, id: &str) -> Option<AdminSocket> {
    let found = cluster.of(namespace).local().to(id).fetch_sockets().await.ok()?;
    // A room may have the name of a socket.
    let socket = found.into_iter().find(|socket| socket.id.as_str() == id)?;
    Some(AdminSocket::new(namespace, socket))
}

/// The sockets of these namespaces on all servers that respond.
pub(crate) async fn all_sockets<B: Backend>(cluster: &Cluster<B>, namespaces: &[String]) -> Vec<AdminSocket> {
    let fetching = namespaces.iter().map(|namespace| async move {
        let fetched = cluster.of(namespace).timeout(PATIENCE).fetch_sockets_in_time().await;
        let (sockets, missing) = match fetched {
            Ok(fetched) => fetched,
            // The other servers cannot be asked.
            Err(error) => (local_sockets(cluster, namespace).await, Some(error)),
        };
        if let Some(error) = missing.filter(|error| !matches!(error, Error::UnknownNamespace(_))) {
            tracing::warn!(namespace, %error, "an admin does not see all sockets");
        }
        sockets.into_iter().map(|socket| AdminSocket::new(namespace, socket)).collect::<Vec<_>>()
    });
    join_all(fetching).await.into_iter().flatten().collect()
}

async fn local_sockets<B: Backend>(cluster: &Cluster<B>, namespace: &str) -> Vec<socketio_pg_core::ClusterSocket> {
    cluster.of(namespace).local().fetch_sockets().await.unwrap_or_default()
}
