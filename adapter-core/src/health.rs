//! How a node is, for readiness probes and dashboards.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::meters::Counts;

/// How a node is at this moment: made by [`Cluster::health`](crate::Cluster::health).
///
/// It serializes, with times in RFC 3339, as the body of an answer to a probe:
///
/// ```
/// # use socketio_pg_core::{Cluster, backend::Backend};
/// use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
///
/// fn routes<B: Backend>(cluster: Cluster<B>) -> Router {
///     Router::new().route("/healthz", get(async move || {
///         let health = cluster.health();
///         let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
///         (status, Json(health)).into_response()
///     }))
/// }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// [`Self::is_ready`], for whoever reads this as JSON.
    pub ready: bool,
    /// Whether the node has left the cluster.
    pub closed: bool,
    /// The listening connection.
    pub link: LinkHealth,
    /// The way out.
    pub publisher: PublisherHealth,
    /// The way in.
    pub inbox: InboxHealth,
    /// The namespaces of this node, by name.
    pub namespaces: Vec<NamespaceHealth>,
    /// What was counted since the node connected.
    pub counts: Counts,
}

impl Health {
    /// Whether clients should be sent here: the node is in the cluster, it listens, its latest batch did not fail for want
    /// of a connection, and its queue has room.
    ///
    /// Fit for a readiness probe. Not for a liveness probe: a restart mends nothing here, the node reconnects by itself.
    pub fn is_ready(&self) -> bool {
        self.ready
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
    /// Whether it listens. If not, other nodes' messages are being missed.
    pub is_listening: bool,
    /// Since when it listens, or is deaf.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// When the server last gave a sign of life: a notification, or the answer to a check, which is made every
    /// [`Options::check_interval`](crate::Options::check_interval).
    #[serde(serialize_with = "rfc3339")]
    pub last_heard: SystemTime,
    /// Why it broke, or could not be opened, the last time.
    pub last_error: Option<Failure>,
}

/// The way out.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PublisherHealth {
    /// Messages that wait to be published.
    pub waiting: usize,
    /// How many may: [`Options::publish_queue`](crate::Options::publish_queue).
    pub capacity: usize,
    /// The last time messages were not published.
    pub last_error: Option<Failure>,
    /// How many attempts since the last that succeeded have failed, those aside that failed for what the message was.
    pub consecutive_failures: u64,
}

/// The way in.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InboxHealth {
    /// Messages that have arrived and were not handled so far.
    pub waiting: usize,
    /// The bytes of their notifications.
    pub bytes: usize,
    /// How many there may be: [`Options::max_inbox_bytes`](crate::Options::max_inbox_bytes).
    pub max_bytes: usize,
}

/// A namespace of this node.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NamespaceHealth {
    /// Its name.
    pub name: String,
    /// The nodes that have it, this one included.
    pub nodes: usize,
    /// Requests of this node that wait for others' answers.
    pub requests: usize,
}

/// Something that failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What the driver said.
    pub error: String,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = chrono::DateTime::<chrono::Utc>::from(*time);
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
