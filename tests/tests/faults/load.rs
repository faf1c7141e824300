//! More load than a node can handle.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use socketio_pg_tests::Watch as _;
use socketio_pg_tests::{Connect, Packet, everything_works, time_limit};
use socketio_pg_throwaway::Builder;

use crate::{
    case::{Case, Result, Seen, is_long},
    cluster::{Cluster, FAR, NAMES, NEAR},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::special(
            "1000 namespaces come and go",
            "twice; the server's log shows the channels, and the memory after the second round shows that nothing is kept",
            namespaces,
        )
        .on_a_server_with(logging),
        Case::special(
            "dynamic namespaces by the thousand",
            "8000 come into being with a client each, `LONG=1`: 40 000; then the link breaks",
            many_namespaces,
        )
        // Each of them has a heartbeat of its own.
        .with(|options| {
            let long = Duration::from_secs(600);
            options.heartbeat_interval(long).heartbeat_timeout(long * 2).dynamic_namespace("^/room-.*$", "/room-{id}")
        })
        .within(Duration::from_secs(300)),
        Case::special(
            "a storm at a slow receiver",
            "its link passes 100 kB/s, the others send ten times as much in attachments; it may hold 8 kB of notifications",
            storm,
        )
        .with(|options| options.max_inbox_bytes(8000).query_timeout(Duration::from_secs(3))),
    ]
}

fn logging(builder: Builder) -> Builder {
    builder.setting("log_statement", "all").setting("log_disconnections", "on").setting("log_line_prefix", "%c ")
}

