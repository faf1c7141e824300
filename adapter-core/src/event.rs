//! What happens to a node, for the application's logs and dashboards.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use socketio_pg_protocol::{DecodeErrorKind, NodeId};
use tokio::sync::broadcast;

/// An event in the life of a node. New kinds may come.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The node listens.
    Connected,
    /// The listening connection broke; the node reconnects by itself.
    Disconnected {
        /// What the driver said.
        reason: String,
    },
    /// The node listens again, and may have missed what was published in between.
    Gap {
        /// Since when messages may be missing.
        since: SystemTime,
        /// Until when.
        until: SystemTime,
    },
    /// Another node was heard for the first time.
    NodeJoined {
        /// The namespace.
        namespace: String,
        /// The node's uid there.
        node: NodeId,
    },
    /// Another node left.
    NodeLeft {
        /// The namespace.
        namespace: String,
        /// The node's uid there.
        node: NodeId,
        /// True when it said so itself, false when it fell silent.
        closed: bool,
    },
    /// Something arrived that is not a message. Reported once for each kind and sender; counted always.
    Poisoned {
        /// The channel.
        channel: String,
        /// The sender, where it could be read.
        sender: Option<NodeId>,
        /// What kind of error.
        kind: Poison,
        /// The error in words.
        reason: String,
    },
    /// More arrived than could be handled in time, or more nodes than are remembered: something was dropped.
    Overloaded {
        /// What was dropped, and which option bounds it.
        what: String,
    },
}

/// Why something that arrived could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Poison {
    /// It is not a message.
    Undecodable(DecodeErrorKind),
    /// A header whose row is gone from the attachments table.
    AttachmentGone,
    /// The attachments table could not be read.
    AttachmentUnreadable,
    /// An event that no client could read.
    InvalidEvent,
    /// Arguments that the handler of a server-side event does not take.
    InvalidArguments,
    /// Data that cannot be put into an answer.
    InvalidAnswer,
}

/// How long a reader may lag behind before it misses events.
const BUFFERED: usize = 1024;

/// Where events come together.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    poisoned: AtomicU64,
    dropped: AtomicU64,
    reported: Mutex<HashSet<(Poison, Option<NodeId>)>>,
}

/// How many kinds of poison by sender are remembered as reported: forged senders must not grow it.
const MAX_REPORTED: usize = 1000;

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BUFFERED),
            poisoned: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            reported: Mutex::default(),
        }
    }
}

impl Events {
    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream { receiver: self.sender.subscribe() }
    }

    pub(crate) fn emit(&self, event: Event) {
        match &event {
            Event::Connected => tracing::info!("listening to PostgreSQL"),
            Event::Disconnected { reason } => tracing::warn!(reason, "the listening connection broke, reconnecting"),
            Event::Gap { since, until } => {
                let deaf = until.duration_since(*since).unwrap_or(Duration::ZERO);
                tracing::warn!(?deaf, "listening again; messages published in between are lost");
            }
            Event::NodeJoined { namespace, node } => tracing::info!(namespace, %node, "a node joined"),
            Event::NodeLeft { namespace, node, closed } => tracing::info!(namespace, %node, closed, "a node left"),
            Event::Poisoned { channel, sender, reason, .. } => {
                tracing::warn!(
                    channel,
                    ?sender,
                    reason,
                    "something arrived that is not a message; later ones of this kind are only counted"
                );
            }
            Event::Overloaded { what } => tracing::warn!(what, "overloaded"),
        }
        // Nobody has to listen.
        let _ = self.sender.send(event);
    }

    /// Counts something unusable, and reports it when it is the first of its kind from this sender.
    pub(crate) fn poisoned(&self, channel: &str, sender: Option<&NodeId>, kind: Poison, reason: impl ToString) {
        self.poisoned.fetch_add(1, Ordering::Relaxed);
        let first = {
            let mut reported = self.reported.lock();
            reported.len() < MAX_REPORTED && reported.insert((kind, sender.cloned()))
        };
        if first {
            let (channel, sender) = (channel.to_owned(), sender.cloned());
            self.emit(Event::Poisoned { channel, sender, kind, reason: shortened(reason.to_string()) });
        }
    }

    /// Counts something dropped, and reports it on the first and then on every thousandth.
    pub(crate) fn dropped(&self, what: &str) {
        let before = self.dropped.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(1000) {
            self.emit(Event::Overloaded { what: format!("{what} ({} dropped so far)", before + 1) });
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { poisoned: self.poisoned.load(Ordering::Relaxed), dropped: self.dropped.load(Ordering::Relaxed) }
    }
}

/// A reason may quote what arrived, which may be long.
fn shortened(mut reason: String) -> String {
    const MAX_BYTES: usize = 300;
    if reason.len() > MAX_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_BYTES));
        reason.push('…');
        reason.shrink_to_fit();
    }
    reason
}

/// How many arrivals were not handled, since the node connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrivals that are not usable: see [`Event::Poisoned`].
    pub poisoned: u64,
    /// Arrivals that were dropped for lack of room: see [`Event::Overloaded`].
    pub dropped: u64,
}

/// Events as they happen. A reader that lags 1024 events behind misses the oldest.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<Event>,
}

impl EventStream {
    /// The next event; `None` once the node has left and all events were read.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told so far; the events end with it.
    async fn told(events: Events, mut stream: EventStream) -> Vec<Event> {
        drop(events);
        let mut told = Vec::new();
        while let Some(event) = stream.next().await {
            told.push(event);
        }
        told
    }

    #[tokio::test]
    async fn poison_is_told_once_for_each_kind_and_sender_and_counted_every_time() {
        let events = Events::default();
        let stream = events.subscribe();
        let (a, b) = (NodeId::from("a"), NodeId::from("b"));
        for _ in 0..3 {
            for sender in [Some(&a), Some(&b), None] {
                for kind in [Poison::AttachmentGone, Poison::InvalidEvent] {
                    events.poisoned("channel", sender, kind, "reason");
                }
            }
        }
        assert_eq!(events.counts(), Counts { poisoned: 18, dropped: 0 });
        assert_eq!(told(events, stream).await.len(), 6);
    }

    #[tokio::test]
    async fn forged_senders_do_not_grow_what_is_remembered_of_them() {
        let events = Events::default();
        for number in 0..2 * MAX_REPORTED {
            events.poisoned("channel", Some(&number.to_string().into()), Poison::InvalidEvent, "reason");
        }
        assert_eq!(events.reported.lock().len(), MAX_REPORTED);
        assert_eq!(events.counts().poisoned, 2 * MAX_REPORTED as u64);
    }

    #[tokio::test]
    async fn a_reason_that_quotes_a_long_arrival_is_cut() {
        let events = Events::default();
        let stream = events.subscribe();
        events.poisoned("channel", None, Poison::InvalidEvent, "é".repeat(1_000_000));
        let told = told(events, stream).await;
        let [Event::Poisoned { reason, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(reason.len() < 310 && reason.ends_with("é…"), "{reason}");
    }

    #[tokio::test]
    async fn what_is_dropped_is_told_on_the_first_and_every_thousandth() {
        let events = Events::default();
        let stream = events.subscribe();
        for _ in 0..2500 {
            events.dropped("something");
        }
        let texts: Vec<_> = told(events, stream).await.into_iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[2].contains("something (2001 dropped so far)"), "{texts:?}");
    }
}
