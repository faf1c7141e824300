//! The rules of a node in a cluster, without I/O, clock or runtime.
//!
//! A [`NodeRules`] is one node's view of one namespace: which other nodes there are, which request
//! waits for which node, when a heartbeat is due. Messages and the time go in; [`Action`]s come out
//! of [`NodeRules::poll_action`], in order. The same inputs always give the same actions, so a
//! cluster is tested by replaying recorded traffic and by simulation.
//!
//! ```
//! use std::time::Instant;
//! use socketio_pg_protocol::{Body, Message, NodeId, cluster::{Action, NodeRules, Config}};
//!
//! let now = Instant::now();
//! let mut cluster = NodeRules::new(NodeId::from("8f42b1c09d5e7a36"), "/", Config::default());
//! cluster.join(now);
//! assert!(matches!(cluster.poll_action(), Some(Action::Publish(Body::InitialHeartbeat))));
//!
//! cluster.handle(now, Message::new(NodeId::from("another"), "/", Body::Heartbeat));
//! assert!(matches!(cluster.poll_action(), Some(Action::NodeJoined(_))));
//! assert_eq!(cluster.server_count(), 2);
//! ```

mod membership;
mod packing;
mod recipient;
mod requests;
mod watch;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use self::{membership::Membership, packing::Packing, recipient::RulesBody, watch::Watching};
pub use self::{
    recipient::{LocalRequest, Recipient, RulesMessage},
    requests::{Outcome, Progress},
    watch::{Look, Sighting, Sightings},
};
use crate::{
    Body, Message, NodeId, Payload, RequestId,
    message::{Broadcast, FetchSockets, ServerSideEmit, liveness},
};

/// How long a request waits for responses to FETCH_SOCKETS and SERVER_SIDE_EMIT, by default.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The time-outs and bounds of a node. Defaults are Node.js's where Node.js has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How long the node may publish nothing before it sends a HEARTBEAT. Default: 5 s. It may come
    /// later by a tenth, so that all namespaces of a process send theirs together: see
    /// [`NodeRules::heartbeat_along`].
    pub heartbeat_interval: Duration,
    /// How long after its last message another node is taken for dead. Default: 10 s.
    pub heartbeat_timeout: Duration,
    /// How many other nodes are remembered. Any new uid counts as a node, so this bounds what
    /// forged or confused senders can do. Default: 1000.
    pub max_nodes: usize,
    /// Whether the node can look at the sessions in the database, so that it need not send
    /// heartbeats to those that see its own: see [`NodeRules::looked`]. Default: false.
    pub watches: bool,
    /// Whether the node takes packed messages, says so in its heartbeats, and packs binary where
    /// all other nodes take it: see [`NodeRules::packs_binary`]. Default: false.
    pub packs_binary: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_interval: liveness::HEARTBEAT_INTERVAL,
            heartbeat_timeout: liveness::HEARTBEAT_TIMEOUT,
            max_nodes: 1000,
            watches: false,
            packs_binary: false,
        }
    }
}

impl Config {
    /// Sets [`Config::heartbeat_interval`].
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// Sets [`Config::heartbeat_timeout`].
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets [`Config::max_nodes`].
    #[must_use]
    pub fn max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Sets [`Config::watches`].
    #[must_use]
    pub fn watches(mut self, watches: bool) -> Self {
        self.watches = watches;
        self
    }

    /// Sets [`Config::packs_binary`].
    #[must_use]
    pub fn packs_binary(mut self, packs: bool) -> Self {
        self.packs_binary = packs;
        self
    }
}

