//! The one road in: notifications are read at once, attachments fetched ahead, and everything handled in the order of arrival.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use socketio_pg_protocol::{Body, Message, NodeId, Notification, channel, message::liveness, notification::Header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    backend::{Backend, BackendError, ErrorKind, Incoming},
    event::{Dropped, Events, Poison},
    hub::Hub,
    link::Arrival,
    outside,
};

/// How many attachments are fetched ahead of their turn.
const FETCH_AHEAD: usize = 64;

/// The most attachments in one query.
const MAX_FETCH: usize = 16;

/// The pauses before attachments are fetched again, when the database could not be reached.
const MIN_FETCH_PAUSE: Duration = Duration::from_millis(50);
const MAX_FETCH_PAUSE: Duration = Duration::from_secs(1);

/// Something to be handled, in order.
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all are")]
enum Slot {
    Message { namespace: String, message: Message, bytes: usize },
    Attachment { channel: String, fetched: oneshot::Receiver<Fetched>, bytes: usize },
    Restored,
}

/// A fetched message; the permit is given back when it has been handled.
struct Fetched {
    message: Option<Message>,
    _ahead: OwnedSemaphorePermit,
}

/// An attachment to fetch.
struct Wanted {
    channel: String,
    header: Header,
    done: oneshot::Sender<Fetched>,
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
    prefix: String,
    max_bytes: usize,
    events: Arc<Events>,
) -> (Intake<B>, [tokio::task::JoinHandle<()>; 2]) {
    let (line, slots) = mpsc::unbounded_channel();
    let (wanted, fetches) = mpsc::unbounded_channel();
    let tasks = [
        tokio::spawn(fetch_ahead(hub.clone(), events.clone(), fetches)),
        tokio::spawn(hand_on(hub.clone(), prefix.clone(), slots, events.clone())),
    ];
    (Intake { hub, prefix, events, line, wanted, max_bytes }, tasks)
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
                let unwanted = is_unwanted_response(&hub, &namespace, &message.body);
                let message = if unwanted { sign_of_life(message.uid) } else { message.into_owned() };
                self.message(namespace, message, payload.len());
            }
            Ok(Notification::Attachment(header)) => {
                hub.attachment_seen();
                if header.uid.as_ref().is_some_and(|uid| hub.is_own(uid.as_str())) {
                    return;
                }
                let bytes = payload.len();
                if !self.has_room(bytes) {
                    // Swept by and by; not fetched, it is lost for this node.
                    self.push(Slot::Message {
                        namespace: header.nsp.unwrap_or_default(),
                        message: sign_of_life(header.uid),
                        bytes: 0,
                    });
                    return;
                }
                let (done, fetched) = oneshot::channel();
                self.push(Slot::Attachment { channel: channel.clone(), fetched, bytes });
                // Fails only together with the hub; the slot then says so.
                let _ = self.wanted.send(Wanted { channel, header, done });
            }
            Err(error) => {
                let sender = hub.sender_of(&payload);
                self.events.poisoned(&channel, sender.as_ref(), Poison::Undecodable(error.kind()), &error);
            }
        }
    }

    fn message(&self, namespace: String, message: Message, bytes: usize) {
        if liveness::is_liveness(&message.body) {
            self.push(Slot::Message { namespace, message, bytes: 0 });
        } else if self.has_room(bytes) {
            self.push(Slot::Message { namespace, message, bytes });
        } else {
            self.push(Slot::Message { namespace, message: sign_of_life(message.uid), bytes: 0 });
        }
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

/// What remains of a message whose content nobody needs: it proves that its sender lives.
fn sign_of_life(uid: Option<NodeId>) -> Message {
    Message { body: Body::Heartbeat, uid, nsp: None, relay: Default::default(), nonce: None, reply_to: None }
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

/// Fetches attachments in batches, a bounded number of them ahead of their turn.
async fn fetch_ahead<B: Backend>(hub: Weak<Hub<B>>, events: Arc<Events>, mut wanted: mpsc::UnboundedReceiver<Wanted>) {
    let ahead = Arc::new(Semaphore::new(FETCH_AHEAD));
    while let Some(first) = wanted.recv().await {
        let mut batch = VecDeque::new();
        let mut next = Some(first);
        while let Some(want) = next {
            // Wait for room only with an empty batch: what is in the batch may be what the room waits for.
            let permit = if batch.is_empty() {
                ahead.clone().acquire_owned().await.ok()
            } else {
                match ahead.clone().try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) => {
                        spawn_fetch(&hub, &events, std::mem::take(&mut batch));
                        ahead.clone().acquire_owned().await.ok()
                    }
                }
            };
            let Some(permit) = permit else { return };
            batch.push_back((want, permit));
            next = if batch.len() < MAX_FETCH { wanted.try_recv().ok() } else { None };
        }
        spawn_fetch(&hub, &events, batch);
    }
}

