//! Catching up: reads what a node missed while it was disconnected from a log that senders write.
//!
//! The log is a table, written in the statement that notifies. A
//! [`Position`](crate::backend::Position) in it is not a number but a snapshot of PostgreSQL: which
//! transactions had been committed. Numbers are not in the order of commits. A snapshot is exact,
//! also when other transactions stay open for minutes.
//!
//! * A *mark* is a notification that the node sends to itself, with the snapshot of its statement.
//!   PostgreSQL delivers in order of commit: when the mark arrives, everything that its snapshot
//!   sees has arrived too, and the snapshot becomes the position.
//! * The node remembers the hash of each message that arrives after that snapshot, until the next
//!   mark has arrived.
//! * After a break the node listens first, and then marks again: messages that the new snapshot
//!   sees and the position did not are in the log, all others come live. A message that is in both,
//!   or came before the break, is recognised by its hash and dropped.
//!
//! So no two rows may be equal: a logged message carries a `nonce`, a header the number of its row.

mod reader;
mod tracker;
mod waiting;

use socketio_pg_protocol::Body;

pub(crate) use self::{reader::Reader, waiting::Waiting};

/// Whether a message goes into the log: messages that change something, and the close message, so
/// that a node that has left is not taken for alive. Heartbeats would only fill it; requests for
/// responses, and the responses, are of no use once the requesting node has stopped waiting.
pub(crate) fn is_logged<P>(body: &Body<P>) -> bool {
    match body {
        Body::Broadcast(_)
        | Body::SocketsJoin(_)
        | Body::SocketsLeave(_)
        | Body::DisconnectSockets(_)
        | Body::ServerSideEmit(_)
        | Body::AdapterClose => true,
        Body::InitialHeartbeat
        | Body::Heartbeat
        | Body::FetchSockets(_)
        | Body::FetchSocketsResponse(_)
        | Body::ServerSideEmitResponse(_)
        | Body::BroadcastClientCount(_)
        | Body::BroadcastAck(_)
        | Body::Unknown { .. } => false,
    }
}
