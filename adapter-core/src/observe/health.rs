//! The health of a node, for readiness probes and dashboards.

use std::{cmp::Reverse, time::SystemTime};

use serde::{Serialize, Serializer};
use socketio_pg_protocol::NodeId;

/// The state of a node at one moment: made by [`Cluster::health`](crate::Cluster::health).
///
/// It serializes, with times in RFC 3339, as the body of the response to a probe:
///
/// ```
/// # use socketio_pg_core::{Cluster, backend::Backend};
/// use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
///
/// fn routes<B: Backend>(cluster: Cluster<B>) -> Router {
///     Router::new().route("/healthz", get(async move || {
///         let health = cluster.health();
///         let status = if health.is_ready() {
///             StatusCode::OK
///         } else {
///             StatusCode::SERVICE_UNAVAILABLE
///         };
///         (status, Json(health)).into_response()
///     }))
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The node's name: [`Options::node_name`](crate::Options::node_name).
    pub node_name: String,
    /// [`Self::is_ready`], for readers of the JSON form.
    pub ready: bool,
    /// Whether the node has left the cluster.
    pub closed: bool,
    /// The listening connection.
    pub link: LinkHealth,
    /// The queue of messages to publish.
    pub publisher: PublisherHealth,
    /// The queue of messages that have arrived.
    pub inbox: InboxHealth,
    /// The outbox, where the options have one.
    pub outbox: Option<OutboxHealth>,
    /// The namespaces of this node, by name.
    pub namespaces: Vec<NamespaceHealth>,
    /// What was counted since the node connected.
    pub counts: Counts,
}

impl Health {
    /// Whether clients should be sent here: the node is in the cluster, it listens, its latest
    /// batch did not fail for a reason of the server, such as no connection or a full notification
    /// queue, and its queue has room.
    ///
    /// Fit for a readiness probe. Not for a liveness probe: a restart does not help, because the
    /// node reconnects by itself.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Merges the states of several databases: ready when all are ready, sums of the numbers, and
    /// the worst state where there is nothing to add up.
    pub(crate) fn merge(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(|one, other| {
            let mut namespaces = [one.namespaces, other.namespaces].concat();
            namespaces.sort_by(|one, other| one.name.cmp(&other.name));
            // A disconnected link is worse than one that listens; of two in the same state, the one
            // that has been silent for longer is worse.
            let links = [one.link, other.link];
            let link = links.into_iter().min_by_key(|link| (link.is_listening, link.last_heard));
            Self {
                node_name: one.node_name,
                ready: one.ready && other.ready,
                closed: one.closed && other.closed,
                link: link.expect("there are two"),
                publisher: one.publisher.and(other.publisher),
                inbox: InboxHealth {
                    waiting: one.inbox.waiting + other.inbox.waiting,
                    bytes: one.inbox.bytes + other.inbox.bytes,
                    max_bytes: one.inbox.max_bytes.saturating_add(other.inbox.max_bytes),
                },
                outbox: match (one.outbox, other.outbox) {
                    (Some(one), Some(other)) => Some(one.and(other)),
                    (one, other) => one.or(other),
                },
                namespaces,
                counts: one.counts.plus(other.counts),
            }
        })
    }

    pub(crate) fn judged(mut self) -> Self {
        let Self { closed, link, publisher, .. } = &self;
        self.ready = !closed
            && link.is_listening
            && publisher.consecutive_failures == 0
            && publisher.waiting < publisher.capacity;
        self
    }
}

/// The listening connection.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LinkHealth {
    /// Whether the connection listens. If not, the node misses messages of other nodes.
    pub is_listening: bool,
    /// Since when it listens, or is disconnected.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// When something last came from the server: a notification, or the reply to a keep-alive
    /// query, which is sent every [`Options::check_interval`](crate::Options::check_interval).
    #[serde(serialize_with = "rfc3339")]
    pub last_heard: SystemTime,
    /// Why the connection last broke, or could not be opened.
    pub last_error: Option<Failure>,
}

/// The queue of messages to publish.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PublisherHealth {
    /// Messages that wait to be published.
    pub waiting: usize,
    /// How many may wait: [`Options::publish_queue`](crate::Options::publish_queue).
    pub capacity: usize,
    /// The last time that messages could not be published.
    pub last_error: Option<Failure>,
    /// How many attempts have failed since the last that succeeded. A message that failed for what
    /// it contains is not counted.
    pub consecutive_failures: u64,
}

impl PublisherHealth {
    fn and(self, other: Self) -> Self {
        let errors = [self.last_error, other.last_error].into_iter().flatten();
        Self {
            waiting: self.waiting + other.waiting,
            capacity: self.capacity.saturating_add(other.capacity),
            last_error: errors.min_by_key(|error| Reverse(error.at)),
            consecutive_failures: self.consecutive_failures.max(other.consecutive_failures),
        }
    }
}

