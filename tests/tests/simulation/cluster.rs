//! One simulated cluster: its nodes, their operations, the faults, and the end.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use socketio_pg_core::{
    Emitter,
    testing::memory::{Determined, MemoryDatabase, WallClock},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::{
    backend::{Faults, NodeBackend},
    conditions::{Conditions, FaultLevel},
    invariants,
    node::{Client, Node, Running},
    operations::{self, Log, Target, Way, Weight, What},
    report::Report,
};

/// How long it must be quiet until all nodes know each other again: the heartbeat time-out, and
/// twice the longest pause before a reconnection.
const QUIET: Duration = Duration::from_secs(25);

/// The number of the first sender that is not a node.
const FIRST_EMITTER: usize = 1_000;

/// How large a cluster is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    /// 2 to 5 nodes.
    Small,
    /// 50 nodes.
    Large,
}

/// Simulates a cluster.
pub(crate) fn simulate(size: Size, seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut cluster = SimulatedCluster::new(size, seed, Determined::by(seed));
        cluster.live().await;
        cluster.end_faults().await;
        cluster.finish().await
    })
}

struct SimulatedCluster {
    size: Size,
    random: StdRng,
    determined: Determined,
    epoch: Instant,
    database: MemoryDatabase,
    conditions: Conditions,
    nodes: Vec<Node>,
    emitters: Vec<(mpsc::UnboundedSender<Order>, Arc<Faults>)>,
    /// How much each sender has sent.
    numbers: std::collections::BTreeMap<usize, u64>,
    log: Log,
    tasks: Vec<JoinHandle<()>>,
    broken: Arc<Mutex<Vec<String>>>,
    requests: u64,
}

/// An order to an emitter: the place in the log, the number, what to send and how large.
type Order = (usize, u64, What, Weight);

impl SimulatedCluster {
    fn new(size: Size, seed: u64, determined: Determined) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let conditions = Conditions::draw(&mut random);
        Self {
            size,
            random,
            determined,
            epoch: Instant::now(),
            database: MemoryDatabase::default(),
            conditions,
            nodes: Vec::new(),
            emitters: Vec::new(),
            numbers: Default::default(),
            log: Log::default(),
            tasks: Vec::new(),
            broken: Arc::default(),
            requests: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn broke(&self, promise: String) {
        self.broken.lock().push(promise);
    }

    fn alive(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.running.is_some()).map(|node| node.index).collect()
    }

    fn any_alive(&mut self) -> usize {
        let alive = self.alive();
        alive[self.random.random_range(0..alive.len())]
    }

    // ---- the life of the cluster ----

    async fn live(&mut self) {
        let (nodes, steps) = match self.size {
            Size::Small => (self.random.random_range(2..=5), 60),
            Size::Large => (50, 100),
        };
        for _ in 0..nodes {
            self.start_node().await;
        }
        if self.alive().len() < 2 {
            self.conditions.per_mille = 0;
            self.start_node().await;
            self.start_node().await;
        }
        for index in 0..2 {
            self.start_emitter(FIRST_EMITTER + index);
        }
        for _ in 0..steps {
            let pause = Duration::from_millis(self.random.random_range(0..400_u64));
            tokio::time::sleep(if self.chance(2) { 40 * pause } else { pause }).await;
            self.step().await;
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..52 => {
                let burst = if self.chance(20) { self.random.random_range(1..30) } else { 1 };
                let same = self.any_alive();
                for _ in 0..burst {
                    let (what, weight) = (self.what(), self.weight());
                    self.send(same, what, weight);
                }
            }
            52..62 => {
                let (what, weight) = (self.what(), self.weight());
                let emitter = self.random.random_range(0..self.emitters.len());
                self.emit(emitter, what, weight);
            }
            62..75 => self.ask(),
            75..78 if self.alive().len() > 2 => {
                let node = self.any_alive();
                if let Some(running) = self.nodes[node].end() {
                    self.tasks.push(tokio::spawn(async move { running.cluster.close().await }));
                }
            }
            78..81 if self.nodes.len() < 60 => self.start_node().await,
            81..96 => self.cause_fault(),
            96..100 if self.conditions.clocks_jump => self.set_clocks(),
            _ => {}
        }
    }

