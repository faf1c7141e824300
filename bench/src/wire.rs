//! What the bench and its node processes say to each other: one JSON object a line, commands on
//! stdin, replies on stdout.
//!
//! A node first prints `{"ok":null}` once it listens. Then it replies to each command in order,
//! with `{"ok":…}` or `{"error":"…"}`. A node ends when its stdin does. Node.js's side is
//! `bench/node/node.mjs`.

use serde::{Deserialize, Serialize};

use crate::event::Load;

/// A command to a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Command {
    /// Replies null once the node knows this many nodes, itself included, in every namespace.
    Join { nodes: usize },
    /// Forgets what was received and takes events of this run. Replies null.
    Expect { run: u64, load: Load, keep_latencies: bool },
    /// Sends events for some time, and waits until the last is published. Replies [`Emitted`].
    Emit { run: u64, load: Load, pace: Pace, millis: u64 },
    /// Waits until this many events have arrived in each namespace, or until nothing more has
    /// arrived for a while. Replies [`Received`].
    Settle { expected: Vec<u64>, quiet_millis: u64 },
    /// Asks for all sockets of the cluster, repeatedly, one request at a time. Replies
    /// [`Answered`].
    FetchSockets { millis: u64, expected: usize },
    /// Sends events that every socket of the cluster acknowledges, one at a time. Replies
    /// [`Answered`].
    BroadcastWithAck { millis: u64, expected: usize },
    /// Makes the listening session report to PostgreSQL's statistics what it did, where that is
    /// possible. Replies null.
    ReportStatistics,
}

/// How events are sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Pace {
    /// As fast as possible, with at most this many in flight.
    InFlight(usize),
    /// Each when the one before is published.
    OneByOne,
    /// This many a second, even if some are lost. Timers tick once a millisecond: above 1000
    /// several are sent at once.
    PerSecond(u64),
}

/// What a sender did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Emitted {
    /// Events sent, for each namespace.
    pub(crate) sent: Vec<u64>,
    /// How many of them failed, as far as the sender was told.
    pub(crate) failed: u64,
    /// When the first was given to the adapter, by the common clock.
    pub(crate) first: u64,
    /// When the last was published, by the common clock.
    pub(crate) last: u64,
}

/// What a receiver got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    /// Different events of the run.
    pub(crate) delivered: u64,
    /// Events that had arrived before.
    pub(crate) duplicated: u64,
    /// Events that arrived after one with a higher number in their namespace.
    pub(crate) out_of_order: u64,
    /// Events whose content differs from what was sent.
    pub(crate) corrupt: u64,
    /// Events of earlier runs.
    pub(crate) late: u64,
    /// When the last arrived, by the common clock.
    pub(crate) last: u64,
    /// Nanoseconds from the sender's stamp to the socket, in order of arrival, if the run keeps
    /// them.
    pub(crate) latencies: Vec<u64>,
}

/// The results of requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answered {
    /// Nanoseconds that each complete request took.
    pub(crate) durations: Vec<u64>,
    /// Requests that failed, or whose responses were not complete.
    pub(crate) failed: u64,
}

/// The reply to a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer<T> {
    Ok(T),
    Error(String),
}
