//! One namespace of this node: its place in the cluster, and the requests that wait.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use futures_core::stream::BoxStream;
use parking_lot::{Mutex, MutexGuard};
use socketio_pg_protocol::{
    Body, NodeId, Payload, RequestId, SocketId, channel,
    cluster::{Action, Config, LocalRequest, NodeRules, Outcome, Progress},
    message::{Broadcast, Selector, SocketDescription},
    peek::Ending,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use crate::{node::requester::Requester, observe::health::NamespaceHealth};

/// The acknowledgement of a local client: its value, if it gave one, or nothing in time.
pub(crate) type LocalAck = Option<Option<Payload>>;

/// What the adapter does with its local sockets when other nodes ask for it.
pub(crate) trait LocalSockets: Send + Sync {
    /// Carries out a request; what it returns is to be published, in order, as answers to
    /// `requester`.
    fn carry_out(&self, request: LocalRequest, requester: &Requester) -> Vec<Body>;

    /// Sends an event to the sockets that match and yields their acknowledgements, one item for
    /// each.
    fn ask_clients(&self, broadcast: Broadcast) -> BoxStream<'static, LocalAck>;

    /// How many sockets [`Self::describe`] would describe.
    fn count(&self, options: &Selector) -> u64;

    /// The ids of the sockets that [`Self::describe`] would describe.
    fn ids(&self, options: &Selector) -> Vec<SocketId>;

    /// Describes the sockets that match.
    fn describe(&self, options: &Selector) -> Vec<SocketDescription>;

    /// Another namespace has taken this one's name: its clients are to connect to that.
    fn replaced(&self);
}

/// What comes for a request of this node.
#[derive(Debug)]
pub(crate) enum Response {
    Progress {
        node: Option<NodeId>,
        progress: Progress,
    },
    Completed(Outcome),
    /// There were more answers than `Options::max_responses`: nothing more comes.
    TooMany {
        limit: usize,
    },
}

/// A request of this node that waits.
struct Waiting {
    answers: mpsc::UnboundedSender<Response>,
    /// How many have come.
    count: usize,
    _place: OwnedSemaphorePermit,
}

/// One namespace of this node.
pub(crate) struct Namespace {
    name: String,
    channel: String,
    /// On a channel whose name is cut, servers on Node.js are not heard, and may be there.
    has_whole_channel: bool,
    uid: NodeId,
    /// How its own messages end.
    ending: Ending,
    has_left: AtomicBool,
    cluster: Mutex<NodeRules>,
    waiting: Mutex<HashMap<RequestId, Waiting>>,
    local: OnceLock<Weak<dyn LocalSockets>>,
    /// Wakes the clock when a time-out may have become due earlier.
    clock: Arc<Notify>,
}

/// The time by the runtime's clock.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Namespace {
    pub(crate) fn new(name: &str, prefix: &str, config: Config, clock: Arc<Notify>) -> Self {
        let uid = random_node_id();
        Self {
            name: name.to_owned(),
            ending: Ending::of(uid.clone(), name),
            has_left: AtomicBool::new(false),
            channel: channel::name(prefix, name),
            has_whole_channel: channel::is_whole(prefix, name),
            cluster: Mutex::new(NodeRules::new(uid.clone(), name, config)),
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

    /// Whether binary may go in notifications now, while this node hears the others.
    pub(crate) fn packs_binary(&self) -> bool {
        self.has_whole_channel && self.lock().packs_binary(now())
    }

    pub(crate) fn uid(&self) -> &NodeId {
        &self.uid
    }

    /// How its own messages end.
    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// From now on nothing receives what was sent to it.
    pub(crate) fn left(&self) {
        self.has_left.store(true, Ordering::Release);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Connects the namespace with its local sockets; only the first time counts.
    pub(crate) fn set_local(&self, local: Weak<dyn LocalSockets>) {
        let _ = self.local.set(local);
    }

    pub(crate) fn local(&self) -> Option<Arc<dyn LocalSockets>> {
        self.local.get()?.upgrade()
    }

    /// Lets the rules of the cluster work, and returns what is to be done. All actions of one call
    /// come together.
    pub(crate) fn with_cluster(&self, work: impl FnOnce(&mut NodeRules, Instant)) -> Vec<Action> {
        let mut cluster = self.lock();
        let before = cluster.next_timeout();
        work(&mut cluster, now());
        let actions = std::iter::from_fn(|| cluster.poll_action()).collect();
        let after = cluster.next_timeout();
        drop(cluster);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.clock.notify_one();
        }
        actions
    }

    /// Looks at the cluster.
    pub(crate) fn lock(&self) -> MutexGuard<'_, NodeRules> {
        self.cluster.lock()
    }

    /// `is_listening`: whether the node hears anything now.
    pub(crate) fn health(&self, is_listening: bool) -> NamespaceHealth {
        let inline_binary = is_listening && self.packs_binary();
        let (nodes, is_silent) = {
            let rules = self.lock();
            (rules.server_count(), rules.is_silent())
        };
        NamespaceHealth {
            name: self.name.clone(),
            uid: self.uid.clone(),
            nodes,
            requests: self.waiting.lock().len(),
            is_silent,
            inline_binary,
        }
    }

    /// Registers a request of this node. Dropping the result gives the request up.
    pub(crate) fn new_request(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Request {
        let id = random_request_id();
        let (sender, answers) = mpsc::unbounded_channel();
        self.waiting.lock().insert(id.clone(), Waiting { answers: sender, count: 0, _place: place });
        Request { id, answers, namespace: self.clone() }
    }

    pub(crate) fn is_waiting(&self, id: &RequestId) -> bool {
        self.waiting.lock().contains_key(id)
    }

    /// Passes on an answer. A request takes a limited number of them: false when it is one too
    /// many, which ends the request.
    pub(crate) fn answer(&self, id: &RequestId, answer: Response, limit: usize) -> bool {
        let mut waiting = self.waiting.lock();
        // The caller may have given up.
        let Some(request) = waiting.get_mut(id) else { return true };
        request.count = request.count.saturating_add(answer.weight());
        if request.count <= limit {
            let _ = request.answers.send(answer);
            return true;
        }
        if let Some(request) = waiting.remove(id) {
            let _ = request.answers.send(Response::TooMany { limit });
        }
        drop(waiting);
        self.lock().cancel(id);
        false
    }

    /// Ends a request.
    pub(crate) fn completed(&self, id: &RequestId, outcome: Outcome) {
        if let Some(request) = self.waiting.lock().remove(id) {
            let _ = request.answers.send(Response::Completed(outcome));
        }
    }
}

impl Response {
    /// As how many answers it counts. A node tells the number of its clients once.
    fn weight(&self) -> usize {
        match self {
            Self::Progress { progress: Progress::Sockets(sockets), .. } => sockets.len().max(1),
            Self::Progress { progress: Progress::Ids(ids), .. } => ids.len().max(1),
            Self::Progress { progress: Progress::Count(_) | Progress::Response(_) | Progress::Ack(_), .. } => 1,
            _ => 0,
        }
    }
}

/// A request of this node and its answers.
pub(crate) struct Request {
    pub(crate) id: RequestId,
    answers: mpsc::UnboundedReceiver<Response>,
    namespace: Arc<Namespace>,
}

impl Request {
    /// The next answer; `None` after [`Response::Completed`] and [`Response::TooMany`].
    pub(crate) async fn next(&mut self) -> Option<Response> {
        self.answers.recv().await
    }

    pub(crate) fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Response>> {
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

/// 8 random bytes in hex, as Node.js writes its uids and request ids.
fn random_id() -> String {
    format!("{:016x}", crate::env::random_u64())
}

fn random_node_id() -> NodeId {
    random_id().into()
}

fn random_request_id() -> RequestId {
    random_id().into()
}