    fn cause_fault(&mut self) {
        match (self.conditions.fault_level, self.random.random_range(0..15)) {
            (FaultLevel::None, _) => {}
            (FaultLevel::Connections | FaultLevel::Database, 0..7) => {
                let node = self.any_alive();
                self.nodes[node].faults.break_session();
            }
            (FaultLevel::Connections | FaultLevel::Database, 7) => self.database.break_sessions(),
            (FaultLevel::Connections | FaultLevel::Database, 8..10) if self.alive().len() > 2 => {
                let node = self.any_alive();
                self.nodes[node].faults.kill();
                drop(self.nodes[node].end());
            }
            (FaultLevel::Database, 10..13) => {
                self.database.set_down(true);
                let away = Duration::from_millis(self.random.random_range(10..15_000));
                let database = self.database.clone();
                self.tasks.push(tokio::spawn(async move {
                    tokio::time::sleep(away).await;
                    database.set_down(false);
                }));
            }
            (FaultLevel::Database, 13) => self.database.crash(self.random.random_range(0..4)),
            _ => {}
        }
    }

    fn set_clocks(&mut self) {
        if self.chance(30) {
            self.database.set_clock(self.conditions.database_clock(&mut self.random));
        } else {
            let node = self.random.random_range(0..self.nodes.len());
            self.nodes[node].wall.set(self.conditions.node_clock(&mut self.random));
        }
    }

    async fn start_node(&mut self) {
        let index = self.nodes.len();
        let sockets = match self.size {
            Size::Small => self.random.random_range(1..=4),
            Size::Large => 1,
        };
        let mut clients = Vec::new();
        for number in 0..sockets {
            let sid = format!("node{index:0>4}sock{number:0>4}").parse().unwrap();
            let rooms = (0..3).filter(|_| self.random.random_range(0..2) == 0).map(|room| format!("room{room}"));
            clients.push(Client { sid, rooms: rooms.collect() });
        }
        let faults = Faults::new(self.random.random(), self.conditions.per_mille);
        let wall = WallClock::new();
        if self.conditions.clocks_jump {
            wall.set(self.conditions.node_clock(&mut self.random));
        }
        self.determined.next_clock(&wall);
        let watches = self.random.random_range(0..100) < self.conditions.watching;
        let options = self.conditions.options.clone().watch_sessions(watches);
        let starting = Node::start(index, self.epoch, &self.database, faults, options, clients, wall);
        // A node may fail to start while the database is away.
        if let Ok(node) = starting.await {
            self.nodes.push(node);
        }
    }

