//! The looks at the sessions of all nodes, which replace heartbeats.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use socketio_pg_protocol::{
    Body, SessionId,
    cluster::{Look, NodeRules, Sightings},
    message::Watch,
};
use tokio::{sync::oneshot, time::Instant};

use super::Node;
use crate::{
    backend::Backend, env, inbound::link::Seen, node::namespace::Namespace, options::Options, outbound::effect::Effect,
};

/// The name of the session in which other nodes see this one.
pub(super) struct OwnSession {
    name: AtomicU64,
    /// Whether it needs another name: a namespace left, and could not say so. Others must not take
    /// it for alive because this process is.
    is_stale: AtomicBool,
}

impl OwnSession {
    pub(super) fn new() -> Self {
        Self { name: env::random_u64().into(), is_stale: AtomicBool::new(false) }
    }

    fn name(&self) -> SessionId {
        SessionId::new(self.name.load(Ordering::Acquire))
    }

    /// The effect of a close message.
    pub(super) fn effect_of_close_message(self: &Arc<Self>) -> Effect {
        let session = self.clone();
        Effect::new(move |result| {
            if result.is_err() {
                session.is_stale.store(true, Ordering::Release);
            }
        })
    }
}

/// Looks twice in a heartbeat interval, and so often that the link sends no keep-alive query meanwhile:
/// that would hide the session.
pub(super) struct Looks<B: Backend> {
    node: Weak<Node<B>>,
    interval: Duration,
    next: Instant,
    /// A look that is under way, over the session of this name.
    asked: Option<(SessionId, oneshot::Receiver<Seen>)>,
    sightings: Sightings,
}

impl<B: Backend> Looks<B> {
    pub(super) fn new(node: Weak<Node<B>>, options: &Options) -> Self {
        Self {
            node,
            interval: options.heartbeat_interval.min(options.check_interval) / 2,
            next: Instant::now(),
            asked: None,
            sightings: Sightings::default(),
        }
    }

    /// The next look that succeeds. Cancel-safe.
    pub(super) async fn next(&mut self) -> Look {
        loop {
            if let Some((own, answer)) = &mut self.asked {
                let (own, answer) = (*own, answer.await);
                self.asked = None;
                if let Ok(Seen { asked, sessions }) = answer {
                    return self.sightings.look(asked, own, sessions);
                }
            }
            tokio::time::sleep_until(self.next).await;
            let now = Instant::now();
            self.next = now.checked_add(self.interval).unwrap_or(now);
            self.asked = self.node.upgrade().and_then(|node| node.ask_for_sessions());
        }
    }
}

impl<B: Backend> Node<B> {
    /// What a message of a namespace tells of the node's session, if it is a heartbeat.
    pub(super) fn watch(&self, namespace: &Namespace, body: &Body) -> Option<Watch> {
        if !body.is_heartbeat() {
            return None;
        }
        namespace.lock().watch(self.session.name())
    }

    /// Asks the database for the sessions of all nodes. The question shows them this node's own,
    /// unless it cannot publish: then others must not wait for it.
    fn ask_for_sessions(&self) -> Option<(SessionId, oneshot::Receiver<Seen>)> {
        if self.has_no_namespace() {
            return None;
        }
        if self.session.is_stale.swap(false, Ordering::AcqRel) {
            self.session.name.store(env::random_u64(), Ordering::Release);
            for namespace in self.namespaces.all() {
                namespace.with_cluster(NodeRules::session_is_renamed);
            }
        }
        let name = self.session.name();
        let cannot_publish = self.events.counters().cannot_publish(self.options.heartbeat_interval / 2);
        self.link().map(|link| (name, link.look((!cannot_publish).then_some(name))))
    }

    /// The node was disconnected: what other nodes said of their sessions before does not count until
    /// they say it again.
    pub(crate) fn hears_again(&self) {
        for namespace in self.namespaces.all() {
            drop(namespace.with_cluster(NodeRules::was_disconnected));
        }
    }

    /// Tells all namespaces which nodes were seen.
    pub(super) fn looked(&self, look: &Look) {
        for namespace in self.namespaces.all() {
            // Nothing follows from it but when a heartbeat is due.
            drop(namespace.with_cluster(|rules, now| rules.looked(now, look)));
        }
    }
}
