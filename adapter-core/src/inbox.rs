//! The one road in: notifications are read at once, attachments fetched ahead, and everything handled in the order of arrival.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, atomic::Ordering},
};

use futures_util::FutureExt;
use socketio_pg_protocol::{Body, Message, Notification, channel, notification::Header};
use tokio::sync::{mpsc, oneshot};

use crate::{
    attachments::{self, Fetched, Wanted, fetch_ahead},
    backend::{Backend, Incoming},
    event::{Dropped, Events, Poison},
    hub::Hub,
    link::Arrival,
    options::Options,
};

/// Something to be handled, in order.
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all are")]
enum Slot {
    Message { namespace: String, message: Message, bytes: usize },
    Attachment { channel: String, fetched: oneshot::Receiver<Fetched>, bytes: usize },
    Restored,
}

/// Takes notifications as they arrive and puts them in line. Never waits.
pub(crate) struct Intake<B: Backend> {
    hub: Weak<Hub<B>>,
    prefix: String,
    events: Arc<Events>,
    line: mpsc::UnboundedSender<Slot>,
    wanted: mpsc::UnboundedSender<Wanted>,
    max_bytes: usize,
}

/// Starts the inbox: returns its intake, and the tasks that fetch and hand on.
pub(crate) fn start<B: Backend>(
    hub: Weak<Hub<B>>,
    options: &Options,
    events: Arc<Events>,
) -> (Intake<B>, [tokio::task::JoinHandle<()>; 2]) {
    let (line, slots) = mpsc::unbounded_channel();
    let (wanted, fetches) = mpsc::unbounded_channel();
    let prefix = options.channel_prefix.clone();
    let tasks = [
        tokio::spawn(fetch_ahead(hub.clone(), options.clone(), events.clone(), fetches)),
        tokio::spawn(hand_on(hub.clone(), prefix.clone(), options.max_attachment_bytes, slots, events.clone())),
    ];
    (Intake { hub, prefix, events, line, wanted, max_bytes: options.max_inbox_bytes }, tasks)
}

impl<B: Backend> Intake<B> {
    pub(crate) fn take(&self, arrival: Arrival) {
        match arrival {
            Arrival::Notification(incoming) => self.notification(incoming),
            Arrival::Restored => self.push(Slot::Restored),
        }
    }

    fn push(&self, slot: Slot) {
        self.events.meters().waiting.fetch_add(1, Ordering::Relaxed);
        // The other side only ends with the hub.
        let _ = self.line.send(slot);
    }

    fn notification(&self, Incoming { channel, payload }: Incoming) {
        let Some(hub) = self.hub.upgrade() else { return };
        self.events.meters().received.add(1);
        self.events.meters().received_bytes.add(payload.len() as u64);
        tracing::trace!(channel, bytes = payload.len(), "a notification arrived");
        if hub.is_probe(&channel) {
            hub.probe_arrived(&payload);
            return;
        }
        if last_uid(&payload).is_some_and(|uid| hub.is_own(uid)) {
            return;
        }
        match Notification::decode_borrowed(&payload) {
            Ok(Notification::Inline(mut message)) => {
                if message.uid.as_ref().is_some_and(|uid| hub.is_own(uid.as_str())) {
                    return;
                }
                let namespace = match message.nsp.take() {
                    Some(namespace) => namespace,
                    // Node's emitter names none
                    None => channel::namespace(&self.prefix, &channel).unwrap_or_default().to_owned(),
                };
                let is_kept = hub.hear(&namespace, message.uid.as_ref(), &message.body);
                // There is always room for a farewell: of each node one waits at most, and without it the node would never leave.
                let bytes = if matches!(message.body, Body::AdapterClose) { 0 } else { payload.len() };
                if is_kept && !is_unwanted_response(&hub, &namespace, &message.body) && self.has_room(bytes) {
                    self.push(Slot::Message { namespace, message: message.into_owned(), bytes });
                }
            }
            Ok(Notification::Attachment(header)) => self.attachment(&hub, channel, header, payload.len()),
            Err(error) => {
                let sender = hub.sender_of(&payload);
                self.events.poisoned(&channel, sender.as_ref(), Poison::Undecodable(error.kind()), &error);
            }
        }
    }

    fn attachment(&self, hub: &Hub<B>, channel: String, header: Header, bytes: usize) {
        hub.attachment_seen();
        if let Some(uid) = &header.uid {
            if hub.is_own(uid.as_str()) {
                return;
            }
            let namespace = header.nsp.as_deref().or_else(|| channel::namespace(&self.prefix, &channel));
            hub.heard(namespace.unwrap_or_default(), uid);
        }
        // Swept by and by; not fetched, it is lost for this node.
        if !self.has_room(bytes) {
            return;
        }
        let (done, fetched) = oneshot::channel();
        self.push(Slot::Attachment { channel: channel.clone(), fetched, bytes });
        // Fails only together with the hub; the slot then says so.
        let _ = self.wanted.send(Wanted { channel, header, done });
    }