/// What the caller has to do for the node. It is exhaustive: a caller that does not perform a new
/// kind of action does not compile.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Publish this body.
    Publish(Body),
    /// Call the application's handlers, and respond once when the message has a `request_id`.
    ServerSideEmit(ServerSideEmit),
    /// A response to a request of this node.
    Progress {
        /// The request.
        request: RequestId,
        /// The node that responds.
        node: Option<NodeId>,
        /// The response.
        progress: Progress,
    },
    /// A request of this node has ended; no more responses come for it.
    Completed {
        /// The request.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A node was heard for the first time.
    NodeJoined(NodeId),
    /// A node left, or has not been heard for the heartbeat time-out.
    NodeLeft {
        /// The node that left.
        node: NodeId,
        /// True when the node sent a close message.
        closed: bool,
    },
    /// A message of a node that is not remembered, because [`Config::max_nodes`] is reached.
    TooManyNodes(NodeId),
    /// A node has said in a heartbeat that it does not take packed messages, where this node does:
    /// while that node is in the cluster, binary goes through the attachments table.
    NodeNeedsAttachments(NodeId),
}

/// One node's view of the cluster in one namespace.
#[derive(Debug)]
pub struct NodeRules {
    uid: NodeId,
    nsp: String,
    config: Config,
    members: Membership,
    requests: requests::Requests,
    /// When the node last published; `None` before it joins and after it leaves.
    published: Option<Instant>,
    /// Until when everything that others published has been heard; `None`: until now.
    heard_until: Option<Instant>,
    /// When to look again for silent nodes: some would be, if the node heard all until now.
    looks_for_silent_at: Option<Instant>,
    /// Since when the node is quiet, unless it knows another node.
    quiet_since: Option<Instant>,
    /// Since when a new node waits for a heartbeat in reply: see [`NodeRules::hear`].
    heartbeat_reply_due: Option<Instant>,
    watching: Watching,
    packing: Packing,
    actions: VecDeque<Action>,
}

impl NodeRules {
    /// A node that has not joined yet.
    pub fn new(uid: NodeId, nsp: impl Into<String>, config: Config) -> Self {
        Self {
            uid,
            nsp: nsp.into(),
            config,
            members: Membership::default(),
            requests: requests::Requests::default(),
            published: None,
            heard_until: None,
            looks_for_silent_at: None,
            quiet_since: None,
            heartbeat_reply_due: None,
            watching: Watching::default(),
            packing: Packing::default(),
            actions: VecDeque::new(),
        }
    }

    /// The node's own uid.
    pub fn uid(&self) -> &NodeId {
        &self.uid
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.nsp
    }

    /// The number of nodes in the cluster, this one included.
    pub fn server_count(&self) -> usize {
        1 + self.members.len()
    }

