//! What this node sends: messages, responses, and requests that wait.

use std::sync::{Arc, atomic::Ordering};

use socketio_pg_protocol::{
    Body, Message, NodeId, Relay, ReplyChannel, RequestId,
    budget::Budget,
    cluster::{Action, NodeRules},
    notification::Encoded,
};
use tokio::time::{Instant, timeout_at};

use super::Node;
use crate::{
    backend::{Backend, Content, Outgoing},
    error::Error,
    inbound::catch_up,
    node::{
        namespace::{Namespace, Request},
        requester::Requester,
    },
    outbound::{
        effect::Effect,
        publisher::{Published, Publisher},
    },
};

impl<B: Backend> Node<B> {
    /// `reply_to` is the channel of a response that is not for all nodes.
    pub(super) fn outgoing(
        &self,
        namespace: &Namespace,
        sender: NodeId,
        body: Body,
        reply_to: Option<&ReplyChannel>,
    ) -> Result<Outgoing, Error> {
        Error::check_namespace(namespace.name())?;
        let mut message = Message::new(sender, namespace.name(), body);
        message.relay = Relay::marked();
        message.watch = self.watch(namespace, &message.body);
        message.takes_packed = self.options.inline_binary && message.body.is_heartbeat();
        if message.body.is_request() {
            message.reply_to = self.reply_channel.clone();
        }
        let is_logged = self.options.catch_up.is_some() && catch_up::is_logged(&message.body);
        if is_logged {
            let is_own = message.uid.as_ref() == Some(namespace.uid());
            // All emitters have one uid: their nonces must differ from the nonces of every node.
            message.nonce = Some(if is_own {
                format!("{:x}", self.logged.fetch_add(1, Ordering::Relaxed))
            } else {
                format!("{:016x}", crate::env::random_u64())
            });
        }
        let budget = self.budget(namespace, &message.body);
        let content = match message.encode(budget)? {
            Encoded::Inline(payload) => Content::Inline(payload),
            Encoded::Attachment { body, before_id, after_id } => {
                self.attachments.seen();
                Content::Attachment { body, before_id, after_id }
            }
        };
        let channel = reply_to.map_or(namespace.channel(), ReplyChannel::as_str).to_owned();
        Ok(Outgoing { channel, content, is_logged })
    }

    /// What fits into a notification.
    fn budget(&self, namespace: &Namespace, body: &Body) -> Budget {
        if body.is_heartbeat() || matches!(body, Body::AdapterClose) {
            // They say what others must hear at once, however low the threshold.
            return Budget::default();
        }
        // While this node hears nothing, a server on Node.js may have come. The rules are asked last,
        // as that takes a lock.
        let packs_binary = self.options.inline_binary
            && body.has_binary()
            && self.events.counters().is_listening()
            && namespace.packs_binary();
        self.options.budget(packs_binary)
    }

    /// Queues a message of a namespace with `queue`, which returns the effect when the publisher
    /// has ended. `effect` runs in any case, here when the message is not queued.
    ///
    /// Nothing that a namespace sends as a member of the cluster comes behind its close message:
    /// Node.js would take it for a member again, and its requests would wait for a node that has
    /// gone. What a non-member may send is sent afterwards as an emitter sends it, such as the
    /// events of a handler that outlives its namespace; the rest fails with [`Error::Closed`].
    fn queue_with<T>(
        &self,
        namespace: &Namespace,
        (body, reply_to): (Body, Option<&ReplyChannel>),
        effect: Effect,
        queue: impl FnOnce(&Arc<Publisher<B>>, Outgoing, Effect) -> Result<T, Effect>,
    ) -> Result<T, Error> {
        let as_emitter = namespace.has_left() && can_emitter_send(&body);
        let sender = if as_emitter { NodeId::emitter() } else { namespace.uid().clone() };
        let prepared = self.outgoing(namespace, sender, body, reply_to);
        let (outgoing, publisher) = match prepared.and_then(|outgoing| Ok((outgoing, self.publisher()?))) {
            Ok(prepared) => prepared,
            Err(error) => return effect.fail(error),
        };
        let mut effect = Some(effect);
        let queue = || queue(&publisher, outgoing, effect.take().unwrap_or_default());
        let queued = if as_emitter { Some(queue()) } else { self.namespaces.speak(namespace, queue) };
        // The register's lock is released here: an effect may run code of the application.
        match queued {
            Some(Ok(queued)) => Ok(queued),
            Some(Err(effect)) => effect.fail(Error::Closed),
            None => effect.unwrap_or_default().fail(Error::Closed),
        }
    }

