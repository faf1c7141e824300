//! Which messages fit into a notification, and which become attachments.

use crate::base64;

/// The longest payload that PostgreSQL takes, in bytes.
pub const MAX_PAYLOAD: usize = 7999;

/// Node.js's default of the threshold above which a message becomes an attachment, in bytes of its
/// JSON.
pub const DEFAULT_THRESHOLD: usize = 8000;

/// Decides whether a message travels in the notification or as an attachment.
///
/// Node.js sends an attachment when the JSON is *longer* than the threshold; at exactly 8000 bytes
/// its `pg_notify` fails and the message is lost. Here a message becomes an attachment when it is
/// as long as the threshold or longer. It also does when it is longer than PostgreSQL takes,
/// however high the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    threshold: usize,
    packs_binary: bool,
}

impl Budget {
    /// A budget with a threshold in bytes of JSON.
    pub fn new(threshold: usize) -> Self {
        Self { threshold, packs_binary: false }
    }

    /// Whether messages with binary travel in the notification, [packed](crate::notification),
    /// where they fit. Default: false. Node.js ignores packed messages: see
    /// [`NodeRules::packs_binary`](crate::cluster::NodeRules::packs_binary).
    #[must_use]
    pub fn pack_binary(mut self, pack: bool) -> Self {
        self.packs_binary = pack;
        self
    }

    /// Whether a message may fit when it is packed, of which this many bytes are packed at least.
    pub(crate) fn may_pack(self, bytes: usize) -> bool {
        self.packs_binary && self.fits(base64::encoded_len(bytes))
    }

    /// The longest payload that travels inline, in bytes.
    pub fn max_inline(self) -> usize {
        self.threshold.saturating_sub(1).min(MAX_PAYLOAD)
    }

    /// Whether a payload of this many bytes travels inline.
    pub fn fits(self, bytes: usize) -> bool {
        bytes <= self.max_inline()
    }
}

impl Default for Budget {
    /// A threshold of [`DEFAULT_THRESHOLD`].
    fn default() -> Self {
        Self::new(DEFAULT_THRESHOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_postgresql_takes_never_travels_inline() {
        assert!(Budget::default().fits(7999));
        assert!(!Budget::default().fits(8000));
        assert!(Budget::new(usize::MAX).fits(7999));
        assert!(!Budget::new(usize::MAX).fits(8000));
        assert!(Budget::new(200).fits(199));
        assert!(!Budget::new(200).fits(200));
        assert!(!Budget::new(0).fits(1));
    }
}
