//! Time limits that an administrator has set for the role of the nodes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use socketio_pg_tests::{Watch as _, fault::Fault, on_this_machine};

use crate::{
    case::{AfterFault, Case, NONE, Result, Seen, is_long, last_for, length},
    cluster::{Cluster, FAR, NAMES, NEAR},
};

/// How long a message may wait behind a locked table when the role's limit is a second: for the
/// batch in flight, and for its own batch, on a busy machine. One wait for each of the
/// [`ATTACHMENTS`] would be far longer.
const LONGEST_WAIT: Duration = Duration::from_secs(6);
const ATTACHMENTS: u64 = 16;

pub(crate) fn cases() -> Vec<Case> {
    let locked = |name, setting| {
        Case::new(name, "of a second, and the attachments table is locked for 8 s; `LONG=1`: 30 s", locked)
            .with_role_setting(setting)
            // A node whose session waits for a lock must not count as dead.
            .with(|options| options.heartbeat_timeout(Duration::from_secs(6)).query_timeout(Duration::from_secs(10)))
    };
    vec![
        locked("statement_timeout of the role", "statement_timeout = '1s'"),
        locked("lock_timeout of the role", "lock_timeout = '1s'"),
        Case::new(
            "attachments table locked for longer than a node may be silent",
            "for 8 s, and a node that is silent for 6 s counts as dead; `LONG=1`: 30 s",
            held_up,
        )
        .with(|options| options.heartbeat_timeout(Duration::from_secs(6)).query_timeout(Duration::from_secs(10))),
        Case::special(
            "idle_session_timeout of the role",
            "of 6 s, and no node sends anything for 8 s, twice (`LONG=1`: ten times); then all messages come from others",
            idle,
        )
        .with_role_setting("idle_session_timeout = '6s'")
        .with(|options| {
            options.heartbeat_interval(Duration::from_secs(60)).heartbeat_timeout(Duration::from_secs(120))
        }),
    ]
}

async fn locked(cluster: Arc<Cluster>) -> Result<AfterFault> {
    let (sent, waited) = Fault::TableLocked.during(cluster.place(), send_and_wait(&cluster)).await?;
    let healed = Instant::now();
    // Published or refused: it may have been in one batch with attachments.
    if waited > on_this_machine(LONGEST_WAIT) {
        return Err(format!("a small message waited {waited:?} behind a limit of a second, and then: {sent:?}").into());
    }
    for index in [FAR, NEAR] {
        if cluster.told(index).await?.iter().any(|kind| kind == "NodeLeft") {
            return Err(format!("{} takes another for gone, who waits for a lock", NAMES[index]).into());
        }
    }
    Ok(AfterFault { healed, disconnected: NONE })
}

/// A batch waits for the lock for up to `query_timeout`. The Node.js server is taken for dead, when the
/// statements that wait have taken its whole pool.
async fn held_up(cluster: Arc<Cluster>) -> Result<AfterFault> {
    // The small message may be published or refused, as it may be in one batch with attachments.
    let _ = Fault::TableLocked.during(cluster.place(), send_and_wait(&cluster)).await?;
    let healed = Instant::now();
    for index in [FAR, NEAR] {
        if cluster.has_lost_the_other(index).await? {
            return Err(format!("{} takes the other for gone, which waits for a lock", NAMES[index]).into());
        }
    }
    Ok(AfterFault { healed, disconnected: NONE })
}

/// Sends attachments and a small message after them. Returns the result of the small one and how
/// long it took, once the fault has lasted long enough.
async fn send_and_wait(cluster: &Cluster) -> Result<(Result, Duration)> {
    let began = Instant::now();
    let large = (0..ATTACHMENTS).map(|_| cluster.emit(FAR, "large", json!(["x".repeat(9000)])));
    let small = async {
        // Messages after them.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asked = Instant::now();
        let sent = cluster.emit(FAR, "small", json!([])).await;
        (sent, asked.elapsed())
    };
    let (_, small) = tokio::join!(join_all(large), small);
    tokio::time::sleep(length(30, 8).saturating_sub(began.elapsed())).await;
    Ok(small)
}

async fn idle(cluster: Arc<Cluster>) -> Result<Seen> {
    let mut slowest = Duration::ZERO;
    let rounds = if is_long() { 10 } else { 2 };
    for round in 0..rounds {
        last_for(8, 8).await;
        for from in [FAR, NEAR] {
            let event = format!("after silence {round} of {from}");
            let asked = Instant::now();
            cluster.emit(from, &event, json!(["x".repeat(if round % 2 == 0 { 0 } else { 9000 })])).await?;
            slowest = slowest.max(asked.elapsed());
            for to in [FAR, NEAR] {
                cluster.clients[to].wait_for_packet(&event).await?;
            }
        }
    }
    // Notifications are no statements: the session to which they go must send some by itself.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        cluster.emit(NEAR, "others speak", json!([])).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for index in [FAR, NEAR] {
        let gaps = cluster.nodes[index].gaps().await?;
        if !gaps.is_empty() {
            return Err(
                format!("{} was disconnected, though it sends keep-alive queries: {gaps:?}", NAMES[index]).into()
            );
        }
    }
    Ok(Seen {
        heard_again: "never disconnected".to_owned(),
        senders: format!("{} sent, no error, the slowest answer after {:.1} s", 2 * rounds, slowest.as_secs_f64()),
        receivers: "0 lost".to_owned(),
        reported: format!("-; +{} MiB", cluster.growth()),
    })
}