    fn start_emitter(&mut self, sender: usize) {
        let faults = Faults::new(self.random.random(), self.conditions.per_mille);
        let connection = NodeBackend::new(&self.database, faults.clone());
        let emitter = if self.is_stranger(sender) {
            Emitter::<NodeBackend>::default()
        } else {
            Emitter::<NodeBackend>::with_options(&self.conditions.options)
        };
        let outbox = (self.conditions.has_outbox && !self.is_stranger(sender)).then(|| self.database.clone());
        let (orders, mut queue) = mpsc::unbounded_channel::<Order>();
        let log = self.log.clone();
        tokio::spawn(async move {
            while let Some((entry, number, what, weight)) = queue.recv().await {
                let sent =
                    operations::carry_out_from_outside(&emitter, &connection, sender, number, &what, weight).await;
                let Some(outbox) = outbox.clone() else {
                    log.end(entry, sent);
                    continue;
                };
                let (log, row) = (log.clone(), outbox.rows_written());
                tokio::spawn(async move {
                    // All earlier ones are published before it.
                    while outbox.rows_published() < row {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    log.end(entry, sent);
                });
            }
        });
        self.emitters.push((orders, faults));
    }

    // ---- what is done ----

    fn weight(&mut self) -> Weight {
        match self.random.random_range(0..40) {
            0..20 => Weight::Small,
            20..29 => Weight::Large,
            29 => Weight::Huge,
            _ => Weight::Binary,
        }
    }

    fn is_logged(&self, sender: usize) -> bool {
        self.conditions.has_log && !self.is_stranger(sender)
    }

    fn is_stranger(&self, sender: usize) -> bool {
        self.conditions.has_stranger && sender == FIRST_EMITTER + 1
    }

    fn target(&mut self) -> Target {
        let mut target = Target::default();
        for room in 0..3 {
            match self.random.random_range(0..6) {
                0 | 1 => target.rooms.push(format!("room{room}")),
                2 => target.except.push(format!("room{room}")),
                _ => {}
            }
        }
        if self.chance(15) {
            let socket = self.any_socket();
            if self.chance(50) { target.rooms.push(socket) } else { target.except.push(socket) }
        }
        target
    }

    fn any_socket(&mut self) -> String {
        let node = self.random.random_range(0..self.nodes.len());
        let sockets = &self.nodes[node].sockets;
        sockets[self.random.random_range(0..sockets.len())].sid.to_string()
    }

    fn what(&mut self) -> What {
        match self.random.random_range(0..100) {
            0..30 => What::Event(self.target(), Way::Operators),
            30..45 => What::Event(self.target(), Way::Adapter),
            45..55 => What::Event(self.target(), Way::WithAck),
            55..70 => What::ToOwnRoom,
            70..78 => What::Join(self.target()),
            78..83 => What::Leave(self.target()),
            83..99 => What::ToServers,
            _ => What::Disconnect(Target { rooms: vec![self.any_socket()], except: Vec::new() }),
        }
    }

    fn number(&mut self, sender: usize) -> u64 {
        let number = self.numbers.entry(sender).or_default();
        *number += 1;
        *number
    }

    fn send(&mut self, node: usize, what: What, weight: Weight) {
        let Some(running) = self.nodes[node].running.clone() else { return };
        let number = self.number(node);
        let (log, entry) = (self.log.clone(), self.log.begin(node, number, what.clone(), self.is_logged(node)));
        // Tasks of this runtime begin in the order in which they are spawned.
        self.tasks.push(tokio::spawn(async move {
            let is_published = operations::carry_out(&running, node, number, &what, weight).await;
            log.end(entry, is_published);
        }));
    }

    fn emit(&mut self, emitter: usize, what: What, weight: Weight) {
        let sender = FIRST_EMITTER + emitter;
        let number = self.number(sender);
        let entry = self.log.begin(sender, number, what.clone(), self.is_logged(sender));
        let _ = self.emitters[emitter].0.send((entry, number, what, weight));
    }

    fn ask(&mut self) {
        let node = self.any_alive();
        let Some(running) = self.nodes[node].running.clone() else { return };
        let kind = self.random.random_range(0..3);
        self.requests += 1;
        let (number, broken) = (self.requests, self.broken.clone());
        self.tasks.push(tokio::spawn(async move {
            if let Some(wrong) = operations::ask(running, kind, number).await {
                broken.lock().push(format!("node {node}: {wrong}"));
            }
        }));
    }

    // ---- the end ----

    /// Ends all faults: then the nodes must find each other, and everything must work.
    async fn end_faults(&mut self) {
        self.database.set_down(false);
        let faults = self.nodes.iter().filter(|node| node.running.is_some()).map(|node| &node.faults);
        for faults in faults.chain(self.emitters.iter().map(|(_, faults)| faults)) {
            faults.stop();
        }
        tokio::time::sleep(QUIET).await;
        for task in std::mem::take(&mut self.tasks) {
            match tokio::time::timeout(QUIET, task).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => self.broke(format!("an operation panicked: {panic}")),
                Err(_) => self.broke("an operation did not end".to_owned()),
            }
        }
        self.database.set_down(false);
        tokio::time::sleep(QUIET).await;

        let alive = self.alive();
        for &node in &alive {
            let Some(running) = &self.nodes[node].running else { continue };
            let count = running.cluster.of("/").server_count();
            if count != alive.len() {
                self.broke(format!("node {node} counts {count} servers, {} live", alive.len()));
            }
        }
        for &node in &alive {
            self.send(node, What::Event(Target::default(), Way::Operators), Weight::Large);
            self.send(node, What::ToServers, Weight::Small);
        }
        for &node in alive.iter().take(3) {
            let Some(running) = self.nodes[node].running.clone() else { continue };
            self.check_requests(node, &running, alive.len()).await;
        }
        tokio::time::sleep(QUIET).await;
    }

