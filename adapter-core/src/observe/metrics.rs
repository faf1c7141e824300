//! Exports what a node counts to the `metrics` facade (feature `metrics`).
//!
//! Counters and gauges are copied from the node's own numbers once a second, so they add no cost to
//! a message; batches and fetches are recorded in histograms as they happen, through handles that
//! were registered before. The numbers of several nodes of one process add up. The application must
//! install its recorder before it connects.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ::metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

use crate::observe::{
    counters::Counters,
    event::Events,
    health::Health,
    histograms::{BATCH_MESSAGES, FETCH_SECONDS, PUBLISH_SECONDS},
};

/// How often counters and gauges are copied.
const INTERVAL: Duration = Duration::from_secs(1);

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric: its name, kind, unit and meaning.
struct Metric(&'static str, Kind, Unit, &'static str);

const PUBLISHED: &str = "socketio_pg_published_total";
const PUBLISHED_BYTES: &str = "socketio_pg_published_bytes_total";
const UNPUBLISHED: &str = "socketio_pg_unpublished_total";
const BATCHES: &str = "socketio_pg_batches_total";
const RECEIVED: &str = "socketio_pg_received_total";
const RECEIVED_BYTES: &str = "socketio_pg_received_bytes_total";
const ATTACHMENTS: &str = "socketio_pg_attachments_fetched_total";
const ATTACHMENT_BYTES: &str = "socketio_pg_attachment_bytes_total";
const RECONNECTS: &str = "socketio_pg_reconnects_total";
const GAPS: &str = "socketio_pg_gaps_total";
const SWEPT: &str = "socketio_pg_swept_rows_total";
const SWEEP_FAILURES: &str = "socketio_pg_sweep_failures_total";
const SWEEPS_BEHIND: &str = "socketio_pg_sweeps_behind";
const OUTBOX_PUBLISHED: &str = "socketio_pg_outbox_published_total";
const OUTBOX_REFUSED: &str = "socketio_pg_outbox_refused_total";
const OUTBOX_FAILURES: &str = "socketio_pg_outbox_failures_total";
const OUTBOX_AGE: &str = "socketio_pg_outbox_oldest_seconds";
const REJECTED: &str = "socketio_pg_rejected_total";
const DROPPED: &str = "socketio_pg_dropped_total";
const LISTENING: &str = "socketio_pg_listening";
const PUBLISH_QUEUE: &str = "socketio_pg_publish_queue";
const INBOX_MESSAGES: &str = "socketio_pg_inbox_messages";
const INBOX_BYTES: &str = "socketio_pg_inbox_bytes";
const NODES: &str = "socketio_pg_nodes";
const REQUESTS: &str = "socketio_pg_requests";

