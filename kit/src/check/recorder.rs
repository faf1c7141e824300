//! Hears all messages of a cluster while scenarios run, and judges them.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use socketio_pg_core::{
    backend::{Backend, BackendError, FetchLimits, Incoming, Listener, Row},
    protocol::{Notification, channel},
};
use socketio_pg_tokio_postgres::{TokioPostgresBackend, TokioPostgresListener};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    judge::{Conversation, Entry, Expectations},
    scenarios::Names,
};

/// Larger attachments are not fetched.
const MAX_ATTACHMENT_BYTES: usize = 1 << 28;

/// How long messages that were sent may still be on their way.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// How long messages are heard after the end, if there is no end of them.
const MOST_AFTER_THE_END: Duration = Duration::from_secs(5);

pub(super) struct Recorder {
    conversation: Arc<Mutex<Conversation>>,
    started: Instant,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), BackendError>>,
}

impl Recorder {
    pub(super) async fn start(
        url: &str,
        names: &Names,
        namespaces: &[String],
        expectations: Expectations,
    ) -> Result<Self, BackendError> {
        let backend = TokioPostgresBackend::try_from(url)?;
        let mut listener = backend.connect_listener().await?;
        let channels: Vec<String> = namespaces.iter().map(|nsp| channel::name(&names.prefix, nsp)).collect();
        listener.listen(&channels).await?;
        let conversation = Arc::new(Mutex::new(Conversation::new(expectations)));
        let started = Instant::now();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(record(backend, listener, names.table.clone(), conversation.clone(), started, stopped));
        Ok(Self { conversation, started, stop, task })
    }

    pub(super) fn conversation(&self) -> &Arc<Mutex<Conversation>> {
        &self.conversation
    }

    /// Returns once no node owes anything any more, or its time is over.
    pub(super) async fn wait_for_what_is_owed(&self, most: Duration) {
        let deadline = Instant::now() + most;
        while self.conversation.lock().is_owed(self.started.elapsed()) && Instant::now() <= deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What was heard, after all nodes have ended.
    pub(super) async fn finish(self) -> Result<(Conversation, Duration), BackendError> {
        let _ = self.stop.send(());
        let ended = self.task.await.unwrap_or(Ok(()));
        let elapsed = self.started.elapsed();
        ended?;
        let conversation =
            std::mem::replace(&mut *self.conversation.lock(), Conversation::new(Expectations::default()));
        Ok((conversation, elapsed))
    }
}

async fn record(
    backend: TokioPostgresBackend,
    mut listener: TokioPostgresListener,
    table: String,
    conversation: Arc<Mutex<Conversation>>,
    started: Instant,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), BackendError> {
    let mut end: Option<Instant> = None;
    loop {
        let incoming = if let Some(end) = end {
            match timeout_at(end.min(Instant::now() + ON_ITS_WAY), listener.next()).await {
                // A future that is always ready never times out.
                Ok(incoming) if Instant::now() < end => incoming?,
                _ => return Ok(()),
            }
        } else {
            tokio::select! {
                incoming = listener.next() => incoming?,
                _ = &mut stopped => {
                    end = Some(Instant::now() + MOST_AFTER_THE_END);
                    continue;
                }
            }
        };
        let entry = read(&backend, &table, incoming, started.elapsed()).await?;
        let new = {
            let mut conversation = conversation.lock();
            conversation.hear(&entry);
            conversation.take_reply_channel()
        };
        // What came there before is not judged: the scenarios ask more than once.
        if let Some(channel) = new {
            listener.listen(&[channel]).await?;
        }
    }
}

async fn read(
    backend: &TokioPostgresBackend,
    table: &str,
    Incoming { channel, payload, .. }: Incoming,
    at: Duration,
) -> Result<Entry, BackendError> {
    let attachment = match Notification::decode(&payload) {
        Ok(Notification::Attachment(header)) => {
            let mut limits = FetchLimits::NONE;
            (limits.each, limits.together) = (MAX_ATTACHMENT_BYTES, MAX_ATTACHMENT_BYTES);
            match backend.fetch(table, &[header.attachment_id], limits).await?.into_iter().next() {
                Some(Row::Body(body)) => Some(body.to_vec()),
                _ => None,
            }
        }
        _ => None,
    };
    Ok(Entry::new(channel.to_string(), payload.to_string(), attachment, at))
}
