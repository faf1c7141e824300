//! How a test knows that nothing more is on its way, without waiting for a time.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{Client, Error, Node, binary};

/// The event that marks the end of what was sent before.
pub(crate) const MARKER: &str = "test:barrier";

/// Returns once every client has everything that the nodes' finished ops had published for it in
/// this namespace. What a client has not got by then will not come.
///
/// Each node sends a marker after them. The marker is binary, so it is an attachment where nodes do
/// not pack binary, and is fetched after the earlier attachments. The order holds only for a node
/// with one connection for queries: see [`NodeOptions::pool_size`].
///
/// `nodes` are all nodes that published something, and all Node.js clusters that have clients,
/// because their workers hear each other without PostgreSQL. Every server that has one of the
/// `clients` must hear them all.
///
/// [`NodeOptions::pool_size`]: super::NodeOptions::pool_size
///
/// # Errors
/// When a marker does not arrive in time.
pub async fn barrier(nodes: &[&Node], nsp: &str, clients: &[&Client]) -> Result<(), Error> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut markers = Vec::new();
    for node in nodes {
        let marker = LAST.fetch_add(1, Ordering::Relaxed);
        let command = json!({ "nsp": nsp, "event": MARKER, "args": [marker, binary([0])] });
        match node.call("emit", command).await {
            Ok(_) => markers.push(Value::from(marker)),
            // It has published nothing, because it cannot.
            Err(error) if error.is_unknown_op() => {}
            Err(error) => return Err(error),
        }
    }
    for client in clients {
        for marker in &markers {
            client.wait_for_packet_with(MARKER, |args| args.first() == Some(marker)).await?;
        }
    }
    Ok(())
}
