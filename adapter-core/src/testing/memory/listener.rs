//! The listening session of a [`MemoryDatabase`].

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use socketio_pg_protocol::{SessionId, cluster::Sighting};
use tokio::sync::mpsc;

use super::{MemoryDatabase, broken, state::Session};
use crate::backend::{BackendError, Incoming, Listener};

/// A listening session of a [`MemoryDatabase`].
#[derive(Debug)]
pub struct MemoryListener {
    pub(super) database: MemoryDatabase,
    pub(super) id: u64,
    pub(super) incoming: mpsc::UnboundedReceiver<Incoming>,
    pub(super) unread: Arc<AtomicUsize>,
}

impl MemoryListener {
    fn with_session<T>(&self, work: impl FnOnce(&mut Session) -> T) -> Result<T, BackendError> {
        self.database.state.lock().sessions.get_mut(&self.id).map(work).ok_or_else(broken)
    }
}

impl Listener for MemoryListener {
    async fn listen(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.database.released(|held| held.listens || held.sessions).await?;
        let checked = |channel: &String| self.database.state.lock().check(channel);
        self.with_session(|_| ())?;
        channels.iter().try_for_each(checked)?;
        self.with_session(|session| session.channels.extend(channels.iter().cloned()))
    }

    async fn unlisten(&mut self, channels: &[String]) -> Result<(), BackendError> {
        self.with_session(|session| session.channels.retain(|channel| !channels.contains(channel)))
    }

    async fn next(&mut self) -> Result<Incoming, BackendError> {
        let incoming = self.incoming.recv().await.ok_or_else(broken)?;
        self.unread.fetch_sub(1, Ordering::Relaxed);
        Ok(incoming)
    }

    fn take_next(&mut self, take: &mut dyn FnMut(&str, &str)) -> bool {
        let Ok(Incoming { channel, payload }) = self.incoming.try_recv() else { return false };
        self.unread.fetch_sub(1, Ordering::Relaxed);
        take(&channel, &payload);
        true
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        self.database.released(|held| held.sessions).await?;
        self.with_session(|_| ())
    }

    async fn look(
        &mut self,
        name: Option<SessionId>,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<Vec<Sighting>, BackendError> {
        let mut released = pin!(self.database.released(|held| held.looks || held.sessions));
        loop {
            tokio::select! {
                biased;
                released = &mut released => break released?,
                Some(Incoming { channel, payload }) = self.incoming.recv() => {
                    self.unread.fetch_sub(1, Ordering::Relaxed);
                    take(&channel, &payload);
                }
            }
        }
        let now = self.database.state.lock().clock.now();
        self.with_session(|session| session.seen = name.map(|name| (name, now)))?;
        let state = self.database.state.lock();
        let sightings = state.sessions.values().filter_map(|session| {
            let (session, changed) = session.seen?;
            let age = now.saturating_sub(changed);
            let changed = i64::try_from(changed.as_micros()).unwrap_or(i64::MAX);
            Some(Sighting { session, changed, age })
        });
        Ok(sightings.collect())
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.database.state.lock().sessions.remove(&self.id);
    }
}
