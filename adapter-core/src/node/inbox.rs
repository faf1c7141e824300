//! The inbox: it reads notifications at once, fetches attachments ahead, and handles every message
//! in the order of arrival.
//!
//! A message that nothing waits before is handled by the task that read it, when that takes little
//! and runs no code of the application: see [`is_light`]. All others wait in a line for a task of
//! their own, so that nothing holds up the link.

mod line;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, atomic::Ordering},
};

use futures_util::FutureExt;
use socketio_pg_protocol::{Body, Message, Notification, channel, notification::Header, peek};
use tokio::sync::{mpsc, oneshot};

use crate::{
    backend::{Backend, Row},
    inbound::{
        attachments::{FetchJob, Fetched, Fetcher, Room},
        link::{Arrival, Handling},
    },
    node::{
        inbox::line::{Back, Front, line},
        namespace::Namespace,
        shared::{Node, Unfinished},
    },
    observe::{
        classes::{Dropped, InvalidMessage},
        event::Events,
    },
    options::Options,
};

/// How many messages are handled before other tasks run: fewer than the 128 packets that
/// socketioxide keeps for a client.
const MAX_AT_ONCE: usize = 32;

/// Something to be handled, in order.
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all are")]
enum Item {
    Message {
        namespace: Arc<Namespace>,
        message: Message,
        bytes: usize,
    },
    Attachment {
        channel: String,
        fetched: oneshot::Receiver<Fetched>,
        bytes: usize,
    },
    /// What is left of a message that was handled where it was read.
    Rest {
        namespace: Arc<Namespace>,
        unfinished: Unfinished,
    },
    Restored,
}

/// Takes notifications as they arrive, and handles them or puts them into the line. Never waits.
pub(crate) struct Intake<B: Backend> {
    node: Weak<Node<B>>,
    prefix: String,
    events: Arc<Events>,
    line: Back<Item>,
    fetches: mpsc::UnboundedSender<FetchJob>,
    max_bytes: usize,
}

/// Starts the inbox: returns its intake, and the tasks that fetch and hand on.
pub(crate) fn start<B: Backend>(
    node: Weak<Node<B>>,
    options: &Options,
    events: Arc<Events>,
    fetcher: Fetcher<B>,
) -> (Intake<B>, [tokio::task::JoinHandle<()>; 2]) {
    let (line, items) = line();
    let (fetches, jobs) = mpsc::unbounded_channel();
    let prefix = options.channel_prefix.clone();
    let tasks = [
        tokio::spawn(fetcher.clone().fetch_ahead(jobs)),
        tokio::spawn(process(node.clone(), prefix.clone(), fetcher, items, events.clone())),
    ];
    (Intake { node, prefix, events, line, fetches, max_bytes: options.max_inbox_bytes }, tasks)
}

impl<B: Backend> Intake<B> {
    pub(crate) fn take(&mut self, arrival: Arrival<'_>) {
        match arrival {
            Arrival::Notification { channel, payload, handling } => self.notification(channel, payload, handling),
            Arrival::Restored => {
                // Announcing the node again waits behind other messages, and looks do not.
                if let Some(node) = self.node.upgrade() {
                    node.hears_again();
                }
                self.push(Item::Restored);
                // A writer may have tried to wake the node meanwhile.
                if let Some(node) = self.node.upgrade() {
                    node.outbox_wake().inspect(|wake| wake.written.notify_one());
                }
            }
        }
    }

    fn push(&mut self, item: Item) {
        self.events.counters().waiting.fetch_add(1, Ordering::Relaxed);
        self.line.push(item);
    }

