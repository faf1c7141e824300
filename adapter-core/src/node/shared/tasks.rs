//! The tasks of a node, and the senders of its queues, which keep the tasks running.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
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
}

impl<B: Backend> Tasks<B> {
    /// Ends when what was accepted is published, or cannot be in time, and every task has ended.
    pub(super) async fn end(self, backend: Arc<B>) {
        let Self { publisher, publishing, link, tasks } = self;
        drop((publisher, link));
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let abort = publishing.abort_handle();
        if timeout_at(deadline, publishing).await.is_err() {
            tracing::warn!("left the cluster before all was published: PostgreSQL did not take it in time");
            abort.abort();
        }
        for task in &tasks {
            task.abort();
        }
        backend.close();
        // Their connections end with them. A task that does not yield is not waited for.
        let _ = timeout_at(deadline, join_all(tasks)).await;
    }
}