/// The queue of messages that have arrived.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InboxHealth {
    /// Messages that have arrived and are not handled yet.
    pub waiting: usize,
    /// The bytes of their notifications.
    pub bytes: usize,
    /// How many bytes there may be: [`Options::max_inbox_bytes`](crate::Options::max_inbox_bytes).
    pub max_bytes: usize,
}

/// The outbox: see [`Options::outbox`](crate::Options::outbox).
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct OutboxHealth {
    /// Whether it is this node's turn to publish it, as far as the node knows. No node has the turn
    /// while nothing is written.
    pub is_publishing: bool,
    /// For how many milliseconds its oldest row had waited when the node last looked, which it does
    /// every 4 to 8 seconds.
    pub oldest_ms: u64,
    /// The last time that this node could not look at it or publish it.
    pub last_error: Option<Failure>,
}

impl OutboxHealth {
    fn and(self, other: Self) -> Self {
        let errors = [self.last_error, other.last_error].into_iter().flatten();
        Self {
            is_publishing: self.is_publishing || other.is_publishing,
            oldest_ms: self.oldest_ms.max(other.oldest_ms),
            last_error: errors.min_by_key(|error| Reverse(error.at)),
        }
    }
}

/// A namespace of this node.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NamespaceHealth {
    /// Its name.
    pub name: String,
    /// The uid of this node in the namespace, which other nodes see in their errors, events and
    /// logs.
    pub uid: NodeId,
    /// How many nodes have it, this one included.
    pub nodes: usize,
    /// Requests of this node that wait for responses of other nodes.
    pub requests: usize,
    /// Whether this node sends no heartbeats there, because all others see that it lives:
    /// [`Options::watch_sessions`](crate::Options::watch_sessions).
    pub is_silent: bool,
    /// Whether this node now sends binary there in notifications:
    /// [`Options::inline_binary`](crate::Options::inline_binary).
    pub inline_binary: bool,
}

/// Something that failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What the driver reported.
    pub error: String,
}

impl Counts {
    /// The sum of several counts.
    pub(crate) fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().reduce(Self::plus).unwrap_or_default()
    }

    fn plus(mut self, other: Self) -> Self {
        // By name, so that a new field cannot be forgotten here.
        let Self {
            rejected,
            dropped,
            published,
            unpublished,
            received,
            reconnects,
            gaps,
            swept,
            sweep_failures,
            outbox_published,
            outbox_refused,
            outbox_failures,
            rejected_by_kind,
            dropped_by_class,
        } = other;
        for (count, more) in [
            (&mut self.rejected, rejected),
            (&mut self.dropped, dropped),
            (&mut self.published, published),
            (&mut self.unpublished, unpublished),
            (&mut self.received, received),
            (&mut self.reconnects, reconnects),
            (&mut self.gaps, gaps),
            (&mut self.swept, swept),
            (&mut self.sweep_failures, sweep_failures),
            (&mut self.outbox_published, outbox_published),
            (&mut self.outbox_refused, outbox_refused),
            (&mut self.outbox_failures, outbox_failures),
        ] {
            *count += more;
        }
        for (map, more) in
            [(&mut self.rejected_by_kind, rejected_by_kind), (&mut self.dropped_by_class, dropped_by_class)]
        {
            for (name, count) in more {
                *map.entry(name).or_default() += count;
            }
        }
        self
    }
}

pub(super) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = chrono::DateTime::<chrono::Utc>::from(*time);
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// What a node has counted since it connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// What arrived and could not be used: see [`Event::Rejected`](crate::Event::Rejected).
    pub rejected: u64,
    /// What was dropped because a limit was reached: see
    /// [`Event::Overloaded`](crate::Event::Overloaded).
    pub dropped: u64,
    /// Messages of this node that were committed.
    pub published: u64,
    /// Messages of this node that PostgreSQL did not take.
    pub unpublished: u64,
    /// Notifications that arrived, the node's own among them.
    pub received: u64,
    /// How often the listening connection was opened again.
    pub reconnects: u64,
    /// How often messages may have been missed: see [`Event::Gap`](crate::Event::Gap).
    pub gaps: u64,
    /// Old rows of attachments and of the catch-up log that this node deleted.
    pub swept: u64,
    /// How often deleting them failed: see [`Event::CleanupBehind`](crate::Event::CleanupBehind).
    pub sweep_failures: u64,
    /// Rows of the outbox that this node published.
    pub outbox_published: u64,
    /// Rows of the outbox that PostgreSQL could not notify because they were too long, and that are
    /// lost. No emitter writes such rows.
    pub outbox_refused: u64,
    /// How often looking at the outbox or publishing it failed: see
    /// [`Event::OutboxBehind`](crate::Event::OutboxBehind).
    pub outbox_failures: u64,
    /// [`Self::rejected`] by [`InvalidMessage::as_str`](crate::InvalidMessage::as_str), with all
    /// kinds.
    pub rejected_by_kind: std::collections::BTreeMap<&'static str, u64>,
    /// [`Self::dropped`] by [`Dropped::as_str`](crate::Dropped::as_str), with all classes.
    pub dropped_by_class: std::collections::BTreeMap<&'static str, u64>,
}
