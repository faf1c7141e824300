//! Events of a node, for the application's logs and dashboards.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use serde::Serialize;
use socketio_pg_protocol::NodeId;
use socketioxide_core::Sid;
use tokio::sync::broadcast;

use crate::observe::{
    classes::{Dropped, InvalidMessage},
    counters::Counters,
    health::rfc3339,
};

/// An event in the life of a node. New kinds may be added.
///
/// It serializes as an object with the kind as `event`, and times in RFC 3339, for a log or a
/// dashboard: `{"event":"node-left","namespace":"/","node":"1b6e…","closed":true}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
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
        /// Since when messages may be missing: a second before something last came from the server,
        /// as what was sent then may have been on its way.
        #[serde(serialize_with = "rfc3339")]
        since: SystemTime,
        /// Until when.
        #[serde(serialize_with = "rfc3339")]
        until: SystemTime,
        /// How much of what was missed was read from the log.
        recovery: Recovery,
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
        /// True when the node sent a close message, false when it fell silent.
        closed: bool,
    },
    /// Another node has no [`Options::inline_binary`](crate::Options::inline_binary), and this one
    /// has: a server on Node.js, although there should be none, or one that does not have the option
    /// yet. While it is in the cluster, this node's binary goes through the attachments table, in
    /// this namespace. A server on Node.js did not get what was sent inline before, and does not get
    /// what emitters with that option send. Reported once for each node.
    NodeNeedsAttachments {
        /// The namespace.
        namespace: String,
        /// The node's uid there.
        node: NodeId,
    },
    /// Something arrived that is not a message. Reported once for each kind and sender, counted
    /// each time.
    Rejected {
        /// The channel.
        channel: String,
        /// The sender, where it could be read.
        sender: Option<NodeId>,
        /// What kind of error.
        kind: InvalidMessage,
        /// The error in words.
        reason: String,
    },
    /// There was more of something than an option allows: the rest was dropped. Reported the first
    /// time in each class and then every thousandth time; counted each time.
    Overloaded {
        /// What was dropped.
        class: Dropped,
        /// A description: which option bounds it, and how many were dropped so far.
        what: String,
    },
    /// A client of this node takes events more slowly than they come: its buffer in socketioxide
    /// was full, so it lost an event. Reported at most once a second for each client. Where only
    /// one event of a broadcast was lost within a second, it is not known which client lost it:
    /// then the loss is only counted, as [`Dropped::Clients`].
    SlowClient {
        /// The namespace.
        namespace: String,
        /// Its socket, as `SocketIo` knows it. Sending to it, disconnecting too, fails while its
        /// buffer is full.
        socket: Sid,
    },
    /// Old rows of a table are not deleted as fast as they come, or not at all: the table grows.
    /// Reported once, until all old rows have been deleted. The node keeps trying.
    CleanupBehind {
        /// The table, as the options name it.
        table: String,
        /// Why they are not deleted.
        reason: String,
    },
    /// Rows of the outbox wait for longer than ten seconds, or could not be published several times
    /// in a row. Reported once, until nothing waits any more. The node keeps trying.
    OutboxBehind {
        /// The table, as the options name it.
        table: String,
        /// Why they wait.
        reason: String,
    },
    /// This reader of the [`EventStream`] was slow: the oldest events that it had not read were
    /// dropped. Other readers got them.
    Missed {
        /// How many.
        events: u64,
    },
}

/// How much of what was published while a node was disconnected it has read from the log: see
/// [`Options::catch_up`](crate::Options::catch_up).
///
/// This concerns what the servers and emitters of this project sent, with the same log. Node.js
/// servers, and others without a log, do not write what they send inline: that is lost in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Recovery {
    /// The node keeps no log: what was published in between is lost.
    Off,
    /// Nothing that is in the log was missed.
    Complete {
        /// How many messages of the log were passed on, those of this node included.
        messages: u64,
    },
    /// Something may be missing.
    Incomplete {
        /// How many messages of the log were passed on, those of this node included.
        messages: u64,
        /// What may be missing, and why.
        reason: String,
    },
}

/// How long a reader may lag behind before it misses events.
const BUFFERED: usize = 1024;

/// Collects the events of a node.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<(usize, Event)>,
    /// The index of the node's database.
    database: usize,
    counters: Counters,
    reported: Mutex<HashSet<(InvalidMessage, Option<NodeId>)>>,
}

/// How many kinds of invalid messages by sender are remembered as reported, so that forged senders
/// cannot fill the memory.
const MAX_REPORTED: usize = 1000;

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BUFFERED),
            database: 0,
            counters: Counters::default(),
            reported: Mutex::default(),
        }
    }
}

