//! Whether a node lives: messages 1, 2 and 13, which carry no data.
//!
//! | type | name | sent by | answered by |
//! |---|---|---|---|
//! | 1 | INITIAL_HEARTBEAT | a node that joins, once it listens | 2, from every other node |
//! | 2 | HEARTBEAT | a silent node after 5 s, or 60 s when long alone, unless all others see its session; in answer to 1 | nothing |
//! | 13 | ADAPTER_CLOSE | a node that leaves in good order | nothing |
//!
//! Wire form: `{"type":1,"uid":"8f42b1c09d5e7a36","nsp":"/"}`.
//!
//! Any message from a uid proves that its node lives, whatever its type. A node from which no
//! message has come for 10 s is taken for dead and no longer waited for.

/// How long a node may publish nothing before it sends a HEARTBEAT, by default.
pub const HEARTBEAT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// After this many heartbeat intervals without a message of another node, a node is quiet. Until
/// another node is heard it sends only one HEARTBEAT in this many intervals.
pub const QUIET_INTERVALS: u32 = 12;

/// How long after its last message a node is taken for dead, by default.
pub const HEARTBEAT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// For how many heartbeat intervals a node that joined, could not publish, or dropped another node
/// asks for heartbeats, although it sees the sessions of all nodes that it knows.
pub const UNSURE_INTERVALS: u32 = 3;