/// All metrics. `docs/operations.md` lists the same, which a test checks.
const ALL: [Metric; 28] = [
    Metric(PUBLISHED, Kind::Counter, Unit::Count, "Messages that were committed"),
    Metric(PUBLISHED_BYTES, Kind::Counter, Unit::Bytes, "Their bytes, as notifications or attachments"),
    Metric(UNPUBLISHED, Kind::Counter, Unit::Count, "Messages that PostgreSQL did not take"),
    Metric(BATCHES, Kind::Counter, Unit::Count, "Transactions that published messages"),
    Metric(BATCH_MESSAGES, Kind::Histogram, Unit::Count, "Messages in a transaction"),
    Metric(PUBLISH_SECONDS, Kind::Histogram, Unit::Seconds, "How long a transaction took"),
    Metric(RECEIVED, Kind::Counter, Unit::Count, "Notifications that arrived, the node's own among them"),
    Metric(RECEIVED_BYTES, Kind::Counter, Unit::Bytes, "Their bytes"),
    Metric(ATTACHMENTS, Kind::Counter, Unit::Count, "Attachments that were fetched"),
    Metric(ATTACHMENT_BYTES, Kind::Counter, Unit::Bytes, "Their bytes"),
    Metric(FETCH_SECONDS, Kind::Histogram, Unit::Seconds, "How long a query for attachments took"),
    Metric(RECONNECTS, Kind::Counter, Unit::Count, "Listening connections that were opened again"),
    Metric(GAPS, Kind::Counter, Unit::Count, "Times in which messages may have been missed"),
    Metric(SWEPT, Kind::Counter, Unit::Count, "Old rows of attachments and of the log that this node deleted"),
    Metric(SWEEP_FAILURES, Kind::Counter, Unit::Count, "Times that deleting old rows failed"),
    Metric(OUTBOX_PUBLISHED, Kind::Counter, Unit::Count, "Rows of the outbox that this node published"),
    Metric(OUTBOX_REFUSED, Kind::Counter, Unit::Count, "Rows of the outbox that were too long, and are lost"),
    Metric(OUTBOX_FAILURES, Kind::Counter, Unit::Count, "Times that the outbox could not be read or published"),
    Metric(REJECTED, Kind::Counter, Unit::Count, "Arrivals that were not usable, by kind"),
    Metric(DROPPED, Kind::Counter, Unit::Count, "What was dropped for lack of room, by class"),
    Metric(LISTENING, Kind::Gauge, Unit::Count, "Nodes of this process that listen: 1, or 0 when disconnected"),
    Metric(SWEEPS_BEHIND, Kind::Gauge, Unit::Count, "Tables whose old rows are not deleted as fast as they come"),
    Metric(OUTBOX_AGE, Kind::Gauge, Unit::Seconds, "How long the oldest row of the outbox had waited at the last look"),
    Metric(PUBLISH_QUEUE, Kind::Gauge, Unit::Count, "Messages that wait to be published"),
    Metric(INBOX_MESSAGES, Kind::Gauge, Unit::Count, "Messages that arrived and wait to be handled"),
    Metric(INBOX_BYTES, Kind::Gauge, Unit::Bytes, "Their bytes"),
    Metric(NODES, Kind::Gauge, Unit::Count, "Nodes known, this one included, by namespace"),
    Metric(REQUESTS, Kind::Gauge, Unit::Count, "Requests that wait for responses, by namespace"),
];

