//! Requests of this node for the sockets of the other nodes.

use std::sync::Arc;

use socketio_pg_protocol::{
    NodeId,
    cluster::{NodeRules, Progress},
    message::{Flags, Selector, SocketDescription},
};
use tokio::time::Instant;

use crate::{
    backend::Backend,
    error::Error,
    node::{
        namespace::{Namespace, Request, Response},
        shared::Node,
    },
    outbound::effect::Effect,
};

/// The sockets of the other nodes that match, each with its node.
pub(crate) async fn fetch_remote<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<Vec<(Option<NodeId>, SocketDescription)>, Error> {
    let timeout = selector.flags.as_ref().and_then(Flags::timeout).unwrap_or(node.options().request_timeout);
    let start = |cluster: &mut NodeRules, now, id| cluster.fetch_sockets(now, id, selector, timeout);
    let request = node.ask(namespace, start, Instant::now().checked_add(timeout), Effect::none()).await?;
    collect_sockets(request).await
}

/// Collects the responses to FETCH_SOCKETS, each with its node.
async fn collect_sockets(mut request: Request) -> Result<Vec<(Option<NodeId>, SocketDescription)>, Error> {
    let mut sockets = Vec::new();
    while let Some(answer) = request.next().await {
        match answer {
            Response::Progress { node, progress: Progress::Sockets(described) } => {
                sockets.extend(described.into_iter().map(|socket| (node.clone(), socket)));
            }
            Response::Progress { .. } => {}
            Response::Completed(outcome) if outcome.is_complete() => return Ok(sockets),
            Response::Completed(outcome) => return Err(Error::Timeout { missing: outcome.missing_nodes }),
            Response::TooMany { limit } => return Err(Error::TooManyResponses { limit }),
        }
    }
    Err(Error::Closed)
}
