//! The table "To clients".

use std::time::Duration;

use serde_json::json;
use socketio_pg_tokio_postgres::number_room;

use crate::cluster::{Both, Result};

pub(crate) async fn by_the_server(both: &Both) -> Result {
    let (io, cluster, data) = (&both.io, &both.cluster, "text");

    let (_, by_node) = both.node_emits("emit", json!({})).await?;
    // io.emit("e", data)
    io.emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "nsp": "/admin" })).await?;
    // io.of("/admin").emit("e", data)
    cluster.of("/admin").emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "rooms": ["a", "b"], "except": ["c"] })).await?;
    // io.to("a").to("b").except("c").emit("e", data)
    io.to("a").to("b").except("c").emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "rooms": [42] })).await?;
    // io.to(42).emit("e", data)
    io.to(number_room(42)).emit("e", &data).await?;
    both.same(by_node).await?;
    let (_, by_node) = both.node_emits("emit", json!({ "rooms": ["42"] })).await?;
    io.to("42").emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "volatile": true })).await?;
    // io.volatile.emit("e", data)
    io.volatile().emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "compress": false })).await?;
    // io.compress(false).emit("e", data)
    cluster.of("/").compress(false).emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "local": true })).await?;
    // io.local.emit("e", data)
    io.local().emit("e", &data).await?;
    both.same(by_node).await?;

    let (answer, by_node) = both.node_emits("emitWithAck", json!({ "timeout": 2000 })).await?;
    // await io.timeout(2000).emitWithAck("e", data)
    let (answers, outcome) =
        cluster.of("/").timeout(Duration::from_secs(2)).emit_with_ack::<_, String>("e", &data).await?.all().await;
    assert_eq!((json!(answers), outcome.is_ok()), (answer["responses"].clone(), answer["error"].is_null()));
    both.same(by_node).await
}

pub(crate) async fn by_a_socket(both: &Both) -> Result {
    let (io, socket, data) = (&both.io, both.socket(), "text");
    let js = both.js[0].id();

    let (_, by_node) = both.node_emits("remote", json!({ "target": js, "do": "emit" })).await?;
    // socket.emit("e", data)
    socket.emit("e", &data)?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "from": js })).await?;
    // socket.broadcast.emit("e", data)
    socket.broadcast().emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "from": js, "rooms": ["a"] })).await?;
    // socket.to("a").emit("e", data): all but this socket
    socket.to("a").emit("e", &data).await?;
    both.same(by_node).await?;

    let (_, by_node) = both.node_emits("emit", json!({ "rooms": ["a"] })).await?;
    // io.in("a").emit("e", data): this socket as well
    socket.within("a").emit("e", &data).await?;
    both.same(by_node.clone()).await?;
    io.within("a").emit("e", &data).await?;
    both.same(by_node).await?;

    let ask = json!({ "target": js, "do": "emitWithAck", "timeout": 2000 });
    let (answer, by_node) = both.node_emits("remote", ask).await?;
    // await socket.timeout(2000).emitWithAck("e", data)
    let answered = socket.timeout(Duration::from_secs(2)).emit_with_ack::<_, String>("e", &data)?.await?;
    assert_eq!(json!([answered]), answer["responses"]);
    both.same(by_node).await
}