impl Events {
    /// The events of several databases, which go into one stream.
    pub(crate) fn of_databases(count: usize) -> Vec<Self> {
        let sender = broadcast::Sender::new(BUFFERED);
        (0..count).map(|database| Self { sender: sender.clone(), database, ..Self::default() }).collect()
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream { receiver: self.sender.subscribe() }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn emit(&self, event: Event) {
        match &event {
            Event::Connected => {
                self.counters.listens();
                tracing::info!("listening to PostgreSQL");
            }
            Event::Disconnected { reason } => {
                self.counters.disconnected(reason);
                tracing::warn!(reason, "the listening connection broke, reconnecting");
            }
            Event::Gap { since, until, recovery } => {
                self.counters.gaps.add(1);
                let disconnected = until.duration_since(*since).unwrap_or(Duration::ZERO);
                let disconnected = format_args!("{:.1}s", disconnected.as_secs_f64());
                match recovery {
                    Recovery::Off => {
                        tracing::warn!(%disconnected, "listening again; messages published in between are lost");
                    }
                    Recovery::Complete { messages } => {
                        tracing::info!(%disconnected, messages, "listening again, and caught up with the log");
                    }
                    Recovery::Incomplete { messages, reason } => {
                        tracing::warn!(
                            %disconnected,
                            messages,
                            reason,
                            "listening again; messages published in between may be lost"
                        );
                    }
                }
            }
            Event::NodeJoined { namespace, node } => tracing::info!(namespace, %node, "a node joined"),
            Event::NodeLeft { namespace, node, closed: true } => {
                tracing::info!(namespace, %node, closed = true, "a node left");
            }
            Event::NodeLeft { namespace, node, closed: false } => {
                tracing::warn!(
                    namespace,
                    %node,
                    closed = false,
                    "a node is silent and counts no more: was it killed, does it hang, or is it cut off? In the log of a \
                     Rust server the uid stands beside its name; one on Node.js logs none"
                );
            }
            Event::NodeNeedsAttachments { namespace, node } => {
                tracing::warn!(
                    namespace,
                    %node,
                    "a node without `inline_binary` is in the cluster: binary goes through the attachments table while \
                     it is there; if it is on Node.js, take the option from all servers and emitters"
                );
            }
            Event::Rejected { channel, sender, reason, .. } => {
                tracing::warn!(
                    channel,
                    sender = sender.as_ref().map(tracing::field::display),
                    reason,
                    "something arrived that is not a message; later ones of this kind are only counted"
                );
            }
            Event::CleanupBehind { table, reason } => {
                tracing::warn!(table, reason, "old rows are not deleted as fast as they come");
            }
            Event::OutboxBehind { table, reason } => {
                tracing::warn!(table, reason, "what is written into the outbox is not published");
            }
            Event::SlowClient { namespace, socket } => {
                tracing::warn!(namespace, %socket, "a client takes less than is sent to it and loses events");
            }
            Event::Overloaded { class, what } => tracing::warn!(class = class.as_str(), what, "overloaded"),
            // Created for each reader, not here.
            Event::Missed { .. } => {}
        }
        // An event needs no reader.
        let _ = self.sender.send((self.database, event));
    }

    /// Counts something that could not be used, and reports it when it is the first of its kind
    /// from this sender.
    pub(crate) fn rejected(&self, channel: &str, sender: Option<&NodeId>, kind: InvalidMessage, reason: impl ToString) {
        self.counters.rejected(kind);
        let (is_new, has_room) = {
            let mut reported = self.reported.lock();
            let key = (kind, sender.cloned());
            let has_room = reported.len() < MAX_REPORTED;
            let is_new = !reported.contains(&key);
            if is_new && has_room {
                reported.insert(key);
            }
            (is_new, has_room)
        };
        if is_new && has_room {
            let (channel, sender) = (channel.to_owned(), sender.cloned());
            self.emit(Event::Rejected { channel, sender, kind, reason: shortened(reason.to_string()) });
        } else if is_new {
            self.dropped(Dropped::Reports);
        }
    }

    /// Counts something that was dropped, and reports it the first time in its class and then every
    /// thousandth time; reports only the first time.
    pub(crate) fn dropped(&self, class: Dropped) {
        let before = self.counters.dropped(class);
        let is_told = if class == Dropped::Reports { before == 0 } else { before.is_multiple_of(1000) };
        if is_told {
            let what = format!("{} ({} dropped so far)", class.why(), before + 1);
            self.emit(Event::Overloaded { class, what });
        }
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

/// A stream of events as they happen. A reader that lags 1024 events behind misses the oldest, and
/// gets an [`Event::Missed`].
#[derive(Debug)]
#[must_use = "events are seen only when they are read"]
pub struct EventStream {
    receiver: broadcast::Receiver<(usize, Event)>,
}

impl EventStream {
    /// The next event; `None` once the node has left and all events were read.
    pub async fn next(&mut self) -> Option<Event> {
        self.next_with_database().await.map(|(_, event)| event)
    }

    /// The next event, and the index of the database in which it happened: its place in the list
    /// that was given to [`Cluster::connect_split`](crate::Cluster::connect_split), 0 for a node
    /// with one database, and for [`Event::Missed`], which happens to the reader.
    pub async fn next_with_database(&mut self) -> Option<(usize, Event)> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(events)) => {
                tracing::warn!(events, "a reader of events was too slow and missed some");
                Some((0, Event::Missed { events }))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events so far; the stream ends with `events`.
    async fn told(events: Events, mut stream: EventStream) -> Vec<Event> {
        drop(events);
        let mut told = Vec::new();
        while let Some(event) = stream.next().await {
            told.push(event);
        }
        told
    }

    #[tokio::test]
    async fn an_invalid_message_is_reported_once_for_each_kind_and_sender_and_counted_every_time() {
        let events = Events::default();
        let stream = events.subscribe();
        let (a, b) = (NodeId::from("a"), NodeId::from("b"));
        for _ in 0..3 {
            for sender in [Some(&a), Some(&b), None] {
                for kind in [InvalidMessage::AttachmentGone, InvalidMessage::InvalidEvent] {
                    events.rejected("channel", sender, kind, "reason");
                }
            }
        }
        assert_eq!((events.counters().counts().rejected, events.counters().counts().dropped), (18, 0));
        assert_eq!(told(events, stream).await.len(), 6);
    }

    #[tokio::test]
    async fn forged_senders_do_not_grow_what_is_remembered_of_them_and_that_is_told_once() {
        let events = Events::default();
        let stream = events.subscribe();
        for number in 0..2 * MAX_REPORTED {
            events.rejected("channel", Some(&number.to_string().into()), InvalidMessage::InvalidEvent, "reason");
        }
        assert_eq!(events.reported.lock().len(), MAX_REPORTED);
        assert_eq!(events.counters().counts().rejected, 2 * MAX_REPORTED as u64);
        let told = told(events, stream).await;
        // As many as a slow reader keeps: it missed none.
        assert_eq!(told.len(), MAX_REPORTED + 1);
        assert!(matches!(told[MAX_REPORTED], Event::Overloaded { class: Dropped::Reports, .. }), "{told:?}");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_events_it_missed() {
        let events = Events::default();
        let stream = events.subscribe();
        for _ in 0..BUFFERED + 7 {
            events.emit(Event::Connected);
        }
        let told = told(events, stream).await;
        assert_eq!(told[0], Event::Missed { events: 7 });
        assert_eq!(told.len(), 1 + BUFFERED);
    }

    #[tokio::test]
    async fn a_reason_that_quotes_a_long_arrival_is_cut() {
        let events = Events::default();
        let stream = events.subscribe();
        events.rejected("channel", None, InvalidMessage::InvalidEvent, "é".repeat(1_000_000));
        let told = told(events, stream).await;
        let [Event::Rejected { reason, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(reason.len() < 310 && reason.ends_with("é…"), "{reason}");
    }

    #[tokio::test]
    async fn what_is_dropped_is_told_on_the_first_and_every_thousandth() {
        let events = Events::default();
        let stream = events.subscribe();
        for _ in 0..2500 {
            events.dropped(Dropped::Messages);
        }
        let texts: Vec<_> = told(events, stream).await.into_iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[2].contains("max_inbox_bytes allows (2001 dropped so far)"), "{texts:?}");
    }

    #[test]
    fn events_serialize_with_their_kind_and_times_that_people_read() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        let recovery = Recovery::Complete { messages: 3 };
        for (event, json) in [
            (Event::Connected, r#"{"event":"connected"}"#),
            (
                Event::Gap { since, until: since + Duration::from_secs(1), recovery },
                r#"{"event":"gap","since":"1970-01-01T00:00:01.500Z","until":"1970-01-01T00:00:02.500Z","recovery":{"outcome":"complete","messages":3}}"#,
            ),
            (
                Event::Rejected {
                    channel: "socket.io#/".to_owned(),
                    sender: Some(NodeId::from("a")),
                    kind: InvalidMessage::TooLarge,
                    reason: "why".to_owned(),
                },
                r#"{"event":"rejected","channel":"socket.io#/","sender":"a","kind":"too-large","reason":"why"}"#,
            ),
            (
                Event::Overloaded { class: Dropped::Messages, what: "so".to_owned() },
                r#"{"event":"overloaded","class":"messages","what":"so"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
        }
    }
}
