//! The other nodes of the cluster: which ones there are, and which have left.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use super::{Action, Config, Look, after};
use crate::{NodeId, message::Watch};

/// The other nodes, and when each was last heard.
#[derive(Debug, Default)]
pub(super) struct Membership {
    heard: BTreeMap<NodeId, Heard>,
    /// By the time at which each was heard, so that silent nodes are found without looking at all
    /// of them. It may be a little behind: keeping it exact for each message of a storm would be
    /// most of the work.
    by_time: BTreeSet<(Instant, NodeId)>,
    departed: Departed,
    /// How many have not said that they take packed messages.
    need_attachments: usize,
}

/// Nodes whose close message came a short while ago. Other messages of theirs may still come:
/// Node.js publishes over several connections, and sometimes sends a new node a heartbeat after its
/// own close message. Without this list, the sender would count as a node, and requests would wait
/// for it.
#[derive(Debug, Default)]
struct Departed {
    since: BTreeMap<NodeId, Instant>,
    /// Oldest first. Each node of `since` is in it once.
    order: VecDeque<NodeId>,
}

impl Departed {
    /// Remembers a node for as long as a silent node is waited for. Its own stragglers do not make
    /// that longer, so a forged close message does harm for no longer either.
    fn note(&mut self, now: Instant, node: &NodeId, config: &Config) {
        while let Some(oldest) = self.order.front() {
            let is_over = self.since.get(oldest).is_none_or(|since| after(*since, config.heartbeat_timeout) <= now);
            if !is_over && self.order.len() < config.max_nodes {
                break;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.since.remove(&oldest);
            }
        }
        if config.max_nodes > 0 && !self.since.contains_key(node) {
            self.since.insert(node.clone(), now);
            self.order.push_back(node.clone());
        }
    }

    fn contains(&self, now: Instant, node: &NodeId, config: &Config) -> bool {
        self.since.get(node).is_some_and(|since| after(*since, config.heartbeat_timeout) > now)
    }
}

#[derive(Debug)]
struct Heard {
    last: Instant,
    /// The node's entry in `by_time`, not later than `last`. A node that is leaving has none: it
    /// does not become silent any more.
    place: Option<Instant>,
    /// What the node said of its session in its last heartbeat, if this node has heard that since
    /// it joined.
    watch: Option<Watch>,
    /// Whether the node takes packed messages, as it has said in a heartbeat. It can say that it
    /// does not take them any more, but not take that back: its settings last as long as its uid.
    takes_packed: Option<bool>,
    /// Whether it was asked for a heartbeat, because it had sent none.
    is_asked: bool,
}

/// Which of the other nodes were seen in a look.
pub(super) struct Seen {
    /// Whether all were that can be.
    pub(super) all: bool,
    /// Whether one of them has not given a sign of life for longer than it takes to look again.
    pub(super) is_late: bool,
    /// Whether all can be seen, and none of them has to hear heartbeats.
    pub(super) are_content: bool,
}

impl Heard {
    fn is_unasked(&self) -> bool {
        self.takes_packed.is_none() && !self.is_asked
    }

    /// Whether the node needs no heartbeats.
    fn is_content(&self) -> bool {
        self.watch.is_some_and(|watch| !watch.needs_heartbeats)
    }
}

impl Membership {
    pub(super) fn len(&self) -> usize {
        self.heard.len()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.heard.keys()
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.heard.contains_key(node)
    }

