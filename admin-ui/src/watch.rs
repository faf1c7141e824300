//! Tells the admins what happens to the sockets of this server: looks at them from time to time,
//! because socketioxide does not report connections and rooms.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Serialize;
use socketio_pg_core::{
    Cluster, Error, PostgresAdapter, SocketData,
    backend::Backend,
    protocol::{Value, value::Arguments},
};
use socketioxide::{SocketIo, adapter::Emitter, socket::Sid};
use tokio::sync::{mpsc, oneshot};

use crate::{
    changes::{Change, Seen, Sockets, What, changes},
    options::AdminOptions,
    protocol::{AdminSocket, ROOM_JOINED, ROOM_LEFT, SOCKET_CONNECTED, SOCKET_DISCONNECTED, SOCKET_UPDATED, now, room},
    snapshot::local_socket,
};

/// The part of a core that looking may take: a look is followed by a pause that is this many times
/// as long.
const PAUSE_FACTOR: u32 = 19;

/// How many sockets are looked at before other tasks get their turn.
const SOCKETS_AT_ONCE: usize = 256;

/// How many events are published together.
const EVENTS_AT_ONCE: usize = 30;

/// How long an admin who connects waits for a look.
const PATIENCE: Duration = Duration::from_secs(1);

/// The handle of the task that looks.
pub(crate) struct Watch(mpsc::Sender<oneshot::Sender<()>>);

impl Watch {
    pub(crate) fn start<B: Backend>(
        io: SocketIo<PostgresAdapter<Emitter, B>>,
        cluster: Cluster<B>,
        options: &AdminOptions,
    ) -> Self {
        let (looks, wanted) = mpsc::channel(1);
        let watcher = Watcher { io, cluster, namespace: options.namespace.clone(), known: Sockets::new() };
        tokio::spawn(watcher.run(wanted, options.refresh));
        Self(looks)
    }

    /// Has the task tell what happened until now.
    pub(crate) async fn tell_all(&self) {
        let told = async {
            let (done, told) = oneshot::channel();
            if self.0.send(done).await.is_ok() {
                let _ = told.await;
            }
        };
        // The list of sockets that the admin gets then is current anyway.
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }
}

struct Watcher<B: Backend> {
    io: SocketIo<PostgresAdapter<Emitter, B>>,
    cluster: Cluster<B>,
    /// The namespace of the admins.
    namespace: String,
    known: Sockets,
}

/// An event for the admins.
type Report = (&'static str, Arguments);

impl<B: Backend> Watcher<B> {
    /// Looks until the namespace of the admins is gone.
    async fn run(mut self, mut wanted: mpsc::Receiver<oneshot::Sender<()>>, refresh: Duration) {
        let mut pause = refresh;
        loop {
            let waiting = tokio::select! {
                () = tokio::time::sleep(pause) => None,
                waiting = wanted.recv() => match waiting {
                    Some(waiting) => Some(waiting),
                    None => return,
                },
            };
            let start = Instant::now();
            let sockets = self.look().await;
            let reports = self.compare(sockets).await;
            let took = start.elapsed();
            tracing::trace!(microseconds = took.as_micros(), "looked at the sockets of this server");
            pause = refresh.max(took.saturating_mul(PAUSE_FACTOR));
            if self.cluster.of(&self.namespace).uid().is_none() || !self.tell(reports).await {
                return;
            }
            drop(waiting);
        }
    }

    async fn look(&self) -> Sockets {
        let mut sockets = Sockets::new();
        let mut count = 0;
        for namespace in self.io.nsps() {
            let name = namespace.ns_path().to_owned();
            let mut of_namespace = HashMap::new();
            for socket in namespace.sockets() {
                count += 1;
                if count % SOCKETS_AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
                // socketioxide keeps a socket until its disconnect handler has ended.
                if !socket.connected() {
                    continue;
                }
                let mut rooms: BTreeSet<_> = socket.rooms().into_iter().map(String::from).collect();
                rooms.insert(socket.id.to_string());
                let data = socket.extensions.get::<SocketData>();
                of_namespace.insert(socket.id, Seen { transport: socket.transport_type(), rooms, data });
            }
            sockets.insert(name, of_namespace);
        }
        sockets
    }

    /// The events that tell what has changed. From now on, that is known.
    async fn compare(&mut self, mut sockets: Sockets) -> Vec<Report> {
        let mut reports = Vec::new();
        for change in changes(&self.known, &sockets) {
            reports.extend(self.report(change, &mut sockets).await);
        }
        self.known = sockets;
        reports
    }

    /// The event that tells a change; `None` for a socket that has gone since.
    async fn report(&self, Change { namespace, sid, what }: Change, sockets: &mut Sockets) -> Option<Report> {
        let (nsp, id) = (Value::from(&*namespace), Value::from(sid.as_str()));
        Some(match what {
            What::Connected => {
                let socket = self.describe_new(&namespace, sid, sockets).await?;
                (SOCKET_CONNECTED, Arguments(vec![value(&socket)?, now()]))
            }
            What::TransportChanged(transport) => {
                let transport = Value::from(<&str>::from(transport));
                (SOCKET_UPDATED, Arguments(vec![object([("id", id), ("nsp", nsp), ("transport", transport)])]))
            }
            What::DataChanged => {
                let data = value(&local_socket(&self.cluster, &namespace, sid.as_str()).await?.data)?;
                (SOCKET_UPDATED, Arguments(vec![object([("id", id), ("nsp", nsp), ("data", data)])]))
            }
            What::Joined(name) => (ROOM_JOINED, Arguments(vec![nsp, room(&name), id, now()])),
            What::Left(name) => (ROOM_LEFT, Arguments(vec![nsp, room(&name), id, now()])),
            // socketioxide tells the reason to the application's own handler only.
            What::Disconnected => (SOCKET_DISCONNECTED, Arguments(vec![nsp, id, "unknown".into(), now()])),
        })
    }

    /// Describes a new socket. Its rooms are those that it has by now, and that is noted: the page
    /// would list a socket twice that joins a room in which it is.
    async fn describe_new(&self, namespace: &str, sid: Sid, sockets: &mut Sockets) -> Option<AdminSocket> {
        let of_namespace = sockets.get_mut(namespace)?;
        let Some(socket) = local_socket(&self.cluster, namespace, sid.as_str()).await else {
            of_namespace.remove(&sid);
            return None;
        };
        if let Some(seen) = of_namespace.get_mut(&sid) {
            seen.rooms.clone_from(&socket.room_names);
        }
        Some(socket)
    }

    /// Emits events to the admins, in order; false when that is over.
    async fn tell(&self, reports: Vec<Report>) -> bool {
        let admins = self.cluster.of(&self.namespace);
        for some in reports.chunks(EVENTS_AT_ONCE) {
            let emitted = join_all(some.iter().map(|(event, arguments)| admins.emit(event, arguments))).await;
            for error in emitted.into_iter().filter_map(Result::err) {
                if matches!(error, Error::Closed | Error::UnknownNamespace(_)) {
                    return false;
                }
                // The adapter's own events tell what is wrong with the database.
                tracing::debug!(%error, "other servers' admins miss what happened to a socket");
            }
        }
        true
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// With bytes as bytes.
fn value(data: &impl Serialize) -> Option<Value> {
    let value = Value::from_serialize(data);
    value.inspect_err(|error| tracing::warn!(%error, "admins miss what happened to a socket")).ok()
}
