//! Checks the messages that every node sends during a fault.

use std::{collections::HashSet, time::Duration};

use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{Error, Told, Traffic, judge};

use crate::{
    case::{AfterFault, Result, Seen},
    cluster::{Cluster, FAR, NAMES, NEAR, NODE},
};

/// Ends the traffic, and returns what became of it. Fails when a message from or to a Rust node was
/// lost without a report.
pub(crate) async fn account(
    cluster: &Cluster,
    traffic: Traffic,
    after_fault: &AfterFault,
    heard: [Duration; 2],
) -> Result<Seen> {
    let members = cluster.members();
    let sent = traffic.end().await?;
    let (mut lost, mut doubtful, mut reports) = (0, 0, Vec::new());
    for to in [FAR, NEAR] {
        let node = &cluster.nodes[to];
        let arrived = members[to].arrivals().await?;
        let (gaps, (rejected, dropped)) = (node.gaps().await?, node.counts().await?);
        if after_fault.disconnected[to] && gaps.is_empty() {
            return Err(format!("{} was disconnected and reports no gap", NAMES[to]).into());
        }
        let verdict = judge(&members, to, &sent, &arrived, &Told { gaps, rejected, dropped })?;
        lost += verdict.lost;
        doubtful += verdict.doubtful;
        reports.extend(cluster.told(to).await?.into_iter().filter(|kind| kind != "Connected"));
    }
    let by_rust = || sent.iter().filter(|message| message.from != NODE);
    if let Some(message) = by_rust().find(|message| !matches!(message.result, Ok(()) | Err(Error::Refused { .. }))) {
        let (number, name) = (message.number, NAMES[message.from]);
        return Err(format!("a sender was told nothing: {number} of {name}, {:?}", message.result).into());
    }
    let refused = by_rust().filter(|message| message.result.is_err()).count();
    reports.sort();
    reports.dedup();
    let at_node: HashSet<(usize, u64)> = members[NODE].arrivals().await?.into_iter().collect();
    let node_lost = by_rust().filter(|it| it.result.is_ok() && !at_node.contains(&(it.from, it.number))).count();
    let slowest = by_rust().map(|message| message.ended - message.started).fold(0.0, f64::max);
    Ok(Seen {
        heard_again: format!("{:.1} s (Node {:.1} s)", heard[0].as_secs_f64(), heard[1].as_secs_f64()),
        senders: format!(
            "{} sent, {refused} errors, the slowest answer after {:.1} s",
            by_rust().count(),
            slowest / 1e3
        ),
        receivers: format!("{lost} lost, all reported; {doubtful} heard after an error; Node lost {node_lost}"),
        reported: format!("{}; +{} MiB", reports.join(", "), cluster.growth()),
    })
}
