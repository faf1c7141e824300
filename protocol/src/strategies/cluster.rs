//! Strategies for the life of a cluster, operation by operation.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use proptest::{collection, option, prelude::*};

use crate::{
    Body, Message, NodeId, RequestId, SessionId, Value,
    cluster::{Action, Config, Look, NodeRules, Recipient},
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, FetchSockets, FetchSocketsResponse, Only, Packet, Selector,
        ServerSideEmit, ServerSideEmitResponse, Watch,
    },
    strategies::{only, socket_id},
};

/// An operation on a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// It joins.
    Join,
    /// It leaves.
    Leave,
    /// Time passes, and the node is told.
    Wait(Duration),
    /// It publishes something by itself.
    Publish,
    /// It sends heartbeats of other namespaces.
    HeartbeatAlong,
    /// It looks at the sessions, and sees its own or not, and some others: see [`session`].
    Look(bool, Vec<u8>),
    /// It asks for sockets, and waits this long.
    FetchSockets(Duration),
    /// It asks for no more than this of sockets, and waits this long.
    FetchOnly(Only, Duration),
    /// It emits to the other servers, and waits this long for responses.
    ServerSideEmit(Duration),
    /// It broadcasts, and waits this long for acknowledgements.
    Broadcast(Duration),
    /// It cancels one of its requests, counted from the first.
    Cancel(usize),
    /// It hears a message, and handles it at once.
    Hear(Box<Message>),
    /// It hears a message, which is queued.
    Arrive(Box<Message>),
    /// It handles the first message of the queue.
    HandleNext,
}

/// A node that operations happen to. It names its requests `r0`, `r1` and so on.
#[derive(Debug)]
pub struct Player {
    /// The node.
    pub cluster: NodeRules,
    /// The time.
    pub now: Instant,
    asked: usize,
    line: VecDeque<Message>,
}

impl Player {
    /// A node that has not joined, whose clock begins at `now`.
    pub fn new(now: Instant, config: Config) -> Self {
        Self { cluster: NodeRules::new(NodeId::from("me"), "/", config), now, asked: 0, line: VecDeque::new() }
    }

    /// Performs an operation; returns what the node then has to do.
    pub fn play(&mut self, operation: Operation) -> Vec<Action> {
        let now = self.now;
        match operation {
            Operation::Join => self.cluster.join(now),
            Operation::Leave => self.cluster.leave(),
            Operation::Wait(time) => {
                self.now += time;
                self.cluster.handle_timeout(self.now);
            }
            Operation::Publish => self.cluster.published(now),
            Operation::HeartbeatAlong => self.cluster.heartbeat_along(now),
            Operation::Look(is_seen, seen) => {
                let sessions = seen.into_iter().map(|number| (session(number), now)).collect();
                self.cluster.looked(now, &Look { asked: now, is_seen, sessions });
            }
            Operation::FetchSockets(timeout) => {
                let id = self.next_request();
                self.cluster.fetch_sockets(now, FetchSockets::new(Selector::all(), id), timeout);
            }
            Operation::FetchOnly(only, timeout) => {
                let id = self.next_request();
                self.cluster.fetch_sockets(now, FetchSockets::new(Selector::all(), id).only(only), timeout);
            }
            Operation::ServerSideEmit(timeout) => {
                let id = self.next_request();
                self.cluster.server_side_emit_with_ack(now, id, event().into(), timeout);
            }
            Operation::Broadcast(timeout) => {
                let request_id = Some(self.next_request());
                let broadcast = Broadcast { packet: Packet::event(event().into()), request_id, opts: Selector::all() };
                self.cluster.broadcast_with_ack(now, broadcast, timeout);
            }
            Operation::Cancel(number) => self.cluster.cancel(&request(number)),
            // What local sockets have to do does not concern the rules.
            Operation::Hear(message) => drop(self.cluster.handle(now, *message)),
            Operation::Arrive(message) => {
                if message.nsp.as_deref().is_none_or(|nsp| nsp == self.cluster.namespace())
                    && self.cluster.hear(now, &message)
                {
                    self.line.push_back(*message);
                }
            }
            Operation::HandleNext => {
                if let Some(message) = self.line.pop_front()
                    && let Recipient::Rules(body) = Recipient::from(message.body)
                {
                    self.cluster.handle_in_order(message.uid, body);
                }
            }
        }
        std::iter::from_fn(|| self.cluster.poll_action()).collect()
    }

    /// How many messages are queued.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// The name of the request that the node would make next.
    pub fn next_request_id(&self) -> RequestId {
        request(self.asked)
    }

