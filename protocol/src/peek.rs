//! What the text of a notification tells before it is parsed.
//!
//! A node hears its own messages, and those of a storm: to know whose a message is, or whether it
//! has come before, must not cost parsing it. All of this depends on the order in which
//! [`Message`] writes its keys, and errs on the side of "unknown".

use crate::{Body, Message, NodeId, Payload, Relay};

/// How the messages of this project end that have neither a nonce nor a reply channel.
const END_OF_MARKED: &str = r#","source":"_sio_adapter"}"#;

/// How the marked messages of one node in one namespace end, but for their nonce and reply channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending(String);

impl Ending {
    /// That of the messages which a node sends in a namespace.
    pub fn of(uid: NodeId, nsp: &str) -> Self {
        let mut message = Message::new(uid, nsp, Body::<Payload>::Heartbeat);
        message.relay = Relay::marked();
        // Only a message with application data can fail to be written.
        let whole = message.to_json().unwrap_or_default();
        Self(whole.strip_prefix(r#"{"type":2"#).unwrap_or(&whole).to_owned())
    }

    /// Whether a message ends like this. It is then of this node and namespace.
    pub fn is_of(&self, payload: &str) -> bool {
        !self.0.is_empty() && payload.trim_end_matches(' ').ends_with(&self.0)
    }
}

/// Whether a message is marked for the workers of a Node.js `cluster`, and nothing stands behind
/// the mark: then its [`Ending`] tells of which node and namespace it is.
pub fn is_marked(payload: &str) -> bool {
    payload.trim_end_matches(' ').ends_with(END_OF_MARKED)
}

/// The `uid` of a message that ends as ours do, found without reading what stands before.
///
/// Nothing between it and the end of the message opens or closes an object or an array. So it is
/// the message's own `uid`, and the one that counts, since of equal keys the last does.
pub fn last_uid(payload: &str) -> Option<&str> {
    const KEY: &str = r#","uid":""#;
    /// How far from the end it is looked for.
    const MAX_BYTES: usize = 256;
    let message = payload.trim_end_matches(' ').strip_suffix('}')?;
    let tail = &message[message.ceil_char_boundary(message.len().saturating_sub(MAX_BYTES))..];
    let (_, tail) = tail.rsplit_once(KEY)?;
    let (uid, rest) = tail.split_once('"')?;
    (!uid.contains('\\') && !rest.contains(['{', '}', '[', ']', '\\'])).then_some(uid)
}

/// The probable sender of a text that cannot be parsed, for the report of it.
pub fn probable_sender(payload: &str) -> Option<NodeId> {
    let at = payload.find(r#""uid":""#)? + r#""uid":""#.len();
    let (uid, _) = payload.get(at..)?.split_once('"')?;
    (uid.len() <= 64).then(|| uid.into())
}

/// Whether no other notification can have the same text: it ends with a nonce, as our writers put
/// it, with or without a reply channel behind it, or it is a [header](is_header).
pub fn is_unique(payload: &str) -> bool {
    let Some(payload) = payload.trim_end_matches(' ').strip_suffix(r#""}"#) else { return false };
    let without_last_value = |text| str::rsplit_once(text, r#"":""#).map(|(before, _)| before);
    without_last_value(payload).is_some_and(|before| {
        before.ends_with(r#","nonce"#)
            || before.ends_with(r#","attachmentId"#)
            || before
                .strip_suffix(r#"","replyTo"#)
                .and_then(without_last_value)
                .is_some_and(|before| before.ends_with(r#","nonce"#))
    })
}

/// Whether it is a header as it is written here, and by Node.js: it points to a row of the
/// attachments table.
pub fn is_header(payload: &str) -> bool {
    let last_key = payload.strip_suffix(r#""}"#).and_then(|text| text.rsplit_once(r#"":""#));
    last_key.is_some_and(|(before, _)| before.ends_with(r#","attachmentId"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_is_found_at_the_end_of_a_message_and_only_there() {
        for (payload, uid) in [
            (r#"{"type":3,"data":{"uid":"a"},"uid":"b","nsp":"/","source":"_sio_adapter"}"#, Some("b")),
            (r#"{"type":2,"uid":"a","uid":"b"}"#, Some("b")),
            (r#"{"type":2,"uid":"b"}  "#, Some("b")),
            // another's message with ours in its data
            (r#"{"uid":"a","type":3,"data":{"x":1,"uid":"b"}}"#, None),
            (r#"{"uid":"a","type":3,"data":[{"x":1,"uid":"b"}]}"#, None),
            (r#"{"uid":"a","type":3,"data":"x,\"uid\":\"b\""}"#, None),
            (r#"{"uid":"a","nsp":"/,\"uid\":\"b"}"#, None),
            (r#"{"type":2,"uid":"b\u0000","nsp":"/"}"#, None),
            (r#"{"uid":"b","type":2}"#, None),
            ("", None),
            ("}", None),
        ] {
            assert_eq!(last_uid(payload), uid, "{payload}");
        }
        let far = format!(r#"{{"type":2,"uid":"b","nsp":"/{}"}}"#, "é".repeat(400));
        assert_eq!(last_uid(&far), None);
    }

    #[test]
    fn a_message_ends_as_those_of_its_node_and_namespace_do() {
        let written = |uid: &str, nsp: &str| {
            let mut message = Message::new(uid.into(), nsp, Body::<Payload>::AdapterClose);
            message.relay = Relay::marked();
            message.to_json().expect("no application data")
        };
        let ending = Ending::of("a".into(), "/");
        assert!(is_marked(&written("a", "/")) && ending.is_of(&written("a", "/")));
        assert!(ending.is_of(&format!("{}   ", written("a", "/"))));
        assert!(is_marked(&written("b", "/")) && !ending.is_of(&written("b", "/")));
        assert!(!ending.is_of(&written("a", "/other")));
        assert!(!is_marked(r#"{"type":2,"uid":"a","nsp":"/"}"#));
    }

    #[test]
    fn only_a_nonce_or_an_attachment_makes_a_text_unique() {
        for unique in [
            r#"{"type":13,"uid":"a","nsp":"/","source":"_sio_adapter","nonce":"1f"}"#,
            r#"{"type":13,"uid":"a","nonce":"1f"}   "#,
            r#"{"type":9,"data":{},"uid":"a","nonce":"20","replyTo":"socket.io#/#1f"}"#,
            r#"{"uid":"a","type":3,"attachmentId":"17"}"#,
            r#"{"uid":"a","type":3,"nsp":"/","attachmentId":"18"}"#,
        ] {
            assert!(is_unique(unique), "{unique}");
        }
        for equal in [
            r#"{"type":2,"uid":"a","nsp":"/"}"#,
            r#"{"type":2,"uid":"a","nsp":"/","replyTo":"socket.io#/#1f"}"#,
            r#"{"type":3,"data":{"packet":{"data":["e",{"nonce":"1"}]}},"uid":"a","nsp":"/"}"#,
            r#"{"type":3,"data":{},"uid":"a","nsp":"nonce"}"#,
            "",
            "{}",
        ] {
            assert!(!is_unique(equal), "{equal}");
        }
    }

    #[test]
    fn only_what_ends_with_an_attachment_is_a_header() {
        assert!(is_header(r#"{"uid":"a","type":3,"attachmentId":"17"}"#));
        assert!(!is_header(r#"{"uid":"a","type":3,"data":{"attachmentId":"17"}}"#));
        assert!(!is_header(r#"{"type":2,"uid":"a","nonce":"1"}"#));
    }
}
