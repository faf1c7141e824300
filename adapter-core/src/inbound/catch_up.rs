//! Catching up: what a node missed while it was disconnected, read from a log that the senders
//! keep.
//!
//! The log is a table, written in the statement that notifies. A
//! [`Position`](crate::backend::Position) in it is not a number but a snapshot of PostgreSQL: which
//! transactions had been committed. Numbers are not commit order, a snapshot is exact, also beside
//! transactions that were open for minutes.
//!
//! * A *mark* is a notification that the node sends to itself, with the snapshot of its statement.
//!   PostgreSQL delivers in order of commit: when the mark is heard, everything that its snapshot
//!   sees has been heard too, and it becomes the position.
//! * What is heard after that snapshot is remembered by hash until the next mark has been heard.
//! * After a break the node listens first, and then marks again: what the new snapshot sees and the
//!   position did not is in the log, all else comes live. What is in both, or came before the
//!   break, is dropped by its hash.
//!
//! So what a row says must be unlike any other: a message that is logged carries a `nonce`, a
//! header the number of its row.

mod reader;
mod tracker;
mod waiting;

use socketio_pg_protocol::Body;

pub(crate) use self::{reader::Reader, waiting::Waiting};

/// Whether a message goes into the log: what changes something, and the close message, so that no
/// node is taken for alive that has left. Heartbeats would only fill it; requests for answers and
/// the answers are of no use once the requesting node has stopped waiting.
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