/// Copies the numbers of a node, as `observe` returns them, until it returns `None`.
pub(crate) async fn export(observe: impl Fn() -> Option<(Arc<Events>, Health)>) {
    let mut exporter = Exporter::new();
    while let Some((events, health)) = observe() {
        exporter.take_over(events.counters(), health);
        drop(events);
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What was exported so far.
#[derive(Default)]
pub(crate) struct Exporter {
    counters: HashMap<(&'static str, &'static str), (Counter, u64)>,
    gauges: HashMap<(&'static str, String), Level>,
}

impl Exporter {
    /// Describes all metrics. Registers them with the recorder that is installed now.
    pub(crate) fn new() -> Self {
        for Metric(name, kind, unit, meaning) in ALL {
            match kind {
                Kind::Counter => describe_counter!(name, unit, meaning),
                Kind::Gauge => describe_gauge!(name, unit, meaning),
                Kind::Histogram => describe_histogram!(name, unit, meaning),
            }
        }
        Self::default()
    }

    fn take_over(&mut self, counters: &Counters, health: Health) {
        self.count(counters);
        let number = |count: usize| count as f64;
        let mut levels = vec![
            (LISTENING, String::new(), number(usize::from(health.link.is_listening && !health.closed))),
            (SWEEPS_BEHIND, String::new(), number(counters.sweeps_behind.load(Ordering::Relaxed))),
            (PUBLISH_QUEUE, String::new(), number(health.publisher.waiting)),
            (INBOX_MESSAGES, String::new(), number(counters.waiting.load(Ordering::Relaxed))),
            (INBOX_BYTES, String::new(), number(counters.waiting_bytes.load(Ordering::Relaxed))),
        ];
        if let Some(outbox) = health.outbox {
            levels.push((OUTBOX_AGE, String::new(), Duration::from_millis(outbox.oldest_ms).as_secs_f64()));
        }
        for namespace in health.namespaces {
            levels.push((NODES, namespace.name.clone(), number(namespace.nodes)));
            levels.push((REQUESTS, namespace.name, number(namespace.requests)));
        }
        // Drop the gauges of a namespace that is gone.
        let there: HashSet<_> = levels.iter().map(|(name, namespace, _)| (*name, namespace.as_str())).collect();
        self.gauges.retain(|(name, namespace), _| there.contains(&(*name, namespace.as_str())));
        for (name, namespace, level) in levels {
            let gauge = self
                .gauges
                .entry((name, namespace))
                .or_insert_with_key(|(name, namespace)| Level::new(name, namespace));
            gauge.set(level);
        }
    }

    fn count(&mut self, counters: &Counters) {
        let plain = [
            (PUBLISHED, counters.published.get()),
            (PUBLISHED_BYTES, counters.published_bytes.get()),
            (UNPUBLISHED, counters.unpublished.get()),
            (BATCHES, counters.batches.get()),
            (RECEIVED, counters.received.get()),
            (RECEIVED_BYTES, counters.received_bytes.get()),
            (ATTACHMENTS, counters.attachments.get()),
            (ATTACHMENT_BYTES, counters.attachment_bytes.get()),
            (RECONNECTS, counters.reconnects.get()),
            (GAPS, counters.gaps.get()),
            (SWEPT, counters.swept.get()),
            (SWEEP_FAILURES, counters.sweep_failures.get()),
            (OUTBOX_PUBLISHED, counters.outbox_published.get()),
            (OUTBOX_REFUSED, counters.outbox_refused.get()),
            (OUTBOX_FAILURES, counters.outbox_failures.get()),
        ];
        let plain = plain.into_iter().map(|(name, count)| (name, "", count));
        let rejected = counters.rejected_by_kind().map(|(kind, count)| (REJECTED, kind, count));
        let dropped = counters.dropped_by_class().map(|(class, count)| (DROPPED, class, count));
        for (name, label, count) in plain.chain(rejected).chain(dropped) {
            let (counter, before) = self.counters.entry((name, label)).or_insert_with(|| {
                let counter = match name {
                    REJECTED => counter!(name, "kind" => label),
                    DROPPED => counter!(name, "class" => label),
                    _ => counter!(name),
                };
                (counter, 0)
            });
            counter.increment(count - *before);
            *before = count;
        }
    }
}

/// This node's part of a gauge: dropping it takes the part back.
struct Level {
    gauge: Gauge,
    level: f64,
}

impl Level {
    fn new(name: &'static str, namespace: &str) -> Self {
        let gauge = if namespace.is_empty() { gauge!(name) } else { gauge!(name, "namespace" => namespace.to_owned()) };
        Self { gauge, level: 0.0 }
    }

    fn set(&mut self, level: f64) {
        self.gauge.increment(level - self.level);
        self.level = level;
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.set(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_lists_exactly_the_metrics_that_there_are() {
        let document = include_str!("../../../docs/operations.md");
        let listed: Vec<(&str, &str)> = document
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("| `socketio_pg_")?.split_once('`')?;
                Some((name, rest.split('|').nth(1)?.trim()))
            })
            .collect();
        let there: Vec<_> = ALL
            .iter()
            .map(|Metric(name, kind, unit, _)| {
                let kind = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram => "histogram",
                };
                let unit = if *unit == Unit::Count { String::new() } else { format!(", {}", unit.as_str()) };
                (name.trim_start_matches("socketio_pg_"), format!("{kind}{unit}"))
            })
            .collect();
        let there: Vec<_> = there.iter().map(|(name, kind)| (*name, kind.as_str())).collect();
        assert_eq!(listed, there);
    }
}
