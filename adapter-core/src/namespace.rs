//! One namespace of this node: its place in the cluster, and the requests that wait.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    time::Instant,
};

use futures_core::stream::BoxStream;
use parking_lot::{Mutex, MutexGuard};
use socketio_pg_protocol::{
    Body, NodeId, RequestId,
    cluster::{Action, Cluster, Config, Outcome, Progress},
    message::{Broadcast, DisconnectSockets, FetchSockets, Options, SocketDescription, SocketsJoin, SocketsLeave},
};
use tokio::sync::{Notify, mpsc};

use crate::{health::NamespaceHealth, operators::LocalAck, origin::Origin};

/// What the adapter does with its local sockets when other nodes ask for it.
pub(crate) trait LocalSockets: Send + Sync {
    /// Carries out a request; what it returns is to be published, in order, as answers to `origin`.
    fn carry_out(&self, request: LocalRequest, origin: &Origin) -> Vec<Body>;

    /// Sends an event to the sockets that match and yields their acknowledgements, one item for each.
    fn ask_clients(&self, broadcast: Broadcast) -> BoxStream<'static, LocalAck>;

    /// Describes the sockets that match.
    fn describe(&self, options: &Options) -> Vec<SocketDescription>;
}

/// A request of another node that concerns local sockets.
#[derive(Debug)]
pub(crate) enum LocalRequest {
    Broadcast(Broadcast),
    Join(SocketsJoin),
    Leave(SocketsLeave),
    Disconnect(DisconnectSockets),
    Fetch(FetchSockets),
}

/// What comes for a request of this node.
#[derive(Debug)]
pub(crate) enum Answer {
    Progress { node: Option<NodeId>, progress: Progress },
    Completed(Outcome),
}

/// One namespace of this node.
pub(crate) struct Namespace {
    name: String,
    channel: String,
    uid: NodeId,
    cluster: Mutex<Cluster>,
    waiting: Mutex<HashMap<RequestId, mpsc::UnboundedSender<Answer>>>,
    local: OnceLock<Weak<dyn LocalSockets>>,
    /// Wakes the clock when a time-out may have become due earlier.
    clock: Arc<Notify>,
}

impl Namespace {
    pub(crate) fn new(name: &str, channel: String, config: Config, clock: Arc<Notify>) -> Self {
        let uid = random_node_id();
        Self {
            name: name.to_owned(),
            channel,
            cluster: Mutex::new(Cluster::new(uid.clone(), name, config)),
            uid,
            waiting: Mutex::default(),
            local: OnceLock::new(),
            clock,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn uid(&self) -> &NodeId {
        &self.uid
    }

    /// Connects the namespace with its local sockets; only the first time counts.
    pub(crate) fn set_local(&self, local: Weak<dyn LocalSockets>) {
        let _ = self.local.set(local);
    }

    pub(crate) fn local(&self) -> Option<Arc<dyn LocalSockets>> {
        self.local.get()?.upgrade()
    }

    /// Lets the rules of the cluster work, and returns what is to be done. All actions of one call come together.
    pub(crate) fn with_cluster(&self, work: impl FnOnce(&mut Cluster, Instant)) -> Vec<Action> {
        let mut cluster = self.lock();
        let before = cluster.next_timeout();
        work(&mut cluster, tokio::time::Instant::now().into_std());
        let actions = std::iter::from_fn(|| cluster.poll_action()).collect();
        let after = cluster.next_timeout();
        drop(cluster);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.clock.notify_one();
        }
        actions
    }

    /// Looks at the cluster.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock()
    }

    pub(crate) fn health(&self) -> NamespaceHealth {
        NamespaceHealth {
            name: self.name.clone(),
            nodes: self.lock().server_count(),
            requests: self.waiting.lock().len(),
        }
    }

    /// Registers a request of this node. Dropping the result gives the request up.
    pub(crate) fn new_request(self: &Arc<Self>) -> Request {
        let id = random_request_id();
        let (sender, answers) = mpsc::unbounded_channel();
        self.waiting.lock().insert(id.clone(), sender);
        Request { id, answers, namespace: self.clone() }
    }

    pub(crate) fn is_waiting(&self, id: &RequestId) -> bool {
        self.waiting.lock().contains_key(id)
    }

    pub(crate) fn answer(&self, id: &RequestId, answer: Answer) {
        let mut waiting = self.waiting.lock();
        let sender = match answer {
            Answer::Completed(_) => waiting.remove(id),
            Answer::Progress { .. } => waiting.get(id).cloned(),
        };
        // Whoever asked may have given up.
        if let Some(sender) = sender {
            let _ = sender.send(answer);
        }
    }
}

/// A request of this node and its answers.
pub(crate) struct Request {
    pub(crate) id: RequestId,
    answers: mpsc::UnboundedReceiver<Answer>,
    namespace: Arc<Namespace>,
}

impl Request {
    /// The next answer; `None` after [`Answer::Completed`].
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    pub(crate) fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Answer>> {
        self.answers.poll_recv(context)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let waiting = &self.namespace.waiting;
        if waiting.lock().remove(&self.id).is_some() {
            self.namespace.lock().cancel(&self.id);
        }
    }
}

/// 8 random bytes in hex, as Node writes its uids and request ids.
fn random_id() -> String {
    format!("{:016x}", crate::outside::number())
}

fn random_node_id() -> NodeId {
    random_id().into()
}

fn random_request_id() -> RequestId {
    random_id().into()
}
