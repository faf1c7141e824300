//! Requests of this node, and the nodes that each of them waits for.
//!
//! A request waits for the nodes that were known when it was sent. It stops waiting for a node that
//! leaves or dies.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use super::Action;
use crate::{
    Body, NodeId, Payload, RequestId, SocketId,
    message::{FetchSocketsResponse, Only, SocketDescription},
};

/// A response to a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// The sockets of one node.
    Sockets(Vec<SocketDescription>),
    /// The number of the sockets of one node.
    Count(u64),
    /// The ids of the sockets of one node.
    Ids(Vec<SocketId>),
    /// The response of one server, `None` when it was empty.
    Response(Option<Payload>),
    /// This many clients of one node may acknowledge.
    ClientCount(u64),
    /// One client acknowledged, with `None` when it gave no value.
    Ack(Option<Payload>),
}

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The nodes that did not respond in time. Empty when all nodes responded in full; nodes that
    /// left meanwhile are not missing.
    pub missing_nodes: Vec<NodeId>,
    /// The clients whose acknowledgements did not come in time, as far as their nodes have said how
    /// many there are.
    pub missing_acks: u64,
}

impl Outcome {
    /// Whether every node that has not left responded in full.
    pub fn is_complete(&self) -> bool {
        self.missing_nodes.is_empty() && self.missing_acks == 0
    }
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: BTreeMap<RequestId, Request>,
    deadlines: BTreeSet<(Instant, RequestId)>,
}

#[derive(Debug)]
struct Request {
    deadline: Instant,
    pending: Pending,
}

#[derive(Debug)]
pub(super) enum Pending {
    /// Waits for the sockets of each of these nodes.
    Sockets(BTreeSet<NodeId>),
    /// Waits for the number, or the ids, of the sockets of each of these nodes.
    Brief { only: Only, nodes: BTreeSet<NodeId>, answered: BTreeSet<NodeId> },
    /// Waits for one response from each of these nodes.
    Answers(BTreeSet<NodeId>),
    /// Waits for a count from each node, then for as many acknowledgements.
    Acknowledgements(BTreeMap<NodeId, Acknowledgements>),
}

#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    /// How many clients may acknowledge, once the node has sent the number.
    expected: Option<u64>,
    received: u64,
}

impl Acknowledgements {
    fn missing(&self) -> u64 {
        self.expected.unwrap_or(0).saturating_sub(self.received)
    }

    fn is_done(&self) -> bool {
        self.expected.is_some_and(|expected| self.received >= expected)
    }
}

