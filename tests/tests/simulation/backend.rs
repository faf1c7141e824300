//! A node's connection to the database in memory, which has delays and faults.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use socketio_pg_core::{
    PublishOn,
    backend::{
        Backend, BackendError, CatchUp, ErrorKind, FetchLimits, Incoming, Listener, LogQuery, LogRow, OutboxBatch,
        OutboxProgress, OutboxState, Outgoing, Position, Row, SweepBatch, TableReport, emission::Emission,
        table::TableName,
    },
    protocol::{SessionId, cluster::Sighting},
    testing::memory::{MemoryBackend, MemoryDatabase, MemoryListener},
};
use tokio::{sync::watch, time::Instant};

/// The longest delay between a node and the database, in one direction.
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(60);

/// The faults between one node and the database.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Mutex<StdRng>,
    /// How often a statement fails, in thousandths.
    per_mille: AtomicU32,
    is_dead: AtomicBool,
    /// Counts how often the listening session was broken.
    breaks: watch::Sender<u64>,
}

impl Faults {
    pub(crate) fn new(seed: u64, per_mille: u32) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            per_mille: per_mille.into(),
            is_dead: AtomicBool::new(false),
            breaks: watch::Sender::new(0),
        })
    }

    /// Breaks the listening session.
    pub(crate) fn break_session(&self) {
        self.breaks.send_modify(|breaks| *breaks += 1);
    }

    /// Ends all faults.
    pub(crate) fn stop(&self) {
        self.per_mille.store(0, Ordering::Relaxed);
    }

    /// From now on nothing leaves the node and nothing arrives, as if its process were killed.
    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.break_session();
    }

    fn delay(&self) -> Duration {
        MAX_DELAY.mul_f64(self.random.lock().random_range(0.0..1.0_f64).powi(3))
    }

    async fn travel(&self) {
        let delay = self.delay();
        tokio::time::sleep(delay).await;
    }

    fn fails(&self) -> bool {
        let draw = self.random.lock().random_range(0..1000_u32);
        self.is_dead.load(Ordering::Relaxed) || draw < self.per_mille.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), BackendError> {
        if self.fails() { Err(broken()) } else { Ok(()) }
    }
}

/// One node's backend.
#[derive(Clone, Debug)]
pub(crate) struct NodeBackend {
    inner: MemoryBackend,
    faults: Arc<Faults>,
}

impl NodeBackend {
    pub(crate) fn new(database: &MemoryDatabase, faults: Arc<Faults>) -> Self {
        Self { inner: database.backend(), faults }
    }
}

impl Backend for NodeBackend {
    type Listener = NodeListener;

    async fn inspect_table(&self, table: &TableName) -> Result<TableReport, BackendError> {
        self.inner.inspect_table(table).await
    }

    async fn create(&self, table: &TableName, statements: &str) -> Result<(), BackendError> {
        self.inner.create(table, statements).await
    }

    async fn publish(&self, table: &str, log: Option<&CatchUp>, batch: &[Outgoing]) -> Result<(), BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        if batch.len() > 1 && self.faults.fails() {
            return Err(BackendError::new(ErrorKind::Other, "refused as a whole"));
        }
        self.inner.publish(table, log, batch).await?;
        self.faults.travel().await;
        // It is committed, and the node may not learn of it.
        self.faults.check()
    }

    async fn fetch(&self, table: &str, ids: &[i64], limits: FetchLimits) -> Result<Vec<Row>, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        let rows = self.inner.fetch(table, ids, limits).await;
        self.faults.travel().await;
        rows
    }

    async fn mark(&self, log: &str, channel: &str, payload: &str) -> Result<Position, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        let position = self.inner.mark(log, channel, payload).await;
        self.faults.travel().await;
        self.faults.check()?;
        position
    }

    async fn read_log(&self, query: &LogQuery<'_>) -> Result<Vec<LogRow>, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        let rows = self.inner.read_log(query).await;
        self.faults.travel().await;
        self.faults.check()?;
        rows
    }

    async fn sweep_batch(&self, table: &str, batch: SweepBatch) -> Result<u64, BackendError> {
        self.faults.check()?;
        self.inner.sweep_batch(table, batch).await
    }

    async fn publish_outbox(&self, batch: &OutboxBatch<'_>) -> Result<OutboxProgress, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        let progress = self.inner.publish_outbox(batch).await;
        self.faults.travel().await;
        // It is committed, and the node may not learn of it.
        self.faults.check()?;
        progress
    }

    async fn look_at_outbox(&self, outbox: &str, after: i64) -> Result<OutboxState, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        self.inner.look_at_outbox(outbox, after).await
    }

    fn close(&self) {}

    async fn connect_listener(&self) -> Result<NodeListener, BackendError> {
        self.faults.travel().await;
        self.faults.check()?;
        let inner = self.inner.connect_listener().await?;
        let breaks = self.faults.breaks.subscribe();
        Ok(NodeListener { inner, faults: self.faults.clone(), breaks, on_the_way: VecDeque::new(), is_broken: false })
    }
}