    fn notification(&mut self, channel: &str, payload: &str, handling: Handling) {
        let Some(node) = self.node.upgrade() else { return };
        self.events.counters().received.add(1);
        self.events.counters().received_bytes.add(payload.len() as u64);
        tracing::trace!(channel, bytes = payload.len(), "a notification arrived");
        if node.is_probe(channel) {
            node.probe_arrived(payload);
            return;
        }
        if node.wakes_outbox(channel) {
            return;
        }
        let of_channel = channel::namespace(&self.prefix, channel).and_then(|name| node.namespace(name));
        if self.is_own(&node, of_channel.as_deref(), payload) {
            return;
        }
        // Whatever is in a notification, it does not end the link.
        let decoded = catch_unwind(AssertUnwindSafe(|| Notification::decode_borrowed(payload)));
        let Ok(decoded) = decoded else {
            tracing::error!(channel, "a notification made its decoder panic, and is lost");
            return;
        };
        match decoded {
            Ok(Notification::Inline(mut message)) => {
                if message.uid.as_ref().is_some_and(|uid| node.is_own(uid.as_str())) {
                    return;
                }
                let namespace = match message.nsp.take() {
                    Some(name) if of_channel.as_ref().is_none_or(|of_channel| name != of_channel.name()) => {
                        node.namespace(&name)
                    }
                    // Node.js's emitter names none
                    _ => of_channel,
                };
                let Some(namespace) = namespace else { return };
                let is_kept = node.hear(&namespace, &message);
                if !is_kept || is_unwanted_response(&namespace, &message.body) {
                    return;
                }
                let message = message.into_owned();
                if handling == Handling::Direct && self.line.is_empty() && is_light(&message.body) {
                    let handle = || node.handle(&namespace, message).and_then(|rest| node.finish_now(&namespace, rest));
                    if let Some(Some(unfinished)) = guarded(&namespace, handle) {
                        self.push(Item::Rest { namespace, unfinished });
                    }
                    return;
                }
                // There is always room for a close message: at most one of each node waits, and
                // without it the node would never leave.
                let is_close = matches!(message.body, Body::AdapterClose);
                let bytes = if is_close { 0 } else { message.memory().max(payload.len()) };
                if is_close || self.has_room(bytes) {
                    self.push(Item::Message { namespace, message, bytes });
                }
            }
            Ok(Notification::Attachment(header)) => self.attachment(&node, channel, header, payload.len()),
            Err(error) => {
                let sender = peek::probable_sender(payload);
                self.events.rejected(channel, sender.as_ref(), InvalidMessage::Undecodable(error.kind()), &error);
            }
        }
    }

    fn attachment(&mut self, node: &Node<B>, channel: &str, header: Header, bytes: usize) {
        node.attachment_seen();
        if let Some(uid) = &header.uid {
            if node.is_own(uid.as_str()) {
                return;
            }
            let name = header.nsp.as_deref().or_else(|| channel::namespace(&self.prefix, channel));
            if let Some(namespace) = name.and_then(|name| node.namespace(name)) {
                node.heard(&namespace, uid);
            }
        }
        let bytes = bytes + size_of::<Item>() + size_of::<FetchJob>();
        // A later sweep deletes the row; since it is not fetched, it is lost for this node.
        if !self.has_room(bytes) {
            return;
        }
        let (done, fetched) = oneshot::channel();
        let channel = channel.to_owned();
        self.push(Item::Attachment { channel: channel.clone(), fetched, bytes });
        // Fails only together with the node; the item then says so.
        let _ = self.fetches.send(FetchJob { channel, header, done });
    }

    /// Whether a message is one of this node's own, judged by how its text ends.
    fn is_own(&self, node: &Node<B>, of_channel: Option<&Namespace>, payload: &str) -> bool {
        if peek::is_marked(payload) {
            return of_channel.is_some_and(|namespace| namespace.ending().is_of(payload));
        }
        peek::last_uid(payload).is_some_and(|uid| node.is_own(uid))
    }

    /// Counts these bytes as waiting, unless there are too many: then their message is dropped, and
    /// that is reported. When nothing else waits, there is room for a message of any size.
    fn has_room(&self, bytes: usize) -> bool {
        let waiting = &self.events.counters().waiting_bytes;
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 || before + bytes <= self.max_bytes {
            return true;
        }
        waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.events.dropped(Dropped::Messages);
        false
    }
}

/// Responses go to everyone on the channel; those that answer others' requests are not kept.
fn is_unwanted_response<P>(namespace: &Namespace, body: &Body<P>) -> bool {
    match body {
        Body::FetchSocketsResponse(data) => !namespace.is_waiting(&data.request_id),
        Body::ServerSideEmitResponse(data) => !namespace.is_waiting(&data.request_id),
        Body::BroadcastClientCount(data) => !namespace.is_waiting(&data.request_id),
        Body::BroadcastAck(data) => !namespace.is_waiting(&data.request_id),
        _ => false,
    }
}

