//! The rules of a node, as Node.js's adapter has them.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::{Duration, Instant};

use socketio_pg_protocol::{
    Body, Message, NodeId, Payload, RequestId, SocketId,
    cluster::{Action, Config, LocalRequest, NodeRules, Outcome, Progress, Recipient},
    message::{
        Broadcast, BroadcastAck, BroadcastClientCount, FetchSockets, FetchSocketsResponse, Only, Packet, Selector,
        ServerSideEmitResponse, SocketDescription,
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn json(text: &str) -> Payload {
    Payload::from_json(text).unwrap()
}

/// A node `me` that has joined, and the time.
struct Node {
    cluster: NodeRules,
    now: Instant,
}

impl Node {
    fn joined() -> Self {
        let mut cluster = NodeRules::new("me".into(), "/", Config::default());
        let now = Instant::now();
        cluster.join(now);
        let mut node = Self { cluster, now };
        assert_eq!(node.actions(), [Action::Publish(Body::InitialHeartbeat)]);
        node
    }

    fn with_peers(peers: &[&str]) -> Self {
        let mut node = Self::joined();
        for peer in peers {
            assert_eq!(node.hear(peer, Body::Heartbeat), [Action::NodeJoined((*peer).into())]);
        }
        node
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.cluster.poll_action()).collect()
    }

    fn hear(&mut self, from: &str, body: Body) -> Vec<Action> {
        let request = self.cluster.handle(self.now, Message::new(from.into(), "/", body));
        assert_eq!(request, None, "a message for the rules");
        self.actions()
    }

    /// A message comes, and is queued behind others.
    fn arrive(&mut self, from: Option<&str>, body: Body) -> bool {
        let mut message = Message::new("".into(), "/", body);
        message.uid = from.map(NodeId::from);
        self.cluster.hear(self.now, &message)
    }

    fn handle_in_order(&mut self, message: Message) {
        let Recipient::Rules(body) = Recipient::from(message.body) else { panic!("a message for local sockets") };
        self.cluster.handle_in_order(message.uid, body);
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.cluster.handle_timeout(self.now);
        self.actions()
    }

    fn fetch_sockets(&mut self, id: &str) -> Vec<Action> {
        self.cluster.fetch_sockets(self.now, FetchSockets::new(Selector::all(), id.into()), 5 * SECOND);
        self.actions()
    }

    fn fetch_only(&mut self, id: &str, only: Only) -> Vec<Action> {
        let fetch = FetchSockets::new(Selector::all(), id.into()).only(only);
        self.cluster.fetch_sockets(self.now, fetch, 5 * SECOND);
        self.actions()
    }

    fn broadcast_with_ack(&mut self, id: &str) -> Vec<Action> {
        let packet = Packet::event(json(r#"["q"]"#));
        let broadcast = Broadcast { packet, request_id: Some(id.into()), opts: Selector::all() };
        self.cluster.broadcast_with_ack(self.now, broadcast, 2 * SECOND);
        self.actions()
    }
}

fn no_sockets(id: &str) -> Body {
    Body::FetchSocketsResponse(FetchSocketsResponse::full(id.into(), Vec::new()))
}

fn count(id: &str, client_count: u64) -> Body {
    Body::BroadcastClientCount(BroadcastClientCount { request_id: id.into(), client_count })
}

fn ack(id: &str, value: &str) -> Body {
    Body::BroadcastAck(BroadcastAck { request_id: id.into(), packet: Some(json(value)) })
}

fn completed(id: &str, missing_nodes: &[&str], missing_acks: u64) -> Action {
    let missing_nodes = missing_nodes.iter().map(|node| NodeId::from(*node)).collect();
    let mut outcome = Outcome::default();
    (outcome.missing_nodes, outcome.missing_acks) = (missing_nodes, missing_acks);
    Action::Completed { request: id.into(), outcome }
}

fn progress(id: &str, node: &str, progress: Progress) -> Action {
    Action::Progress { request: RequestId::from(id), node: Some(node.into()), progress }
}

#[test]
fn a_joining_node_is_answered() {
    let mut node = Node::joined();
    assert_eq!(
        node.hear("b", Body::InitialHeartbeat),
        [Action::NodeJoined("b".into()), Action::Publish(Body::Heartbeat)]
    );
    assert_eq!(node.cluster.server_count(), 2);
}

#[test]
fn any_message_proves_that_its_sender_lives() {
    let mut node = Node::joined();
    let unknown = Body::Unknown { kind: 99, data: None };
    assert_eq!(node.hear("b", unknown), [Action::NodeJoined("b".into())]);
    assert!(node.hear("c", no_sockets("not mine")).contains(&Action::NodeJoined("c".into())));
    assert_eq!(node.cluster.server_count(), 3);
}

#[test]
fn the_emitter_and_oneself_are_no_other_nodes() {
    let mut node = Node::joined();
    let event = Broadcast { packet: Packet::event(json("[1]")), request_id: None, opts: Selector::all() };
    let mut handle = |from: &str| {
        let message = Message::new(from.into(), "/", Body::Broadcast(event.clone()));
        node.cluster.handle(node.now, message)
    };
    assert_eq!(handle("emitter"), Some(LocalRequest::Broadcast(event.clone())));
    assert_eq!(handle("me"), None);
    assert_eq!(node.actions(), []);
    assert_eq!(node.cluster.server_count(), 1);
}

#[test]
fn a_message_of_another_namespace_is_ignored() {
    let mut node = Node::joined();
    node.cluster.handle(node.now, Message::new("b".into(), "/other", Body::InitialHeartbeat));
    assert_eq!(node.actions(), []);
}

#[test]
fn a_silent_node_is_dropped_after_ten_seconds() {
    let mut node = Node::with_peers(&["b", "c"]);
    assert_eq!(node.wait(4 * SECOND), []);
    assert_eq!(node.hear("c", Body::Heartbeat), []);
    let actions = node.wait(6 * SECOND);
    assert!(actions.contains(&Action::NodeLeft { node: "b".into(), closed: false }), "{actions:?}");
    assert_eq!(node.cluster.nodes().map(NodeId::as_str).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn who_hears_nobody_drops_nobody_until_it_hears_again() {
    let mut node = Node::with_peers(&["a"]);
    node.cluster.heard_all_until(node.now);
    for _ in 0..60 {
        node.wait(SECOND);
        let next = node.cluster.next_timeout().unwrap();
        assert!(next > node.now, "it does not wake up in vain");
    }
    assert_eq!(node.cluster.server_count(), 2);
    assert!(!node.fetch_sockets("r").contains(&completed("r", &[], 0)), "it asks who it knows");
    assert!(node.wait(5 * SECOND).contains(&completed("r", &["a"], 0)));
    // It has a whole time-out from then on.
    node.cluster.rejoin(node.now);
    node.cluster.heard_all_until(node.now + 60 * SECOND);
    node.wait(Duration::from_millis(9_999));
    assert_eq!(node.cluster.server_count(), 2);
    let left = node.wait(Duration::from_millis(1));
    assert!(left.contains(&Action::NodeLeft { node: "a".into(), closed: false }), "{left:?}");
}

#[test]
fn who_has_not_joined_is_not_announced_again() {
    let now = Instant::now();
    let mut rules = NodeRules::new("me".into(), "/", Config::default());
    rules.rejoin(now);
    assert_eq!(rules.poll_action(), None);
    rules.join(now);
    rules.leave();
    while rules.poll_action().is_some() {}
    rules.rejoin(now);
    assert_eq!(rules.poll_action(), None);
}

#[test]
fn a_node_whose_close_message_is_queued_is_not_silent_however_long_the_queue_is() {
    let mut node = Node::with_peers(&["b", "c"]);
    let close_message = Message::new("b".into(), "/", Body::AdapterClose);
    assert!(node.cluster.hear(node.now, &close_message));
    assert!(!node.cluster.hear(node.now, &close_message), "one is enough");
    let actions = node.wait(11 * SECOND);
    assert!(actions.contains(&Action::NodeLeft { node: "c".into(), closed: false }), "{actions:?}");
    assert_eq!(node.cluster.server_count(), 2);
    assert!(node.cluster.next_timeout().is_none_or(|next| next > node.now), "nothing is due for it");
    node.handle_in_order(close_message);
    assert_eq!(node.actions(), [Action::NodeLeft { node: "b".into(), closed: true }]);
}

#[test]
fn a_heartbeat_is_due_after_five_seconds_of_silence() {
    let mut node = Node::joined();
    assert_eq!(node.cluster.next_timeout(), Some(node.now + Duration::from_millis(5500)), "a little later will do");
    assert_eq!(node.wait(4 * SECOND), []);
    node.cluster.published(node.now);
    assert_eq!(node.wait(4 * SECOND), []);
    assert_eq!(node.wait(SECOND), [Action::Publish(Body::Heartbeat)]);
    assert_eq!(node.wait(5 * SECOND), [Action::Publish(Body::Heartbeat)]);
}

#[test]
fn a_heartbeat_that_was_not_published_comes_again_soon_and_never_at_once() {
    for mut node in [Node::joined(), Node::with_peers(&["b"])] {
        let mut heartbeats = 0;
        for _ in 0..1000 {
            // As a clock does that wakes when there is something to do, while publishing fails.
            let next = node.cluster.next_timeout().unwrap();
            node.now = node.now.max(next);
            node.cluster.handle_timeout(node.now);
            if node.actions().contains(&Action::Publish(Body::Heartbeat)) {
                heartbeats += 1;
                node.cluster.not_published(node.now);
                let pause = node.cluster.next_timeout().unwrap() - node.now;
                assert!(pause >= SECOND, "{pause:?}");
            }
        }
        assert!(heartbeats > 900, "{heartbeats}");
    }
    let mut node = Node::with_peers(&["b"]);
    assert_eq!(node.wait(5 * SECOND), [Action::Publish(Body::Heartbeat)]);
    node.cluster.not_published(node.now);
    assert_eq!(node.wait(SECOND), [Action::Publish(Body::Heartbeat)]);
    assert_eq!(node.wait(3 * SECOND), []);
}

#[test]
fn a_heartbeat_goes_along_with_others_when_it_is_due_soon() {
    let mut node = Node::with_peers(&["b"]);
    node.wait(2 * SECOND);
    node.cluster.heartbeat_along(node.now);
    assert_eq!(node.actions(), [], "it is not due soon");
    node.wait(SECOND);
    node.cluster.heartbeat_along(node.now);
    assert_eq!(node.actions(), [Action::Publish(Body::Heartbeat)]);
    assert_eq!(node.wait(4 * SECOND), []);
    node.cluster.leave();
    node.actions();
    node.wait(60 * SECOND);
    node.cluster.heartbeat_along(node.now);
    assert_eq!(node.actions(), [], "it is not there");
}

#[test]
fn who_has_long_been_alone_is_quiet_until_another_is_heard() {
    let mut node = Node::joined();
    for _ in 0..11 {
        assert_eq!(node.wait(5 * SECOND), [Action::Publish(Body::Heartbeat)]);
    }
    assert_eq!(node.wait(59 * SECOND), []);
    assert_eq!(node.wait(SECOND), [Action::Publish(Body::Heartbeat)]);
    assert_eq!(node.wait(50 * SECOND), []);
    assert_eq!(node.hear("b", Body::Heartbeat), [Action::NodeJoined("b".into())]);
    assert!(node.cluster.next_timeout() <= Some(node.now), "the other may not know of it");
    assert_eq!(node.wait(Duration::ZERO), [Action::Publish(Body::Heartbeat)]);
    node.hear("b", Body::AdapterClose);
    assert_eq!(node.wait(5 * SECOND), [Action::Publish(Body::Heartbeat)], "not yet long alone");
    assert_eq!(
        node.hear("c", Body::InitialHeartbeat),
        [Action::NodeJoined("c".into()), Action::Publish(Body::Heartbeat)]
    );
}

#[test]
fn the_slack_of_a_heartbeat_leaves_room_before_the_time_out() {
    let config = Config::default().heartbeat_interval(10 * SECOND).heartbeat_timeout(12 * SECOND);
    let mut node = Node { cluster: NodeRules::new("me".into(), "/", config), now: Instant::now() };
    node.cluster.join(node.now);
    assert_eq!(node.cluster.next_timeout(), Some(node.now + Duration::from_millis(10_500)));
}

#[test]
fn what_waits_for_its_turn_proves_at_once_that_its_sender_lives() {
    let mut node = Node::with_peers(&["b"]);
    for _ in 0..5 {
        node.wait(4 * SECOND);
        assert!(node.arrive(Some("b"), no_sockets("q")), "it is kept");
    }
    assert_eq!(node.cluster.server_count(), 2);
    // By the time it is handled, it does not prove any more that the node lives.
    node.wait(9 * SECOND);
    node.handle_in_order(Message::new("b".into(), "/", no_sockets("q")));
    assert_eq!(node.wait(SECOND), [Action::NodeLeft { node: "b".into(), closed: false }]);
}

#[test]
fn heartbeats_need_not_be_kept_and_newcomers_are_greeted_together() {
    let mut node = Node::joined();
    for name in ["b", "c"] {
        assert!(!node.arrive(Some(name), Body::InitialHeartbeat));
        assert!(!node.arrive(Some(name), Body::Heartbeat));
        assert_eq!(node.actions(), [Action::NodeJoined(name.into())]);
    }
    assert_eq!(node.cluster.next_timeout(), Some(node.now), "a newcomer waits for nothing");
    // What the node publishes otherwise may have been sent before they came.
    node.cluster.published(node.now);
    assert_eq!(node.wait(Duration::ZERO), [Action::Publish(Body::Heartbeat)]);
    assert_eq!(node.wait(Duration::ZERO), []);
}

#[test]
fn only_the_close_message_of_a_known_node_is_kept() {
    let mut node = Node::with_peers(&["b"]);
    assert!(!node.arrive(Some("x"), Body::AdapterClose));
    assert!(!node.arrive(None, Body::AdapterClose));
    assert!(!node.arrive(Some("me"), Body::AdapterClose));
    assert!(node.arrive(Some("b"), Body::AdapterClose));
    node.handle_in_order(Message::new("b".into(), "/", Body::AdapterClose));
    assert_eq!(node.actions(), [Action::NodeLeft { node: "b".into(), closed: true }]);
    assert_eq!(node.cluster.server_count(), 1);
}

#[test]
fn a_closing_node_is_forgotten_at_once() {
    let mut node = Node::with_peers(&["b"]);
    assert_eq!(node.hear("b", Body::AdapterClose), [Action::NodeLeft { node: "b".into(), closed: true }]);
    assert_eq!(node.hear("stranger", Body::AdapterClose), []);
    assert_eq!(node.cluster.server_count(), 1);
}

#[test]
fn alone_a_request_completes_at_once_and_publishes_nothing() {
    let mut node = Node::joined();
    assert_eq!(node.fetch_sockets("r"), [completed("r", &[], 0)]);
    node.cluster.server_side_emit_with_ack(node.now, "s".into(), json(r#"["e"]"#), SECOND);
    assert_eq!(node.actions(), [completed("s", &[], 0)]);
}

#[test]
fn a_request_waits_for_the_nodes_that_were_known() {
    let mut node = Node::with_peers(&["b", "c"]);
    assert!(matches!(node.fetch_sockets("r")[..], [Action::Publish(Body::FetchSockets(_))]));
    assert_eq!(node.hear("b", no_sockets("r")), [progress("r", "b", Progress::Sockets(Vec::new()))]);
    // d joined later: its response is taken, but the request does not wait for it.
    assert!(node.hear("d", no_sockets("r")).contains(&progress("r", "d", Progress::Sockets(Vec::new()))));
    assert_eq!(
        node.hear("c", no_sockets("r")),
        [progress("r", "c", Progress::Sockets(Vec::new())), completed("r", &[], 0)]
    );
    assert_eq!(node.hear("c", no_sockets("r")), [], "it has ended");
}

fn sockets(id: &str, ids: &[&str]) -> FetchSocketsResponse {
    let socket = |id: &&str| SocketDescription { id: (*id).into(), handshake: None, rooms: None, data: None };
    FetchSocketsResponse::full(id.into(), ids.iter().map(socket).collect())
}

fn ids(ids: &[&str]) -> Vec<SocketId> {
    ids.iter().map(|id| SocketId::from(*id)).collect()
}

#[test]
fn full_and_brief_answers_are_counted() {
    let mut node = Node::with_peers(&["b", "c", "d", "e"]);
    let asked = node.fetch_only("r", Only::Count);
    let [Action::Publish(Body::FetchSockets(fetch))] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(fetch.only, Some(Only::Count));
    let answer = Body::FetchSocketsResponse;
    let count = |node, count| progress("r", node, Progress::Count(count));
    assert_eq!(node.hear("b", answer(FetchSocketsResponse::of_count("r".into(), 7))), [count("b", 7)]);
    assert_eq!(node.hear("c", answer(sockets("r", &["1", "2"]))), [count("c", 2)]);
    // It tells more than it was asked for.
    assert_eq!(node.hear("d", answer(FetchSocketsResponse::of_ids("r".into(), ids(&["3"])))), [count("d", 1)]);
    let both = FetchSocketsResponse { ids: Some(ids(&["4"])), ..FetchSocketsResponse::of_count("r".into(), 5) };
    assert_eq!(node.hear("e", answer(both)), [count("e", 5), completed("r", &[], 0)]);

    // Sockets that are there are not lost, whatever stands beside them.
    node.fetch_only("s", Only::Count);
    let described = FetchSocketsResponse { count: Some(0), ids: Some(Vec::new()), ..sockets("s", &["5"]) };
    assert_eq!(node.hear("b", answer(described.clone())), [progress("s", "b", Progress::Count(1))]);
    node.fetch_only("t", Only::Ids);
    let described = FetchSocketsResponse { request_id: "t".into(), ..described };
    assert_eq!(node.hear("b", answer(described)), [progress("t", "b", Progress::Ids(ids(&["5"])))]);
}

#[test]
fn ids_are_taken_from_full_and_brief_answers() {
    let mut node = Node::with_peers(&["b", "c", "d", "e"]);
    node.fetch_only("r", Only::Ids);
    let answer = Body::FetchSocketsResponse;
    let told = |node, told: &[&str]| progress("r", node, Progress::Ids(ids(told)));
    let brief = FetchSocketsResponse::of_ids("r".into(), ids(&["1", "2"]));
    assert_eq!(node.hear("b", answer(brief)), [told("b", &["1", "2"])]);
    assert_eq!(node.hear("c", answer(sockets("r", &["3"]))), [told("c", &["3"])]);
    assert_eq!(node.hear("d", answer(FetchSocketsResponse::of_count("r".into(), 0))), [told("d", &[])]);
    // It does not tell which ones, so it has not answered.
    assert_eq!(node.hear("e", answer(FetchSocketsResponse::of_count("r".into(), 1))), []);
    assert!(node.wait(5 * SECOND).contains(&completed("r", &["e"], 0)));
}

#[test]
fn a_brief_answer_to_a_full_question_leaves_the_node_missing() {
    let mut node = Node::with_peers(&["b", "c", "d"]);
    node.fetch_sockets("r");
    let answer = Body::FetchSocketsResponse;
    assert_eq!(node.hear("b", answer(FetchSocketsResponse::of_count("r".into(), 1))), []);
    assert_eq!(node.hear("c", answer(FetchSocketsResponse::of_ids("r".into(), ids(&["1"])))), []);
    // It has none, however it says so.
    let none = progress("r", "d", Progress::Sockets(Vec::new()));
    assert_eq!(node.hear("d", answer(FetchSocketsResponse::of_count("r".into(), 0))), [none]);
}

#[test]
fn a_node_is_counted_once() {
    let mut node = Node::with_peers(&["b", "c"]);
    node.fetch_only("r", Only::Count);
    let many = || Body::FetchSocketsResponse(FetchSocketsResponse::of_count("r".into(), 3));
    assert_eq!(node.hear("b", many()), [progress("r", "b", Progress::Count(3))]);
    assert_eq!(node.hear("b", many()), [], "an echo");
    let nameless = Message { uid: None, ..Message::new("b".into(), "/", many()) };
    assert!(node.cluster.handle(node.now, nameless).is_none());
    assert_eq!(node.actions(), [], "it may be of any node");
    assert!(node.hear("c", Body::AdapterClose).contains(&completed("r", &[], 0)), "one that left is not missing");
}

#[test]
fn a_request_tells_who_did_not_answer() {
    let mut node = Node::with_peers(&["b", "c"]);
    node.fetch_sockets("r");
    node.hear("b", no_sockets("r"));
    let actions = node.wait(5 * SECOND);
    assert!(actions.contains(&completed("r", &["c"], 0)), "{actions:?}");
    assert_eq!(node.cluster.waiting_requests(), 0);
}

#[test]
fn a_dead_node_is_no_longer_waited_for() {
    let mut node = Node::with_peers(&["b", "c"]);
    node.wait(4 * SECOND);
    node.hear("c", Body::Heartbeat);
    node.cluster.fetch_sockets(node.now, FetchSockets::new(Selector::all(), "r".into()), 60 * SECOND);
    node.actions();
    node.hear("c", no_sockets("r"));
    let actions = node.wait(6 * SECOND);
    let left = Action::NodeLeft { node: "b".into(), closed: false };
    assert!(actions.contains(&completed("r", &[], 0)) && actions.contains(&left), "{actions:?}");
}

#[test]
fn a_node_that_closes_is_no_longer_waited_for() {
    let mut node = Node::with_peers(&["b"]);
    node.cluster.server_side_emit_with_ack(node.now, "s".into(), json(r#"["e"]"#), SECOND);
    node.actions();
    assert_eq!(
        node.hear("b", Body::AdapterClose),
        [completed("s", &[], 0), Action::NodeLeft { node: "b".into(), closed: true }]
    );
}

#[test]
fn an_ack_may_come_before_its_nodes_count() {
    let mut node = Node::with_peers(&["b", "c"]);
    assert!(matches!(node.broadcast_with_ack("r")[..], [Action::Publish(Body::Broadcast(_))]));
    assert_eq!(node.hear("b", ack("r", "1")), [progress("r", "b", Progress::Ack(Some(json("1"))))]);
    assert_eq!(node.hear("c", count("r", 0)), [progress("r", "c", Progress::ClientCount(0))]);
    assert_eq!(node.hear("b", count("r", 2)), [progress("r", "b", Progress::ClientCount(2))]);
    assert_eq!(
        node.hear("b", ack("r", "2")),
        [progress("r", "b", Progress::Ack(Some(json("2")))), completed("r", &[], 0)]
    );
}

#[test]
fn acks_that_do_not_come_are_counted() {
    let mut node = Node::with_peers(&["b", "c", "d"]);
    node.broadcast_with_ack("r");
    node.hear("b", count("r", 3));
    node.hear("b", ack("r", "1"));
    node.hear("c", count("r", 1));
    node.hear("c", ack("r", "1"));
    assert_eq!(node.wait(2 * SECOND), [completed("r", &["d"], 2)]);
}

#[test]
fn the_acks_of_a_node_that_left_are_not_missing() {
    let mut node = Node::with_peers(&["b", "c"]);
    node.broadcast_with_ack("r");
    node.hear("b", count("r", 3));
    node.hear("c", count("r", 1));
    node.hear("c", ack("r", "1"));
    assert!(node.hear("b", Body::AdapterClose).contains(&completed("r", &[], 0)));
}

#[test]
fn a_count_that_comes_twice_counts_once() {
    let mut node = Node::with_peers(&["b"]);
    node.broadcast_with_ack("r");
    node.hear("b", count("r", 1));
    assert_eq!(node.hear("b", count("r", 7)), []);
    assert!(node.hear("b", ack("r", "1")).contains(&completed("r", &[], 0)));
}

#[test]
fn an_acknowledged_broadcast_is_published_even_when_alone() {
    let mut node = Node::joined();
    assert!(matches!(
        node.broadcast_with_ack("r")[..],
        [Action::Publish(Body::Broadcast(_)), Action::Completed { .. }]
    ));
}

#[test]
fn an_answer_of_another_kind_is_ignored() {
    let mut node = Node::with_peers(&["b"]);
    node.fetch_sockets("r");
    assert_eq!(node.hear("b", count("r", 1)), []);
    assert_eq!(node.hear("b", ack("r", "1")), []);
    let answer = ServerSideEmitResponse { request_id: "r".into(), packet: None };
    assert_eq!(node.hear("b", Body::ServerSideEmitResponse(answer)), []);
    assert_eq!(node.cluster.waiting_requests(), 1);
}

#[test]
fn server_side_answers_arrive() {
    let mut node = Node::with_peers(&["b"]);
    node.cluster.server_side_emit_with_ack(node.now, "s".into(), json(r#"["e"]"#), SECOND);
    node.actions();
    let response = ServerSideEmitResponse { request_id: "s".into(), packet: None };
    assert_eq!(
        node.hear("b", Body::ServerSideEmitResponse(response)),
        [progress("s", "b", Progress::Response(None)), completed("s", &[], 0)]
    );
}

#[test]
fn a_cancelled_request_says_no_more() {
    let mut node = Node::with_peers(&["b"]);
    node.fetch_sockets("r");
    node.cluster.cancel(&"r".into());
    assert_eq!(node.hear("b", no_sockets("r")), []);
    assert!(!node.wait(5 * SECOND).iter().any(|action| matches!(action, Action::Completed { .. })));
}

#[test]
fn forged_senders_do_not_fill_the_memory() {
    let config = Config::default().max_nodes(2);
    let mut node = Node { cluster: NodeRules::new("me".into(), "/", config), now: Instant::now() };
    node.hear("a", Body::Heartbeat);
    node.hear("b", Body::Heartbeat);
    assert_eq!(node.hear("c", Body::Heartbeat), [Action::TooManyNodes("c".into())]);
    assert_eq!(node.hear("a", Body::Heartbeat), []);
    assert_eq!(node.cluster.server_count(), 3);
}

#[test]
fn leaving_ends_all_requests_and_sends_the_close_message() {
    let mut node = Node::with_peers(&["b"]);
    node.fetch_sockets("r");
    node.cluster.leave();
    assert_eq!(node.actions(), [completed("r", &["b"], 0), Action::Publish(Body::AdapterClose)]);
    assert_eq!(node.wait(5 * SECOND), [], "no heartbeat any more");
}

#[test]
fn who_cannot_be_remembered_is_not_waited_for() {
    let config = Config::default().max_nodes(1);
    let mut node = Node { cluster: NodeRules::new("me".into(), "/", config), now: Instant::now() };
    node.hear("b", Body::Heartbeat);
    node.broadcast_with_ack("r");
    let stranger = Action::TooManyNodes("c".into());
    assert_eq!(node.hear("c", ack("r", "1")), [stranger.clone(), progress("r", "c", Progress::Ack(Some(json("1"))))]);
    assert_eq!(node.hear("c", count("r", 7)), [stranger]);
    assert!(node.hear("b", count("r", 0)).contains(&completed("r", &[], 0)));
}

#[test]
fn a_node_that_is_not_there_answers_nothing() {
    let mut node = Node { cluster: NodeRules::new("me".into(), "/", Config::default()), now: Instant::now() };
    assert_eq!(node.hear("b", Body::InitialHeartbeat), [Action::NodeJoined("b".into())]);
    node.cluster.join(node.now);
    node.actions();
    assert_eq!(node.hear("b", Body::InitialHeartbeat), [Action::Publish(Body::Heartbeat)]);
    node.cluster.leave();
    node.actions();
    assert_eq!(node.hear("b", Body::InitialHeartbeat), []);
    assert_eq!(node.wait(5 * SECOND), [], "no heartbeat either");
}

#[test]
fn a_request_may_wait_as_long_as_no_clock_goes() {
    let mut node = Node::with_peers(&["a"]);
    node.cluster.fetch_sockets(node.now, FetchSockets::new(Selector::all(), "r".into()), Duration::MAX);
    assert_eq!(node.actions().len(), 1);
    assert_eq!(node.hear("a", no_sockets("r")).pop(), Some(completed("r", &[], 0)));

    let config = Config::default().heartbeat_interval(Duration::MAX).heartbeat_timeout(Duration::MAX);
    let mut silent = NodeRules::new("me".into(), "/", config);
    silent.join(node.now);
    silent.handle(node.now, Message::new("a".into(), "/", Body::Heartbeat));
    silent.handle_timeout(node.now + 1000 * SECOND);
    assert_eq!(silent.server_count(), 2, "a node that is waited for without end is never dead");
}

#[test]
fn a_node_that_left_is_not_revived_by_its_stragglers() {
    let mut node = Node::with_peers(&["a", "b"]);
    node.hear("b", Body::AdapterClose);
    for _ in 0..9 {
        assert_eq!(node.hear("b", Body::Heartbeat), []);
        assert_eq!(node.hear("b", no_sockets("of another")), []);
        node.wait(SECOND);
        node.hear("a", Body::Heartbeat);
        assert_eq!(node.cluster.server_count(), 2);
    }
    node.fetch_sockets("r");
    assert_eq!(node.hear("a", no_sockets("r")).last(), Some(&completed("r", &[], 0)), "no request waits for b");
}

#[test]
fn a_close_message_may_overtake_everything_that_its_node_sent() {
    let mut node = Node::joined();
    assert_eq!(node.hear("b", Body::AdapterClose), []);
    assert_eq!(node.hear("b", Body::Heartbeat), []);
    assert_eq!(node.cluster.server_count(), 1);
}

#[test]
fn a_node_that_still_sends_long_after_its_close_message_is_known() {
    let mut node = Node::with_peers(&["b"]);
    node.hear("b", Body::AdapterClose);
    node.wait(9 * SECOND);
    assert_eq!(node.hear("b", Body::Heartbeat), [], "that does not make it longer");
    node.wait(SECOND);
    assert_eq!(node.hear("b", Body::Heartbeat), [Action::NodeJoined("b".into())]);
}

#[test]
fn stragglers_that_arrive_before_the_close_message_is_handled_are_not_a_newcomer() {
    let mut node = Node::with_peers(&["b"]);
    let close_message = Message::new("b".into(), "/", Body::AdapterClose);
    assert!(node.cluster.hear(node.now, &close_message));
    node.arrive(Some("b"), Body::Heartbeat);
    node.handle_in_order(close_message);
    assert_eq!(node.actions(), [Action::NodeLeft { node: "b".into(), closed: true }]);
    node.arrive(Some("b"), Body::Heartbeat);
    assert_eq!(node.actions(), []);
    assert_eq!(node.cluster.server_count(), 1);
}

#[test]
fn forged_close_messages_do_not_fill_the_memory() {
    let config = Config::default().max_nodes(2);
    let mut node = Node { cluster: NodeRules::new("me".into(), "/", config), now: Instant::now() };
    for uid in ["a", "b", "c"] {
        node.hear(uid, Body::AdapterClose);
    }
    assert_eq!(node.hear("a", Body::Heartbeat), [Action::NodeJoined("a".into())], "the oldest is forgotten");
    assert_eq!(node.hear("b", Body::Heartbeat), []);
    assert_eq!(node.hear("c", Body::Heartbeat), []);
}