async fn namespaces(cluster: Arc<Cluster>) -> Result<Seen> {
    let node = &cluster.nodes[NEAR];
    let before = (listened_to(&cluster).await?, node.memory());
    let started = Instant::now();
    let mut sizes = Vec::new();
    for _ in 0..2 {
        for op in ["addNamespace", "deleteNamespace"] {
            let calls = (0..1000).map(|number| node.call(op, json!({ "nsp": format!("/passing-{number}") })));
            stream::iter(calls).buffer_unordered(100).try_collect::<Vec<_>>().await?;
            if op == "addNamespace" && listened_to(&cluster).await?.len() != before.0.len() + 1000 {
                return Err(format!("it listens to {} channels", listened_to(&cluster).await?.len()).into());
            }
        }
        let deadline = Instant::now() + time_limit();
        while listened_to(&cluster).await? != before.0 {
            if Instant::now() > deadline {
                return Err(format!("it still listens to {} channels", listened_to(&cluster).await?.len()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sizes.push(node.memory());
    }
    let growth = [sizes[0].saturating_sub(before.1), sizes[1].saturating_sub(sizes[0])].map(|kib| kib as f64 / 1024.0);
    if growth[1] > 8.0 {
        return Err(format!("the second round took {:.1} MiB more", growth[1]).into());
    }
    everything_works(&cluster.members()).await?;
    Ok(Seen {
        heard_again: format!("{:.1} s for both rounds", started.elapsed().as_secs_f64()),
        senders: "no error".to_owned(),
        receivers: "every channel is given up again".to_owned(),
        reported: format!("-; +{:.1} MiB in the first round, +{:.1} in the second", growth[0], growth[1]),
    })
}

async fn many_namespaces(cluster: Arc<Cluster>) -> Result<Seen> {
    let count = if is_long() { 40_000 } else { 8000 };
    let started = Instant::now();
    // A connection enters one namespace after the other, and a client reads each packet once for
    // each of its namespaces.
    const CONNECTIONS: usize = 200;
    let name = |number: usize| format!("/room-{number}");
    let connect = |number: usize| {
        let (cluster, how) = (cluster.clone(), Connect::to(&name(number)));
        async move { cluster.host.connect(cluster.nodes[FAR].port(), &how).await }
    };
    let mut clients: Vec<_> = stream::iter((0..CONNECTIONS).map(connect)).buffered(20).try_collect().await?;
    let enter = |number: usize| {
        let (cluster, how) = (cluster.clone(), Connect::to(&name(number)));
        let over = &clients[number % CONNECTIONS];
        async move { cluster.host.connect_over(over, &how).await }
    };
    let more: Vec<_> = stream::iter((CONNECTIONS..count).map(enter)).buffered(CONNECTIONS).try_collect().await?;
    clients.extend(more);
    let entered = started.elapsed();
    let healed = Instant::now();
    cluster.proxy.reset();
    cluster.wait_for_gap(FAR, 0).await?;
    let heard_again = healed.elapsed();
    // An event of another node with the same namespace.
    let sample = [0, count / 2, count - 1];
    for number in sample {
        let nsp = name(number);
        let other = cluster.host.connect_over(&cluster.clients[NEAR], &Connect::to(&nsp)).await?;
        cluster.nodes[NEAR].wait_for_server_count(&nsp, 2).await?;
        cluster.nodes[NEAR].call("emit", json!({ "nsp": nsp, "event": "to a room", "args": [number] })).await?;
        clients[number].wait_for_packet("to a room").await?;
        other.disconnect().await?;
    }
    everything_works(&cluster.members()).await?;
    Ok(Seen {
        heard_again: format!("{:.1} s; entering took {:.1} s", heard_again.as_secs_f64(), entered.as_secs_f64()),
        senders: "no error".to_owned(),
        receivers: "0 lost".to_owned(),
        reported: format!("-; +{} MiB", cluster.growth()),
    })
}

/// The channels of the test's namespaces that sessions listen to, by the server's log.
async fn listened_to(cluster: &Arc<Cluster>) -> Result<BTreeSet<String>> {
    let directory = cluster.server.directory().ok_or("the server is not ours")?.join("log");
    tokio::task::spawn_blocking(move || listened_to_by(&std::fs::read(directory)?)).await?
}

/// The channels of sessions that have not ended: a session that ends gives up all its channels
/// without a statement.
fn listened_to_by(log: &[u8]) -> Result<BTreeSet<String>> {
    let mut sessions: HashMap<&str, BTreeSet<String>> = HashMap::new();
    let log = String::from_utf8_lossy(log);
    for line in log.lines() {
        let Some((session, text)) = line.split_once(' ') else { continue };
        if text.contains("disconnection: session time") {
            sessions.remove(session);
            continue;
        }
        for statement in text.split(';') {
            if let Some((_, channel)) = statement.split_once("UNLISTEN \"socket.io#/passing") {
                sessions.entry(session).or_default().remove(channel);
            } else if let Some((_, channel)) = statement.split_once("LISTEN \"socket.io#/passing") {
                sessions.entry(session).or_default().insert(channel.to_owned());
            }
        }
    }
    Ok(sessions.into_values().flatten().collect())
}

async fn storm(cluster: Arc<Cluster>) -> Result<Seen> {
    const MESSAGES: u64 = 150;
    let events_before = cluster.told(FAR).await?;
    cluster.proxy.slow_down(100_000);
    let started = Instant::now();
    let calls = (0..MESSAGES).map(|number| cluster.emit(NEAR, "storm", json!([number, "x".repeat(30_000)])));
    stream::iter(calls).buffer_unordered(20).try_collect::<Vec<_>>().await?;
    let sending = started.elapsed();
    // A slow node must not count as dead, and must not count the others as dead.
    for (index, node) in cluster.nodes.iter().enumerate() {
        if node.call("serverCount", json!({})).await? != 3 {
            return Err(format!("{} does not count three servers in the storm", NAMES[index]).into());
        }
    }
    cluster.proxy.pass();
    // While the link is full, responses are dropped too: nodes can only report it.
    let mut sent = MESSAGES;
    loop {
        cluster.emit(NEAR, "after the storm", json!([sent])).await?;
        sent += 1;
        let calm = cluster.clients[FAR].wait_for_packet("after the storm");
        if tokio::time::timeout(Duration::from_secs(1), calm).await.is_ok_and(|arrived| arrived.is_ok()) {
            break;
        }
        if started.elapsed() > time_limit() * 2 {
            return Err(format!("{} does not get through the storm", NAMES[FAR]).into());
        }
    }
    let healed = started.elapsed() - sending;
    everything_works(&cluster.members()).await?;
    let of_storm = |packet: &&Packet| packet.event == "storm" || packet.event == "after the storm";
    let arrived = cluster.clients[FAR].received().await?.iter().filter(of_storm).count() as u64;
    let all = cluster.clients[NEAR].received().await?.iter().filter(of_storm).count() as u64;
    let (rejected, dropped) = cluster.nodes[FAR].counts().await?;
    let gaps = cluster.nodes[FAR].gaps().await?.len();
    if all != sent || (gaps == 0 && arrived + rejected + dropped != sent) {
        return Err(format!(
            "{sent} sent, {all} at the sender's own client, {arrived} here, {rejected} unreadable, {dropped} dropped, {gaps} gaps"
        )
        .into());
    }
    let told: Vec<String> = cluster.told(FAR).await?.into_iter().filter(|it| !events_before.contains(it)).collect();
    if !told.iter().any(|kind| kind == "Overloaded") {
        return Err(format!("it does not tell of the overload, but of {told:?}").into());
    }
    if cluster.growth() > 64 {
        return Err(format!("it has grown by {} MiB", cluster.growth()).into());
    }
    Ok(Seen {
        heard_again: format!("{:.1} s", healed.as_secs_f64()),
        senders: format!("{sent} sent in {:.1} s, no error", sending.as_secs_f64()),
        receivers: format!("{} lost, all reported", sent - arrived),
        reported: format!("{}; +{} MiB", told.join(", "), cluster.growth()),
    })
}
