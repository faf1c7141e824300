//! The name by which nodes find the session of another node in the database.

use std::fmt;

use serde::{Serialize, Serializer};

/// How many hexadecimal digits it has.
const DIGITS: usize = 16;

/// The name of the session on which a process listens, chosen at random by the process: 16
/// lower-case hex digits.
///
/// ```
/// use socketio_pg_protocol::SessionId;
///
/// let session = SessionId::new(0xcafe);
/// assert_eq!(session.to_string(), "000000000000cafe");
/// assert_eq!(SessionId::parse("000000000000cafe"), Some(session));
/// assert_eq!(SessionId::parse("cafe"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// The name with this number; draw the number at random.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Reads a name. `None` when it does not have the shape of one.
    pub fn parse(name: &str) -> Option<Self> {
        let is_fit = name.len() == DIGITS && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(name, 16).ok().filter(|_| is_fit).map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_shape_is_read() {
        for name in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "+123456789abcdef", "０１２３４"]
        {
            assert_eq!(SessionId::parse(name), None, "{name}");
        }
        for number in [0, 1, u64::MAX] {
            assert_eq!(SessionId::parse(&SessionId::new(number).to_string()), Some(SessionId::new(number)));
        }
    }
}
