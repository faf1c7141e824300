//! Property of a node's life, as a list of operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use socketio_pg_protocol::{
    Body, Message, NodeId, RequestId,
    cluster::{Action, Config, Progress},
    message::{
        BroadcastAck, BroadcastClientCount, FetchSocketsResponse, Only, Selector, ServerSideEmitResponse, SocketsJoin,
        Watch,
    },
    strategies::{Operation, Player, session},
};

/// Fewer than there are nodes to hear from.
const MAX_NODES: usize = 4;

/// This many requests are answered or cancelled.
const REQUESTS: u8 = 8;

/// Longer than any list of operations lasts.
const LONG: Duration = Duration::from_secs(3600);

/// Takes any bytes as operations, and performs them on two nodes at once.
pub fn check(data: &[u8]) {
    let start = Instant::now();
    let config = Config::default().max_nodes(MAX_NODES).watches(true);
    let mut twin = Player::new(start, config);
    let mut witness = Witness::new(Player::new(start, config));
    for operation in Operations(data.iter().take(1000)) {
        let actions = twin.play(operation.clone());
        assert_eq!(witness.play(operation), actions, "the same inputs, other actions");
        assert_eq!(witness.player.cluster.next_timeout(), twin.cluster.next_timeout());
    }
    witness.end();
}

/// Operations, read from bytes: the kind, and one to three bytes of details.
struct Operations<'a>(std::iter::Take<std::slice::Iter<'a, u8>>);

impl Iterator for Operations<'_> {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let what = self.byte()?;
        Some(match what % 16 {
            0 => Operation::Join,
            1 => Operation::Leave,
            2 => Operation::Publish,
            3..=5 => Operation::Wait(Duration::from_millis(u64::from(self.byte()?) * 50)),
            6 => match self.byte()? % 3 {
                0 => Operation::FetchOnly(Only::Count, self.timeout()?),
                1 => Operation::FetchOnly(Only::Ids, self.timeout()?),
                _ => Operation::FetchSockets(self.timeout()?),
            },
            7 => Operation::ServerSideEmit(self.timeout()?),
            8 => Operation::Broadcast(self.timeout()?),
            9 => Operation::Cancel(usize::from(self.byte()? % REQUESTS)),
            10 => {
                let seen = self.byte()?;
                Operation::Look(seen >= 128, (0..4).filter(|number| seen & (1 << number) != 0).collect())
            }
            _ => Operation::Hear(Box::new(self.message()?)),
        })
    }
}

impl Operations<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    /// Sometimes longer than any clock can show.
    fn timeout(&mut self) -> Option<Duration> {
        Some(match self.byte()? {
            u8::MAX => Duration::MAX,
            tenths => Duration::from_millis(u64::from(tenths) * 100),
        })
    }

    fn message(&mut self) -> Option<Message> {
        let (sender, body) = (self.byte()?, self.body()?);
        let uid = match sender % 16 {
            0 => None,
            1 => Some(NodeId::emitter()),
            2 => Some(NodeId::from("me")),
            number => Some(NodeId::from(format!("node{}", number % 6))),
        };
        let nsp = match sender / 16 {
            0 => None,
            1 => Some("/other".to_owned()),
            _ => Some("/".to_owned()),
        };
        let watch = match sender % 5 {
            0 => Some(Watch { session: session(sender / 5 % 4), needs_heartbeats: sender % 2 == 0 }),
            _ => None,
        };
        let takes_packed = sender % 3 == 0;
        Some(Message { body, uid, nsp, relay: Default::default(), nonce: None, reply_to: None, watch, takes_packed })
    }

    fn body(&mut self) -> Option<Body> {
        let what = self.byte()?;
        Some(match what % 12 {
            0 => Body::InitialHeartbeat,
            1 => Body::Heartbeat,
            2 | 3 => Body::AdapterClose,
            4 => Body::Unknown { kind: what.into(), data: None },
            5 => Body::SocketsJoin(SocketsJoin { opts: Selector::all(), rooms: Vec::new() }),
            6 => {
                let request_id = self.request()?;
                Body::FetchSocketsResponse(match self.byte()? {
                    0 => FetchSocketsResponse::of_count(request_id, u64::MAX),
                    1 => FetchSocketsResponse::of_ids(request_id, vec!["s".into()]),
                    _ => FetchSocketsResponse::full(request_id, Vec::new()),
                })
            }
            7 => Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id: self.request()?, packet: None }),
            8 | 9 => {
                let (request_id, count) = (self.request()?, self.byte()?);
                let client_count = if count == u8::MAX { u64::MAX } else { (count % 4).into() };
                Body::BroadcastClientCount(BroadcastClientCount { request_id, client_count })
            }
            _ => Body::BroadcastAck(BroadcastAck { request_id: self.request()?, packet: None }),
        })
    }

    fn request(&mut self) -> Option<RequestId> {
        Some(RequestId::from(format!("r{}", self.byte()? % REQUESTS)))
    }
}

