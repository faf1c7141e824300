//! What a message does here: to local sockets, or by the rules of the cluster.

use std::sync::Arc;

use socketio_pg_protocol::{
    Body, Message, NodeId,
    cluster::{Action, NodeRules, Recipient},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Node, send::tells_rules, server_side};
use crate::{
    backend::Backend,
    error::Error,
    node::{
        namespace::{Namespace, Response},
        requester::Requester,
    },
    observe::classes::{Dropped, InvalidMessage},
    outbound::effect::Effect,
};

/// What is left of a message when it was handled.
pub(crate) struct Unfinished {
    requester: Requester,
    rest: Rest,
}

enum Rest {
    /// To be published.
    Responses(Vec<Body>),
    Actions(Vec<Action>),
}

impl<B: Backend> Node<B> {
    /// A place for handlers of an event of another server, to be kept while they run. `None`, and
    /// counted, when too many run.
    pub(crate) fn place_for_handlers(&self) -> Option<OwnedSemaphorePermit> {
        self.place_among(&self.handling)
    }

    /// A place for the acknowledgements of an event of another node, to be kept while they are
    /// waited for. They have places of their own: that clients do not acknowledge must not keep
    /// handlers from running.
    pub(crate) fn place_for_acknowledgements(&self) -> Option<OwnedSemaphorePermit> {
        self.place_among(&self.acknowledging)
    }

