//! Nodes that see each other's sessions, and so need no heartbeats: the rules one by one, and in
//! clusters in which everything fails.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

#[path = "watch/world.rs"]
mod world;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use socketio_pg_protocol::{
    Body, Message, Payload, Relay, SessionId,
    cluster::{Action, Config, Look, NodeRules, Sighting, Sightings},
    message::Watch,
};

use self::world::{Event, World, event};

const SECOND: Duration = Duration::from_secs(1);

fn session(number: u64) -> SessionId {
    SessionId::new(number)
}

/// A node in session 0, and the time.
struct Node {
    rules: NodeRules,
    now: Instant,
}

impl Node {
    /// It has joined, knows node 1 in session 1, and has been doing so for long.
    fn settled() -> Self {
        Self::settled_with(Config::default().watches(true))
    }

    fn settled_with(config: Config) -> Self {
        let mut rules = NodeRules::new("me".into(), "/", config);
        let now = Instant::now();
        rules.join(now);
        let mut node = Self { rules, now };
        node.hear("1", Body::Heartbeat, Some(1));
        for _ in 0..12 {
            node.wait_and_look(5 * SECOND / 2, &[0, 1]);
        }
        assert!(node.rules.is_silent());
        node
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.rules.poll_action()).collect()
    }

    fn hear(&mut self, uid: &str, body: Body, watch: Option<u64>) -> Vec<Action> {
        self.hear_watch(uid, body, watch.map(|number| Watch { session: session(number), needs_heartbeats: false }))
    }

    fn hear_watch(&mut self, uid: &str, body: Body, watch: Option<Watch>) -> Vec<Action> {
        let mut message = Message::new(uid.into(), "/", body);
        message.watch = watch;
        self.rules.hear(self.now, &message);
        self.rules.handle_timeout(self.now);
        self.actions()
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.rules.handle_timeout(self.now);
        self.actions()
    }

    fn look(&mut self, seen: &[u64]) {
        let sessions = seen.iter().map(|number| (session(*number), self.now)).collect();
        self.rules.looked(self.now, &Look { asked: self.now, is_seen: seen.contains(&0), sessions });
    }

    fn wait_and_look(&mut self, time: Duration, seen: &[u64]) -> Vec<Action> {
        let actions = self.wait(time);
        self.look(seen);
        actions
    }
    /// Node 1 sends a heartbeat.
    fn hears_1(&mut self) {
        let mut message = Message::new("1".into(), "/", Body::<Payload>::Heartbeat);
        message.watch = Some(Watch { session: session(1), needs_heartbeats: false });
        self.rules.hear(self.now, &message);
    }

    fn needs(&self) -> bool {
        self.rules.watch(session(0)).unwrap().needs_heartbeats
    }
}

const HEARTBEAT: Action = Action::Publish(Body::Heartbeat);

#[test]
fn who_sees_all_and_is_seen_by_all_is_silent() {
    let mut node = Node::settled();
    for _ in 0..100 {
        assert_eq!(node.wait_and_look(5 * SECOND / 2, &[0, 1]), []);
    }
    assert_eq!(node.rules.server_count(), 2);
}

#[test]
fn a_node_whose_session_does_nothing_is_dropped_after_ten_seconds() {
    let mut node = Node::settled();
    let last = node.now;
    let (mut sent, mut left) = (0, None);
    for _ in 0..8 {
        node.now += 5 * SECOND / 4;
        node.rules.handle_timeout(node.now);
        let actions = node.actions();
        sent += actions.iter().filter(|action| **action == HEARTBEAT).count();
        if actions.contains(&Action::NodeLeft { node: "1".into(), closed: false }) {
            left = Some(node.now - last);
        }
        let sessions = [(session(0), node.now), (session(1), last)].into();
        node.rules.looked(node.now, &Look { asked: node.now, is_seen: true, sessions });
    }
    assert_eq!((left, sent), (Some(10 * SECOND), 2), "it asks for heartbeats before it drops the node, and after");
    // Perhaps it lives, and only this node could not see it.
    let actions = node.wait(6 * SECOND);
    assert_eq!((actions, node.rules.watch(session(0)).unwrap().needs_heartbeats), (vec![HEARTBEAT], true));
}

