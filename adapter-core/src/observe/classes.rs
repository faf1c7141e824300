//! The classes of what a node could not use, or dropped because a limit was reached.

use serde::{Serialize, Serializer};
use socketio_pg_protocol::DecodeErrorKind;

/// What is dropped when a limit is reached, so that nothing grows without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// Messages, attachments included: as many wait as `Options::max_inbox_bytes` allows.
    Messages,
    /// Responses: a request had as many as `Options::max_responses` allows.
    Responses,
    /// What other nodes ask for: broadcasts whose acknowledgements are waited for, and running
    /// handlers of server-side events, as many as `Options::max_requests` allows.
    Requests,
    /// Nodes: as many are known as `Options::max_nodes` allows.
    Nodes,
    /// Events of other nodes for one client of this node: the client takes events so slowly that
    /// socketioxide's buffer for it (`max_buffer_size` of its builder, 128 packets by default) is
    /// full. The other clients get them.
    Clients,
    /// Reports of invalid messages: once as many different ones were reported as are remembered,
    /// later ones are only counted.
    Reports,
}

impl Dropped {
    pub(crate) const ALL: [Self; 6] =
        [Self::Messages, Self::Responses, Self::Requests, Self::Nodes, Self::Clients, Self::Reports];

    /// A short name, fit for a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Requests => "requests",
            Self::Nodes => "nodes",
            Self::Clients => "clients",
            Self::Reports => "reports",
        }
    }

    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Messages => "more notifications wait than Options::max_inbox_bytes allows",
            Self::Responses => "a request had more responses than Options::max_responses allows",
            Self::Requests => "other nodes asked for more at a time than Options::max_requests allows",
            Self::Nodes => "more nodes were heard than Options::max_nodes allows",
            Self::Clients => {
                "a client takes less than is sent to it: its buffer, max_buffer_size of SocketIo's builder, is full"
            }
            Self::Reports => "so much arrived that is not a message that what is new of it is only counted from now on",
        }
    }
}

/// Why something that arrived could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// It is not a message.
    Undecodable(DecodeErrorKind),
    /// A header whose row is gone from the attachments table.
    AttachmentGone,
    /// The attachments table could not be read.
    AttachmentUnreadable,
    /// A row of the attachments table that is larger than `Options::max_attachment_bytes`, and was
    /// not fetched.
    TooLarge,
    /// A row of the attachments table whose sender is not the sender in its header.
    AttachmentOfAnother,
    /// An event that no client could read.
    InvalidEvent,
    /// Arguments that the handler of a server-side event does not accept.
    InvalidArguments,
    /// Data that cannot be put into a response.
    InvalidAnswer,
}

impl InvalidMessage {
    /// The labels of all kinds.
    pub(crate) const LABELS: [&str; 8] = [
        "undecodable",
        "attachment-gone",
        "attachment-unreadable",
        "invalid-event",
        "invalid-arguments",
        "invalid-answer",
        "too-large",
        "attachment-of-another",
    ];

    /// A short name, fit for a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::LABELS[self.index()]
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Undecodable(_) => 0,
            Self::AttachmentGone => 1,
            Self::AttachmentUnreadable => 2,
            Self::InvalidEvent => 3,
            Self::InvalidArguments => 4,
            Self::InvalidAnswer => 5,
            Self::TooLarge => 6,
            Self::AttachmentOfAnother => 7,
        }
    }
}

/// As [`Self::as_str`].
impl Serialize for Dropped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// As [`Self::as_str`].
impl Serialize for InvalidMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
