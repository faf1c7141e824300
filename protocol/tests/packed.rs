//! Packed messages: binary in notifications, where all nodes take it.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Instant;

use socketio_pg_protocol::{
    Body, DecodeErrorKind, Message, Notification, Payload, Relay, Value,
    budget::Budget,
    cluster::{Action, Config, NodeRules},
    message::{Broadcast, Packet, Selector},
    notification::Encoded,
};

fn binary(bytes: usize) -> Message {
    let data = Value::Array(vec!["chunk".into(), Value::Bin(vec![7; bytes])]);
    let broadcast = Broadcast { packet: Packet::event(Payload::Value(data)), request_id: None, opts: Selector::all() };
    let mut message = Message::new("8f42b1c09d5e7a36".into(), "/", Body::Broadcast(broadcast));
    message.relay = Relay::marked();
    message
}

fn packing() -> Budget {
    Budget::default().pack_binary(true)
}

#[test]
fn up_to_about_5900_bytes_of_binary_fit() {
    let is_inline = |bytes| matches!(binary(bytes).encode(packing()).unwrap(), Encoded::Inline(_));
    assert!([0, 1, 1024, 5850].into_iter().all(is_inline));
    assert!(![5950, 1 << 20].into_iter().any(is_inline));
}

#[test]
fn a_packed_message_ends_as_others_of_its_node_do() {
    let Encoded::Inline(payload) = binary(3).encode(packing()).unwrap() else { panic!("it is short") };
    assert!(payload.ends_with(r#"","uid":"8f42b1c09d5e7a36","nsp":"/","source":"_sio_adapter"}"#), "{payload}");
    assert!(!payload.contains(r#""type""#), "Node.js would take it for a message: {payload}");
}

#[test]
fn what_is_packed_wrong_is_refused_with_the_reason() {
    let kind = |packed: &str| {
        let payload = format!(r#"{{"packed":{packed},"uid":"a","nsp":"/"}}"#);
        Notification::decode(&payload).unwrap_err().kind()
    };
    assert_eq!(kind("17"), DecodeErrorKind::Base64);
    assert_eq!(kind(r#""gqR0e""#), DecodeErrorKind::Base64);
    assert_eq!(kind(r#""wQ==""#), DecodeErrorKind::MessagePack, "0xc1 is not used");
    assert_eq!(kind(r#""""#), DecodeErrorKind::MessagePack);
    assert_eq!(kind(r#""kA==""#), DecodeErrorKind::Shape, "an array");
    assert_eq!(kind(r#""gA==""#), DecodeErrorKind::Json, "no type");
    // {"type":3} without data
    assert_eq!(kind(r#""gaR0eXBlAw==""#), DecodeErrorKind::Shape);
}

#[test]
fn beside_a_type_or_an_attachment_it_is_an_unknown_key() {
    let read = |payload: &str| Notification::decode(payload).unwrap();
    let Notification::Inline(message) = read(r#"{"type":2,"packed":17,"uid":"a","nsp":"/"}"#) else { panic!() };
    assert_eq!(message.body, Body::Heartbeat);
    let Notification::Attachment(header) = read(r#"{"packed":"?","uid":"a","attachmentId":"5"}"#) else { panic!() };
    assert_eq!(header.attachment_id, 5);
}

#[test]
fn what_says_who_sent_it_is_read_outside_of_what_is_packed() {
    // {"type":2,"uid":"b","nsp":"/other"}
    let packed = "g6R0eXBlAqN1aWShYqNuc3CmL290aGVy";
    let payload = format!(r#"{{"packed":"{packed}","uid":"a","nsp":"/"}}"#);
    let Notification::Inline(message) = Notification::decode(&payload).unwrap() else { panic!() };
    assert_eq!(message, Message::new("a".into(), "/", Body::Heartbeat));
}

struct Node(NodeRules);

impl Node {
    fn joined(config: Config) -> Self {
        let mut rules = NodeRules::new("me".into(), "/", config);
        rules.join(Instant::now());
        assert_eq!(rules.poll_action(), Some(Action::Publish(Body::InitialHeartbeat)));
        Self(rules)
    }

    fn hear(&mut self, uid: &str, body: Body, takes_packed: bool) -> Vec<Action> {
        let mut message = Message::new(uid.into(), "/", body);
        message.takes_packed = takes_packed;
        self.0.handle(Instant::now(), message);
        std::iter::from_fn(|| self.0.poll_action()).collect()
    }
}

#[test]
fn binary_is_packed_while_every_other_node_says_that_it_takes_it() {
    let mut node = Node::joined(Config::default().packs_binary(true));
    assert!(node.0.packs_binary(), "alone");
    node.hear("a", Body::Heartbeat, true);
    assert!(node.0.packs_binary());

    let told = node.hear("node.js", Body::InitialHeartbeat, false);
    assert!(told.contains(&Action::NodeNeedsAttachments("node.js".into())), "{told:?}");
    assert!(!node.0.packs_binary());
    assert_eq!(node.hear("node.js", Body::Heartbeat, false), [], "told once");
    assert!(!node.0.packs_binary());

    node.hear("node.js", Body::AdapterClose, false);
    assert!(node.0.packs_binary(), "it has left");
}

#[test]
fn a_node_that_has_not_said_so_yet_gets_attachments_without_a_report() {
    let mut node = Node::joined(Config::default().packs_binary(true));
    let unknown = || Body::Unknown { kind: 99, data: None };
    assert_eq!(node.hear("a", unknown(), false), [Action::NodeJoined("a".into())]);
    assert!(!node.0.packs_binary());
    assert_eq!(node.hear("a", Body::Heartbeat, true), []);
    assert!(node.0.packs_binary());
    assert_eq!(node.hear("a", unknown(), false), [], "only heartbeats tell");
    assert!(node.0.packs_binary());
}

#[test]
fn an_emitter_is_not_asked() {
    let mut node = Node::joined(Config::default().packs_binary(true));
    node.hear("emitter", Body::Heartbeat, false);
    assert!(node.0.packs_binary());
}

#[test]
fn beyond_the_limit_of_nodes_there_may_be_one_that_needs_attachments() {
    let mut node = Node::joined(Config::default().packs_binary(true).max_nodes(1));
    node.hear("a", Body::Heartbeat, true);
    assert!(!node.0.packs_binary());
}

#[test]
fn a_node_that_does_not_pack_does_not_care() {
    let mut node = Node::joined(Config::default());
    assert_eq!(node.hear("a", Body::Heartbeat, false), [Action::NodeJoined("a".into())]);
    assert!(!node.0.packs_binary());
}
