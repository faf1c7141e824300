//! A cluster in steps of 100 ms: rules of nodes, a database that carries messages and knows
//! sessions, and what goes wrong.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use proptest::{prelude::*, test_runner::TestRng};
use socketio_pg_protocol::{
    Body, Message, NodeId, SessionId, Value,
    cluster::{Action, Config, NodeRules, Sighting, Sightings},
    message::ServerSideEmit,
};

const STEP: Duration = Duration::from_millis(100);

fn steps(seconds: u64) -> u64 {
    seconds * 10
}

/// A look comes twice in a heartbeat interval.
const LOOK_EVERY: u64 = 25;

/// After how long a session without an answer is given up.
const CHECK_TIMEOUT: u64 = 50;

/// By how many steps at most a message comes later that is published slowly.
const SLOW: u64 = 30;

/// How many steps the answer to a slow look takes.
const SLOW_LOOK: u64 = 20;

/// For how long after its close message a node is not taken for a member again, and the time in
/// which it is heard then: what follows a close message that is not true.
const CLOSED: u64 = 250;

/// The step in which faults end.
const END_OF_FAULTS: u64 = 600;

/// What happens to the cluster, in a step.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A node that watches joins; of another role when `role` is 1: nodes of the two do not see
    /// each other's sessions.
    Join { at: u64, role: u8 },
    /// A node joins that does not watch.
    JoinOther { at: u64 },
    /// The listening session breaks, and is opened again after some steps.
    Break { at: u64, node: usize, steps: u64 },
    /// It breaks, and neither side notices at once.
    HalfOpen { at: u64, node: usize },
    /// Nothing can be published for some steps.
    CannotPublish { at: u64, node: usize, steps: u64 },
    /// Looks fail for some steps.
    CannotLook { at: u64, node: usize, steps: u64 },
    /// The process stands still for some steps.
    Stop { at: u64, node: usize, steps: u64 },
    /// The process ends.
    Kill { at: u64, node: usize },
    /// The node leaves, while its process goes on.
    Leave { at: u64, node: usize },
    /// A close message in the name of a node that lives reaches the others.
    FalseClose { at: u64, node: usize },
    /// Answers to looks take two seconds for some steps.
    SlowLooks { at: u64, node: usize, steps: u64 },
    /// Between its looks the session does other things, such as LISTEN, so it is not seen.
    Hide { at: u64, node: usize, steps: u64 },
    /// What it publishes comes up to three seconds later for some steps.
    SlowPublish { at: u64, node: usize, steps: u64 },
    /// What it publishes is published, but it is told that it was not.
    FailsCommitted { at: u64, node: usize, steps: u64 },
    /// The application publishes something each second for some steps.
    Chat { at: u64, node: usize, steps: u64 },
    /// The database's clock jumps.
    Clock { at: u64, seconds: i64 },
}

pub(crate) fn event() -> BoxedStrategy<Event> {
    let at = || 0..END_OF_FAULTS;
    let node = || 0..5_usize;
    let steps = || prop_oneof![0..40_u64, 40..200_u64];
    prop_oneof![
        2 => (at(), 0..3_u8).prop_map(|(at, role)| Event::Join { at, role }),
        1 => at().prop_map(|at| Event::JoinOther { at }),
        3 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::Break { at, node, steps }),
        2 => (at(), node()).prop_map(|(at, node)| Event::HalfOpen { at, node }),
        3 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::CannotPublish { at, node, steps }),
        2 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::CannotLook { at, node, steps }),
        3 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::Stop { at, node, steps }),
        2 => (at(), node()).prop_map(|(at, node)| Event::Kill { at, node }),
        1 => (at(), node()).prop_map(|(at, node)| Event::Leave { at, node }),
        1 => (at(), node()).prop_map(|(at, node)| Event::FalseClose { at, node }),
        2 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::SlowLooks { at, node, steps }),
        2 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::Hide { at, node, steps }),
        2 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::SlowPublish { at, node, steps }),
        1 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::FailsCommitted { at, node, steps }),
        3 => (at(), node(), steps()).prop_map(|(at, node, steps)| Event::Chat { at, node, steps: 2 * steps }),
        1 => (at(), -100..100_i64).prop_map(|(at, seconds)| Event::Clock { at, seconds }),
    ]
    .boxed()
}

