//! A backend around another one, which counts what is delivered to its listening sessions. The
//! nodes of the measurement run on it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use socketio_pg_core::{
    backend::{
        Backend, BackendError, CatchUp, FetchLimits, Incoming, Listener, LogQuery, LogRow, OutboxBatch, OutboxProgress,
        OutboxState, Outgoing, Position, Row, SweepBatch, TableReport, table::TableName,
    },
    protocol::{SessionId, cluster::Sighting},
};

/// What was delivered to all sessions together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    notifications: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
    looks: AtomicU64,
}

impl Delivered {
    /// The number of notifications, and of bytes in channels and payloads.
    pub(crate) fn so_far(&self) -> [u64; 2] {
        [&self.0.notifications, &self.0.bytes].map(|count| count.load(Ordering::Relaxed))
    }

    /// How many transactions published something.
    pub(crate) fn batches(&self) -> u64 {
        self.0.batches.load(Ordering::Relaxed)
    }

    /// How often a node looked at the sessions of all nodes.
    pub(crate) fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    fn count(&self, channel: &str, payload: &str) {
        self.0.notifications.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add((channel.len() + payload.len()) as u64, Ordering::Relaxed);
    }

    /// Waits until nothing more is delivered.
    pub(crate) async fn settled(&self) {
        let mut before = None;
        while before != Some(self.so_far()) {
            before = Some(self.so_far());
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// A backend whose sessions are counted.
pub(crate) struct Counting<B> {
    inner: B,
    delivered: Delivered,
}

impl<B> Counting<B> {
    pub(crate) fn new(inner: B, delivered: Delivered) -> Self {
        Self { inner, delivered }
    }
}

impl<B: Backend> Backend for Counting<B> {
    type Listener = CountingListener<B::Listener>;

    fn inspect_table(&self, table: &TableName) -> impl Future<Output = Result<TableReport, BackendError>> + Send {
        self.inner.inspect_table(table)
    }

    fn create(&self, table: &TableName, statements: &str) -> impl Future<Output = Result<(), BackendError>> + Send {
        self.inner.create(table, statements)
    }

    fn publish(
        &self,
        table: &str,
        log: Option<&CatchUp>,
        batch: &[Outgoing],
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        self.delivered.0.batches.fetch_add(1, Ordering::Relaxed);
        self.inner.publish(table, log, batch)
    }

    fn mark(
        &self,
        log: &str,
        channel: &str,
        payload: &str,
    ) -> impl Future<Output = Result<Position, BackendError>> + Send {
        self.inner.mark(log, channel, payload)
    }

    fn read_log(&self, query: &LogQuery<'_>) -> impl Future<Output = Result<Vec<LogRow>, BackendError>> + Send {
        self.inner.read_log(query)
    }

    fn fetch(
        &self,
        table: &str,
        ids: &[i64],
        limits: FetchLimits,
    ) -> impl Future<Output = Result<Vec<Row>, BackendError>> + Send {
        self.inner.fetch(table, ids, limits)
    }

    fn sweep_batch(&self, table: &str, batch: SweepBatch) -> impl Future<Output = Result<u64, BackendError>> + Send {
        self.inner.sweep_batch(table, batch)
    }

    fn publish_outbox(
        &self,
        batch: &OutboxBatch<'_>,
    ) -> impl Future<Output = Result<OutboxProgress, BackendError>> + Send {
        self.inner.publish_outbox(batch)
    }

    fn look_at_outbox(
        &self,
        outbox: &str,
        after: i64,
    ) -> impl Future<Output = Result<OutboxState, BackendError>> + Send {
        self.inner.look_at_outbox(outbox, after)
    }

    fn close(&self) {
        self.inner.close();
    }

    async fn connect_listener(&self) -> Result<Self::Listener, BackendError> {
        Ok(CountingListener { inner: self.inner.connect_listener().await?, delivered: self.delivered.clone() })
    }
}

/// A session that is counted.
pub(crate) struct CountingListener<L> {
    inner: L,
    delivered: Delivered,
}

impl<L: Listener> Listener for CountingListener<L> {
    fn listen(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send {
        self.inner.listen(channels)
    }

    fn unlisten(&mut self, channels: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send {
        self.inner.unlisten(channels)
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        let incoming = self.inner.next().await?;
        self.delivered.count(&incoming.channel, &incoming.payload);
        Ok(incoming)
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        let delivered = &self.delivered;
        self.inner.take_next(&mut |channel, payload| {
            delivered.count(channel, payload);
            take(channel, payload);
        })
    }

    fn check(&mut self) -> impl Future<Output = Result<(), BackendError>> + Send {
        self.inner.check()
    }

    async fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        let delivered = &self.delivered;
        delivered.0.looks.fetch_add(1, Ordering::Relaxed);
        let mut take = |channel: &str, payload: &str| {
            delivered.count(channel, payload);
            take(channel, payload);
        };
        self.inner.look(name, &mut take).await
    }
}
