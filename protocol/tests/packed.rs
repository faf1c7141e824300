//! Packed messages: binary in notifications, where all nodes take it.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::{Duration, Instant};

use socketio_pg_protocol::{
    Body, DecodeErrorKind, Message, Notification, Payload, Relay, Value,
    budget::Budget,
    cluster::{Action, Config, NodeRules},
    message::{Broadcast, Packet, Selector, liveness},
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
    assert_eq!(kind(r#""gaR0eXBlAw==""#), DecodeErrorKind::Json);
}

/// As JavaScript and Python read it.
#[test]
fn bits_behind_the_last_byte_mean_nothing() {
    for packed in ["gaR0eXBlAg==", "gaR0eXBlAh=="] {
        let payload = format!(r#"{{"packed":"{packed}","uid":"a","nsp":"/"}}"#);
        let Notification::Inline(message) = Notification::decode(&payload).unwrap() else { panic!() };
        assert_eq!(message.body, Body::Heartbeat);
    }
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
    // {"type":2,"uid":"b","nsp":"/other"}, {"type":2,"uid":7}
    for packed in ["g6R0eXBlAqN1aWShYqNuc3CmL290aGVy", "gqR0eXBlAqN1aWQH"] {
        let payload = format!(r#"{{"data":{{"x":1}},"packed":"{packed}","uid":"a","nsp":"/"}}"#);
        let Notification::Inline(message) = Notification::decode(&payload).unwrap() else { panic!() };
        assert_eq!(message, Message::new("a".into(), "/", Body::Heartbeat));
    }
}

struct Node {
    rules: NodeRules,
    now: Instant,
}

const INTERVAL: Duration = liveness::HEARTBEAT_INTERVAL;
const TIMEOUT: Duration = liveness::HEARTBEAT_TIMEOUT;

impl Node {
    /// A node that has just joined.
    fn new(config: Config) -> Self {
        let (mut rules, now) = (NodeRules::new("me".into(), "/", config), Instant::now());
        rules.join(now);
        assert_eq!(rules.poll_action(), Some(Action::Publish(Body::InitialHeartbeat)));
        Self { rules, now }
    }

    /// A node that joined a while ago.
    fn joined() -> Self {
        let mut node = Self::new(packing_node());
        node.wait(INTERVAL);
        node
    }

    fn packs(&self) -> bool {
        self.rules.packs_binary(self.now)
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.rules.poll_action()).collect()
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.rules.handle_timeout(self.now);
        self.actions()
    }

    fn hear(&mut self, uid: &str, body: Body, takes_packed: bool) -> Vec<Action> {
        let mut message = Message::new(uid.into(), "/", body);
        message.takes_packed = takes_packed;
        self.rules.handle(self.now, message);
        self.actions()
    }

    /// Time passes, and these nodes are heard all the while.
    fn wait_beside(&mut self, uids: &[(&str, bool)], time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.wait(Duration::from_secs(1));
            uids.iter().for_each(|(uid, takes)| _ = self.hear(uid, Body::Heartbeat, *takes));
        }
    }
}

fn packing_node() -> Config {
    Config::default().packs_binary(true)
}

/// Every node responds to its 1 at once, so that it knows all of them soon.
#[test]
fn a_node_packs_nothing_for_an_interval_after_it_joined() {
    let mut node = Node::new(packing_node());
    assert!(!node.packs());
    node.now += INTERVAL - Duration::from_millis(1);
    assert!(!node.packs());
    node.now += Duration::from_millis(1);
    assert!(node.packs());
    node.rules.was_disconnected(node.now);
    assert!(!node.packs(), "it may have missed one that joined");
    node.now += INTERVAL;
    assert!(node.packs());
    node.rules.leave();
    assert!(!node.packs());
}

#[test]
fn binary_is_packed_while_every_other_node_says_that_it_takes_it() {
    let mut node = Node::joined();
    assert!(node.packs(), "alone");
    node.hear("a", Body::Heartbeat, true);
    assert!(node.packs());

    let told = node.hear("node.js", Body::InitialHeartbeat, false);
    assert!(told.contains(&Action::NodeNeedsAttachments("node.js".into())), "{told:?}");
    assert!(!node.packs());
    assert_eq!(node.hear("node.js", Body::Heartbeat, false), [], "told once");
    assert!(!node.packs());
}

/// Its close message can be forged: then it is heard again after a time-out.
#[test]
fn a_node_that_needed_attachments_may_still_be_there_for_two_time_outs() {
    let mut node = Node::joined();
    node.hear("node.js", Body::Heartbeat, false);
    let left = node.hear("node.js", Body::AdapterClose, false);
    assert_eq!(left, [Action::NodeLeft { node: "node.js".into(), closed: true }]);
    node.wait(2 * TIMEOUT - Duration::from_millis(1));
    assert!(!node.packs());
    node.wait(Duration::from_millis(1));
    assert!(node.packs());
}

/// Its event loop may have been blocked: then it reads what was sent meanwhile.
#[test]
fn a_silent_node_that_needed_attachments_may_go_on() {
    let mut node = Node::joined();
    node.hear("node.js", Body::Heartbeat, false);
    let left = node.wait(TIMEOUT);
    assert!(left.contains(&Action::NodeLeft { node: "node.js".into(), closed: false }), "{left:?}");
    node.wait(2 * TIMEOUT - Duration::from_millis(1));
    assert!(!node.packs());
    node.wait(Duration::from_millis(1));
    assert!(node.packs());
}

#[test]
fn a_node_that_takes_packed_messages_leaves_no_doubt_behind() {
    let mut node = Node::joined();
    node.hear("a", Body::Heartbeat, true);
    node.hear("a", Body::AdapterClose, false);
    assert!(node.packs());
    node.hear("b", Body::Heartbeat, true);
    node.wait(TIMEOUT);
    assert_eq!(node.rules.server_count(), 1);
    assert!(node.packs());
}

/// Anybody can write any uid.
#[test]
fn a_node_cannot_take_back_that_it_needs_attachments() {
    let mut node = Node::joined();
    node.hear("node.js", Body::Heartbeat, false);
    for takes_packed in [true, false, true] {
        assert_eq!(node.hear("node.js", Body::Heartbeat, takes_packed), []);
        assert!(!node.packs());
    }
    node.hear("a", Body::Heartbeat, true);
    let told = node.hear("a", Body::Heartbeat, false);
    assert_eq!(told, [Action::NodeNeedsAttachments("a".into())]);
    assert_eq!(node.hear("a", Body::Heartbeat, true), []);
}

#[test]
fn a_node_that_has_not_said_so_yet_gets_attachments_without_a_report() {
    let mut node = Node::joined();
    let unknown = || Body::Unknown { kind: 99, data: None };
    assert_eq!(node.hear("a", unknown(), false), [Action::NodeJoined("a".into())]);
    assert!(!node.packs());
    assert_eq!(node.hear("a", Body::Heartbeat, true), []);
    assert!(node.packs());
    assert_eq!(node.hear("a", unknown(), false), [], "only heartbeats tell");
    assert!(node.packs());
}

/// A node that publishes all the time sends no heartbeat by itself.
#[test]
fn a_busy_node_is_asked_once() {
    let mut node = Node::joined();
    let busy = || Body::Unknown { kind: 99, data: None };
    let mut asked = 0;
    for _ in 0..300 {
        node.hear("busy", busy(), false);
        let due = node.rules.next_timeout().unwrap();
        node.now = node.now.max(due.min(node.now + Duration::from_millis(100)));
        node.rules.handle_timeout(node.now);
        asked += node.actions().iter().filter(|it| **it == Action::Publish(Body::InitialHeartbeat)).count();
    }
    assert_eq!(asked, 1);
    assert!(!node.packs());
    node.hear("busy", Body::Heartbeat, true);
    assert!(node.packs());
}

#[test]
fn a_node_that_says_it_in_time_is_not_asked() {
    let mut node = Node::joined();
    node.hear("a", Body::Unknown { kind: 99, data: None }, false);
    node.hear("a", Body::Heartbeat, true);
    let done = node.wait(INTERVAL / 5);
    assert!(!done.contains(&Action::Publish(Body::InitialHeartbeat)), "{done:?}");
}

#[test]
fn an_emitter_is_not_asked() {
    let mut node = Node::joined();
    node.hear("emitter", Body::Heartbeat, false);
    node.hear("emitter", Body::Unknown { kind: 99, data: None }, false);
    assert!(node.packs());
    let done = node.wait(INTERVAL / 5);
    assert!(!done.contains(&Action::Publish(Body::InitialHeartbeat)), "{done:?}");
}

#[test]
fn beyond_the_limit_of_nodes_there_may_be_one_that_needs_attachments() {
    let mut node = Node::new(packing_node().max_nodes(1));
    node.wait_beside(&[("a", true)], 2 * INTERVAL);
    assert_eq!(node.rules.server_count(), 2);
    assert!(!node.packs());
}

#[test]
fn a_node_that_does_not_pack_does_not_care() {
    let mut node = Node::new(Config::default());
    node.wait(INTERVAL);
    assert_eq!(node.hear("a", Body::Heartbeat, false), [Action::NodeJoined("a".into())]);
    node.hear("b", Body::Unknown { kind: 99, data: None }, false);
    let done = node.wait(INTERVAL / 5);
    assert!(!done.contains(&Action::Publish(Body::InitialHeartbeat)), "{done:?}");
    assert!(!node.packs());
}