/// What an application publishes.
fn chat() -> ServerSideEmit {
    ServerSideEmit { request_id: None, packet: Value::Array(Vec::new()).into() }
}

struct Node {
    rules: NodeRules,
    /// `None`: it does not watch.
    session: Option<SessionId>,
    role: u8,
    sightings: Sightings,
    /// What the server knows of the session: when it last did something, with the name in it.
    changed: Option<i64>,
    /// Whether the latest statement of the session is not a look.
    is_hidden: bool,
    is_listening: bool,
    is_half_open: bool,
    /// Until when it has heard all that others published.
    heard_until: Instant,
    /// Whether the last publication failed.
    has_failed: bool,
    reconnects_at: u64,
    next_look: u64,
    look_since: Option<u64>,
    cannot_publish_until: u64,
    cannot_look_until: u64,
    slow_looks_until: u64,
    hidden_until: u64,
    slow_until: u64,
    fails_committed_until: u64,
    chats_until: u64,
    /// What looks showed that have not been answered yet.
    answers: VecDeque<(u64, Instant, Vec<Sighting>)>,
    /// When sessions last did something that the server has not given up yet.
    stale: Vec<i64>,
    stopped_until: u64,
    /// It is killed or has left.
    is_gone: bool,
    /// The process ended, or stands still, since this step.
    dead_since: Option<u64>,
    /// Since when nothing is wrong with it.
    healthy_since: u64,
    /// Messages on their way to it.
    coming: VecDeque<(u64, Message)>,
}

impl Node {
    fn is_running(&self, step: u64) -> bool {
        !self.is_gone && self.stopped_until <= step
    }
}

pub(crate) struct World {
    start: Instant,
    step: u64,
    /// The database's clock, in microseconds.
    clock: i64,
    nodes: Vec<Node>,
    random: TestRng,
    /// By how many steps a dead node may be noticed later, after what has happened.
    late: u64,
    published: u64,
    log: Vec<String>,
}