/// Whether handling a message takes little, never waits, and calls no code of the application, which
/// might take long.
fn is_light<P>(body: &Body<P>) -> bool {
    match body {
        // With acknowledgements it is encoded for each socket.
        Body::Broadcast(broadcast) => broadcast.request_id.is_none(),
        Body::FetchSocketsResponse(_)
        | Body::ServerSideEmitResponse(_)
        | Body::BroadcastClientCount(_)
        | Body::BroadcastAck(_) => true,
        // Sockets are described one by one, which takes longer than to send to them.
        Body::FetchSockets(_)
        | Body::SocketsJoin(_)
        | Body::SocketsLeave(_)
        // Handlers of the application may run.
        | Body::DisconnectSockets(_)
        | Body::ServerSideEmit(_)
        | Body::AdapterClose
        | Body::InitialHeartbeat
        | Body::Heartbeat
        | Body::Unknown { .. } => false,
    }
}

/// Handles what arrived, one after the other.
async fn process<B: Backend>(
    node: Weak<Node<B>>,
    prefix: String,
    fetcher: Fetcher<B>,
    mut items: Front<Item>,
    events: Arc<Events>,
) {
    let counters = events.counters();
    let mut at_once = 0_usize;
    loop {
        // Otherwise a flood would fill clients' buffers before the tasks that empty them run.
        at_once = at_once.wrapping_add(1);
        if at_once.is_multiple_of(MAX_AT_ONCE) {
            tokio::task::yield_now().await;
        }
        let Some((item, _handling)) = items.next().await else { return };
        counters.waiting.fetch_sub(1, Ordering::Relaxed);
        match item {
            Item::Message { namespace, message, bytes } => {
                let Some(node) = node.upgrade() else { return };
                handle(&node, &namespace, message).await;
                counters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            Item::Attachment { channel, fetched, bytes } => {
                counters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                // The permit is kept until the message has been handled.
                let Some((mut message, _permit)) = attachment(&fetcher, fetched.await).await else { continue };
                let name = message.nsp.take();
                let name = name.as_deref().or_else(|| channel::namespace(&prefix, &channel));
                let Some(node) = node.upgrade() else { return };
                if let Some(namespace) = name.and_then(|name| node.namespace(name)) {
                    handle(&node, &namespace, message).await;
                }
            }
            Item::Rest { namespace, unfinished } => {
                let Some(node) = node.upgrade() else { return };
                finish(&node, &namespace, unfinished).await;
            }
            Item::Restored => {
                let Some(node) = node.upgrade() else { return };
                node.announce_all();
            }
        }
    }
}

/// The message of an attachment, with the permit for its memory; `None` if it cannot be used.
async fn attachment<B: Backend>(
    fetcher: &Fetcher<B>,
    fetched: Result<Fetched, oneshot::error::RecvError>,
) -> Option<(Message, Option<Room>)> {
    match fetched {
        Ok(Fetched::Message { message, room }) => Some((*message, Some(room))),
        Ok(Fetched::Body { channel, header, body, room }) => {
            Some((fetcher.read(&channel, &header, Ok(Row::Body(body)))?, Some(room)))
        }
        Ok(Fetched::Later { channel, header }) => Some((fetcher.fetch_alone(&channel, &header).await?, None)),
        Ok(Fetched::Unusable) | Err(_) => None,
    }
}

/// Handles a message. When a handler of the application panics in it, the later messages are
/// handled all the same.
async fn handle<B: Backend>(node: &Arc<Node<B>>, namespace: &Arc<Namespace>, message: Message) {
    if let Some(Some(unfinished)) = guarded(namespace, || node.handle(namespace, message)) {
        finish(node, namespace, unfinished).await;
    }
}

async fn finish<B: Backend>(node: &Arc<Node<B>>, namespace: &Arc<Namespace>, unfinished: Unfinished) {
    if AssertUnwindSafe(node.finish(namespace, unfinished)).catch_unwind().await.is_err() {
        panicked(namespace);
    }
}

/// Does something with a message; `None` when it panicked.
fn guarded<T>(namespace: &Namespace, work: impl FnOnce() -> T) -> Option<T> {
    // After a panic one message has been handled in part: no lock of ours is held while a handler
    // runs.
    catch_unwind(AssertUnwindSafe(work)).inspect_err(|_| panicked(namespace)).ok()
}

fn panicked(namespace: &Namespace) {
    let log = || {
        tracing::error!(
            namespace = namespace.name(),
            "a handler of the application panicked while a message was handled"
        );
    };
    // What receives the log is code of the application too.
    let _ = catch_unwind(AssertUnwindSafe(log));
}
