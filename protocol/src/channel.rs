//! The names of channels.
//!
//! A namespace has one channel: `<prefix>#<namespace>`, `socket.io#/` for the main namespace.
//! PostgreSQL silently cuts the name in `LISTEN` to 63 bytes, and refuses longer ones in
//! `pg_notify`. Node.js does not know that, and its servers receive nothing in namespaces with long
//! names. We publish to and listen on the name as PostgreSQL cuts it, and tell namespaces apart by
//! the `nsp` of each message: Rust nodes hear each other, and Node.js hears Rust.

use crate::budget::MAX_PAYLOAD;

/// The prefix of channels, by default.
pub const DEFAULT_PREFIX: &str = "socket.io";

/// The longest name of a channel, in bytes (PostgreSQL's NAMEDATALEN - 1).
pub const MAX_BYTES: usize = 63;

/// The longest name of a namespace, in bytes. The notification of an attachment has room for it beside
/// other keys; without the name, nodes whose channel is cut could not tell for whom it is.
pub const MAX_NAME_BYTES: usize = MAX_PAYLOAD / 8;

/// The channel of a namespace, cut to 63 bytes on a character boundary.
///
/// ```
/// use socketio_pg_protocol::channel;
///
/// assert_eq!(channel::name("socket.io", "/admin"), "socket.io#/admin");
/// assert_eq!(channel::name("socket.io", &format!("/{}", "é".repeat(40))).len(), 63);
/// ```
pub fn name(prefix: &str, namespace: &str) -> String {
    let mut name = format!("{prefix}#{namespace}");
    name.truncate(name.floor_char_boundary(MAX_BYTES));
    name
}

/// Whether a namespace's channel has its whole name, so that Node.js hears what is sent there, and
/// is heard.
///
/// ```
/// use socketio_pg_protocol::channel;
///
/// assert!(channel::is_whole("socket.io", "/admin"));
/// assert!(!channel::is_whole("socket.io", &format!("/{}", "é".repeat(40))));
/// ```
pub fn is_whole(prefix: &str, namespace: &str) -> bool {
    prefix.len() + "#".len() + namespace.len() <= MAX_BYTES
}

/// Why a namespace cannot have a channel. `None` when it can.
///
/// ```
/// use socketio_pg_protocol::channel;
///
/// assert_eq!(channel::problem("/rooms/日本 \"1\""), None);
/// assert!(channel::problem("/room/x\0y").is_some());
/// assert!(channel::problem(&"/x".repeat(500)).is_some());
/// ```
pub fn problem(namespace: &str) -> Option<&'static str> {
    if namespace.len() > MAX_NAME_BYTES {
        return Some("it has more than 999 bytes, and messages could not name it");
    }
    namespace.contains('\0').then_some("it contains a NUL character, which no PostgreSQL name can")
}

/// The namespace of a channel, for messages that do not name their namespace. `None` for a channel
/// of another prefix.
///
/// The channel of a long namespace contains only the beginning of its name.
pub fn namespace<'a>(prefix: &str, channel: &'a str) -> Option<&'a str> {
    channel.strip_prefix(prefix)?.strip_prefix('#')
}

/// Quotes a name for use in SQL, so that no part of it is read as SQL.
///
/// ```
/// assert_eq!(socketio_pg_protocol::channel::quote_identifier(r#"a"b"#), r#""a""b""#);
/// ```
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_of_a_namespace_is_the_one_that_is_told() {
        assert_eq!(MAX_NAME_BYTES, 999);
        assert_eq!(problem(&"x".repeat(MAX_NAME_BYTES)), None);
    }

    #[test]
    fn a_long_name_is_cut_on_a_character_boundary() {
        // 10 bytes of prefix and `#`, then 1 + 2·n bytes: byte 63 is inside a character when the
        // rest is even.
        assert_eq!(name("socket.io", &format!("/{}", "é".repeat(26))).len(), 63);
        assert_eq!(name("socket.ioo", &format!("/{}", "é".repeat(26))).len(), 62);
        assert_eq!(name("s", &"x".repeat(61)).len(), 63);
        assert_eq!(name("s", &"x".repeat(62)).len(), 63);
    }

    #[test]
    fn the_namespace_is_found_from_the_channel() {
        assert_eq!(namespace("socket.io", "socket.io#/a#b"), Some("/a#b"));
        assert_eq!(namespace("socket.io", "other#/"), None);
        assert_eq!(namespace("socket.io", "socket.io"), None);
    }
}
