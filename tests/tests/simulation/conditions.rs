//! The conditions in a simulated cluster: faults, log, clocks and queues. They follow from its
//! seed.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};
use socketio_pg_core::{CatchUp, Options, Outbox};

/// Whether some clusters have small publish queues. They must keep order too.
const SMALL_QUEUES: bool = true;

/// Which faults occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultLevel {
    /// None: servers only start and stop.
    None,
    /// Listening sessions break, servers are killed.
    Connections,
    /// The database goes away and crashes, and every call to it may fail.
    Database,
}

#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    pub(crate) fault_level: FaultLevel,
    /// How often a statement fails, in thousandths.
    pub(crate) per_mille: u32,
    /// Whether wall clocks differ and jump, on the nodes and in the database.
    pub(crate) clocks_jump: bool,
    /// Whether the second emitter knows of no log and no outbox, though all others do.
    pub(crate) has_stranger: bool,
    /// Whether the run waits until the attachments table is empty.
    pub(crate) is_swept: bool,
    pub(crate) options: Options,
    pub(crate) has_log: bool,
    /// Whether emitters write into the outbox.
    pub(crate) has_outbox: bool,
    /// How many servers in a hundred look at the sessions of the others.
    pub(crate) watching: u32,
}

impl Conditions {
    pub(crate) fn draw(random: &mut StdRng) -> Self {
        let fault_level = match random.random_range(0..100) {
            0..35 => FaultLevel::None,
            35..70 => FaultLevel::Connections,
            _ => FaultLevel::Database,
        };
        let per_mille = if fault_level == FaultLevel::Database { [0, 5, 30][random.random_range(0..3)] } else { 0 };
        let mut options = Options::default()
            // Mostly small, because large messages make the simulation slow.
            .payload_threshold(if random.random_range(0..10) == 0 { 8_000 } else { 300 })
            .cleanup_interval(Duration::from_secs(random.random_range(30..90)));
        if SMALL_QUEUES && random.random_range(0..4) == 0 {
            options = options.publish_queue(4);
        }
        let has_log = random.random_range(0..2) == 0;
        if has_log {
            // Mostly longer than nodes are disconnected.
            let last = if random.random_range(0..5) == 0 { 3 } else { 120 };
            options = options.catch_up(CatchUp::last(Duration::from_secs(last)));
        }
        let has_outbox = random.random_range(0..3) == 0;
        if has_outbox {
            options = options.outbox(Outbox::default());
        }
        Self {
            fault_level,
            per_mille,
            clocks_jump: random.random_range(0..3) == 0,
            has_stranger: random.random_range(0..4) == 0,
            is_swept: !has_log && random.random_range(0..10) == 0,
            options,
            has_log,
            has_outbox,
            watching: [0, 50, 100, 100][random.random_range(0..4)],
        }
    }

    /// How long a message may wait in a node that hears it until it is handled: earlier attachments
    /// are fetched first, which takes as long as the database is away.
    pub(crate) fn handling(&self) -> Duration {
        Duration::from_secs(if self.fault_level == FaultLevel::Database { 25 } else { 2 })
    }

    /// How far the wall clock of a node is ahead, in milliseconds.
    pub(crate) fn node_clock(&self, random: &mut StdRng) -> i64 {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        match random.random_range(0..3) {
            0 => random.random_range(-1_000..1_000),
            1 => random.random_range(-60_000..60_000),
            _ => random.random_range(-100 * DAY..100 * DAY),
        }
    }

    /// How far the clock of the database is ahead.
    ///
    /// With a log it jumps by less than the log goes back. A larger jump, forth and back while a
    /// node is disconnected, would delete rows without the node noticing.
    pub(crate) fn database_clock(&self, random: &mut StdRng) -> i64 {
        if self.has_log || random.random_range(0..4) != 0 {
            random.random_range(-10_000..10_000)
        } else {
            random.random_range(-200_000..200_000)
        }
    }
}
