//! The channel on which one process receives responses that no other process needs.
//!
//! In Node.js's protocol responses (types 8, 10, 11 and 12) go to every node of the namespace: a
//! request in a cluster of n nodes costs n responses, each of them delivered n times. A requester
//! may name a channel of its own in its request. A node that knows this extension responds on that
//! channel, other nodes on the channel of the namespace.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use crate::channel;

/// How many hexadecimal digits distinguish the channels of one cluster.
const DIGITS: usize = 16;

/// The name of a reply channel: `<prefix>?<16 lower-case hex digits>`, at most 63 bytes.
///
/// It is never the channel of a namespace, in any cluster: those contain `#/`, and a reply channel
/// never does. It is never the reply channel of another cluster either, since it begins with the
/// whole prefix.
///
/// ```
/// use socketio_pg_protocol::ReplyChannel;
///
/// let channel = ReplyChannel::new("socket.io", 0xcafe).expect("the prefix is short");
/// assert_eq!(channel.as_str(), "socket.io?000000000000cafe");
/// assert_eq!(ReplyChannel::parse("socket.io?000000000000cafe"), Some(channel));
/// assert_eq!(ReplyChannel::parse("socket.io#/"), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyChannel(Arc<str>);

impl ReplyChannel {
    /// The longest prefix of a cluster with reply channels, in bytes.
    pub const MAX_PREFIX_BYTES: usize = channel::MAX_BYTES - 1 - DIGITS;

    /// The channel with this number in the cluster with this prefix; draw the number at random.
    ///
    /// `None` when the prefix leaves no room for it, or could be taken for the beginning of a
    /// namespace's channel: such a cluster cannot have reply channels.
    pub fn new(prefix: &str, number: u64) -> Option<Self> {
        let is_fit = prefix.len() <= Self::MAX_PREFIX_BYTES && !prefix.contains("#/") && !prefix.contains('\0');
        is_fit.then(|| Self(format!("{prefix}?{number:0DIGITS$x}").into()))
    }

    /// Reads a name. `None` when it does not have the shape of a reply channel.
    pub fn parse(name: &str) -> Option<Self> {
        let (prefix, digits) = name.rsplit_once('?')?;
        let is_fit = digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        Self::new(prefix, u64::from_str_radix(digits, 16).ok().filter(|_| is_fit)?)
    }

    /// The name, to listen on and to publish to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it belongs to the cluster with this prefix. A node sends responses to no other.
    pub fn is_of(&self, prefix: &str) -> bool {
        self.0.rsplit_once('?').is_some_and(|(own, _)| own == prefix)
    }
}

impl fmt::Display for ReplyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReplyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for ReplyChannel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_longer_than_a_channel_may_be() {
        let longest = "p".repeat(ReplyChannel::MAX_PREFIX_BYTES);
        assert_eq!(ReplyChannel::new(&longest, u64::MAX).unwrap().as_str().len(), channel::MAX_BYTES);
        assert_eq!(ReplyChannel::new(&format!("{longest}p"), u64::MAX), None);
    }

    #[test]
    fn only_its_own_shape_is_read() {
        for name in [
            "",
            "?",
            "socket.io#/",
            "socket.io?",
            "socket.io#0123456789abcdef",
            "socket.io?0123456789abcde",
            "socket.io?0123456789abcdef0",
            "socket.io?0123456789ABCDEF",
            "socket.io?+123456789abcdef",
            "socket.io?０１２３４５６７",
            "socket.io#/a?0123456789abcdef",
            "socket.io\0?0123456789abcdef",
            &format!("{}?0123456789abcdef", "p".repeat(47)),
        ] {
            assert_eq!(ReplyChannel::parse(name), None, "{name}");
        }
        for name in ["?0123456789abcdef", "a?b?0123456789abcdef", "é?0123456789abcdef"] {
            assert_eq!(ReplyChannel::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn it_belongs_to_one_cluster() {
        let channel = ReplyChannel::new("a?0123456789abcdef", 1).unwrap();
        assert!(channel.is_of("a?0123456789abcdef"));
        assert!(!channel.is_of("a"));
        assert!(!channel.is_of(""));
    }

    #[test]
    fn it_is_no_channel_of_a_namespace() {
        for prefix in ["socket.io", "", "a#", "a?", "a#b/"] {
            let channel = ReplyChannel::new(prefix, 7).unwrap();
            let namespace = channel::namespace(prefix, channel.as_str());
            assert!(!namespace.is_some_and(|namespace| namespace.starts_with('/')), "{channel}");
            assert!(!channel.as_str().contains("#/"));
        }
        assert_eq!(ReplyChannel::new("a#/b", 7), None);
    }
}