impl World {
    /// Three nodes that watch.
    pub(crate) fn new(seed: u64) -> Self {
        let seed: Vec<u8> = seed.to_le_bytes().repeat(4);
        let random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed);
        let mut world = Self {
            start: Instant::now() + Duration::from_secs(1000),
            step: 0,
            clock: 1_000_000_000,
            nodes: Vec::new(),
            random,
            late: 0,
            published: 0,
            log: Vec::new(),
        };
        for _ in 0..3 {
            world.join(true, 0);
        }
        world
    }

    fn now(&self) -> Instant {
        self.start + STEP * u32::try_from(self.step).unwrap()
    }

    fn note(&mut self, what: impl fmt::Display) {
        self.log.push(format!("{:5.1} s: {what}", self.step as f64 / 10.0));
    }

    fn join(&mut self, watches: bool, role: u8) {
        let number = self.nodes.len();
        let session = watches.then(|| SessionId::new(number as u64));
        let mut config = Config::default();
        config.watches = watches;
        let mut rules = NodeRules::new(NodeId::from(format!("node{number}")), "/", config);
        rules.join(self.now());
        let phase = self.random.random_range(0..LOOK_EVERY);
        self.nodes.push(Node {
            rules,
            session,
            role,
            sightings: Sightings::default(),
            changed: None,
            is_hidden: false,
            is_listening: true,
            is_half_open: false,
            heard_until: self.start + STEP * u32::try_from(self.step).unwrap(),
            has_failed: false,
            reconnects_at: 0,
            next_look: self.step + phase,
            look_since: None,
            cannot_publish_until: 0,
            cannot_look_until: 0,
            slow_looks_until: 0,
            hidden_until: 0,
            slow_until: 0,
            fails_committed_until: 0,
            chats_until: 0,
            answers: VecDeque::new(),
            stale: Vec::new(),
            stopped_until: 0,
            is_gone: false,
            dead_since: None,
            healthy_since: self.step,
            coming: VecDeque::new(),
        });
        self.note(format_args!("node{number} joins, watches: {watches}, role {role}"));
    }

    fn happens(&mut self, event: &Event) {
        let step = self.step;
        let (node, what): (usize, &dyn Fn(&mut Node)) = match event {
            Event::Join { role, .. } => return self.join(true, *role),
            Event::JoinOther { .. } => return self.join(false, 0),
            Event::Clock { seconds, .. } => {
                // A look between the two looks that show the time in which it jumped.
                self.late = self.late.max(LOOK_EVERY);
                self.clock += seconds * 1_000_000;
                return self.note(format_args!("{event:?}"));
            }
            Event::Break { node, steps, .. } => (*node, &move |node| {
                node.lose_session(step + steps);
            }),
            Event::HalfOpen { node, .. } => (*node, &|node| node.is_half_open = true),
            Event::CannotPublish { node, steps, .. } => (*node, &move |node| node.cannot_publish_until = step + steps),
            Event::SlowLooks { node, steps, .. } => (*node, &move |node| node.slow_looks_until = step + steps),
            Event::Hide { node, steps, .. } => (*node, &move |node| node.hidden_until = step + steps),
            Event::SlowPublish { node, steps, .. } => (*node, &move |node| node.slow_until = step + steps),
            Event::FailsCommitted { node, steps, .. } => {
                (*node, &move |node| node.fails_committed_until = step + steps)
            }
            Event::Chat { node, steps, .. } => (*node, &move |node| node.chats_until = step + steps),
            Event::CannotLook { node, steps, .. } => (*node, &move |node| node.cannot_look_until = step + steps),
            Event::Stop { node, steps, .. } => (*node, &move |node| {
                node.stopped_until = step + steps;
                node.dead_since = Some(step);
            }),
            Event::Kill { node, .. } => (*node, &move |node| {
                node.is_gone = true;
                node.dead_since = Some(step);
                node.changed = None;
                node.is_listening = false;
            }),
            // The others forget it, until they hear it again.
            Event::FalseClose { node, .. } => (*node, &move |node| {
                node.healthy_since = node.healthy_since.max(step + CLOSED);
            }),
            Event::Leave { node, .. } => (*node, &|node| {
                node.rules.leave();
            }),
        };
        if self.nodes.get(node).is_none_or(|node| !node.is_running(step)) {
            return;
        }
        self.note(format_args!("{event:?}"));
        if matches!(event, Event::SlowPublish { .. }) {
            self.late = self.late.max(SLOW);
        }
        what(&mut self.nodes[node]);
        if matches!(event, Event::FalseClose { .. }) {
            let message = Message::new(self.nodes[node].rules.uid().clone(), "/", Body::AdapterClose);
            self.carry(message, 0);
        }
        if matches!(event, Event::Leave { .. }) {
            self.perform(node);
            let node = &mut self.nodes[node];
            // Its process has other namespaces: the session lives on. When the close message could
            // not be published, the process gives its session another name.
            node.is_gone = true;
            if node.has_failed {
                node.dead_since = Some(step);
                node.session = None;
            }
        }
    }

    /// Lives through the events and some time more. Returns how many messages were published when
    /// all had been well for long.
    pub(crate) fn live(&mut self, events: &[Event]) -> u64 {
        let mut events: Vec<_> = events.iter().map(|event| (event.at(), event)).collect();
        events.sort_by_key(|(at, _)| *at);
        let mut events = VecDeque::from(events);
        let end = END_OF_FAULTS + steps(100);
        while self.step < end {
            while events.front().is_some_and(|(at, _)| *at <= self.step) {
                let (_, event) = events.pop_front().unwrap();
                self.happens(event);
            }
            if self.step == END_OF_FAULTS {
                for node in &mut self.nodes {
                    node.cannot_publish_until = 0;
                    node.cannot_look_until = 0;
                    node.slow_looks_until = 0;
                    node.hidden_until = 0;
                    node.slow_until = 0;
                    node.fails_committed_until = 0;
                    node.chats_until = 0;
                    node.stopped_until = node.stopped_until.min(self.step);
                }
            }
            if self.step == end - steps(30) {
                self.published = 0;
            }
            for index in 0..self.nodes.len() {
                self.advance(index);
            }
            self.check();
            self.step += 1;
            self.clock += 100_000;
        }
        let alive: Vec<&Node> = self.nodes.iter().filter(|node| !node.is_gone).collect();
        let all_watch = alive.iter().all(|node| node.session.is_some() && node.role == alive[0].role);
        assert!(
            !all_watch || self.published == 0,
            "{} messages were published at rest\n{}",
            self.published,
            self.log.join("\n")
        );
        self.published
    }

    /// One node lives through a step.
    fn advance(&mut self, index: usize) {
        let (step, now, clock) = (self.step, self.now(), self.clock);
        let node = &mut self.nodes[index];
        let is_sound = node.is_listening && !node.is_half_open;
        let is_well = is_sound && node.cannot_publish_until <= step;
        if !node.is_running(step) || !is_well || node.stopped_until == step {
            node.healthy_since = node.healthy_since.max(step);
        }
        if node.is_gone {
            // The process of a node that left goes on looking.
            if node.is_listening && step.is_multiple_of(LOOK_EVERY) {
                node.changed = Some(clock);
            }
            return;
        }
        if !node.is_running(step) {
            return;
        }
        node.dead_since = None;
        // As in the adapter: the clock has precedence over what has come.
        if node.rules.next_timeout().is_some_and(|next| next <= now) {
            // Who does not look asks the server when it has to know.
            if node.session.is_none() && node.is_listening && !node.is_half_open && node.rules.waits_for_proof() {
                node.heard_until = now;
            }
            node.rules.heard_all_until(node.heard_until);
            node.rules.handle_timeout(now);
            self.perform(index);
        }
        while let Some((_, message)) = self.nodes[index].coming.pop_front_if(|(at, _)| *at <= step) {
            // On a line that is half open it never comes.
            if !self.nodes[index].is_half_open {
                self.nodes[index].heard_until = now;
                let _ = self.nodes[index].rules.handle(now, message);
                self.perform(index);
            }
        }
        self.look(index);
        let node = &mut self.nodes[index];
        if node.chats_until > step && (step + index as u64).is_multiple_of(10) && node.cannot_publish_until <= step {
            node.rules.published(now);
            node.has_failed = false;
            self.send(index, Body::ServerSideEmit(chat()));
        }
        let node = &mut self.nodes[index];
        if !node.is_listening && node.reconnects_at <= step {
            node.is_listening = true;
            node.is_half_open = false;
            node.look_since = None;
            node.answers.clear();
            node.heard_until = now;
            node.rules.rejoin(now);
            self.note(format_args!("node{index} listens again"));
            self.perform(index);
        }
    }

    fn look(&mut self, index: usize) {
        let (step, now, clock) = (self.step, self.now(), self.clock);
        let node = &mut self.nodes[index];
        if let Some(since) = node.look_since {
            // It is under way, and no answer comes.
            if step >= since + CHECK_TIMEOUT {
                node.look_since = None;
                node.lose_session(step + 1);
            }
            return;
        }
        if let Some((_, asked, sightings)) = node.answers.pop_front_if(|(at, ..)| *at <= step) {
            node.heard_until = node.heard_until.max(asked);
            let look = node.sightings.look(asked, SessionId::new(index as u64), sightings);
            node.rules.looked(now, &look);
            self.perform(index);
        }
        let node = &mut self.nodes[index];
        if node.changed.is_some() && node.hidden_until > step && self.random.random_range(0..8) == 0 {
            node.is_hidden = true;
        }
        if step < node.next_look || !node.answers.is_empty() {
            return;
        }
        node.next_look = step + LOOK_EVERY;
        if !node.is_listening {
            return;
        }
        if node.is_half_open {
            node.look_since = Some(step);
            return;
        }
        if node.cannot_look_until > step || node.session.is_none() {
            return;
        }
        node.changed = (!node.has_failed).then_some(clock);
        node.is_hidden = false;
        let delay = if node.slow_looks_until > step { SLOW_LOOK } else { 0 };
        let role = node.role;
        let sightings = self.nodes.iter().filter(|node| role == 2 || node.role == role).flat_map(|node| {
            let latest = node.changed.filter(|_| !node.is_hidden);
            let times = node.stale.iter().copied().chain(latest);
            node.session.into_iter().flat_map(move |session| {
                times.clone().map(move |changed| {
                    let age = Duration::from_micros(u64::try_from(clock - changed).unwrap_or(0));
                    Sighting { session, changed, age }
                })
            })
        });
        let sightings: Vec<_> = sightings.collect();
        self.nodes[index].answers.push_back((step + delay, now, sightings));
        if delay == 0 {
            self.look(index);
        }
    }

    /// Does what a node's rules say.
    fn perform(&mut self, index: usize) {
        while let Some(action) = self.nodes[index].rules.poll_action() {
            match action {
                Action::Publish(body) => {
                    let node = &mut self.nodes[index];
                    node.has_failed = node.cannot_publish_until > self.step;
                    if node.has_failed {
                        node.rules.not_published(self.start + STEP * u32::try_from(self.step).unwrap());
                        continue;
                    }
                    let has_failed = node.fails_committed_until > self.step;
                    self.send(index, body);
                    if has_failed {
                        let now = self.now();
                        let node = &mut self.nodes[index];
                        node.has_failed = true;
                        node.rules.not_published(now);
                    }
                }
                Action::NodeLeft { .. } | Action::NodeJoined(_) => self.note(format_args!("node{index}: {action:?}")),
                _ => {}
            }
        }
    }

    /// A message of a node comes to all that listen.
    fn send(&mut self, index: usize, body: Body) {
        let node = &mut self.nodes[index];
        let mut message = Message::new(node.rules.uid().clone(), "/", body);
        message.watch =
            node.session.filter(|_| message.body.is_heartbeat()).and_then(|session| node.rules.watch(session));
        let slow = if node.slow_until > self.step { self.random.random_range(0..SLOW) } else { 0 };
        self.published += 1;
        self.carry(message, slow);
    }

    /// Brings a message to all that listen.
    fn carry(&mut self, message: Message, slow: u64) {
        for other in 0..self.nodes.len() {
            let delay = slow + self.random.random_range(0..3);
            let node = &mut self.nodes[other];
            if node.is_listening && !node.is_gone {
                let at = node.coming.back().map_or(0, |(at, _)| *at).max(self.step + delay);
                node.coming.push_back((at, message.clone()));
            }
        }
    }

    fn check(&self) {
        let is_healthy = |node: &Node| node.is_running(self.step) && node.healthy_since + steps(12) <= self.step;
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| is_healthy(node)) {
            for (other, peer) in self.nodes.iter().enumerate() {
                let knows = node.rules.nodes().any(|uid| uid == peer.rules.uid());
                let fail = |what: &str| -> ! {
                    let log = self.log.join("\n");
                    panic!("{:.1} s: node{index} {what} node{other}\n{log}", self.step as f64 / 10.0)
                };
                if index != other && is_healthy(peer) && !knows {
                    fail("does not know");
                }
                // The time-out, a look or a question that proves that nothing more is under way, and
                // when the rules look again.
                let limit = steps(10) + 6 + LOOK_EVERY + steps(1) / 2 + self.late;
                // Who was disconnected gives each a whole time-out.
                if knows && peer.dead_since.is_some_and(|since| since.max(node.healthy_since) + limit < self.step) {
                    fail("still knows the dead");
                }
                if knows && peer.is_gone && peer.dead_since.is_none() && node.healthy_since + limit < self.step {
                    let is_old = peer.coming.is_empty() || self.step > END_OF_FAULTS + limit;
                    if is_old && self.step > END_OF_FAULTS + limit {
                        fail("still knows one that left:");
                    }
                }
            }
        }
    }
}

impl Node {
    fn lose_session(&mut self, reconnects_at: u64) {
        if self.is_half_open {
            self.stale.extend(self.changed);
        }
        self.answers.clear();
        self.is_listening = false;
        self.is_half_open = false;
        self.changed = None;
        self.look_since = None;
        self.reconnects_at = reconnects_at;
        self.coming.clear();
    }
}

impl Event {
    fn at(&self) -> u64 {
        match self {
            Self::Join { at, .. }
            | Self::JoinOther { at }
            | Self::Break { at, .. }
            | Self::HalfOpen { at, .. }
            | Self::CannotPublish { at, .. }
            | Self::CannotLook { at, .. }
            | Self::Stop { at, .. }
            | Self::Kill { at, .. }
            | Self::Leave { at, .. }
            | Self::FalseClose { at, .. }
            | Self::SlowLooks { at, .. }
            | Self::Hide { at, .. }
            | Self::SlowPublish { at, .. }
            | Self::FailsCommitted { at, .. }
            | Self::Chat { at, .. }
            | Self::Clock { at, .. } => *at,
        }
    }
}