#[test]
fn who_has_long_seen_others_is_not_quiet_when_they_vanish() {
    let mut node = Node::settled();
    for _ in 0..100 {
        assert_eq!(node.wait_and_look(5 * SECOND / 2, &[0, 1]), []);
    }
    let mut sent = 0;
    // Its looks fail, and it drops the other: its heartbeats are how the other finds it again.
    for _ in 0..40 {
        sent += node.wait(SECOND).iter().filter(|action| **action == HEARTBEAT).count();
    }
    assert_eq!(node.rules.server_count(), 1);
    assert!(sent >= 7, "{sent} heartbeats in 40 s");
}

#[test]
fn an_interval_may_be_as_long_as_no_clock_goes() {
    let config = Config::default().heartbeat_interval(Duration::MAX / 2).heartbeat_timeout(Duration::MAX);
    let now = Instant::now();
    let mut node = Node { rules: NodeRules::new("me".into(), "/", config.watches(true)), now };
    node.rules.join(now);
    node.look(&[0]);
    assert_eq!(node.wait(SECOND), [Action::Publish(Body::InitialHeartbeat)]);
}

#[test]
fn a_node_that_cannot_be_seen_gets_heartbeats_and_asks_for_them() {
    for seen in [&[0_u64][..], &[1], &[]] {
        let mut node = Node::settled();
        node.look(seen);
        assert_eq!(node.wait(3 * SECOND), [], "{seen:?}");
        node.look(seen);
        assert_eq!(node.wait(SECOND), [HEARTBEAT], "{seen:?}");
        assert!(node.rules.watch(session(0)).unwrap().needs_heartbeats, "{seen:?}");
    }
}

#[test]
fn without_looks_there_are_heartbeats() {
    let mut node = Node::settled();
    let mut sent = 0;
    for _ in 0..30 {
        node.hear("1", Body::Heartbeat, Some(1));
        sent += node.wait(SECOND).iter().filter(|action| **action == HEARTBEAT).count();
    }
    assert_eq!(sent, 6);
}

#[test]
fn a_look_that_comes_too_late_replaces_no_heartbeat() {
    let mut node = Node::settled();
    node.now += 6 * SECOND;
    node.look(&[0, 1]);
    assert_eq!(node.wait(Duration::ZERO), [HEARTBEAT], "others may have dropped it");
}

#[test]
fn who_needs_heartbeats_gets_one_at_once() {
    let needs = Watch { session: session(1), needs_heartbeats: true };
    for (uid, watch) in [("1", Some(needs)), ("1", None), ("of Node.js", None), ("new", Some(needs))] {
        let mut node = Node::settled();
        let actions = node.hear_watch(uid, Body::Heartbeat, watch);
        assert!(actions.contains(&HEARTBEAT), "{uid}: {actions:?}");
        // And goes on getting them.
        node.look(&[0, 1]);
        node.hear_watch(uid, Body::Heartbeat, watch);
        let actions = node.wait(6 * SECOND);
        assert!(actions.contains(&HEARTBEAT), "{uid}: {actions:?}");
    }
    let mut node = Node::settled();
    let joined = node.hear("2", Body::Heartbeat, Some(2));
    assert_eq!(joined, [Action::NodeJoined("2".into())], "it needs none");
}

#[test]
fn what_nodes_said_before_this_one_was_disconnected_does_not_count() {
    let mut node = Node::settled();
    node.rules.join(node.now);
    let mut dropped = Vec::new();
    for _ in 0..5 {
        dropped.extend(node.wait_and_look(5 * SECOND / 2, &[0, 1]));
    }
    assert!(dropped.contains(&Action::NodeLeft { node: "1".into(), closed: false }), "{dropped:?}");
}