    /// Queues a response: on the channel that the requester named, else for all nodes.
    ///
    /// It does not postpone a heartbeat, because the other nodes may not receive it.
    pub(crate) async fn answer(&self, namespace: &Namespace, body: Body, requester: &Requester) -> Result<(), Error> {
        let reply_to = requester.channel_for(&body);
        self.queue_with(namespace, (body, reply_to), Effect::none(), |publisher, outgoing, effect| {
            publisher.queue_response(outgoing, effect)
        })?;
        self.publisher()?.wait_for_capacity().await
    }

    /// Publishes a message; returns once it is committed. `effect` runs in any case, also when it
    /// cannot be published at all.
    pub(crate) async fn publish(&self, namespace: &Arc<Namespace>, body: Body, effect: Effect) -> Result<(), Error> {
        let effect = {
            let namespace = namespace.clone();
            Effect::new(move |result| {
                // A message that the others did not receive does not postpone a heartbeat.
                if result.is_ok() {
                    namespace.lock().published(tokio::time::Instant::now().into_std());
                }
                effect.run(result);
            })
        };
        let begun = self.queue_with(namespace, (body, None), effect, Publisher::begin)?;
        begun.await
    }

    /// Starts a request of this node, and publishes what the rules say. Fails when it cannot be
    /// published.
    ///
    /// Where the publication takes longer than until `deadline`, it returns then: the request has
    /// ended without responses.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        start: impl FnOnce(&mut NodeRules, std::time::Instant, RequestId),
        deadline: Option<Instant>,
        effect: Effect,
    ) -> Result<Request, Error> {
        if namespace.has_left() {
            // The rules do not know the other nodes any more, and would complete the request with
            // this node alone.
            return effect.fail(Error::Closed);
        }
        let limit = self.options.max_requests;
        let Ok(place) = self.requests.clone().try_acquire_owned() else {
            effect.forget();
            return Err(Error::TooManyRequests { limit });
        };
        let request = namespace.new_request(place);
        let id = request.id.clone();
        let actions = namespace.with_cluster(|cluster, now| start(cluster, now, id));
        let mut effect = Some(effect);
        for action in actions {
            match action {
                // Local sockets get it in the order of the queue, as they get an event without
                // acknowledgements.
                Action::Publish(body) => {
                    let committed = self.queue_own(namespace, body, effect.take().unwrap_or_default())?.committed();
                    match deadline {
                        Some(deadline) => timeout_at(deadline, committed).await.unwrap_or(Ok(()))?,
                        None => committed.await?,
                    }
                }
                other => self.perform_one(namespace, other, &Requester::default())?,
            }
        }
        if let Some(effect) = effect {
            effect.run(&Ok(()));
        }
        Ok(request)
    }

    /// Queues what the rules want to publish. They assume that it is published, and are told when
    /// it was not.
    pub(super) fn queue_own(&self, namespace: &Arc<Namespace>, body: Body, effect: Effect) -> Result<Published, Error> {
        self.queue_with(namespace, (body, None), tells_rules(namespace, effect), |publisher, outgoing, effect| {
            publisher.queue(outgoing, effect)
        })
    }
}

/// Whether an emitter may send it. An emitter is not a member of the cluster and receives no
/// response.
fn can_emitter_send(body: &Body) -> bool {
    match body {
        Body::Broadcast(_) | Body::ServerSideEmit(_) => !body.is_request(),
        Body::SocketsJoin(_) | Body::SocketsLeave(_) | Body::DisconnectSockets(_) => true,
        _ => false,
    }
}

/// Tells the rules of a namespace when a message of their own was not published.
pub(super) fn tells_rules(namespace: &Arc<Namespace>, effect: Effect) -> Effect {
    let namespace = namespace.clone();
    Effect::new(move |result| {
        if result.is_err() {
            namespace.with_cluster(|rules, now| rules.not_published(now));
        }
        effect.run(result);
    })
}
