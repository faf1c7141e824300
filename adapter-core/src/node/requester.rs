//! Where something that is to be done comes from, and where its answers go.

use socketio_pg_protocol::{Body, NodeId, ReplyChannel};

/// Who asks, and how to answer. The default is this node itself, which is not answered by message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requester {
    /// The node whose message it is.
    pub(crate) sender: Option<NodeId>,
    /// Where the answers go, when not to everyone.
    pub(crate) reply_to: Option<ReplyChannel>,
}

impl Requester {
    pub(crate) fn sender(&self) -> Option<&NodeId> {
        self.sender.as_ref()
    }

    /// The channel of an answer; `None` is the namespace's channel.
    pub(crate) fn channel_for(&self, answer: &Body) -> Option<&ReplyChannel> {
        // Only answers: everything else that a handler makes is for everyone.
        self.reply_to.as_ref().filter(|_| answer.is_response())
    }
}