/// Node 1 is silent and seen, and ignores what is sent in its name.
#[test]
fn a_false_close_message_makes_it_ask_for_heartbeats_until_its_node_is_taken_back() {
    for timeout in [10, 30] {
        let config = Config::default().watches(true).heartbeat_timeout(timeout * SECOND);
        let mut node = Node::settled_with(config);
        node.rules.handle(node.now, Message::new("1".into(), "/", Body::AdapterClose));
        assert_eq!((node.rules.server_count(), node.actions().len()), (1, 1));
        let mut asks = 0;
        let closed = node.now;
        while node.now < closed + (timeout + 5) * SECOND {
            asks += node.wait_and_look(5 * SECOND / 2, &[0, 1]).iter().filter(|action| **action == HEARTBEAT).count();
            assert!(node.needs(), "what comes until then is a straggler");
        }
        assert!(asks >= 2, "{asks} heartbeats");
    }
}

#[test]
fn a_close_message_of_a_stranger_changes_nothing() {
    let mut node = Node::settled();
    for uid in ["stranger", "stranger", "emitter"] {
        assert_eq!(node.hear(uid, Body::AdapterClose, None), []);
        assert_eq!(node.wait_and_look(5 * SECOND / 2, &[0, 1]), []);
        assert!(!node.needs() && node.rules.is_silent());
    }
}

#[test]
fn a_failed_publication_makes_it_ask_for_heartbeats() {
    let mut node = Node::settled();
    node.rules.not_published(node.now);
    node.look(&[0, 1]);
    let actions = node.wait(6 * SECOND);
    assert_eq!((actions, node.rules.watch(session(0)).unwrap().needs_heartbeats), (vec![HEARTBEAT], true));
}

#[test]
fn nodes_that_are_not_remembered_may_need_heartbeats() {
    let config = Config::default().watches(true).max_nodes(0);
    let now = Instant::now();
    let mut node = Node { rules: NodeRules::new("me".into(), "/", config), now };
    node.rules.join(now);
    let mut sent = 0;
    for _ in 0..60 {
        sent += node.wait_and_look(SECOND, &[0]).iter().filter(|action| **action == HEARTBEAT).count();
        node.hear("1", Body::Heartbeat, None);
    }
    assert!(sent >= 10, "{sent}");
}

#[test]
fn without_the_option_a_look_does_nothing() {
    let now = Instant::now();
    let mut node = Node { rules: NodeRules::new("me".into(), "/", Config::default()), now };
    node.rules.join(now);
    node.hear("1", Body::Heartbeat, Some(1));
    assert_eq!(node.rules.watch(session(0)), None);
    for _ in 0..3 {
        node.wait_and_look(2 * SECOND, &[0, 1]);
    }
    assert!(!node.rules.is_silent());
}

