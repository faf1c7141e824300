//! The tasks of a node, and the senders of its queues, which keep the tasks running.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{backend::Backend, inbound::link::Link, outbound::publisher::Publisher};

/// How long leaving waits for what was accepted to be published.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The tasks of a node, and what keeps them running.
pub(in crate::node) struct Tasks<B> {
    pub(in crate::node) publisher: Arc<Publisher<B>>,
    pub(in crate::node) publishing: JoinHandle<()>,
    pub(in crate::node) link: Link,
    pub(in crate::node) tasks: Vec<JoinHandle<()>>,
    /// What publishes the outbox, and what tells it to stop.
    pub(in crate::node) outbox: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl<B: Backend> Tasks<B> {
    /// Ends when what was accepted is published, or cannot be in time, and every task has ended.
    pub(super) async fn end(self, backend: Arc<B>) {
        let Self { publisher, publishing, link, tasks, outbox } = self;
        drop((publisher, link));
        let outbox = outbox.map(|(stop, publishing)| {
            stop.send_replace(true);
            publishing
        });
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let abort = publishing.abort_handle();
        if timeout_at(deadline, publishing).await.is_err() {
            tracing::warn!("left the cluster before all was published: PostgreSQL did not take it in time");
            abort.abort();
        }
        for task in &tasks {
            task.abort();
        }
        if let Some(mut outbox) = outbox
            && timeout_at(deadline, &mut outbox).await.is_err()
        {
            // The turn ends by itself, and what is not published is published by another node.
            outbox.abort();
        }
        backend.close();
        // Their connections end with them. A task that does not yield is not waited for.
        let _ = timeout_at(deadline, join_all(tasks)).await;
    }
}
