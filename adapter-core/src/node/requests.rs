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

/// Sockets of the other nodes, each with its node.
type Described = Vec<(Option<NodeId>, SocketDescription)>;

/// The sockets of the other nodes that match.
pub(crate) async fn fetch_remote<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<Described, Error> {
    let (sockets, missing) = fetch_in_time(node, namespace, selector).await?;
    missing.map_or(Ok(sockets), Err)
}

/// The sockets of the nodes that respond in time, and an error when others did not.
pub(crate) async fn fetch_in_time<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<(Described, Option<Error>), Error> {
    let timeout = selector.flags.as_ref().and_then(Flags::timeout).unwrap_or(node.options().request_timeout);
    let start = |cluster: &mut NodeRules, now, id| cluster.fetch_sockets(now, id, selector, timeout);
    let request = node.ask(namespace, start, Instant::now().checked_add(timeout), Effect::none()).await?;
    collect_sockets(request).await
}

/// Collects the responses to FETCH_SOCKETS.
async fn collect_sockets(mut request: Request) -> Result<(Described, Option<Error>), Error> {
    let mut sockets = Vec::new();
    while let Some(answer) = request.next().await {
        match answer {
            Response::Progress { node, progress: Progress::Sockets(described) } => {
                sockets.extend(described.into_iter().map(|socket| (node.clone(), socket)));
            }
            Response::Progress { .. } => {}
            Response::Completed(outcome) if outcome.is_complete() => return Ok((sockets, None)),
            Response::Completed(outcome) => {
                return Ok((sockets, Some(Error::Timeout { missing: outcome.missing_nodes })));
            }
            Response::TooMany { limit } => return Ok((sockets, Some(Error::TooManyResponses { limit }))),
        }
    }
    Err(Error::Closed)
}
