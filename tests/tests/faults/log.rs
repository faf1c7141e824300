//! The tables are slow: the log is locked, or has many rows, and so has the attachments table.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use socketio_pg_core::backend::table::DEFAULT_LOG;
use socketio_pg_tests::{fault::Fault, time_limit};

use crate::{
    case::{AfterFault, Case, FAR_ONLY, Result, is_long},
    cluster::{Cluster, FAR, NAMES, NODE},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "the catch-up log is locked while a link breaks",
            "ACCESS EXCLUSIVE, until the node hears what Node sends, which has no log",
            locked,
        )
        .with_log(),
        Case::new(
            "millions of old rows in the log and in the attachments",
            "one million in each; `LONG=1`: ten. A link breaks, and the rows are swept away",
            old_rows,
        )
        .on_its_own_server()
        .with_log()
        .with_setup(insert_old_rows)
        // Shorter than deleting all of them takes. Node.js has no such limit, and must leave them
        // to the Rust nodes.
        .with(|options| options.cleanup_interval(Duration::from_secs(1)).query_timeout(Duration::from_secs(1)))
        .with_for_node(|options| options.cleanup_interval(Duration::from_secs(3600)))
        .within(Duration::from_secs(if is_long() { 900 } else { 240 })),
    ]
}

async fn locked(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Fault::LogLocked.during(cluster.place(), break_link_and_hear(&cluster)).await?;
    Ok(AfterFault { healed, disconnected: FAR_ONLY })
}

/// Breaks the link of a node, and waits until the node hears again. Returns when the link broke.
async fn break_link_and_hear(cluster: &Cluster) -> Result<Instant> {
    let healed = Instant::now();
    cluster.proxy.reset();
    let mut number = 0;
    loop {
        cluster.emit(NODE, "while locked", json!([number])).await?;
        number += 1;
        let heard = cluster.clients[FAR].wait_for_packet("while locked");
        if tokio::time::timeout(Duration::from_millis(200), heard).await.is_ok_and(|heard| heard.is_ok()) {
            return Ok(healed);
        }
        if healed.elapsed() > time_limit() {
            return Err(format!("{} hears nothing for as long as the log is locked", NAMES[FAR]).into());
        }
    }
}

/// Inserted before the first node starts: a disconnected node misses only later rows, even if their
/// date is older.
fn insert_old_rows() -> String {
    let count = if is_long() { 10_000_000 } else { 1_000_000 };
    format!(
        "INSERT INTO socket_io_attachments (created_at, payload)
             SELECT now() - interval '1 day', '\\x00' FROM generate_series(1, {count});
         INSERT INTO {DEFAULT_LOG} (created_at, channel, payload)
             SELECT now() - interval '1 day', 'socket.io#/', '{{}}' FROM generate_series(1, {count})"
    )
}

async fn old_rows(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let healed = Instant::now();
    cluster.proxy.reset();
    cluster.wait_for_gap(FAR, 0).await?;
    let took = healed.elapsed();
    let old = |table: &str| format!("SELECT count(*) FROM {table} WHERE created_at < now() - interval '1 hour'");
    let mut left: Vec<u64> = Vec::new();
    let mut progressed = Instant::now();
    while left.last() != Some(&0) {
        let mut now = 0;
        for table in ["socket_io_attachments", DEFAULT_LOG] {
            now += cluster.sql(&old(table)).await?.ok_or("no count")?.parse::<u64>()?;
        }
        if left.last().is_none_or(|last| now < *last) {
            progressed = Instant::now();
        }
        left.push(now);
        if progressed.elapsed() > time_limit() {
            return Err(format!("{now} old rows stay where they are; the node heard again after {took:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(AfterFault { healed, disconnected: FAR_ONLY })
}