    fn next_request(&mut self) -> RequestId {
        self.asked += 1;
        request(self.asked - 1)
    }
}

/// An operation. Messages come from a few nodes and answer the first few requests, so that the
/// operations of a list often concern the same nodes and requests.
pub fn operation() -> BoxedStrategy<Operation> {
    let timeout = || (0..20_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        1 => Just(Operation::Join),
        1 => Just(Operation::Leave),
        4 => (0..6_000_u64).prop_map(|ms| Operation::Wait(Duration::from_millis(ms))),
        1 => Just(Operation::Publish),
        1 => Just(Operation::HeartbeatAlong),
        4 => (any::<bool>(), collection::vec(0..SESSIONS, 0..2 * usize::from(SESSIONS)))
            .prop_map(|(is_seen, seen)| Operation::Look(is_seen, seen)),
        2 => timeout().prop_map(Operation::FetchSockets),
        2 => (only(), timeout()).prop_map(|(only, timeout)| Operation::FetchOnly(only, timeout)),
        2 => timeout().prop_map(Operation::ServerSideEmit),
        3 => timeout().prop_map(Operation::Broadcast),
        1 => (0..REQUESTS).prop_map(Operation::Cancel),
        12 => heard().prop_map(|message| Operation::Hear(Box::new(message))),
        10 => heard().prop_map(|message| Operation::Arrive(Box::new(message))),
        8 => Just(Operation::HandleNext),
    ]
    .boxed()
}

/// How many sessions there are.
const SESSIONS: u8 = 4;

/// A session with a small number.
pub fn session(number: u8) -> SessionId {
    SessionId::new(number.into())
}

fn watch() -> impl Strategy<Value = Watch> {
    (0..SESSIONS, any::<bool>())
        .prop_map(|(number, needs_heartbeats)| Watch { session: session(number), needs_heartbeats })
}

/// How many requests messages answer.
const REQUESTS: usize = 8;

fn heard() -> impl Strategy<Value = Message> {
    let sender = prop_oneof![
        8 => (0..6_u8).prop_map(|number| NodeId::from(format!("node{number}"))),
        1 => Just(NodeId::emitter()),
        1 => Just(NodeId::from("me")),
    ];
    let nsp = prop_oneof![1 => Just(None), 8 => Just(Some("/".to_owned())), 1 => Just(Some("/other".to_owned()))];
    let of_heartbeats = (option::of(watch()), any::<bool>());
    (answer_or_other(), option::weighted(0.95, sender), nsp, of_heartbeats).prop_map(
        |(body, uid, nsp, (watch, takes_packed))| {
            let (watch, takes_packed) = (watch.filter(|_| body.is_heartbeat()), takes_packed && body.is_heartbeat());
            Message { body, uid, nsp, relay: Default::default(), nonce: None, reply_to: None, watch, takes_packed }
        },
    )
}

fn answer_or_other() -> impl Strategy<Value = Body> {
    let id = || (0..REQUESTS).prop_map(request);
    prop_oneof![
        1 => Just(Body::InitialHeartbeat),
        3 => Just(Body::Heartbeat),
        2 => Just(Body::AdapterClose),
        1 => Just(Body::Unknown { kind: 99, data: None }),
        1 => option::of(id()).prop_map(|request_id| Body::ServerSideEmit(ServerSideEmit { request_id, packet: event().into() })),
        4 => id().prop_map(|request_id| {
            Body::FetchSocketsResponse(FetchSocketsResponse::full(request_id, Vec::new()))
        }),
        2 => (id(), prop_oneof![0..3_u64, Just(u64::MAX)]).prop_map(|(request_id, count)| {
            Body::FetchSocketsResponse(FetchSocketsResponse::of_count(request_id, count))
        }),
        2 => (id(), collection::vec(socket_id(), 0..3)).prop_map(|(request_id, ids)| {
            Body::FetchSocketsResponse(FetchSocketsResponse::of_ids(request_id, ids))
        }),
        4 => id().prop_map(|request_id| Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet: None })),
        5 => (id(), prop_oneof![0..3_u64, Just(u64::MAX)]).prop_map(|(request_id, client_count)| {
            Body::BroadcastClientCount(BroadcastClientCount { request_id, client_count })
        }),
        5 => id().prop_map(|request_id| Body::BroadcastAck(BroadcastAck { request_id, packet: None })),
    ]
}

fn request(number: usize) -> RequestId {
    RequestId::from(format!("r{number}"))
}

fn event() -> Value {
    Value::Array(vec![Value::from("event")])
}
