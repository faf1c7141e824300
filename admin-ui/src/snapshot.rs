//! Sockets as they are now: one of this server, or all of the cluster.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use socketio_pg_core::{Cluster, Error, backend::Backend};

use crate::protocol::AdminSocket;

/// How long an admin who connects waits for the other servers. What is missing after that belongs
/// to servers that are dead or hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how many namespaces the other servers are asked at the same time: a server may have many
/// thousand, and the application's own requests need places, too.
const REQUESTS_AT_ONCE: usize = 32;

/// A socket of this server; `None` when it has gone.
pub(crate) async fn local_socket<B: Backend>(cluster: &Cluster<B>, namespace: &str, id: &str) -> Option<AdminSocket> {
    let found = cluster.of(namespace).local().to(id).fetch_sockets().await.ok()?;
    // A room may have the name of a socket.
    let socket = found.into_iter().find(|socket| socket.id.as_str() == id)?;
    Some(AdminSocket::new(namespace, socket))
}

/// The sockets of these namespaces on all servers that respond.
pub(crate) async fn all_sockets<B: Backend>(cluster: &Cluster<B>, namespaces: &[String]) -> Vec<AdminSocket> {
    let deadline = Instant::now() + PATIENCE;
    let fetching = namespaces.iter().map(|namespace| sockets_of(cluster.clone(), namespace.clone(), deadline));
    let fetching: Vec<BoxFuture<'static, _>> = fetching.map(FutureExt::boxed).collect();
    let fetched: Vec<(Vec<_>, Option<_>)> = stream::iter(fetching).buffered(REQUESTS_AT_ONCE).collect().await;
    let mut incomplete = fetched.iter().filter_map(|(_, missing)| missing.as_ref());
    if let Some((namespace, error)) = incomplete.next() {
        // One line, however many namespaces there are.
        let others = incomplete.count();
        tracing::warn!(namespace, others, %error, "an admin does not see all sockets of this namespace, and of so many others");
    }
    fetched.into_iter().flat_map(|(sockets, _)| sockets).collect()
}

/// The sockets of a namespace, and why some are missing.
async fn sockets_of<B: Backend>(
    cluster: Cluster<B>,
    namespace: String,
    deadline: Instant,
) -> (Vec<AdminSocket>, Option<(String, Error)>) {
    let left = deadline.saturating_duration_since(Instant::now());
    let (sockets, missing) = match cluster.of(&namespace).timeout(left).fetch_sockets_in_time().await {
        Ok(fetched) => (fetched.found, fetched.error),
        // The other servers cannot be asked.
        Err(error) => (local_sockets(&cluster, &namespace).await, Some(error)),
    };
    let missing = missing.filter(|error| !matches!(error, Error::UnknownNamespace(_)));
    let sockets = sockets.into_iter().map(|socket| AdminSocket::new(&namespace, socket)).collect();
    (sockets, missing.map(|error| (namespace, error)))
}

async fn local_sockets<B: Backend>(cluster: &Cluster<B>, namespace: &str) -> Vec<socketio_pg_core::ClusterSocket> {
    cluster.of(namespace).local().fetch_sockets().await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use socketio_pg_core::{
        Options, PostgresAdapter,
        testing::memory::{MemoryBackend, MemoryDatabase},
    };
    use socketioxide::{SocketIo, adapter::Emitter};

    use super::*;

    #[tokio::test]
    async fn a_list_of_many_namespaces_leaves_places_for_other_requests() {
        let database = MemoryDatabase::default();
        let names: Vec<String> = (0..3 * REQUESTS_AT_ONCE).map(|number| format!("/{number}")).collect();
        let mut servers = Vec::new();
        for _ in 0..2 {
            let cluster = Cluster::connect(database.backend(), Options::default()).await.expect("it connects");
            type Adapter = PostgresAdapter<Emitter, MemoryBackend>;
            let (_, io) = SocketIo::builder().with_adapter::<Adapter>(cluster.clone()).build_layer();
            for name in &names {
                io.ns(name.clone(), async || {}).await.expect("it joins");
            }
            servers.push((cluster, io));
        }
        let cluster = &servers[0].0;
        while names.iter().any(|name| cluster.of(name).server_count() < 2) {
            tokio::task::yield_now().await;
        }
        let mut most = 0;
        let mut listing = Box::pin(all_sockets(cluster, &names));
        while futures_util::poll!(&mut listing).is_pending() {
            let waiting = cluster.health().namespaces.iter().map(|namespace| namespace.requests).sum();
            most = most.max(waiting);
            tokio::task::yield_now().await;
        }
        assert!((1..=REQUESTS_AT_ONCE).contains(&most), "{most} requests at once");
    }
}
