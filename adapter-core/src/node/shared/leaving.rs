//! Leaving the cluster: close messages are sent, the queue is published, then every task and
//! connection ends.

use std::sync::Arc;

use socketio_pg_protocol::cluster::Action;
use tokio::{sync::watch, task::JoinHandle};
use tracing::Instrument;

use super::Node;
use crate::{
    backend::Backend,
    error::Error,
    node::namespace::Namespace,
    outbound::publisher::{Published, Publisher},
};

impl<B: Backend> Node<B> {
    /// Lets a namespace leave. Works without waiting, so that it may be called from anywhere; the
    /// result resolves when the close message is committed.
    pub(crate) fn leave(&self, namespace: &Arc<Namespace>) -> Option<Published> {
        self.leave_through(namespace, self.publisher().ok().as_deref())
    }

    fn leave_through(&self, namespace: &Arc<Namespace>, publisher: Option<&Publisher<B>>) -> Option<Published> {
        let unlisten = || self.link().into_iter().for_each(|link| link.unlisten(namespace.channel().to_owned()));
        if !self.namespaces.leave(namespace, unlisten) {
            return None; // it has left already, or never joined
        }
        let mut close_message = None;
        for action in namespace.with_cluster(|cluster, _| cluster.leave()) {
            match action {
                Action::Publish(body) => {
                    let published = self
                        .outgoing(namespace, namespace.uid().clone(), body, None)
                        .and_then(|outgoing| {
                            let queued = publisher
                                .map(|publisher| publisher.queue(outgoing, self.session.effect_of_close_message()));
                            queued.and_then(Result::ok).ok_or(Error::Closed)
                        })
                        .inspect_err(|error| tracing::debug!(%error, "could not publish a close message"));
                    close_message = published.ok();
                }
                Action::Completed { request, outcome } => namespace.completed(&request, outcome),
                _ => {}
            }
        }
        close_message
    }

    /// Leaves the cluster: every namespace sends its close message, what was accepted is published,
    /// every task and connection ends.
    ///
    /// A caller that stops waiting does not stop it, and a later caller waits for the same end.
    pub(crate) async fn close(&self) {
        let mut has_left = self.has_left.subscribe();
        drop(self.start_leaving());
        // The node itself holds the sender.
        let _ = has_left.wait_for(|has_left| *has_left).await;
    }

    /// The same in the background, on the node's own runtime; may be called from anywhere. `None`
    /// when the node has left already.
    pub(crate) fn start_leaving(&self) -> Option<JoinHandle<()>> {
        // Taken first: a namespace that joins meanwhile finds the node closed, and needs no close
        // message.
        let tasks = self.tasks.write().take()?;
        for namespace in &self.namespaces.all() {
            self.leave_through(namespace, Some(&tasks.publisher));
        }
        let has_left = HasLeft(self.has_left.clone());
        let ending = tasks.end(self.backend.clone());
        let leaving = async move {
            // Dropped, and so told, also when the runtime ends with all its tasks.
            let _has_left = has_left;
            ending.await;
        };
        Some(self.runtime.spawn(leaving.instrument(tracing::info_span!("leave"))))
    }
}

/// Tells callers that wait for it that the node has left.
struct HasLeft(watch::Sender<bool>);

impl Drop for HasLeft {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl<B: Backend> Drop for Node<B> {
    fn drop(&mut self) {
        // For a node that was dropped before it had a handle: see `Databases`.
        drop(self.start_leaving());
    }
}