fn spawn_fetch<B: Backend>(hub: &Weak<Hub<B>>, events: &Arc<Events>, batch: VecDeque<(Wanted, OwnedSemaphorePermit)>) {
    tokio::spawn(fetch(hub.clone(), events.clone(), batch));
}

/// Tries again while the database cannot be reached, for as long as nobody sweeps the rows: their notification has arrived,
/// so no gap would tell that they are lost. `None` once the node is gone.
async fn fetch_patiently<B: Backend>(
    hub: &Weak<Hub<B>>,
    ids: &[i64],
) -> Option<Result<Vec<Option<Vec<u8>>>, BackendError>> {
    let started = Instant::now();
    let mut pause = MIN_FETCH_PAUSE;
    loop {
        // Not held while waiting: the node may be dropped meanwhile.
        let hub = hub.upgrade()?;
        let rows = hub.fetch_attachments(ids).await;
        let limit = hub.options().cleanup_interval;
        match rows {
            Err(error) if error.kind() == ErrorKind::Connection && !hub.is_closed() && started.elapsed() < limit => {
                tracing::debug!(%error, ?pause, "attachments cannot be fetched, trying again");
            }
            rows => return Some(rows),
        }
        drop(hub);
        tokio::time::sleep(pause.mul_f64(outside::half_to_whole())).await;
        pause = (2 * pause).min(MAX_FETCH_PAUSE);
    }
}

async fn fetch<B: Backend>(hub: Weak<Hub<B>>, events: Arc<Events>, batch: VecDeque<(Wanted, OwnedSemaphorePermit)>) {
    let ids: Vec<i64> = batch.iter().map(|(want, _)| want.header.attachment_id).collect();
    let Some(rows) = fetch_patiently(&hub, &ids).await else { return };
    let mut rows = match rows {
        Ok(rows) => rows.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => {
            let reason = error.to_string();
            ids.iter().map(|_| Err(reason.clone())).collect()
        }
    }
    .into_iter();
    for (Wanted { channel, header, done }, permit) in batch {
        let sender = header.uid.as_ref();
        let message = match rows.next() {
            Some(Ok(Some(bytes))) => {
                events.meters().attachments.add(1);
                events.meters().attachment_bytes.add(bytes.len() as u64);
                Message::from_msgpack(&bytes)
                    .inspect_err(|error| events.poisoned(&channel, sender, Poison::Undecodable(error.kind()), error))
                    .ok()
            }
            Some(Ok(None)) | None => {
                let reason = format!("attachment {} is gone from the table", header.attachment_id);
                events.poisoned(&channel, sender, Poison::AttachmentGone, reason);
                None
            }
            Some(Err(reason)) => {
                events.poisoned(&channel, sender, Poison::AttachmentUnreadable, reason);
                None
            }
        };
        // Nobody waits when the hub is gone.
        let _ = done.send(Fetched { message, _ahead: permit });
    }
}

/// Hands on what arrived, one after the other.
async fn hand_on<B: Backend>(
    hub: Weak<Hub<B>>,
    prefix: String,
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
                let Ok(Fetched { message, _ahead }) = fetched.await else { continue };
                let Some(hub) = hub.upgrade() else { return };
                if let Some(mut message) = message {
                    let namespace = match message.nsp.take() {
                        Some(namespace) => namespace,
                        None => channel::namespace(&prefix, &channel).unwrap_or_default().to_owned(),
                    };
                    handle(&hub, &namespace, message).await;
                }
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