    /// The other nodes, in the order of their uids.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.members.nodes()
    }

    /// How many requests of this node wait for responses.
    pub fn waiting_requests(&self) -> usize {
        self.requests.len()
    }

    /// The next thing to do. Call it until it returns `None`, after each call of another method.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Joins: announces the node. Call it once the node listens; see also [`Self::rejoin`].
    pub fn join(&mut self, now: Instant) {
        self.published = Some(now);
        self.assume_peers(now);
        self.was_disconnected(now);
        self.publish(now, Body::InitialHeartbeat);
    }

    /// Announces a node that has joined. Call it whenever the node listens again after it was
    /// disconnected.
    pub fn rejoin(&mut self, now: Instant) {
        if self.published.is_some() {
            self.join(now);
        }
    }

    /// Until when everything that others published has been heard, as the link to the database
    /// showed. A node is silent only if it was not heard although this one heard all: who is
    /// disconnected, noticed or not, does not take others for dead. A request then waits for all that
    /// are known, and says which did not respond; otherwise it would be complete without them.
    ///
    /// Call it before [`Self::handle_timeout`]. Where it is never called, everything is heard.
    pub fn heard_all_until(&mut self, until: Instant) {
        self.heard_until = Some(until);
    }

    /// Whether there are nodes that were not heard for the time-out, of which it is not known that
    /// they are silent: it helps to ask the server whether something is still on its way. See
    /// [`Self::heard_all_until`].
    pub fn waits_for_proof(&self) -> bool {
        self.looks_for_silent_at.is_some()
    }

    /// Leaves: publishes the close message, and ends all requests.
    pub fn leave(&mut self) {
        self.published = None;
        self.heartbeat_reply_due = None;
        self.stop_packing();
        self.requests.end_all(&mut self.actions);
        self.actions.push_back(Action::Publish(Body::AdapterClose));
    }

    /// Call it when the node has published something by itself. That proves that it lives, as a
    /// heartbeat does.
    pub fn published(&mut self, now: Instant) {
        if self.published.is_some() {
            self.published = Some(now);
            self.watching.is_silent = false;
        }
    }

    /// Call it when the node could not publish something of its own, such as a heartbeat. The next
    /// heartbeat then comes soon, so that one failure does not make the node look dead.
    pub fn not_published(&mut self, now: Instant) {
        // Not the interval of a quiet node, which differs once the node has published earlier.
        let interval = self.config.heartbeat_interval;
        self.could_not_say(now);
        self.members.was_not_asked();
        let Some(published) = &mut self.published else { return };
        // The heartbeat is then due in a fifth of the interval.
        if let Some(earlier) = now.checked_sub(interval - interval / 5) {
            *published = earlier.min(*published);
        }
    }

    /// Handles a message from the channel. Returns the request, if it is one for local sockets: the
    /// caller carries it out after the actions.
    pub fn handle(&mut self, now: Instant, message: Message) -> Option<LocalRequest> {
        let Message { body, uid, nsp, watch, takes_packed, .. } = message;
        if uid.as_ref() == Some(&self.uid) || nsp.is_some_and(|nsp| nsp != self.nsp) {
            return None;
        }
        match &uid {
            Some(uid) if matches!(body, Body::AdapterClose) => self.departs(now, uid),
            Some(uid) => {
                self.heard(now, uid);
                self.heard_of_session(now, uid, &body, watch);
                self.heard_of_packed(now, uid, &body, takes_packed);
            }
            None => {}
        }
        if matches!(body, Body::InitialHeartbeat) && self.published.is_some() {
            self.publish(now, Body::Heartbeat);
        }
        match Recipient::from(body) {
            Recipient::Local(request) => return Some(request),
            Recipient::Rules(message) => self.handle_in_order(uid, message),
        }
        None
    }

    /// Notes that a node lives because a message of it has come. A message that comes less than a
    /// [`Config::heartbeat_timeout`] after the node's close message is a straggler, and proves
    /// nothing.
    pub fn heard(&mut self, now: Instant, uid: &NodeId) {
        if *uid != self.uid && !uid.is_emitter() {
            let is_known = self.members.heard(now, uid, &self.config, &mut self.actions);
            self.assume_peers(now);
            if !is_known {
                // It may need heartbeats.
                self.doubt(now);
            }
        }
    }

    /// Looks at a message of this namespace that has come but waits behind others. Its sender
    /// lives, however long it takes until [`Self::handle_in_order`]. Returns whether the caller must
    /// keep the message for that: a message that only says that its sender lives need not be kept.
    ///
    /// A close message keeps its node from being taken for silent until it is handled, so the
    /// caller must not drop it. Of each known node, one close message is kept at a time.
    ///
    /// A new node gets a heartbeat in reply with the next [`Self::handle_timeout`], which is due at
    /// once; one heartbeat serves several new nodes.
    pub fn hear<P>(&mut self, now: Instant, message: &Message<P>) -> bool {
        let Message { body, uid, watch, takes_packed, .. } = message;
        let uid = uid.as_ref();
        if uid == Some(&self.uid) {
            return false;
        }
        if matches!(body, Body::AdapterClose) {
            return uid.is_some_and(|uid| {
                self.departs(now, uid);
                self.members.leaves(uid)
            });
        }
        if let Some(uid) = uid {
            self.heard(now, uid);
            self.heard_of_session(now, uid, body, *watch);
            self.heard_of_packed(now, uid, body, *takes_packed);
        }
        if matches!(body, Body::InitialHeartbeat) && self.published.is_some() {
            self.heartbeat_reply_due.get_or_insert(now);
        }
        !matches!(body, Body::InitialHeartbeat | Body::Heartbeat | Body::Unknown { .. })
    }

    /// Handles a message of this namespace whose sender was noted when it came: see [`Self::hear`].
    pub fn handle_in_order(&mut self, uid: Option<NodeId>, message: RulesMessage) {
        if uid.as_ref() == Some(&self.uid) {
            return;
        }
        match message.0 {
            RulesBody::Heartbeat => {}
            RulesBody::Close => {
                if let Some(uid) = uid
                    && self.members.remove(&uid)
                {
                    self.node_left(uid, true);
                }
            }
            RulesBody::ServerSideEmit(data) => self.actions.push_back(Action::ServerSideEmit(data)),
            RulesBody::Response(response) => {
                let is_member = uid.as_ref().is_some_and(|uid| self.members.contains(uid));
                self.requests.answer(uid, is_member, response, &mut self.actions);
            }
        }
    }

    /// Tells the node the time: it sends what is due, drops nodes that are silent, ends requests
    /// that took too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let heard_until = self.heard_until.map_or(now, |until| until.min(now));
        while let Some(node) = self.members.silent(now, heard_until, self.config.heartbeat_timeout) {
            self.hold_back_for(now, &node);
            self.members.remove(&node);
            self.node_left(node, false);
            // Perhaps it was this node that could not hear.
            self.doubt(now);
        }
        let silent = self.members.oldest().map(|heard| after(heard, self.config.heartbeat_timeout));
        self.looks_for_silent_at =
            silent.filter(|at| *at <= now).map(|_| after(now, self.config.heartbeat_interval / 10));
        self.requests.expire(now, &mut self.actions);
        let must_tell = self.published.is_some() && self.watching.must_tell(now);
        if self.heartbeat_reply_due.take_if(|due| *due <= now).is_some() || must_tell {
            self.publish(now, Body::Heartbeat);
        }
        self.ask_whether_they_take_packed(now);
        let (interval, _) = self.heartbeat_schedule();
        self.heartbeat_if_silent(now, interval);
    }

    /// Call it when heartbeats of other namespaces of this process are published. A heartbeat that
    /// is due within half an interval goes along, so that the heartbeats of all namespaces of a
    /// process come to share one transaction.
    pub fn heartbeat_along(&mut self, now: Instant) {
        if !self.watching.is_silent {
            let (interval, _) = self.heartbeat_schedule();
            self.heartbeat_if_silent(now, interval / 2);
        }
    }

    /// When [`Self::handle_timeout`] next has something to do. A heartbeat may be sent earlier,
    /// from [`Config::heartbeat_interval`] on.
    pub fn next_timeout(&self) -> Option<Instant> {
        let (interval, slack) = self.heartbeat_schedule();
        let heartbeat = self.published.map(|published| after(after(published, interval), slack));
        let silent = self.members.oldest().map(|heard| after(heard, self.config.heartbeat_timeout));
        let silent = silent.map(|at| self.looks_for_silent_at.map_or(at, |again| again.max(at)));
        let tells = self.watching.tells_at().filter(|_| self.published.is_some());
        let asks = self.packing.asks_at();
        let requests = self.requests.next_deadline();
        [heartbeat, tells, self.heartbeat_reply_due, asks, silent, requests].into_iter().flatten().min()
    }

    /// Asks the other nodes for their sockets, or for no more than their number or ids.
    ///
    /// [`Progress::Sockets`], [`Progress::Count`] or [`Progress::Ids`] comes for each node, as it is
    /// asked for and whether the node answers in full or briefly; then [`Action::Completed`]. A node
    /// that knows no other node completes at once and publishes nothing.
    pub fn fetch_sockets(&mut self, now: Instant, fetch: FetchSockets, timeout: Duration) {
        self.ask(now, fetch.request_id.clone(), Body::FetchSockets(fetch), timeout);
    }

    /// Emits an event to the other servers and asks for their responses.
    ///
    /// [`Progress::Response`] comes for each node, then [`Action::Completed`]. A node that knows no
    /// other node completes at once and publishes nothing.
    pub fn server_side_emit_with_ack(&mut self, now: Instant, id: RequestId, packet: Payload, timeout: Duration) {
        let body = Body::ServerSideEmit(ServerSideEmit { request_id: Some(id.clone()), packet });
        self.ask(now, id, body, timeout);
    }

    fn ask(&mut self, now: Instant, id: RequestId, body: Body, timeout: Duration) {
        if self.members.len() == 0 {
            self.actions.push_back(Action::Completed { request: id, outcome: Outcome::default() });
            return;
        }
        let (deadline, nodes) = (after(now, timeout), self.members.nodes());
        match body {
            Body::FetchSockets(FetchSockets { only: None, .. }) => self.requests.wait_for_sockets(id, deadline, nodes),
            Body::FetchSockets(FetchSockets { only: Some(only), .. }) => {
                self.requests.wait_for_brief_answers(id, deadline, nodes, only);
            }
            _ => self.requests.wait_for_answers(id, deadline, nodes),
        }
        self.publish(now, body);
    }

    /// Broadcasts an event and asks the clients of the other nodes for acknowledgements.
    ///
    /// [`Progress::ClientCount`] and [`Progress::Ack`] come, in any order, then
    /// [`Action::Completed`]. It is published even when no other node is known, as Node.js does.
    pub fn broadcast_with_ack(&mut self, now: Instant, broadcast: Broadcast, timeout: Duration) {
        if let Some(id) = &broadcast.request_id {
            self.requests.wait_for_acks(id.clone(), after(now, timeout), self.members.nodes());
        }
        let id = broadcast.request_id.clone();
        self.publish(now, Body::Broadcast(broadcast));
        if let Some(id) = id {
            self.requests.complete_if_done(&id, &mut self.actions);
        }
    }

    /// Cancels a request: nothing more comes for it, not even [`Action::Completed`].
    pub fn cancel(&mut self, id: &RequestId) {
        self.requests.cancel(id);
    }

    fn heartbeat_if_silent(&mut self, now: Instant, silence: Duration) {
        if self.published.is_some_and(|published| after(published, silence) <= now) {
            self.publish(now, Body::Heartbeat);
        }
    }

    /// After how much silence a heartbeat is due, and how much later it may come.
    fn heartbeat_schedule(&self) -> (Duration, Duration) {
        let Config { heartbeat_interval, heartbeat_timeout, .. } = self.config;
        let quiet = |published| self.quiet_since.is_some_and(|from| after(published, heartbeat_interval) >= from);
        if self.members.len() == 0 && self.published.is_some_and(quiet) {
            let interval = heartbeat_interval.saturating_mul(liveness::QUIET_INTERVALS);
            return (interval, interval / 10);
        }
        // Other nodes are assumed to have the same time-outs as this one.
        let room = heartbeat_timeout.saturating_sub(heartbeat_interval);
        (heartbeat_interval, (heartbeat_interval / 10).min(room / 4))
    }

    /// Other nodes may exist: this node is not quiet for a while.
    fn assume_peers(&mut self, now: Instant) {
        let interval = self.config.heartbeat_interval.saturating_mul(liveness::QUIET_INTERVALS);
        self.quiet_since = Some(after(now, interval));
    }

    fn departs(&mut self, now: Instant, node: &NodeId) {
        self.hold_back_for(now, node);
        if self.members.may_leave(node) {
            // The message may be false. Its node sees this one's session, and ignores what is sent in
            // its name: it is taken back when it hears, after its stragglers, that this one needs
            // heartbeats.
            self.doubt_for(now, self.config.heartbeat_timeout);
        }
        self.members.departs(now, node, &self.config);
    }

    fn publish(&mut self, now: Instant, body: Body) {
        self.published(now);
        if body.is_heartbeat() {
            self.watching.says(now);
        }
        self.actions.push_back(Action::Publish(body));
    }

    fn node_left(&mut self, node: NodeId, closed: bool) {
        self.requests.node_left(&node, &mut self.actions);
        self.actions.push_back(Action::NodeLeft { node, closed });
    }
}

/// A time in the future. Where the clock's range ends earlier, a time that is far enough away.
fn after(time: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    time.checked_add(duration).unwrap_or_else(|| time + FAR)
}
