//! A simulated server: the real adapter, on clients that record what they get.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use socketio_pg_core::{
    Cluster, Error, Event, Options, PostgresAdapter, Recovery,
    testing::memory::{MemoryDatabase, WallClock},
};
use socketioxide_core::{
    Sid, Uid,
    adapter::{CoreAdapter, CoreLocalAdapter, Room},
};
use tokio::time::Instant;

use crate::{
    backend::{Faults, NodeBackend},
    clients::{Clients, Received},
};

pub(crate) type Adapter = PostgresAdapter<Clients, NodeBackend>;

/// A client, and the rooms that it never leaves.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) sid: Sid,
    pub(crate) rooms: Vec<String>,
}

/// From when to when messages may be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    /// Whether the node reports that it caught up with everything in the log.
    pub(crate) is_complete: bool,
}

/// What a node reports about itself.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) gaps: Vec<Gap>,
    /// Set while the connection is lost.
    pub(crate) disconnected: Option<Instant>,
    /// Every event, for the trace.
    pub(crate) events: Vec<String>,
    /// How many messages it could not use, counted when it ends.
    pub(crate) rejected: u64,
    /// Reports that are wrong.
    pub(crate) wrong: Vec<String>,
}

/// A running server.
pub(crate) struct Running {
    pub(crate) cluster: Cluster<NodeBackend>,
    pub(crate) adapter: Arc<Adapter>,
}

/// One server, and what is known of it after its end.
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) running: Option<Arc<Running>>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) sockets: Vec<Client>,
    clients: Clients,
    /// Events of other servers.
    pub(crate) server_side: Arc<Mutex<Received>>,
    pub(crate) told: Arc<Mutex<Told>>,
    pub(crate) wall: WallClock,
    pub(crate) joined: Instant,
    /// From when on it need not get messages.
    pub(crate) ended: Option<Instant>,
}

impl Node {
    pub(crate) async fn start(
        index: usize,
        epoch: Instant,
        database: &MemoryDatabase,
        faults: Arc<Faults>,
        options: Options,
        sockets: Vec<Client>,
        wall: WallClock,
    ) -> Result<Self, String> {
        let backend = NodeBackend::new(database, faults.clone());
        let cluster = Cluster::<NodeBackend>::connect(backend, options).await.map_err(|error| error.to_string())?;
        let told = Arc::new(Mutex::new(Told::default()));
        tokio::spawn(write_down(cluster.events(), told.clone(), epoch));

        let server = format!("server{index:0>10}").parse::<Uid>().map_err(|error| error.to_string())?;
        let clients = Clients::new(server, sockets.iter().map(|client| client.sid));
        let local = CoreLocalAdapter::new(clients.clone());
        for client in &sockets {
            local.add_all(client.sid, client.rooms.iter().cloned().map(Room::from).collect::<Vec<_>>());
        }
        let adapter = Arc::new(Adapter::new(&cluster, local));
        adapter.clone().init(|| ()).await.map_err(|error: Error| error.to_string())?;

        let server_side = Arc::new(Mutex::new(Received::default()));
        let got = server_side.clone();
        cluster.of("/").on_server_side("order", move |(sender, number, _): (usize, u64, String)| {
            got.lock().got.push((Instant::now(), sender, number));
            std::future::ready(())
        });
        cluster.of("/").on_server_side_with_ack("question", async |number: u64| {
            tokio::time::sleep(Duration::from_millis(number % 50)).await;
            number
        });
        let running = Some(Arc::new(Running { cluster, adapter }));
        let joined = Instant::now();
        Ok(Self { index, running, faults, sockets, clients, server_side, told, wall, joined, ended: None })
    }

    pub(crate) fn received(&self, sid: Sid) -> Received {
        self.clients.received(sid)
    }

    /// From now on the node need not get messages, nor those since its connection was lost.
    pub(crate) fn end(&mut self) -> Option<Arc<Running>> {
        let now = Instant::now();
        let rejected = self.rejected();
        let mut told = self.told.lock();
        told.rejected = rejected;
        self.ended = Some(told.disconnected.unwrap_or(now));
        self.running.take()
    }

    /// How many messages it could not use.
    pub(crate) fn rejected(&self) -> u64 {
        match &self.running {
            Some(running) => running.cluster.health().counts.rejected,
            None => self.told.lock().rejected,
        }
    }
}

async fn write_down(mut events: socketio_pg_core::EventStream, told: Arc<Mutex<Told>>, epoch: Instant) {
    while let Some(event) = events.next().await {
        let mut told = told.lock();
        match &event {
            Event::Disconnected { .. } => told.disconnected = Some(Instant::now()),
            Event::Gap { since, until, recovery } => {
                told.disconnected = None;
                // The wall clock may be set to anything, but the length of the gap must be right.
                let Ok(long) = until.duration_since(*since) else {
                    told.wrong.push(format!("it ends before it begins: {event:?}"));
                    continue;
                };
                let until = Instant::now();
                let is_complete = matches!(recovery, Recovery::Complete { .. });
                told.gaps.push(Gap { since: until.checked_sub(long).unwrap_or(epoch), until, is_complete });
            }
            _ => {}
        }
        told.events.push(format!("{:?} {event:?}", epoch.elapsed()));
    }
}