#[test]
fn a_heartbeat_tells_the_session_before_the_uid() {
    let mut message = Message::new("a".into(), "/", Body::<Payload>::Heartbeat);
    message.relay = Relay::marked();
    for (needs_heartbeats, key) in [(false, ""), (true, r#","heartbeats":"needed""#)] {
        message.watch = Some(Watch { session: session(0xcafe), needs_heartbeats });
        let text = message.to_json().unwrap();
        let expected =
            format!(r#"{{"type":2,"session":"000000000000cafe"{key},"uid":"a","nsp":"/","source":"_sio_adapter"}}"#);
        assert_eq!(text, expected);
        assert_eq!(Message::from_json(&text).unwrap(), message);
    }
    for (other, watch) in [
        (r#"{"type":2,"session":7,"uid":"a","nsp":"/"}"#, None),
        (r#"{"type":2,"session":"7","uid":"a","nsp":"/"}"#, None),
        (r#"{"type":2,"heartbeats":"needed","uid":"a","nsp":"/"}"#, None),
        (r#"{"type":2,"session":"000000000000cafe","heartbeats":1,"uid":"a","nsp":"/"}"#, Some(false)),
    ] {
        let read = Message::from_json(other).unwrap().watch;
        let expected = watch.map(|needs_heartbeats| Watch { session: session(0xcafe), needs_heartbeats });
        assert_eq!(read, expected, "{other}");
    }
}

#[test]
fn only_a_time_that_changes_shows_that_a_session_lives() {
    let mut sightings = Sightings::default();
    let start = Instant::now() + 1000 * SECOND;
    let alive = |look: &Look| look.sessions.get(&session(1)).copied();
    let row = |changed, age| Sighting { session: session(1), changed, age };
    let look = sightings.look(start, session(0), [row(100, SECOND)]);
    assert_eq!(alive(&look), Some(start - SECOND));
    // The clock of the database went back by an hour: it has done nothing.
    let look = sightings.look(start + 3 * SECOND, session(0), [row(100, Duration::ZERO)]);
    assert_eq!(alive(&look), Some(start - SECOND));
    // It has done something, and the clock went forward by an hour.
    let look = sightings.look(start + 6 * SECOND, session(0), [row(200, 3600 * SECOND)]);
    assert_eq!(alive(&look), Some(start + 3 * SECOND));
    // A session that the server has not given up yet, and the one that took its place.
    let look =
        sightings.look(start + 9 * SECOND, session(0), [row(200, 5 * SECOND), row(300, SECOND), row(200, 5 * SECOND)]);
    assert_eq!(alive(&look), Some(start + 8 * SECOND));
    assert_eq!(alive(&sightings.look(start + 12 * SECOND, session(0), [])), None);
}

/// A session that the server has not given up (its link is half open), and the one that took its
/// place; then the process of both hangs.
#[test]
fn a_dead_node_with_a_stale_twin_session_does_not_stay_alive() {
    let mut sightings = Sightings::default();
    let start = Instant::now() + 1000 * SECOND;
    let row = |changed, age| Sighting { session: session(1), changed, age };
    // Old session: last did something at 100, which is 100 s ago. New session: at 190, 10 s ago.
    let mut alive = None;
    for look in 0..20_u32 {
        let at = start + look * SECOND * 5 / 2;
        let since = at - start;
        let seen = sightings.look(at, session(0), [row(100, 100 * SECOND + since), row(190, 10 * SECOND + since)]);
        alive = Some(at - seen.sessions[&session(1)]);
    }
    assert!(alive.unwrap() >= 50 * SECOND, "neither session did anything, and it counts as alive {alive:?} ago");
}

/// Looks fail for ever (a right is revoked, statement_timeout): the others do not know, and stay
/// silent.
#[test]
fn a_node_whose_looks_fail_asks_for_heartbeats_before_it_drops_others() {
    let mut node = Node::settled();
    let begun = node.now;
    let mut asked = false;
    for _ in 0..600 {
        for action in node.wait(SECOND / 10) {
            match action {
                Action::Publish(Body::Heartbeat) => {
                    asked |= node.needs();
                    // Peer 1 replies to who needs heartbeats, and to nobody else.
                    if node.needs() {
                        node.hears_1();
                    }
                }
                Action::NodeLeft { node: left, .. } => {
                    panic!("drops {left}, which lives, after {:?}; asked before: {asked}", node.now - begun)
                }
                _ => {}
            }
        }
    }
}

/// The application publishes all the time, so no heartbeat is ever due.
#[test]
fn a_node_that_publishes_all_the_time_still_asks_for_heartbeats() {
    let mut node = Node::settled();
    let begun = node.now;
    let mut said = false;
    for step in 0..400 {
        for action in node.wait(SECOND / 10) {
            if matches!(action, Action::Publish(Body::Heartbeat)) && node.needs() {
                said = true;
                node.hears_1();
            }
        }
        if said && step % 50 == 0 {
            node.hears_1();
        }
        if step % 10 == 0 {
            node.rules.published(node.now);
        }
        if step % 25 == 0 {
            // It does not see node 1 any more, for whatever reason.
            node.look(&[0]);
        }
    }
    assert!(
        said,
        "in {:?} it never told node 1 that it needs heartbeats; it knows {} nodes",
        node.now - begun,
        node.rules.server_count()
    );
    assert_eq!(node.rules.server_count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Whatever fails: healthy nodes know each other, dead ones are dropped in time, and when all is
    /// well again, nobody writes where nobody must.
    #[test]
    fn no_node_is_lost_and_rest_is_silent(seed: u64, events in prop::collection::vec(event(), 1..14)) {
        World::new(seed).live(&events);
    }
}

#[test]
fn a_cluster_of_nodes_that_watch_falls_silent_and_one_of_others_does_not() {
    let mut world = World::new(1);
    assert_eq!(world.live(&[]), 0);
    let mut world = World::new(1);
    assert!(world.live(&[Event::JoinOther { at: 10 }]) > 0);
}
