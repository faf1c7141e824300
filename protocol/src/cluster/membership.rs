//! Who else is there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use super::{Action, after};
use crate::NodeId;

/// The other nodes, and when each was last heard.
#[derive(Debug, Default)]
pub(super) struct Membership {
    heard: BTreeMap<NodeId, Instant>,
    /// The same, ordered by time, so that the silent ones are found without looking at all.
    by_time: BTreeSet<(Instant, NodeId)>,
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

    /// A message of this node has come.
    pub(super) fn heard(&mut self, now: Instant, node: &NodeId, max: usize, actions: &mut VecDeque<Action>) {
        let is_full = self.heard.len() >= max;
        match self.heard.get_mut(node) {
            Some(last) => {
                self.by_time.remove(&(*last, node.clone()));
                *last = now;
            }
            None if is_full => {
                actions.push_back(Action::TooManyNodes(node.clone()));
                return;
            }
            None => {
                self.heard.insert(node.clone(), now);
                actions.push_back(Action::NodeJoined(node.clone()));
            }
        }
        self.by_time.insert((now, node.clone()));
    }

    /// Forgets a node; tells whether it was there.
    pub(super) fn remove(&mut self, node: &NodeId) -> bool {
        match self.heard.remove(node) {
            Some(last) => self.by_time.remove(&(last, node.clone())),
            None => false,
        }
    }

    /// When the node that is silent for longest was heard.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.by_time.first().map(|(heard, _)| *heard)
    }

    /// Forgets a node that has been silent for the time-out.
    pub(super) fn pop_silent(&mut self, now: Instant, timeout: Duration) -> Option<NodeId> {
        let (heard, node) = self.by_time.first()?;
        if after(*heard, timeout) > now {
            return None;
        }
        let node = node.clone();
        self.remove(&node);
        Some(node)
    }
}
