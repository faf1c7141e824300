//! README's server, told to end.

use std::time::Duration;

use serde_json::json;
use socketio_pg_tests::{ClientHost, Connect, Kind, NODE, Node, NodeOptions, database, require};
use tokio::time::sleep;

use crate::programs::{Running, programs};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_leaves_and_no_request_of_node_fails() -> Result<(), Box<dyn std::error::Error>> {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let clients = ClientHost::shared().await?;
    for (program, signal) in programs().iter().zip(["TERM", "INT"]) {
        let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
        let mut server = Running::start(program, &[("DATABASE_URL", &database.url())]).await;
        node.wait_for_server_count("/", 2).await?;
        let polling = clients.connect(server.port, &Connect::default().transports(&["polling"])).await?;
        let websocket = clients.connect(server.port, &Connect::default().transports(&["websocket"])).await?;
        let sockets = node.call("fetchSockets", json!({ "nsp": "/" })).await?;
        assert_eq!(sockets.as_array().map(Vec::len), Some(2), "{sockets}");

        server.signal(signal);
        let mut fetched = Vec::new();
        let fetching = async {
            // Fails if Node.js waits for the server that leaves.
            for _ in 0..20 {
                fetched.push(node.call("fetchSockets", json!({ "nsp": "/" })).await);
                sleep(Duration::from_millis(100)).await;
            }
        };
        let ((took, logged), ()) = tokio::join!(server.ended(), fetching);
        println!("it left within {took:?}");
        assert!(logged.contains("leaving the cluster"), "{logged}");
        // It did not use up its time limit.
        assert!(!logged.contains("still open"), "after {took:?}: {logged}");
        for sockets in fetched {
            sockets?;
        }
        for client in [polling, websocket] {
            client.wait_for_disconnect().await?;
        }
        node.wait_for_server_count("/", 1).await?;
        node.close().await?;
    }
    Ok(())
}