    /// Counts so many bytes as waiting, unless there are too many: then what they belong to is dropped, and that is reported.
    fn has_room(&self, bytes: usize) -> bool {
        let waiting = &self.events.meters().waiting_bytes;
        let queued = waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued <= self.max_bytes {
            return true;
        }
        waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.events.dropped(Dropped::Messages);
        false
    }
}

/// The `uid` of a message that ends as ours do, found without reading what stands before.
///
/// Behind it is nothing that opens or closes anything but the end of the message: so it is the message's own, and the one that
/// counts, since of equal keys the last does.
fn last_uid(payload: &str) -> Option<&str> {
    const KEY: &str = r#","uid":""#;
    /// As far as it is looked for.
    const MAX_BYTES: usize = 256;
    let message = payload.trim_end_matches(' ').strip_suffix('}')?;
    let tail = &message[message.ceil_char_boundary(message.len().saturating_sub(MAX_BYTES))..];
    let (_, tail) = tail.rsplit_once(KEY)?;
    let (uid, rest) = tail.split_once('"')?;
    (!uid.contains('\\') && !rest.contains(['{', '}', '[', ']', '\\'])).then_some(uid)
}

/// Responses go to everyone on the channel; those that answer others' requests are not kept.
fn is_unwanted_response<B: Backend, P>(hub: &Hub<B>, namespace: &str, body: &Body<P>) -> bool {
    match body {
        Body::FetchSocketsResponse(data) => !hub.is_waiting(namespace, &data.request_id),
        Body::ServerSideEmitResponse(data) => !hub.is_waiting(namespace, &data.request_id),
        Body::BroadcastClientCount(data) => !hub.is_waiting(namespace, &data.request_id),
        Body::BroadcastAck(data) => !hub.is_waiting(namespace, &data.request_id),
        _ => false,
    }
}

/// Hands on what arrived, one after the other.
async fn hand_on<B: Backend>(
    hub: Weak<Hub<B>>,
    prefix: String,
    max_attachment_bytes: usize,
    mut slots: mpsc::UnboundedReceiver<Slot>,
    events: Arc<Events>,
) {
    let meters = events.meters();
    while let Some(slot) = slots.recv().await {
        meters.waiting.fetch_sub(1, Ordering::Relaxed);
        match slot {
            Slot::Message { namespace, message, bytes } => {
                let Some(hub) = hub.upgrade() else { return };
                handle(&hub, &namespace, message).await;
                meters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            Slot::Attachment { channel, fetched, bytes } => {
                meters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                // Kept until it has been handled.
                let mut kept = None;
                let mut message = match fetched.await {
                    Ok(Fetched::Message { message, room }) => {
                        kept = Some(room);
                        *message
                    }
                    Ok(Fetched::Later { channel, header }) => {
                        match attachments::fetch_alone(&hub, &events, max_attachment_bytes, &channel, &header).await {
                            Some(message) => message,
                            None => continue,
                        }
                    }
                    Ok(Fetched::Unusable) | Err(_) => continue,
                };
                let namespace = match message.nsp.take() {
                    Some(namespace) => namespace,
                    None => channel::namespace(&prefix, &channel).unwrap_or_default().to_owned(),
                };
                let Some(hub) = hub.upgrade() else { return };
                handle(&hub, &namespace, message).await;
                drop(kept);
            }
            Slot::Restored => {
                let Some(hub) = hub.upgrade() else { return };
                hub.announce_all().await;
            }
        }
    }
}

/// Handles a message. When a handler of the application panics in it, the later messages are handled all the same.
async fn handle<B: Backend>(hub: &Arc<Hub<B>>, namespace: &str, message: Message) {
    // What a panic leaves behind is that of a message handled in part: no lock of ours is held while a handler runs.
    if AssertUnwindSafe(hub.handle(namespace, message)).catch_unwind().await.is_err() {
        tracing::error!(namespace, "a handler of the application panicked while a message was handled");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_is_found_at_the_end_of_a_message_and_only_there() {
        for (payload, uid) in [
            (r#"{"type":3,"data":{"uid":"a"},"uid":"b","nsp":"/","source":"_sio_adapter"}"#, Some("b")),
            (r#"{"type":2,"uid":"b","nsp":"/"}   "#, Some("b")),
            (r#"{"type":2,"uid":"a","uid":"b"}"#, Some("b")),
            // another's message with ours in its data
            (r#"{"uid":"a","type":3,"data":{"x":1,"uid":"b"}}"#, None),
            (r#"{"uid":"a","type":3,"data":[{"x":1,"uid":"b"}]}"#, None),
            (r#"{"uid":"a","type":3,"data":"x,\"uid\":\"b\""}"#, None),
            (r#"{"uid":"a","nsp":"/,\"uid\":\"b"}"#, None),
            (r#"{"type":2,"uid":"b\u0000","nsp":"/"}"#, None),
            (r#"{"uid":"b","type":2}"#, None),
            ("", None),
            ("}", None),
        ] {
            assert_eq!(last_uid(payload), uid, "{payload}");
        }
        let far = format!(r#"{{"type":2,"uid":"b","nsp":"/{}"}}"#, "é".repeat(400));
        assert_eq!(last_uid(&far), None);
    }
}