/// Watches a node, and derives from its actions how things must stand.
struct Witness {
    player: Player,
    members: BTreeSet<NodeId>,
    requests: BTreeMap<RequestId, Request>,
}

/// A request that has not ended.
struct Request {
    /// `None` when it is later than any clock can show.
    deadline: Option<Instant>,
    waits: Waits,
}

/// What a request waits for.
enum Waits {
    /// For the sockets of these nodes.
    Sockets(BTreeSet<NodeId>),
    /// For the number, or the ids, of the sockets of these nodes; each answers once.
    Brief { only: Only, nodes: BTreeSet<NodeId>, answered: BTreeSet<NodeId> },
    /// For the responses of these nodes.
    Answers(BTreeSet<NodeId>),
    /// For the clients of these nodes: their number, if the node has sent it, less those that have
    /// acknowledged.
    Acknowledgements(BTreeMap<NodeId, (Option<u64>, u64)>),
}

impl Waits {
    fn forget(&mut self, node: &NodeId) {
        match self {
            Self::Sockets(nodes) | Self::Brief { nodes, .. } | Self::Answers(nodes) => _ = nodes.remove(node),
            Self::Acknowledgements(nodes) => _ = nodes.remove(node),
        }
    }

    fn is_settled(&self) -> bool {
        match self {
            Self::Sockets(nodes) | Self::Brief { nodes, .. } | Self::Answers(nodes) => nodes.is_empty(),
            Self::Acknowledgements(nodes) => {
                nodes.values().all(|(expected, received)| expected.is_some_and(|expected| *received >= expected))
            }
        }
    }

    /// The nodes that have not responded in full.
    fn missing(&self) -> BTreeSet<&NodeId> {
        match self {
            Self::Sockets(nodes) | Self::Brief { nodes, .. } | Self::Answers(nodes) => nodes.iter().collect(),
            Self::Acknowledgements(nodes) => {
                nodes.iter().filter(|(_, (expected, _))| expected.is_none()).map(|it| it.0).collect()
            }
        }
    }
}

impl Witness {
    fn new(player: Player) -> Self {
        Self { player, members: BTreeSet::new(), requests: BTreeMap::new() }
    }

    fn play(&mut self, operation: Operation) -> Vec<Action> {
        let waited = matches!(operation, Operation::Wait(_));
        let has_left = operation == Operation::Leave;
        self.note_request(&operation);
        let actions = self.player.play(operation);
        for action in &actions {
            self.see(action, has_left);
        }
        self.check();
        if waited {
            self.check_time();
        }
        actions
    }

    fn note_request(&mut self, operation: &Operation) {
        let (timeout, waits) = match operation {
            Operation::FetchSockets(timeout) => (timeout, Waits::Sockets(self.members.clone())),
            Operation::FetchOnly(only, timeout) => {
                (timeout, Waits::Brief { only: *only, nodes: self.members.clone(), answered: BTreeSet::new() })
            }
            Operation::ServerSideEmit(timeout) => (timeout, Waits::Answers(self.members.clone())),
            Operation::Broadcast(timeout) => {
                (timeout, Waits::Acknowledgements(self.members.iter().map(|node| (node.clone(), (None, 0))).collect()))
            }
            Operation::Cancel(number) => {
                self.requests.remove(format!("r{number}").as_str());
                return;
            }
            _ => return,
        };
        let deadline = self.player.now.checked_add(*timeout);
        self.requests.insert(self.player.next_request_id(), Request { deadline, waits });
    }

