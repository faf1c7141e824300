//! The metrics that a node exports to the `metrics` facade.

use std::{collections::HashMap, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use socketio_pg_core::{Event, testing::memory::MemoryDatabase};

use crate::nodes::{collect, pair};

/// All values by name and labels, since they were last read: reading starts this recorder again.
fn values(snapshotter: &Snapshotter) -> HashMap<String, DebugValue> {
    let snapshot = snapshotter.snapshot().into_vec();
    snapshot
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels = key.key().labels().map(|label| format!(" {}={}", label.key(), label.value()));
            (format!("{}{}", key.key().name(), labels.collect::<String>()), value)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_seen_from_outside() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    for number in 0..3 {
        one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
        received.recv().await.unwrap();
    }
    one.cluster.of("/").server_side_emit("large", &"x".repeat(9000)).await.unwrap();
    database.notify("socket.io#/", "{");
    tokio::time::sleep(Duration::from_secs(2)).await;

    let now = values(&snapshotter);
    let counter = |name: &str| match now.get(name) {
        Some(DebugValue::Counter(count)) => *count,
        value => panic!("{name}: {value:?} in {now:?}"),
    };
    let gauge = |name: &str| match now.get(name) {
        Some(DebugValue::Gauge(level)) => level.into_inner(),
        value => panic!("{name}: {value:?} in {now:?}"),
    };
    let histogram = |name: &str| match now.get(name) {
        Some(DebugValue::Histogram(values)) => values.len(),
        value => panic!("{name}: {value:?} in {now:?}"),
    };
    assert!(counter("socketio_pg_published_total") >= 4);
    assert!(counter("socketio_pg_published_bytes_total") > 9000);
    assert_eq!(counter("socketio_pg_batches_total"), histogram("socketio_pg_batch_messages") as u64);
    assert_eq!(counter("socketio_pg_batches_total"), histogram("socketio_pg_publish_seconds") as u64);
    assert_eq!(counter("socketio_pg_attachments_fetched_total"), 1);
    assert_eq!(histogram("socketio_pg_fetch_seconds"), 1);
    // Both nodes of this process add up.
    assert_eq!(counter("socketio_pg_rejected_total kind=undecodable"), 2);
    assert_eq!(counter("socketio_pg_dropped_total class=messages"), 0);
    assert_eq!(gauge("socketio_pg_listening"), 2.0);
    assert_eq!(gauge("socketio_pg_nodes namespace=/"), 4.0);
    assert_eq!(gauge("socketio_pg_requests namespace=/"), 0.0);

    database.break_sessions();
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = values(&snapshotter);
    assert!(matches!(now["socketio_pg_reconnects_total"], DebugValue::Counter(2)), "{now:?}");

    // A node that has left takes its gauges back.
    other.cluster.close().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = values(&snapshotter);
    let change = |name: &str| match now[name] {
        DebugValue::Gauge(level) => level.into_inner(),
        ref value => panic!("{name}: {value:?}"),
    };
    assert_eq!(change("socketio_pg_listening"), -1.0);
    assert_eq!(change("socketio_pg_nodes namespace=/"), -3.0, "its own two, and itself as the other sees it");
}
