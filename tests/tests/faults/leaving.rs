//! A node leaves: by `close`, or because its last handle is dropped, with PostgreSQL there or away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use socketio_pg_tests::{Node, on_this_machine};

use crate::{
    case::{Case, Result, Seen},
    cluster::{Cluster, FAR, NEAR, NODE},
};

/// Closing waits 5 s for accepted messages; the rest is an allowance for a busy machine.
const BOUND: Duration = Duration::from_secs(8);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::special("close", "with 200 messages on their way, one in four an attachment", closes)
            // The link is not broken in this fault, so nodes must not take it for broken: a loss in
            // a gap could not be attributed.
            .with(|options| {
                let long = Duration::from_secs(10);
                options.query_timeout(long).check_interval(long).heartbeat_timeout(long)
            }),
        Case::special("close with PostgreSQL away", "connections are refused, or pass nothing", closes_while_away),
    ]
}

/// Sessions of Rust nodes, including those of the cluster's own nodes.
const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'socketio-pg%'";

async fn closes(cluster: Arc<Cluster>) -> Result<Seen> {
    let leaver = Node::start(&cluster.rust, &cluster.options).await?;
    for node in &cluster.nodes {
        node.wait_for_server_count("/", 4).await?;
    }
    // Their results come before the result of `close`, or not at all.
    let sending = (0..200u64).map(|number| {
        let filler = "x".repeat(if number % 4 == 3 { 9000 } else { 0 });
        leaver.call("emit", json!({ "event": "last words", "args": [number, filler] }))
    });
    let started = Instant::now();
    let (sent, closed) = tokio::join!(join_all(sending), leaver.close());
    closed?;
    let took = started.elapsed();
    let accepted: Vec<u64> = (0..).zip(&sent).filter(|(_, result)| result.is_ok()).map(|(number, _)| number).collect();
    if accepted.len() < 200 {
        return Err(format!("{} of 200 were accepted: {:?}", accepted.len(), sent.iter().find(|it| it.is_err())).into());
    }
    for number in accepted {
        for client in [FAR, NEAR, NODE] {
            cluster.clients[client].wait_for_packet_with("last words", |args| args[0] == number).await?;
        }
    }
    // The close message makes the others notice: otherwise it would take the heartbeat time-out.
    for index in [FAR, NEAR] {
        cluster.nodes[index].wait_for_server_count("/", 3).await?;
        let events = cluster.nodes[index].call("events", Value::Null).await?.to_string();
        if !events.contains("closed: true") || events.contains("closed: false") {
            return Err(format!("no close message was heard: {events}").into());
        }
    }
    cluster.nodes[NODE].wait_for_server_count("/", 3).await?;
    Ok(Seen {
        heard_again: format!("closed after {:.1} s", took.as_secs_f64()),
        senders: "200 sent, no error".to_owned(),
        receivers: "0 lost".to_owned(),
        reported: "NodeLeft, closed".to_owned(),
    })
}

async fn closes_while_away(cluster: Arc<Cluster>) -> Result<Seen> {
    let far = cluster.options.clone().at(cluster.proxy.before(cluster.options.database_url()));
    let mut times = Vec::new();
    let before = cluster.sql(SESSIONS).await?.ok_or("no count")?;
    for is_silent in [false, true] {
        let leaver = Node::start(&cluster.rust, &far).await?;
        if is_silent {
            cluster.proxy.stall()
        } else {
            cluster.proxy.refuse()
        }
        let started = Instant::now();
        let sending =
            (0..20).map(|_| leaver.call("emit", json!({ "event": "last words", "args": ["x".repeat(9000)] })));
        let (sent, closed) = tokio::join!(join_all(sending), leaver.close());
        closed?;
        if started.elapsed() > on_this_machine(BOUND) {
            return Err(format!("closing took {:?}", started.elapsed()).into());
        }
        if let Some(taken) = sent.iter().position(|result| result.is_ok()) {
            return Err(format!("message {taken} was taken, though PostgreSQL was away").into());
        }
        times.push(format!("{:.1} s", started.elapsed().as_secs_f64()));
        cluster.proxy.pass();
        cluster.until("its sessions are gone", &format!("SELECT ({SESSIONS}) <= {before} + 2"), "t").await?;
    }
    Ok(Seen {
        heard_again: format!("closed after {}", times.join(" (refused), ")) + " (stalled)",
        senders: "20 sent, 20 errors".to_owned(),
        receivers: "-".to_owned(),
        reported: "-".to_owned(),
    })
}
