//! The rules that a node can break, each with its place in the specification.

use std::fmt;

/// How far a node has come. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Its sockets get what other nodes send.
    Hears,
    /// It is a member of the cluster, and sends to the sockets of other nodes.
    Speaks,
    /// It responds to the requests of other nodes.
    Answers,
    /// It sends requests itself, and knows which nodes there are.
    Complete,
}

impl Level {
    /// All of them, the first one first.
    pub const ALL: [Self; 4] = [Self::Hears, Self::Speaks, Self::Answers, Self::Complete];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hears => "hears",
            Self::Speaks => "speaks",
            Self::Answers => "answers",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Defines the rules from one table: name, level, heading in `docs/protocol.md`, text.
macro_rules! rules {
    ($( $rule:ident $level:ident $heading:literal $text:literal; )*) => {
        /// A rule of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $( #[doc = $text] $rule, )*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$rule, )*];

            /// What it says.
            pub fn text(self) -> &'static str {
                match self { $( Self::$rule => $text, )* }
            }

            /// The heading of the specification under which it stands.
            pub fn heading(self) -> &'static str {
                match self { $( Self::$rule => $heading, )* }
            }

            /// The first level at which a node must keep it.
            pub fn level(self) -> Level {
                match self { $( Self::$rule => Level::$level, )* }
            }
        }
    };
}

rules! {
    Payload Speaks "payloads" "A payload is one JSON object, of at most 7999 bytes.";
    Inline Speaks "payloads" "A message that is too long for a notification, or has binary in it, is an attachment.";
    Header Speaks "attachments" "A header has `uid`, `type` and `nsp` of the message, and the row's id as a string of digits.";
    Row Speaks "attachments" "The row and its header are written in one transaction: whoever hears the header finds the row.";
    MessagePack Speaks "messagepack" "An attachment is one object in MessagePack.";
    Packed Speaks "binary-in-notifications" "A packed message is the `type` and the `data` of a message in MessagePack, as Base64.";
    Type Speaks "messages" "`type` is an integer from 1 to 13.";
    Uid Speaks "messages" "`uid` names the sender: a string, one for each node and namespace.";
    Namespace Speaks "messages" "`nsp` is the namespace, and is always written.";
    Absent Speaks "messages" "A key without a value is absent, not null.";
    Source Speaks "messages" "`source` is always `_sio_adapter`.";
    Selection Hears "which-sockets-opts" "`opts` selects the sockets that are in any of `rooms` and in none of `except`.";
    Flags Speaks "which-sockets-opts" "`opts` has `rooms`, `except` and `flags`, which are arrays and an object.";
    Broadcast Speaks "3-broadcast" "A broadcast has a packet of type 2 with `[event, ...arguments]`, and `opts`.";
    Join Speaks "4-sockets_join" "SOCKETS_JOIN has `opts` and an array of rooms.";
    Leave Speaks "5-sockets_leave" "SOCKETS_LEAVE has `opts` and an array of rooms.";
    Disconnect Speaks "6-disconnect_sockets" "DISCONNECT_SOCKETS has `opts` and `close`, a boolean.";
    FetchSockets Complete "7-fetch_sockets" "FETCH_SOCKETS has `opts` and a `requestId`.";
    Sockets Answers "8-fetch_sockets_response" "Each other node responds to a 7 with one 8, which repeats the `requestId` and has its sockets.";
    ServerSideEmit Speaks "9-server_side_emit" "The packet of a server-side event is `[event, ...arguments]`.";
    ServerSideResponse Answers "10-server_side_emit_response" "A node responds once to a 9 with a `requestId`, by a 10 that repeats it.";
    ClientCount Answers "11-broadcast_client_count" "Each other node answers a 3 with a `requestId` by exactly one 11, which has the number of its sockets.";
    Acknowledgement Answers "12-broadcast_ack" "For each client that acknowledges, its node sends one 12, which repeats the `requestId`.";
    OwnMessages Hears "channels" "A node ignores its own messages.";
    Channel Hears "channels" "A namespace's channel is `<prefix>#<namespace>`, cut to 63 bytes.";
    NobodyAsked Answers "messages" "A response repeats the `requestId` of a request, in the namespace of the request.";
    Announce Speaks "joining" "A node sends a 1 once it listens, before anything else.";
    Greet Speaks "1-initial_heartbeat" "Every other node responds to a 1 with a 2.";
    Heartbeat Speaks "2-heartbeat" "A node sends a 2 when it has published nothing for the heartbeat interval.";
    Close Speaks "13-adapter_close" "A node that leaves sends a 13.";
    AfterClose Speaks "leaving" "After its 13 a node sends nothing.";
}

impl Rule {
    /// Where it stands: the page and the heading.
    pub fn place(self) -> String {
        format!("docs/protocol.md#{}", self.heading())
    }
}