    fn place_among(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let place = places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.events.dropped(Dropped::Requests);
        }
        place
    }

    /// Notes who sent a message that has just arrived. Returns whether the message must also be
    /// handled, in order.
    pub(crate) fn hear<P>(&self, namespace: &Namespace, message: &Message<P>) -> bool {
        let mut is_kept = false;
        let actions = namespace.with_cluster(|cluster, now| is_kept = cluster.hear(now, message));
        self.note(namespace, actions);
        is_kept
    }

    /// Notes that a node lives.
    pub(crate) fn heard(&self, namespace: &Namespace, uid: &NodeId) {
        let actions = namespace.with_cluster(|cluster, now| cluster.heard(now, uid));
        self.note(namespace, actions);
    }

    /// Tells of nodes that came, and of what they need: nothing else follows from hearing of them.
    pub(super) fn note(&self, namespace: &Namespace, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::NodeJoined(node) => {
                    self.events.emit(crate::Event::NodeJoined { namespace: namespace.name().to_owned(), node });
                }
                Action::TooManyNodes(_) => self.events.dropped(Dropped::Nodes),
                Action::NodeNeedsAttachments(node) => {
                    let namespace = namespace.name().to_owned();
                    self.events.emit(crate::Event::NodeNeedsAttachments { namespace, node });
                }
                _ => {}
            }
        }
    }

    /// Handles a message, in order. What it asks of local sockets is done when this returns. What
    /// remains may have to wait, and is for [`Self::finish`].
    pub(crate) fn handle(self: &Arc<Self>, namespace: &Arc<Namespace>, message: Message) -> Option<Unfinished> {
        if namespace.has_left() || message.uid.as_ref() == Some(namespace.uid()) {
            return None;
        }
        let sender = message.uid.as_ref().map(tracing::field::display);
        let _span =
            tracing::trace_span!("handle", namespace = namespace.name(), kind = message.body.kind(), sender).entered();
        tracing::trace!("handling a message");
        let reply_to = message.reply_to.filter(|channel| channel.is_of(&self.options.channel_prefix));
        let requester = Requester { sender: message.uid, reply_to };
        let rest = match Recipient::from(message.body) {
            Recipient::Local(request) => Rest::Responses(namespace.local()?.carry_out(request, &requester)),
            Recipient::Rules(message) => {
                let sender = requester.sender.clone();
                Rest::Actions(namespace.with_cluster(|cluster, _| cluster.handle_in_order(sender, message)))
            }
        };
        let is_done = match &rest {
            Rest::Responses(responses) => responses.is_empty(),
            Rest::Actions(actions) => actions.is_empty(),
        };
        (!is_done).then_some(Unfinished { requester, rest })
    }

    /// Does what is left of a message, if it need not wait; else returns it.
    pub(crate) fn finish_now(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        unfinished: Unfinished,
    ) -> Option<Unfinished> {
        match unfinished {
            Unfinished { requester, rest: Rest::Actions(actions) } => {
                report(self.perform(namespace, actions, &requester));
                None
            }
            unfinished => Some(unfinished),
        }
    }

    /// Does what is left of a message.
    pub(crate) async fn finish(self: &Arc<Self>, namespace: &Arc<Namespace>, unfinished: Unfinished) {
        let Unfinished { requester, rest } = unfinished;
        match rest {
            Rest::Responses(responses) => self.respond_all(namespace, responses, &requester).await,
            Rest::Actions(actions) => report(self.perform(namespace, actions, &requester)),
        }
    }

    /// Announces all namespaces again, after the node was disconnected. Those that do not listen yet
    /// are announced when they do.
    pub(crate) fn announce_all(self: &Arc<Self>) {
        let announced = self.namespaces.speak_all(|all| {
            let actions = all.iter().map(|namespace| (namespace.clone(), namespace.with_cluster(NodeRules::rejoin)));
            self.perform_together(actions.collect())
        });
        if let Err(error) = announced {
            tracing::debug!(%error, "the namespaces were not announced again");
        }
    }

    /// Performs actions of many namespaces; what is to be published goes out together. Never waits:
    /// time goes on whatever the application sends.
    pub(super) fn perform_together(self: &Arc<Self>, all: Vec<(Arc<Namespace>, Vec<Action>)>) -> Result<(), Error> {
        let mut together = Vec::new();
        for (namespace, actions) in all {
            for action in actions {
                let performed = match action {
                    Action::Publish(body) => {
                        self.outgoing(&namespace, namespace.uid().clone(), body, None).map(|outgoing| {
                            together.push((outgoing, tells_rules(&namespace, Effect::none())));
                        })
                    }
                    action => self.perform_one(&namespace, action, &Requester::default()),
                };
                if let Err(error) = performed {
                    tracing::debug!(%error, "something of a node's own accord was not done");
                }
            }
        }
        self.publisher()?.queue_together(together)
    }

    pub(super) fn perform(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        actions: Vec<Action>,
        requester: &Requester,
    ) -> Result<(), Error> {
        actions.into_iter().try_for_each(|action| self.perform_one(namespace, action, requester))
    }

    pub(super) fn perform_one(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        action: Action,
        requester: &Requester,
    ) -> Result<(), Error> {
        match action {
            Action::Publish(body) => self.queue_own(namespace, body, Effect::none())?.detach(),
            Action::ServerSideEmit(data) => server_side::dispatch(self, namespace, data, requester),
            Action::Progress { request, node, progress } => {
                let answer = Response::Progress { node, progress };
                if !namespace.answer(&request, answer, self.options.max_responses) {
                    self.events.dropped(Dropped::Responses);
                }
            }
            Action::Completed { request, outcome } => namespace.completed(&request, outcome),
            Action::NodeLeft { node, closed } => {
                self.events.emit(crate::Event::NodeLeft { namespace: namespace.name().to_owned(), node, closed });
            }
            noted @ (Action::NodeJoined(_) | Action::TooManyNodes(_) | Action::NodeNeedsAttachments(_)) => {
                self.note(namespace, vec![noted]);
            }
        }
        Ok(())
    }

    pub(super) async fn respond_all(&self, namespace: &Namespace, answers: Vec<Body>, requester: &Requester) {
        for body in answers {
            if let Err(error) = self.answer(namespace, body, requester).await {
                self.not_answered(namespace, requester, error);
            }
        }
    }

    /// Notes that a response was not published. When it could not be written, the requester waits for
    /// it in vain until something in it changes, so that is told.
    pub(crate) fn not_answered(&self, namespace: &Namespace, requester: &Requester, error: Error) {
        match error {
            Error::Encode(_) | Error::Data(_) => {
                let (channel, sender) = (namespace.channel(), requester.sender());
                self.events.rejected(channel, sender, InvalidMessage::InvalidAnswer, error);
            }
            error => tracing::debug!(%error, "a response was not published"),
        }
    }
}

fn report(finished: Result<(), Error>) {
    if let Err(error) = finished {
        tracing::debug!(%error, "a response was not published");
    }
}
