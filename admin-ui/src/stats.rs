//! What a server tells of itself every 2 s: `server_stats`.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use serde::Serialize;
use socketio_pg_core::{Cluster, Error, PostgresAdapter, backend::Backend};
use socketioxide::{SocketIo, TransportType, adapter::Emitter, socket::Sid};
use tokio::time::{MissedTickBehavior, interval};

use crate::{options::AdminOptions, protocol::SERVER_STATS, sessions::seconds_since_epoch};

const INTERVAL: Duration = Duration::from_secs(2);

/// One line of the page's list of servers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerStats<'a> {
    server_id: &'a str,
    hostname: &'a str,
    pid: u32,
    /// In seconds.
    uptime: f64,
    clients_count: usize,
    polling_clients_count: usize,
    aggregated_events: Vec<Aggregated>,
    namespaces: Vec<NamespaceStats>,
}

/// How often something happened, for the page's charts.
#[derive(Debug, PartialEq, Serialize)]
struct Aggregated {
    /// In milliseconds since 1970.
    timestamp: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    count: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceStats {
    name: String,
    sockets_count: usize,
}

/// Emits the numbers of this server until the namespace of the admins is gone.
pub(crate) async fn report<B: Backend>(
    io: SocketIo<PostgresAdapter<Emitter, B>>,
    cluster: Cluster<B>,
    options: AdminOptions,
) {
    let start = Instant::now();
    let hostname = gethostname::gethostname().to_string_lossy().into_owned();
    let server_id = options.server_id.unwrap_or_else(|| cluster.health().node_name);
    let mut known = HashSet::new();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (clients, namespaces) = count(&io);
        let stats = ServerStats {
            server_id: &server_id,
            hostname: &hostname,
            pid: std::process::id(),
            uptime: start.elapsed().as_secs_f64(),
            clients_count: clients.len(),
            polling_clients_count: clients.values().filter(|it| **it == TransportType::Polling).count(),
            aggregated_events: connections(&mut known, clients.into_keys().collect(), seconds_since_epoch()),
            namespaces,
        };
        match cluster.of(&options.namespace).emit(SERVER_STATS, &stats).await {
            Err(Error::Closed | Error::UnknownNamespace(_)) => return,
            // The adapter's own events tell what is wrong with the database.
            Err(error) => tracing::debug!(%error, "other servers' admins miss the numbers of this server"),
            Ok(()) => {}
        }
    }
}

/// The clients with their transports, and the number of sockets of each namespace. In socketioxide,
/// all sockets of a client have the client's id.
fn count<B: Backend>(io: &SocketIo<PostgresAdapter<Emitter, B>>) -> (HashMap<Sid, TransportType>, Vec<NamespaceStats>) {
    let mut clients = HashMap::new();
    let mut namespaces = Vec::new();
    for namespace in io.nsps() {
        let name = namespace.ns_path().to_owned();
        let mut sockets = namespace.sockets();
        // socketioxide keeps a socket until its disconnect handler has ended.
        sockets.retain(|socket| socket.connected());
        clients.extend(sockets.iter().map(|socket| (socket.id, socket.transport_type())));
        namespaces.push(NamespaceStats { name, sockets_count: sockets.len() });
    }
    namespaces.sort_by(|one, other| one.name.cmp(&other.name));
    (clients, namespaces)
}

/// How many clients came and went since the last time.
fn connections(known: &mut HashSet<Sid>, now: HashSet<Sid>, seconds: u64) -> Vec<Aggregated> {
    let (came, went) = (now.difference(known).count(), known.difference(&now).count());
    *known = now;
    let counted = [("rawConnection", came), ("rawDisconnection", went)];
    let some = counted.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(kind, count)| Aggregated { timestamp: seconds * 1000, kind, count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_came_and_went_are_counted_once() {
        let [one, two, three] = [Sid::new(), Sid::new(), Sid::new()];
        let mut known = HashSet::new();
        let counted = |kind, count| Aggregated { timestamp: 7000, kind, count };
        assert_eq!(connections(&mut known, HashSet::from([one, two]), 7), [counted("rawConnection", 2)]);
        assert_eq!(connections(&mut known, HashSet::from([one, two]), 7), []);
        let both = [counted("rawConnection", 1), counted("rawDisconnection", 2)];
        assert_eq!(connections(&mut known, HashSet::from([three]), 7), both);
    }
}
