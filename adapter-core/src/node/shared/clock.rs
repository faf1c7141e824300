//! The clock of a node's namespaces: heartbeats, and time-outs of nodes and requests.

use std::sync::{Arc, Weak};

use socketio_pg_protocol::{
    Body,
    cluster::{Action, Look},
};
use tokio::sync::Notify;

use super::{Node, sessions::Looks};
use crate::{backend::Backend, options::Options};

impl<B: Backend> Node<B> {
    /// Tells all namespaces the time. When one of them has a heartbeat to send, others whose
    /// heartbeat is due soon send theirs too.
    fn tell_time(self: &Arc<Self>) {
        let heard_until = self.events.counters().all_heard_until();
        let is_heartbeat = |action: &Action| matches!(action, Action::Publish(Body::Heartbeat));
        let told = self.namespaces.speak_all(|all| {
            let mut actions: Vec<_> = all
                .iter()
                .map(|namespace| {
                    let actions = namespace.with_cluster(|cluster, now| {
                        cluster.heard_all_until(heard_until.into_std());
                        cluster.handle_timeout(now);
                    });
                    (namespace.clone(), actions)
                })
                .collect();
            // Nodes that watch look often enough, and their latest statement should be a look.
            if !self.options.watch_sessions && all.iter().any(|namespace| namespace.lock().waits_for_proof()) {
                self.link().inspect(|link| link.check());
            }
            if actions.iter().any(|(_, actions)| actions.iter().any(is_heartbeat)) {
                for (namespace, actions) in &mut actions {
                    actions.extend(namespace.with_cluster(|cluster, now| cluster.heartbeat_along(now)));
                }
            }
            self.perform_together(actions)
        });
        if let Err(error) = told {
            tracing::debug!(%error, "heartbeats were not published");
        }
    }
}

/// Wakes the namespaces when their time-outs are due. Heartbeats that are due at about the same
/// time go out together.
pub(in crate::node) async fn keep_time<B: Backend>(node: Weak<Node<B>>, clock: Arc<Notify>, options: Options) {
    // Asked for by this task: a clock that hangs must look dead to other nodes.
    let mut looks = options.watch_sessions.then(|| Looks::new(node.clone(), &options));
    loop {
        let next = {
            let Some(node) = node.upgrade() else { return };
            node.namespaces.all().iter().filter_map(|namespace| namespace.lock().next_timeout()).min()
        };
        tokio::select! {
            biased;
            () = sleep_until(next) => {
                let Some(node) = node.upgrade() else { return };
                node.tell_time();
            }
            look = next_look(&mut looks) => {
                let Some(node) = node.upgrade() else { return };
                node.looked(&look);
            }
            () = clock.notified() => {}
        }
    }
}

async fn next_look<B: Backend>(looks: &mut Option<Looks<B>>) -> Look {
    match looks {
        Some(looks) => looks.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
