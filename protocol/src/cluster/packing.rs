//! Whether binary may be [packed](crate::notification) into notifications: only while every other
//! node is known to take it.
//!
//! A mistake in one direction costs rows, in the other it costs a node its messages. So this node
//! packs nothing while it may not know all nodes: for a heartbeat interval after it has joined, as
//! every node responds to that at once; and for two time-outs after a node has left that needed
//! attachments, which may still be there.

use std::time::Instant;

use super::{Action, NodeRules, after};
use crate::{Body, NodeId};

/// What a node remembers that packs.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// Until then nothing is packed.
    held_back_until: Option<Instant>,
    /// When nodes are asked for the heartbeat in which they say whether they take packed messages.
    /// A node that publishes all the time sends none by itself.
    asks_at: Option<Instant>,
}

impl Packing {
    fn hold_back_until(&mut self, until: Instant) {
        self.held_back_until = self.held_back_until.max(Some(until));
    }

    pub(super) fn asks_at(&self) -> Option<Instant> {
        self.asks_at
    }
}

impl NodeRules {
    /// Whether binary may be packed now: this node has joined and does so, and every other node
    /// takes it.
    pub fn packs_binary(&self, now: Instant) -> bool {
        self.config.packs_binary
            && self.published.is_some()
            && self.packing.held_back_until.is_none_or(|until| until <= now)
            && self.members.all_take_packed(&self.config)
    }

    /// Whether heartbeats of this node tell that it takes packed messages.
    pub fn takes_packed(&self) -> bool {
        self.config.packs_binary
    }

    /// There may be nodes that this one has not heard.
    pub(super) fn hold_back_for_unheard(&mut self, now: Instant) {
        self.packing.hold_back_until(after(now, self.config.heartbeat_interval));
    }

    /// A node leaves: if it needs attachments, it may still be there. A close message can be forged,
    /// and a node that was silent can go on.
    pub(super) fn hold_back_for(&mut self, now: Instant, node: &NodeId) {
        if self.members.needs_attachments(node) {
            self.packing.hold_back_until(after(now, self.config.heartbeat_timeout.saturating_mul(2)));
        }
    }

    /// A message of another node has come.
    pub(super) fn heard_of_packed<P>(&mut self, now: Instant, uid: &NodeId, body: &Body<P>, takes_packed: bool) {
        if !self.config.packs_binary {
            return;
        }
        if body.is_heartbeat() {
            if self.members.said_of_packed(uid, takes_packed) {
                self.actions.push_back(Action::NodeNeedsAttachments(uid.clone()));
            }
        } else if self.published.is_some() && self.packing.asks_at.is_none() && self.members.is_unasked(uid) {
            // It may be about to say so, as a node does that has just joined.
            self.packing.asks_at = Some(after(now, self.config.heartbeat_interval / 5));
        }
    }

    /// Asks all nodes for a heartbeat, if it is time to, and some have not sent one.
    pub(super) fn ask_whether_they_take_packed(&mut self, now: Instant) {
        let is_due = self.packing.asks_at.take_if(|at| *at <= now).is_some();
        if is_due && self.published.is_some() && self.members.ask() {
            self.publish(now, Body::InitialHeartbeat);
        }
    }

    pub(super) fn stop_packing(&mut self) {
        self.packing = Packing::default();
    }
}