    fn see(&mut self, action: &Action, has_left: bool) {
        match action {
            Action::NodeJoined(node) => assert!(self.members.insert(node.clone()), "{node} joined twice"),
            Action::NodeLeft { node, .. } => {
                assert!(self.members.remove(node), "{node} was not there");
                self.requests.values_mut().for_each(|request| request.waits.forget(node));
            }
            Action::TooManyNodes(node) => assert!(self.members.len() == MAX_NODES && !self.members.contains(node)),
            Action::Progress { request, node, progress } => {
                let request = self.requests.get_mut(request).expect("answers come only to a request that waits");
                let member = node.as_ref().filter(|node| self.members.contains(*node));
                match (&mut request.waits, progress, member) {
                    (Waits::Sockets(nodes), Progress::Sockets(_), node)
                    | (Waits::Answers(nodes), Progress::Response(_), node) => {
                        node.map(|node| nodes.remove(node));
                    }
                    (Waits::Brief { only: Only::Count, nodes, answered }, Progress::Count(_), _)
                    | (Waits::Brief { only: Only::Ids, nodes, answered }, Progress::Ids(_), _) => {
                        let node = node.clone().expect("it is the answer of a node");
                        nodes.remove(&node);
                        assert!(answered.insert(node), "a node was counted twice");
                    }
                    (Waits::Acknowledgements(nodes), Progress::ClientCount(count), Some(node)) => {
                        let told = nodes.entry(node.clone()).or_default().0.replace(*count);
                        assert_eq!(told, None, "{node} told its count twice");
                    }
                    (Waits::Acknowledgements(_), Progress::Ack(_), None) => {}
                    (Waits::Acknowledgements(nodes), Progress::Ack(_), Some(node)) => {
                        nodes.entry(node.clone()).or_default().1 += 1;
                    }
                    _ => panic!("the answer to another question: {progress:?} of {node:?}"),
                }
            }
            Action::Completed { request: id, outcome } => {
                let request = self.requests.remove(id).expect("a request ends once");
                let missing: BTreeSet<_> = outcome.missing_nodes.iter().collect();
                assert!(missing.iter().all(|node| self.members.contains(*node)), "{id} waited for one that has left");
                assert!(missing.is_subset(&request.waits.missing()), "{id} waited for one that was not asked");
                let is_over = has_left || request.deadline.is_some_and(|deadline| deadline <= self.player.now);
                assert!(is_over || outcome.is_complete(), "{id} ended before its time: {outcome:?}");
            }
            _ => {}
        }
    }

    fn check(&self) {
        let cluster = &self.player.cluster;
        assert_eq!(cluster.server_count(), 1 + self.members.len());
        assert!(cluster.nodes().eq(&self.members), "{:?}", self.members);
        assert_eq!(cluster.waiting_requests(), self.requests.len());
        for (id, request) in &self.requests {
            assert!(!request.waits.is_settled(), "{id} waits for no node");
        }
    }

    /// Once the node knows the time, nothing that is due is left.
    fn check_time(&self) {
        let now = self.player.now;
        assert!(self.player.cluster.next_timeout().is_none_or(|next| next > now), "something is still due");
        for (id, request) in &self.requests {
            assert!(request.deadline.is_none_or(|deadline| deadline > now), "{id} should have ended");
        }
    }

    /// Lets time pass until the other nodes are forgotten and all requests have ended.
    fn end(mut self) {
        self.play(Operation::Wait(LONG));
        assert_eq!(self.player.cluster.server_count(), 1, "nodes that say nothing are forgotten");
        assert_eq!(self.player.cluster.waiting_requests(), 0, "every request ends");
    }
}
