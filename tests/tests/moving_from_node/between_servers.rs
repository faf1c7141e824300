//! The tables "Between servers" and "See that the cluster is whole".

use std::sync::Mutex;

use serde_json::json;
use socketio_pg_tokio_postgres::Emitter;
use tokio_postgres::NoTls;

use crate::cluster::{Both, Result};

/// What the handler of a server-side event heard.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) async fn the_cluster_is_whole(both: &Both) -> Result {
    let cluster = &both.cluster;
    // How many servers are there?
    let count = cluster.of("/").server_count();
    assert_eq!(json!(count), both.node.call("serverCount", json!({})).await?);

    // The same, from outside
    assert!(cluster.health().namespaces.iter().all(|namespace| namespace.nodes == 2));
    assert_eq!(cluster.health().namespaces[0].nodes, count);

    both.node.call("replyServerSide", json!({ "event": "who", "with": ["Node.js"] })).await?;
    // Which servers respond?
    let (names, outcome) = cluster.of("/").server_side_emit_with_ack::<_, String>("who", &[(); 0]).await?.all().await;
    assert_eq!((names, outcome.is_ok()), (vec!["Node.js".to_owned()], true));
    assert_eq!(both.node.wait_for_server_side("/", "who").await?, json!([]));

    // Does this server hear the others?
    assert!(cluster.health().link.is_listening);
    Ok(())
}

pub(crate) async fn to_node(both: &Both) -> Result {
    let (cluster, data) = (&both.cluster, "text");
    // io.serverSideEmit("e", data)
    cluster.of("/").server_side_emit("e", &data).await?;
    assert_eq!(both.node.wait_for_server_side("/", "e").await?, json!(["text"]));

    both.node.call("replyServerSide", json!({ "event": "e", "with": ["answer"] })).await?;
    // await io.serverSideEmitWithAck("e", data)
    let (answers, outcome) = cluster.of("/").server_side_emit_with_ack::<_, String>("e", &data).await?.all().await;
    assert_eq!((answers, outcome.is_ok()), (vec!["answer".to_owned()], true));
    assert_eq!(both.node.wait_for_server_side("/", "e").await?, json!(["text"]));
    Ok(())
}

pub(crate) async fn from_node(both: &Both) -> Result {
    let cluster = &both.cluster;
    // io.on("e", (data) => …)
    cluster.of("/").on_server_side("e", async |data: String| {
        let mut heard = HEARD.lock().unwrap();
        heard.push(data);
    });
    both.node.call("serverSideEmit", json!({ "event": "e", "args": ["text"] })).await?;
    both.until("the handler has heard it", || *HEARD.lock().unwrap() == ["text"]).await;
    cluster.of("/").off_server_side("e");

    #[allow(non_upper_case_globals, reason = "as on the page")]
    const answer: &str = "answer";
    #[allow(unused_variables, reason = "as on the page")]
    {
        // io.on("e", (data, callback) => callback(answer))
        cluster.of("/").on_server_side_with_ack("e", async |data: String| answer);
    }
    let answers = both.node.call("serverSideEmitWithAck", json!({ "event": "e", "args": ["text"] })).await?;
    assert_eq!(answers, json!({ "responses": ["answer"], "error": null }));
    Ok(())
}

pub(crate) async fn from_elsewhere(both: &Both) -> Result {
    let data = "text";
    let (client, connection) = tokio_postgres::connect(&both.database.url(), NoTls).await?;
    tokio::spawn(connection);
    let (_, by_node) = both.node_emits("emit", json!({ "rooms": ["a"] })).await?;
    // new Emitter(pool).to("a").emit("e", data)
    Emitter::new().to("a").emit("e", &data, &client).await?;
    // The local clients of a server get what it sends without waiting for what others sent before.
    for client in [&both.rust[0], &both.js[0]] {
        client.wait_for_packet("e").await?; // by Node.js
        client.wait_for_packet("e").await?;
    }
    both.same(by_node).await
}