impl<'a> PublishOn<&'a NodeBackend> for NodeBackend {
    async fn publish_on(connection: &'a NodeBackend, emission: Emission) -> Result<(), BackendError> {
        connection.faults.travel().await;
        connection.faults.check()?;
        MemoryBackend::publish_on(&connection.inner, emission).await?;
        connection.faults.travel().await;
        // It is committed, and the emitter may not learn of it.
        connection.faults.check()
    }
}

/// A listening session over a slow line: what is on its way when it breaks is lost.
#[derive(Debug)]
pub(crate) struct NodeListener {
    inner: MemoryListener,
    faults: Arc<Faults>,
    breaks: watch::Receiver<u64>,
    on_the_way: VecDeque<(Instant, Incoming)>,
    is_broken: bool,
}

impl NodeListener {
    fn sent(&mut self, incoming: Incoming) {
        let arrives = Instant::now() + self.faults.delay();
        let arrives = self.on_the_way.back().map_or(arrives, |(last, _)| arrives.max(*last));
        self.on_the_way.push_back((arrives, incoming));
    }

    fn broke(&mut self) {
        self.is_broken = true;
        let now = Instant::now();
        self.on_the_way.retain(|(arrives, _)| *arrives <= now);
    }

    /// Hands over what comes while something is on its way.
    async fn travel_beside_next(&mut self, take: &mut (dyn FnMut(&str, &str) + Send)) -> Result<(), BackendError> {
        let faults = self.faults.clone();
        let mut travelling = pin!(faults.travel());
        loop {
            tokio::select! {
                biased;
                () = &mut travelling => return self.state(),
                incoming = self.next() => {
                    let Incoming { channel, payload } = incoming?;
                    take(&channel, &payload);
                }
            }
        }
    }

    fn state(&mut self) -> Result<(), BackendError> {
        if self.breaks.has_changed().unwrap_or(true) {
            self.broke();
        }
        if self.is_broken { Err(broken()) } else { Ok(()) }
    }
}

impl Listener for NodeListener {
    async fn listen(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.faults.travel().await;
        self.state()?;
        self.inner.listen(channels).await?;
        self.faults.travel().await;
        self.state()
    }

    async fn unlisten(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.faults.travel().await;
        self.state()?;
        self.inner.unlisten(channels).await
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        loop {
            let arrives = self.on_the_way.front().map(|(arrives, _)| *arrives);
            if arrives.is_some_and(|arrives| arrives <= Instant::now())
                && let Some((_, incoming)) = self.on_the_way.pop_front()
            {
                return Ok(incoming);
            }
            if self.is_broken {
                return Err(broken());
            }
            tokio::select! {
                biased;
                _ = self.breaks.changed() => self.broke(),
                incoming = self.inner.next() => match incoming {
                    Ok(incoming) => self.sent(incoming),
                    Err(_) => self.broke(),
                },
                () = tokio::time::sleep_until(arrives.unwrap_or_else(Instant::now)), if arrives.is_some() => {}
            }
        }
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        let Some((_, incoming)) = self.on_the_way.pop_front_if(|(arrives, _)| *arrives <= Instant::now()) else {
            return false;
        };
        take(&incoming.channel, &incoming.payload);
        true
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        self.faults.travel().await;
        self.state()?;
        self.inner.check().await?;
        // The answer comes on the same line, after earlier notifications.
        while let Some(Ok(incoming)) = self.inner.next().now_or_never() {
            self.sent(incoming);
        }
        let last = self.on_the_way.back().map(|(arrives, _)| *arrives);
        let arrives = (Instant::now() + self.faults.delay()).max(last.unwrap_or_else(Instant::now));
        tokio::time::sleep_until(arrives).await;
        self.state()
    }

    async fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        self.travel_beside_next(take).await?;
        if self.faults.fails() && !self.faults.is_dead.load(Ordering::Relaxed) {
            return Err(BackendError::new(ErrorKind::Timeout, "the simulation cancelled the statement"));
        }
        let mut came = Vec::new();
        let mut keep = |channel: &str, payload: &str| {
            came.push(Incoming { channel: channel.to_owned(), payload: payload.to_owned() });
        };
        let sightings = self.inner.look(name, &mut keep).await?;
        for incoming in came {
            self.sent(incoming);
        }
        self.travel_beside_next(take).await?;
        Ok(sightings)
    }
}

fn broken() -> BackendError {
    BackendError::new(ErrorKind::Connection, "the simulation broke the connection")
}
