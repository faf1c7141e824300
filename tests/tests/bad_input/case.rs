//! The input of a case, and the expected outcome.

use socketio_pg_core::{
    InvalidMessage,
    protocol::{DecodeErrorKind, Value, value::to_msgpack},
};

/// One line of a table.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sent: Vec<Sent>,
    pub(crate) outcome: Outcome,
    pub(crate) on_node: OnNode,
}

/// One input.
///
/// In payloads, `$uid` is the case's own sender, `$own` the uid of the server under test, `$client`
/// the id of its client's socket, and `$id` the id of an attachment with a valid event.
#[derive(Clone)]
pub(crate) enum Sent {
    /// The payload of a notification.
    Payload(String),
    /// A row of the attachments table, and the header that Node.js sends for it.
    Attachment(Option<Vec<u8>>),
}

/// The outcome on a Rust server. In every case the next message arrives, and the client stays
/// connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client gets an event.
    Delivered,
    /// Nothing happens, and nothing is reported.
    Ignored,
    /// The client gets nothing; the input is counted, and reported with its sender.
    Rejected(InvalidMessage),
}

/// The outcome on a Node.js server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnNode {
    /// Its clients get an event exactly when Rust's do.
    Agrees,
    /// Its clients get an event, and Rust's do not.
    Delivers,
    /// Its clients get nothing, and Rust's do.
    DoesNotDeliver,
    /// Its clients take it for an invalid packet and disconnect, or crash.
    LosesItsClients,
    /// It may pass on more than the client can show to the test.
    NotAsked,
}

pub(crate) const NOT_JSON: Outcome = undecodable(DecodeErrorKind::Json);
pub(crate) const NOT_MSGPACK: Outcome = undecodable(DecodeErrorKind::MessagePack);
pub(crate) const NOT_A_MESSAGE: Outcome = undecodable(DecodeErrorKind::Shape);
pub(crate) const TOO_DEEP: Outcome = undecodable(DecodeErrorKind::TooDeep);
pub(crate) const NO_ID: Outcome = undecodable(DecodeErrorKind::AttachmentId);
pub(crate) const LONG_ID: Outcome = undecodable(DecodeErrorKind::LongId);
pub(crate) const OF_ANOTHER: Outcome = Outcome::Rejected(InvalidMessage::AttachmentOfAnother);
pub(crate) const GONE: Outcome = Outcome::Rejected(InvalidMessage::AttachmentGone);
pub(crate) const NO_EVENT: Outcome = Outcome::Rejected(InvalidMessage::InvalidEvent);

const fn undecodable(kind: DecodeErrorKind) -> Outcome {
    Outcome::Rejected(InvalidMessage::Undecodable(kind))
}

/// The `data` of a valid broadcast.
pub(crate) const DATA: &str = r#"{"packet":{"type":2,"data":["case"]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;

/// A payload.
pub(crate) fn case(name: impl Into<String>, payload: impl Into<String>, outcome: Outcome) -> Case {
    Case { name: name.into(), sent: Vec::new(), outcome, on_node: OnNode::Agrees }.then(payload)
}

/// An attachment of these bytes.
pub(crate) fn row(name: impl Into<String>, bytes: impl Into<Option<Vec<u8>>>, outcome: Outcome) -> Case {
    let sent = vec![Sent::Attachment(bytes.into())];
    Case { name: name.into(), sent, outcome, on_node: OnNode::Agrees }
}

/// An attachment that is the MessagePack of a JSON text.
pub(crate) fn json_row(name: impl Into<String>, json: impl Into<String>, outcome: Outcome) -> Case {
    let name = name.into();
    let bytes = packed(&json.into().replace("$uid", &format!("{:?}", uid_of(&name))));
    row(name, bytes, outcome)
}

/// An attachment that was valid before it was changed.
pub(crate) fn mangled_row(name: impl Into<String>, mangle: impl FnOnce(&mut Vec<u8>), outcome: Outcome) -> Case {
    let mut case = json_row(name, message(3, DATA), outcome);
    if let Some(Sent::Attachment(Some(bytes))) = case.sent.first_mut() {
        mangle(bytes);
    }
    case
}

impl Case {
    /// The sender of the whole input of the case.
    pub(crate) fn uid(&self) -> String {
        uid_of(&self.name)
    }

    /// Sets what Node.js does differently.
    pub(crate) fn on_node(mut self, on_node: OnNode) -> Self {
        self.on_node = on_node;
        self
    }

    /// Sends another payload afterwards.
    pub(crate) fn then(mut self, payload: impl Into<String>) -> Self {
        self.sent.push(Sent::Payload(payload.into().replace("$uid", &format!("{:?}", self.uid()))));
        self
    }

    /// The sender, if the input names it.
    pub(crate) fn readable_sender(&self) -> Option<String> {
        let uid = self.uid();
        let is_readable = self.sent.iter().any(|sent| match sent {
            Sent::Payload(payload) => payload.contains(&format!(r#""uid":{uid:?}"#)),
            Sent::Attachment(_) => true,
        });
        is_readable.then_some(uid)
    }
}

/// A message of a type, with this `data`.
pub(crate) fn message(kind: impl std::fmt::Display, data: &str) -> String {
    format!(r#"{{"type":{kind},"data":{data},"uid":$uid,"nsp":"/"}}"#)
}

/// A broadcast with this `opts`.
pub(crate) fn opts(opts: &str) -> String {
    message(3, &format!(r#"{{"packet":{{"type":2,"data":["case"]}},"opts":{opts}}}"#))
}

/// A broadcast with this `packet`.
pub(crate) fn packet(packet: &str) -> String {
    message(3, &format!(r#"{{"packet":{packet},"opts":{{"rooms":[],"except":[],"flags":{{}}}}}}"#))
}

/// A broadcast with this `packet.data`.
pub(crate) fn event(data: &str) -> String {
    packet(&format!(r#"{{"type":2,"data":{data}}}"#))
}

fn uid_of(name: &str) -> String {
    format!("sender of {name}")
}

/// The MessagePack of a JSON text.
pub(crate) fn packed(json: &str) -> Vec<u8> {
    to_msgpack(&Value::from_json(json).unwrap()).unwrap()
}

/// A value, opened and closed this many times, around a 1.
pub(crate) fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}
