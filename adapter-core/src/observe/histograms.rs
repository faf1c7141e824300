//! Histograms of the `metrics` facade, recorded when a batch or a fetch ends (feature `metrics`).

use std::time::Duration;

use ::metrics::{Histogram, histogram};

pub(super) const BATCH_MESSAGES: &str = "socketio_pg_batch_messages";
pub(super) const PUBLISH_SECONDS: &str = "socketio_pg_publish_seconds";
pub(super) const FETCH_SECONDS: &str = "socketio_pg_fetch_seconds";

/// The histograms of a node.
pub(crate) struct Histograms {
    batch_messages: Histogram,
    publish_seconds: Histogram,
    fetch_seconds: Histogram,
}

impl std::fmt::Debug for Histograms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histograms").finish_non_exhaustive()
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            batch_messages: histogram!(BATCH_MESSAGES),
            publish_seconds: histogram!(PUBLISH_SECONDS),
            fetch_seconds: histogram!(FETCH_SECONDS),
        }
    }
}

impl Histograms {
    pub(crate) fn published(&self, messages: usize, took: Duration) {
        self.batch_messages.record(messages as f64);
        self.publish_seconds.record(took);
    }

    pub(crate) fn fetched(&self, took: Duration) {
        self.fetch_seconds.record(took);
    }
}
