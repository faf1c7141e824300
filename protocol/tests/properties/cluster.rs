//! Properties of every life of a node, whatever it hears and is asked to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};
use socketio_pg_protocol::{
    Body, NodeId, RequestId,
    cluster::{Action, Config, Progress},
    message::liveness::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT},
    strategies::{Operation, Player, operation},
};

/// Fewer than there are nodes to hear from.
const MAX_NODES: usize = 4;

fn bounded() -> Config {
    Config::default().max_nodes(MAX_NODES).packs_binary(true)
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_cluster_keeps_its_promises(operations in vec(operation(), 0..120)) {
        let mut witness = Witness::new();
        for operation in operations {
            witness.play(operation);
        }
        // every request ends, at its deadline at the latest
        witness.play(Operation::Wait(Duration::from_secs(60)));
        assert_eq!(witness.player.cluster.waiting_requests(), 0);
        // Every message in line is handled.
        while witness.player.waiting() > 0 {
            witness.play(Operation::HandleNext);
        }
        // and every node that says nothing is forgotten
        assert_eq!(witness.player.cluster.server_count(), 1);
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(operations in vec(operation(), 0..120)) {
        let start = Instant::now();
        let (mut one, mut other) = (Player::new(start, bounded()), Player::new(start, bounded()));
        for operation in operations {
            prop_assert_eq!(one.play(operation.clone()), other.play(operation));
            prop_assert_eq!(one.cluster.next_timeout(), other.cluster.next_timeout());
        }
    }
}

/// Watches a node, and derives from its actions alone how things must stand.
struct Witness {
    player: Player,
    joined: bool,
    members: BTreeSet<NodeId>,
    /// Which of them said in their last heartbeat that they take packed messages, and which that
    /// they do not.
    packed: BTreeMap<NodeId, bool>,
    /// Until then it packs nothing, whoever is there.
    packs_from: Option<Instant>,
    requests: BTreeMap<RequestId, Request>,
}

/// A request that has not ended.
struct Request {
    deadline: Instant,
    /// The nodes that were known when it was made, or that responded since, and have not left.
    involved: BTreeSet<NodeId>,
    /// The number of clients that nodes have reported.
    clients: u64,
    /// The nodes whose number or ids of sockets came.
    told: BTreeSet<NodeId>,
}

impl Witness {
    fn new() -> Self {
        Self {
            player: Player::new(Instant::now(), bounded()),
            joined: false,
            members: BTreeSet::new(),
            packed: BTreeMap::new(),
            packs_from: None,
            requests: BTreeMap::new(),
        }
    }

    fn play(&mut self, operation: Operation) {
        let heartbeat = match &operation {
            Operation::Hear(message) | Operation::Arrive(message) if message.body.is_heartbeat() => {
                let is_here = message.nsp.as_deref().is_none_or(|nsp| nsp == "/");
                message.uid.clone().filter(|_| is_here).map(|uid| (uid, message.takes_packed))
            }
            _ => None,
        };
        let timeout = match &operation {
            Operation::FetchSockets(timeout)
            | Operation::FetchOnly(_, timeout)
            | Operation::ServerSideEmit(timeout)
            | Operation::Broadcast(timeout) => Some(*timeout),
            _ => None,
        };
        match &operation {
            Operation::Join => {
                self.joined = true;
                self.hold_back(HEARTBEAT_INTERVAL);
            }
            Operation::Leave => {
                self.joined = false;
                self.packs_from = None;
            }
            Operation::Hear(message) | Operation::Arrive(message) if message.body == Body::AdapterClose => {
                let is_here = message.nsp.as_deref().is_none_or(|nsp| nsp == "/");
                if let Some(uid) = message.uid.as_ref().filter(|uid| is_here && self.needs_attachments(uid)) {
                    assert!(self.members.contains(uid));
                    self.hold_back(2 * HEARTBEAT_TIMEOUT);
                }
            }
            Operation::Cancel(number) => {
                let id = RequestId::from(format!("r{number}"));
                if self.requests.remove(&id).is_some() {}
            }
            _ => {}
        }
        if let Some(timeout) = timeout {
            let (deadline, involved) = (self.player.now + timeout, self.members.clone());
            let request = Request { deadline, involved, clients: 0, told: BTreeSet::new() };
            self.requests.insert(self.player.next_request_id(), request);
        }

        let may_publish = self.joined || timeout.is_some() || operation == Operation::Leave;
        let waited = matches!(operation, Operation::Wait(_));
        for action in self.player.play(operation) {
            if let Action::Publish(body) = &action {
                assert!(may_publish, "published by a node that is not there: {body:?}");
            }
            self.see(action, heartbeat.as_ref());
        }
        if let Some((uid, takes_packed)) = heartbeat.filter(|(uid, _)| self.members.contains(uid)) {
            let said = self.packed.entry(uid).or_insert(takes_packed);
            *said &= takes_packed;
        }

        let cluster = &self.player.cluster;
        let all_take_packed = self.members.iter().all(|member| self.packed.get(member) == Some(&true));
        let is_sure = self.joined && self.packs_from.is_none_or(|from| from <= self.player.now);
        let packs = cluster.packs_binary(self.player.now);
        assert_eq!(packs, is_sure && all_take_packed && self.members.len() < MAX_NODES, "{:?}", self.packed);
        assert_eq!(cluster.server_count(), 1 + self.members.len());
        assert!(cluster.nodes().eq(&self.members), "{:?}", self.members);
        assert!(self.members.len() <= MAX_NODES);
        assert_eq!(cluster.waiting_requests(), self.requests.len());
        if waited {
            let late: Vec<_> = self
                .requests
                .iter()
                .filter(|(_, request)| request.deadline <= self.player.now)
                .map(|(id, _)| id)
                .collect();
            assert!(late.is_empty(), "should have ended: {late:?}");
            assert!(cluster.next_timeout().is_none_or(|next| next > self.player.now), "something is still due");
        }
        if !self.joined && self.members.is_empty() && self.requests.is_empty() {
            assert_eq!(cluster.next_timeout(), None, "there is nothing to wait for");
        }
    }

    fn needs_attachments(&self, node: &NodeId) -> bool {
        self.members.contains(node) && self.packed.get(node) != Some(&true)
    }

    fn hold_back(&mut self, time: Duration) {
        self.packs_from = self.packs_from.max(Some(self.player.now + time));
    }

    fn see(&mut self, action: Action, heartbeat: Option<&(NodeId, bool)>) {
        match action {
            Action::NodeNeedsAttachments(node) => {
                assert_eq!(heartbeat, Some(&(node.clone(), false)));
                assert!(self.members.contains(&node));
                assert_ne!(self.packed.get(&node), Some(&false), "it was told before");
            }
            Action::NodeJoined(node) => assert!(self.members.insert(node)),
            Action::NodeLeft { node, closed } => {
                if !closed && self.needs_attachments(&node) {
                    self.hold_back(2 * HEARTBEAT_TIMEOUT);
                }
                assert!(self.members.remove(&node), "{node} was not there");
                self.packed.remove(&node);
                for request in self.requests.values_mut() {
                    request.involved.remove(&node);
                }
            }
            Action::TooManyNodes(node) => {
                assert_eq!(self.members.len(), MAX_NODES);
                assert!(!self.members.contains(&node));
            }
            Action::Progress { request, node, progress } => {
                let request = self.requests.get_mut(&request).expect("it has not ended");
                if let Progress::Count(_) | Progress::Ids(_) = progress {
                    let node = node.clone().expect("it is the answer of a node");
                    assert!(request.told.insert(node), "it was counted twice");
                }
                if let Some(node) = node.filter(|node| self.members.contains(node)) {
                    request.involved.insert(node);
                }
                if let Progress::ClientCount(count) = progress {
                    request.clients = request.clients.saturating_add(count);
                }
            }
            Action::Completed { request: id, outcome } => {
                let request = self.requests.remove(&id).expect("it has not ended before");
                for node in &outcome.missing_nodes {
                    assert!(request.involved.contains(node), "{id} waited for {node}, which has left or was not asked");
                }
                assert!(outcome.missing_acks <= request.clients, "more acks are missing than there are clients");
                let is_over = self.player.now >= request.deadline || !self.joined;
                assert!(outcome.is_complete() || is_over, "{id} ended before its time: {outcome:?}");
            }
            _ => {}
        }
    }
}
