//! Nodes die.

use std::{sync::Arc, time::Instant};

use serde_json::{Value, json};
use socketio_pg_tests::{Connect, Error, Node, everything_works};

use crate::{
    case::{Case, Result, Seen},
    cluster::{Cluster, FAR, NEAR, NODE},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::special(
        "a node killed within requests",
        "`kill -9` of a Rust node that three requests wait for",
        killed_within_requests,
    )]
}

async fn killed_within_requests(cluster: Arc<Cluster>) -> Result<Seen> {
    // It has a client that never acknowledges and a handler that never responds, so the requests
    // wait for it when it dies.
    let doomed = Node::start(&cluster.rust, &cluster.options).await?;
    let client = cluster.host.connect(doomed.port(), &Connect::default()).await?;
    client.never_reply("question").await?;
    for node in [&cluster.nodes[FAR], &cluster.nodes[NEAR], &cluster.nodes[NODE], &doomed] {
        node.wait_for_server_count("/", 4).await?;
    }
    for other in [NEAR, NODE] {
        cluster.nodes[other].call("replyServerSide", json!({ "event": "question", "with": [other] })).await?;
    }
    doomed.call("replyServerSide", json!({ "event": "question", "never": true })).await?;

    let requester = &cluster.nodes[FAR];
    let acks = requester.call("emitWithAck", json!({ "event": "question", "args": [], "timeout": 10_000 }));
    let answers =
        requester.call("serverSideEmitWithAck", json!({ "event": "question", "args": [], "timeout": 10_000 }));
    let kill = async {
        client.wait_for_packet("question").await?;
        doomed.wait_for_server_side("/", "question").await?;
        doomed.kill().await?;
        let killed = Instant::now();
        let sockets = requester.call("fetchSockets", json!({ "timeout": 10_000 })).await?;
        Ok::<_, Error>((killed, sockets))
    };
    let (acks, answers, (killed, sockets)) = tokio::try_join!(acks, answers, kill)?;
    let took = killed.elapsed();
    let told = json!([
        sockets.as_array().map(Vec::len),
        acks["responses"].as_array().map(Vec::len),
        answers["responses"].as_array().map(Vec::len),
    ]);
    // Requests no longer wait for a dead node.
    if told != json!([3, 3, 2]) {
        return Err(format!("the requests end with {told}: {sockets} {acks} {answers}").into());
    }
    for node in &cluster.nodes {
        node.wait_for_server_count("/", 3).await?;
    }
    let left: Value = cluster.nodes[FAR].call("events", Value::Null).await?;
    if !left.to_string().contains("NodeLeft") {
        return Err(format!("no node reports that it left: {left}").into());
    }
    everything_works(&cluster.members()).await?;
    Ok(Seen {
        heard_again: format!("requests end {:.1} s later", took.as_secs_f64()),
        senders: "what the living answered".to_owned(),
        receivers: "-".to_owned(),
        reported: format!("NodeLeft; +{} MiB", cluster.growth()),
    })
}