    /// Notes that a message of this node has come. Returns whether the node is remembered.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        node: &NodeId,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) -> bool {
        if let Some(heard) = self.heard.get_mut(node) {
            heard.last = now;
            if let Some(place) = &mut heard.place
                && now.saturating_duration_since(*place) >= config.heartbeat_timeout / 10
            {
                self.by_time.remove(&(*place, node.clone()));
                *place = now;
                self.by_time.insert((now, node.clone()));
            }
        } else if self.departed.contains(now, node, config) {
            // A straggler.
        } else if self.heard.len() >= config.max_nodes {
            actions.push_back(Action::TooManyNodes(node.clone()));
            return false;
        } else {
            let heard = Heard { last: now, place: Some(now), watch: None, takes_packed: None, is_asked: false };
            self.heard.insert(node.clone(), heard);
            self.need_attachments += 1;
            self.by_time.insert((now, node.clone()));
            actions.push_back(Action::NodeJoined(node.clone()));
        }
        true
    }

    /// Notes what a node said of its session in a heartbeat. Returns whether the node is known, and
    /// has to hear heartbeats.
    pub(super) fn said(&mut self, node: &NodeId, watch: Option<Watch>) -> bool {
        let Some(heard) = self.heard.get_mut(node) else { return false };
        heard.watch = watch;
        heard.place.is_some() && !heard.is_content()
    }

    /// Notes whether a node said in a heartbeat that it takes packed messages. Returns whether it is
    /// known now, and was not before, that it does not.
    pub(super) fn said_of_packed(&mut self, node: &NodeId, takes_packed: bool) -> bool {
        let Some(heard) = self.heard.get_mut(node).filter(|heard| heard.takes_packed != Some(false)) else {
            return false;
        };
        match (heard.takes_packed.replace(takes_packed), takes_packed) {
            (None, true) => self.need_attachments -= 1,
            (Some(_), false) => self.need_attachments += 1,
            _ => {}
        }
        !takes_packed
    }

    /// Whether a node is known, and not that it takes packed messages.
    pub(super) fn needs_attachments(&self, node: &NodeId) -> bool {
        self.heard.get(node).is_some_and(|heard| heard.takes_packed != Some(true))
    }

    /// Whether it is not known if a node takes packed messages, and it was not asked.
    pub(super) fn is_unasked(&self, node: &NodeId) -> bool {
        self.heard.get(node).is_some_and(Heard::is_unasked)
    }

    /// Notes that all nodes are asked. Returns whether there is one that was not.
    pub(super) fn ask(&mut self) -> bool {
        let unasked = self.heard.values_mut().filter(|heard| heard.is_unasked());
        unasked.map(|heard| heard.is_asked = true).count() > 0
    }

    /// The nodes were not asked after all.
    pub(super) fn was_not_asked(&mut self) {
        self.heard.values_mut().for_each(|heard| heard.is_asked = false);
    }

    /// Whether every node takes packed messages, as far as is known.
    pub(super) fn all_take_packed(&self, config: &Config) -> bool {
        // Beyond the limit there may be nodes that are not remembered.
        self.need_attachments == 0 && self.heard.len() < config.max_nodes
    }

    /// What nodes said of their sessions counts only when they say it again.
    pub(super) fn forget_sessions(&mut self) {
        self.heard.values_mut().for_each(|heard| heard.watch = None);
    }

    /// Gives every node a whole time-out from now.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        // Their places may be behind: see `by_time`.
        self.heard.values_mut().for_each(|heard| heard.last = heard.last.max(now));
    }

    /// Notes which nodes live because their sessions do.
    pub(super) fn looked(&mut self, look: &Look, soon: Duration) -> Seen {
        let mut seen = Seen { all: true, is_late: false, are_content: true };
        for heard in self.heard.values_mut().filter(|heard| heard.place.is_some()) {
            seen.are_content &= heard.is_content();
            let Some(watch) = heard.watch else { continue };
            match look.sessions.get(&watch.session) {
                // Its place may be behind: see `by_time`.
                Some(alive) => heard.last = heard.last.max(*alive),
                None => seen.all = false,
            }
            seen.is_late |= after(heard.last, soon) <= look.asked;
        }
        seen
    }

    /// Whether the node is known, and no close message of it has come.
    pub(super) fn may_leave(&self, node: &NodeId) -> bool {
        self.heard.get(node).is_some_and(|heard| heard.place.is_some())
    }

    /// Notes the close message of a node: messages that it sent earlier may still come.
    pub(super) fn departs(&mut self, now: Instant, node: &NodeId, config: &Config) {
        self.departed.note(now, node, config);
    }

    /// Notes that the close message of a node has come and is queued. Until it is handled the node
    /// has not left, and is not silent either. Returns whether it is the first close message of a
    /// known node.
    pub(super) fn leaves(&mut self, node: &NodeId) -> bool {
        match self.heard.get_mut(node).and_then(|heard| heard.place.take()) {
            Some(place) => self.by_time.remove(&(place, node.clone())),
            None => false,
        }
    }

    /// Forgets a node; returns whether it was known.
    pub(super) fn remove(&mut self, node: &NodeId) -> bool {
        let Some(heard) = self.heard.remove(node) else { return false };
        self.need_attachments -= usize::from(heard.takes_packed != Some(true));
        if let Some(place) = heard.place {
            self.by_time.remove(&(place, node.clone()));
        }
        true
    }

    /// The time at which the node that has been silent longest was heard, or a little earlier.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.by_time.first().map(|(place, _)| *place)
    }

    /// A node that has been silent for the time-out, which is then to be [removed](Self::remove).
    /// `heard_until`: until when all that others published was heard.
    pub(super) fn silent(&mut self, now: Instant, heard_until: Instant, timeout: Duration) -> Option<NodeId> {
        loop {
            let (place, node) = self.by_time.first()?;
            if after(*place, timeout) > now {
                return None;
            }
            let heard = self.heard.get_mut(node)?;
            if heard.last == *place {
                return (after(heard.last, timeout) <= heard_until).then(|| node.clone());
            }
            let (_, node) = self.by_time.pop_first()?;
            heard.place = Some(heard.last);
            self.by_time.insert((heard.last, node));
        }
    }
}