impl Pending {
    fn is_done(&self) -> bool {
        match self {
            Self::Sockets(nodes) | Self::Brief { nodes, .. } | Self::Answers(nodes) => nodes.is_empty(),
            Self::Acknowledgements(nodes) => nodes.values().all(Acknowledgements::is_done),
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Sockets(nodes) | Self::Brief { nodes, .. } | Self::Answers(nodes) => {
                Outcome { missing_nodes: nodes.into_iter().collect(), missing_acks: 0 }
            }
            Self::Acknowledgements(nodes) => Outcome {
                missing_acks: nodes.values().map(Acknowledgements::missing).fold(0, u64::saturating_add),
                missing_nodes: nodes
                    .into_iter()
                    .filter(|(_, acks)| acks.expected.is_none())
                    .map(|(node, _)| node)
                    .collect(),
            },
        }
    }
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn wait_for_sockets<'a>(
        &mut self,
        id: RequestId,
        deadline: Instant,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) {
        self.insert(id, deadline, Pending::Sockets(nodes.cloned().collect()));
    }

    pub(super) fn wait_for_brief_answers<'a>(
        &mut self,
        id: RequestId,
        deadline: Instant,
        nodes: impl Iterator<Item = &'a NodeId>,
        only: Only,
    ) {
        let (nodes, answered) = (nodes.cloned().collect(), BTreeSet::new());
        self.insert(id, deadline, Pending::Brief { only, nodes, answered });
    }

    pub(super) fn wait_for_answers<'a>(
        &mut self,
        id: RequestId,
        deadline: Instant,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) {
        self.insert(id, deadline, Pending::Answers(nodes.cloned().collect()));
    }

    pub(super) fn wait_for_acks<'a>(
        &mut self,
        id: RequestId,
        deadline: Instant,
        nodes: impl Iterator<Item = &'a NodeId>,
    ) {
        let nodes = nodes.map(|node| (node.clone(), Acknowledgements::default())).collect();
        self.insert(id, deadline, Pending::Acknowledgements(nodes));
    }

    fn insert(&mut self, id: RequestId, deadline: Instant, pending: Pending) {
        self.cancel(&id);
        self.deadlines.insert((deadline, id.clone()));
        self.waiting.insert(id, Request { deadline, pending });
    }

    /// Handles a response. It is dropped when no request waits for it. Requests wait only for
    /// members: nothing would tell this node that another sender has left.
    pub(super) fn answer(
        &mut self,
        from: Option<NodeId>,
        is_member: bool,
        response: Body,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(id) = response.request_id().cloned() else { return };
        let Some(request) = self.waiting.get_mut(&id) else { return };
        let node = from.clone();
        let progress = match (&mut request.pending, response) {
            (Pending::Sockets(nodes), Body::FetchSocketsResponse(data)) => {
                if data.is_brief() {
                    return; // without the sockets, which it has: the node is missing
                }
                remove(nodes, from.as_ref());
                Progress::Sockets(data.sockets)
            }
            (Pending::Brief { only, nodes, answered }, Body::FetchSocketsResponse(data)) => {
                // Each node counts once, so an answer without a sender, or an echo, does not count.
                let Some(from) = from.filter(|from| !answered.contains(from)) else { return };
                let Some(progress) = brief(*only, data) else { return };
                nodes.remove(&from);
                answered.insert(from);
                progress
            }
            (Pending::Answers(nodes), Body::ServerSideEmitResponse(data)) => {
                remove(nodes, from.as_ref());
                Progress::Response(data.packet)
            }
            (Pending::Acknowledgements(nodes), Body::BroadcastClientCount(data)) => {
                let Some(from) = from.filter(|_| is_member) else { return };
                let acks = nodes.entry(from).or_default();
                if acks.expected.is_some() {
                    return; // a node sends its count once: a second one is an echo
                }
                acks.expected = Some(data.client_count);
                Progress::ClientCount(data.client_count)
            }
            (Pending::Acknowledgements(nodes), Body::BroadcastAck(data)) => {
                if let Some(from) = from.filter(|_| is_member) {
                    nodes.entry(from).or_default().received += 1;
                }
                Progress::Ack(data.packet)
            }
            _ => return, // a response to another kind of request
        };
        actions.push_back(Action::Progress { request: id.clone(), node, progress });
        self.complete_if_done(&id, actions);
    }

    pub(super) fn complete_if_done(&mut self, id: &RequestId, actions: &mut VecDeque<Action>) {
        if self.waiting.get(id).is_some_and(|request| request.pending.is_done()) {
            self.complete(id, actions);
        }
    }

    /// Stops waiting for a node.
    pub(super) fn node_left(&mut self, node: &NodeId, actions: &mut VecDeque<Action>) {
        for request in self.waiting.values_mut() {
            match &mut request.pending {
                Pending::Sockets(nodes) | Pending::Brief { nodes, .. } | Pending::Answers(nodes) => {
                    nodes.remove(node);
                }
                Pending::Acknowledgements(nodes) => {
                    nodes.remove(node);
                }
            }
        }
        let done = self.waiting.iter().filter(|(_, request)| request.pending.is_done());
        for id in done.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.complete(&id, actions);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Ends the requests whose time is over.
    pub(super) fn expire(&mut self, now: Instant, actions: &mut VecDeque<Action>) {
        while let Some((deadline, id)) = self.deadlines.first()
            && *deadline <= now
        {
            let id = id.clone();
            self.complete(&id, actions);
        }
    }

    /// Ends all requests, with what has come for them.
    pub(super) fn end_all(&mut self, actions: &mut VecDeque<Action>) {
        while let Some(id) = self.waiting.keys().next().cloned() {
            self.complete(&id, actions);
        }
    }

    pub(super) fn cancel(&mut self, id: &RequestId) -> Option<Pending> {
        let request = self.waiting.remove(id)?;
        self.deadlines.remove(&(request.deadline, id.clone()));
        Some(request.pending)
    }

    fn complete(&mut self, id: &RequestId, actions: &mut VecDeque<Action>) {
        if let Some(pending) = self.cancel(id) {
            actions.push_back(Action::Completed { request: id.clone(), outcome: pending.outcome() });
        }
    }
}

/// What a node tells of its sockets, whether it answers briefly or in full; `None` when that is not
/// what it was asked for.
fn brief(only: Only, data: FetchSocketsResponse) -> Option<Progress> {
    match only {
        Only::Count => Some(Progress::Count(data.told_count())),
        Only::Ids => data.told_ids().map(Progress::Ids),
    }
}

fn remove(nodes: &mut BTreeSet<NodeId>, node: Option<&NodeId>) {
    if let Some(node) = node {
        nodes.remove(node);
    }
}
