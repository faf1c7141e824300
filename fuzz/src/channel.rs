//! Property of the names of channels.

use socketio_pg_protocol::channel::{MAX_BYTES, name, namespace, quote_identifier};

/// Takes any text, up to the first NUL, as a prefix, and the rest as a namespace.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (prefix, nsp) = text.split_once('\0').unwrap_or(("socket.io", text));
    let full = format!("{prefix}#{nsp}");
    let channel = name(prefix, nsp);

    assert!(full.starts_with(&channel), "{channel:?} is not the beginning of {full:?}");
    match full[channel.len()..].chars().next() {
        None => assert_eq!(namespace(prefix, &channel), Some(nsp)),
        Some(next) => assert!(channel.len() + next.len_utf8() > MAX_BYTES, "one character more would have fitted"),
    }
    assert!(channel.len() <= MAX_BYTES);
    if let Some(beginning) = namespace(prefix, &channel) {
        assert!(nsp.starts_with(beginning));
    }
    check_quoted(&channel);
    check_quoted(text);
}

/// PostgreSQL reads a quoted identifier up to the first quote that is not doubled.
fn check_quoted(name: &str) {
    let quoted = quote_identifier(name);
    let mut characters = quoted.strip_prefix('"').expect("it begins with a quote").chars();
    let mut read = String::new();
    loop {
        match characters.next() {
            Some('"') => match characters.next() {
                Some('"') => read.push('"'),
                None => break,
                Some(other) => panic!("{quoted:?} ends before {other:?}"),
            },
            Some(character) => read.push(character),
            None => panic!("{quoted:?} does not end"),
        }
    }
    assert_eq!(read, name);
}
