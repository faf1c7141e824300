//! Requests of this node for the sockets of the other nodes.

use std::sync::Arc;

use socketio_pg_protocol::{
    NodeId, RequestId, SocketId,
    cluster::{NodeRules, Progress},
    message::{FetchSockets, Flags, Only, Selector, SocketDescription},
};
use tokio::time::Instant;

use crate::{
    backend::Backend,
    error::Error,
    node::{
        namespace::{Namespace, Response},
        shared::Node,
    },
    outbound::effect::Effect,
};

/// Sockets of the other nodes, each with its node.
type Described = Vec<(Option<NodeId>, SocketDescription)>;

/// The same, of which only the ids are known.
type Ids = Vec<(Option<NodeId>, SocketId)>;

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
    let collect = |found: &mut Described, node: Option<NodeId>, progress| {
        if let Progress::Sockets(described) = progress {
            found.extend(described.into_iter().map(|socket| (node.clone(), socket)));
        }
    };
    ask(node, namespace, selector, None, collect).await
}

/// How many sockets the nodes have that respond in time, and an error when others did not.
pub(crate) async fn count_in_time<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<(u64, Option<Error>), Error> {
    let add = |total: &mut u64, _, progress| {
        if let Progress::Count(count) = progress {
            // What a node tells may be any number.
            *total = total.saturating_add(count);
        }
    };
    ask(node, namespace, selector, Some(Only::Count), add).await
}

/// The ids of the sockets of the other nodes that match, each with its node.
pub(crate) async fn fetch_remote_ids<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<Ids, Error> {
    let (ids, missing) = ids_in_time(node, namespace, selector).await?;
    missing.map_or(Ok(ids), Err)
}

/// The ids of the sockets of the nodes that respond in time, and an error when others did not.
pub(crate) async fn ids_in_time<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
) -> Result<(Ids, Option<Error>), Error> {
    let collect = |found: &mut Ids, node: Option<NodeId>, progress| {
        if let Progress::Ids(ids) = progress {
            found.extend(ids.into_iter().map(|id| (node.clone(), id)));
        }
    };
    ask(node, namespace, selector, Some(Only::Ids), collect).await
}

/// Asks the other nodes, and adds up what they respond in time. The error says that some did not.
async fn ask<B: Backend, T: Default>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    selector: Selector,
    only: Option<Only>,
    mut add: impl FnMut(&mut T, Option<NodeId>, Progress),
) -> Result<(T, Option<Error>), Error> {
    let timeout = selector.flags.as_ref().and_then(Flags::timeout).unwrap_or(node.options().request_timeout);
    let start = |rules: &mut NodeRules, now, request_id: RequestId| {
        rules.fetch_sockets(now, FetchSockets { opts: selector, request_id, only }, timeout);
    };
    let mut request = node.ask(namespace, start, Instant::now().checked_add(timeout), Effect::none()).await?;
    let mut found = T::default();
    while let Some(response) = request.next().await {
        match response {
            Response::Progress { node, progress } => add(&mut found, node, progress),
            Response::Completed(outcome) if outcome.is_complete() => return Ok((found, None)),
            Response::Completed(outcome) => {
                return Ok((found, Some(Error::Timeout { missing: outcome.missing_nodes })));
            }
            Response::TooMany { limit } => return Ok((found, Some(Error::TooManyResponses { limit }))),
        }
    }
    Err(Error::Closed)
}
