//! Which node asked for an action, and where the responses go.

use socketio_pg_protocol::{Body, NodeId, ReplyChannel};

/// The node that asks, and where to respond. By default this node itself, which gets no message in
/// response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requester {
    /// The node that sent the message.
    pub(crate) sender: Option<NodeId>,
    /// The channel for the responses, when they are not for all nodes.
    pub(crate) reply_to: Option<ReplyChannel>,
}

impl Requester {
    pub(crate) fn sender(&self) -> Option<&NodeId> {
        self.sender.as_ref()
    }

    /// The channel for a response; `None` is the namespace's channel.
    pub(crate) fn channel_for(&self, answer: &Body) -> Option<&ReplyChannel> {
        // Only responses: any other message that a handler publishes is for all nodes.
        self.reply_to.as_ref().filter(|_| answer.is_response())
    }
}