    /// Without faults, every server responds and every socket is found.
    async fn check_requests(&self, node: usize, running: &Running, alive: usize) {
        let main = running.cluster.of("/");
        let mut there: Vec<String> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.running.is_some()) {
            let sockets = node.sockets.iter().filter(|client| node.received(client.sid).gone.is_none());
            there.extend(sockets.map(|client| client.sid.to_string()));
        }
        match main.fetch_sockets().await {
            Ok(sockets) => {
                let mut fetched: Vec<_> = sockets.iter().map(|socket| socket.id.as_str().to_owned()).collect();
                fetched.sort_unstable();
                there.sort_unstable();
                if fetched != there {
                    self.broke(format!("node {node} fetches {fetched:?}, there are {there:?}"));
                }
            }
            Err(error) => self.broke(format!("node {node} cannot fetch sockets: {error}")),
        }
        match main.server_side_emit_with_ack::<_, u64>("question", &7_u64).await {
            Ok(asking) => {
                let (answers, outcome) = asking.all().await;
                if answers.len() != alive - 1 || outcome.is_err() {
                    self.broke(format!("node {node} has {} answers of {alive}: {outcome:?}", answers.len()));
                }
            }
            Err(error) => self.broke(format!("node {node} cannot ask: {error}")),
        }
    }

    async fn finish(mut self) -> Report {
        let mut report = Report::default();
        report.shares.requests = self.requests;
        for node in self.nodes.iter().filter(|node| node.running.is_some()) {
            let Some(running) = &node.running else { continue };
            let health = running.cluster.health();
            let requests: usize = health.namespaces.iter().map(|namespace| namespace.requests).sum();
            let waiting = (health.publisher.waiting, health.inbox.waiting, health.inbox.bytes, requests);
            if waiting != (0, 0, 0, 0) || !health.is_ready() {
                self.broke(format!("node {} does not come to rest: {health:?}", node.index));
            }
        }
        for node in &self.nodes {
            let wrong = node.told.lock().wrong.clone();
            report.broken.extend(wrong.into_iter().map(|wrong| format!("node {}: {wrong}", node.index)));
        }
        let log = self.log.0.lock().clone();
        invariants::check(&self.nodes, &log, &self.conditions, &mut report);
        if self.database.outbox() > 0 {
            self.broke(format!("{} messages are left in the outbox", self.database.outbox()));
        }
        self.trace(&mut report);
        if self.conditions.is_swept {
            self.wait_for_sweeps().await;
        }
        self.leave().await;
        report.broken.extend(self.broken.lock().iter().cloned());
        report.of(&self.conditions)
    }

    fn trace(&self, report: &mut Report) {
        report.trace.push(format!("{:?}", self.conditions));
        let since = |time: Instant| time.duration_since(self.epoch);
        for node in &self.nodes {
            for client in &node.sockets {
                let received = node.received(client.sid);
                let got = received.got.iter().map(|(time, sender, number)| (since(*time), sender, number));
                report.trace.extend(got.map(|got| format!("{} {got:?}", client.sid)));
            }
            let got = node.server_side.lock().got.clone();
            let got = got.iter().map(|(time, sender, number)| (since(*time), sender, number));
            report.trace.extend(got.map(|got| format!("{} {got:?}", node.index)));
            report.trace.extend(node.told.lock().events.iter().map(|event| format!("{} {event}", node.index)));
        }
        for sent in self.log.0.lock().iter() {
            let ended = sent.ended.map(since);
            report.trace.push(format!(
                "{} {} {:?} {:?} {ended:?} {}",
                sent.sender,
                sent.number,
                sent.what,
                since(sent.began),
                sent.is_published
            ));
        }
    }

    /// Attachments are deleted when two intervals have passed in which a node could still fetch
    /// them.
    async fn wait_for_sweeps(&mut self) {
        self.database.set_clock(200_000);
        tokio::time::sleep(Duration::from_secs(3 * 90)).await;
        let attachments = self.database.attachments();
        if attachments > 0 {
            self.broke(format!("{attachments} attachments are left in their table"));
        }
    }

    /// Every second node closes, the others are only dropped: nothing of them may remain.
    async fn leave(&mut self) {
        let mut remains: Vec<(usize, Weak<_>)> = Vec::new();
        for node in &mut self.nodes {
            let Some(running) = node.end() else { continue };
            if node.index % 2 == 0 {
                running.cluster.close().await;
                let health = running.cluster.health();
                if !health.closed || !health.namespaces.is_empty() || health.publisher.waiting > 0 {
                    self.broken.lock().push(format!("node {} is closed, and has {health:?}", node.index));
                }
            }
            remains.push((node.index, Arc::downgrade(&running.adapter)));
        }
        self.emitters.clear();
        tokio::time::sleep(QUIET).await;
        for (node, adapter) in remains {
            if adapter.strong_count() > 0 {
                self.broke(format!("something still holds the adapter of node {node}"));
            }
        }
        let (tasks, sessions) =
            (tokio::runtime::Handle::current().metrics().num_alive_tasks(), self.database.sessions());
        if (tasks, sessions) != (0, 0) {
            self.broke(format!("{tasks} tasks and {sessions} sessions are left when everyone has gone"));
        }
    }
}
