//! What nodes cost that have nothing to do.
//!
//! Every contender and every shape gets a PostgreSQL server of its own, for the log is the whole server's. All idle at the same time:
//! it is transactions and bytes that count here, not seconds. Autovacuum is off, as its transactions would be counted too.
//!
//! A session that only listens has a transaction for each notification that wakes it, and tells of it when it ends, not before. So
//! transactions are counted when the nodes are gone, once after a short life and once after a long one: the difference is what
//! idling cost.

use super::{Measure, Metric, Timing};
use crate::{
    arena::{Arena, Cluster, Postgres, Shape},
    contender::Contender,
};
use socketio_pg_throwaway::Database;
use std::time::{Duration, Instant};

/// Until what starting causes is over.
const CALM: Duration = Duration::from_secs(3);

/// Until the sessions of nodes that are gone have ended.
const SESSIONS_DEADLINE: Duration = Duration::from_secs(20);

/// A server, which ends with this, a database for the nodes, and one from which to look: questions are transactions too.
struct Ground {
    nodes: usize,
    namespaces: usize,
    contender: Contender,
    _server: Postgres,
    database: Database,
    observer: Database,
}

/// The life of a cluster.
struct Life {
    minutes: f64,
    transactions: f64,
    wal_kib_per_minute: f64,
}

/// A figure with whose it is.
pub(super) struct Figure {
    pub(super) nodes: usize,
    pub(super) namespaces: usize,
    pub(super) contender: Contender,
    pub(super) round: usize,
    pub(super) measure: Measure,
}

/// Measures all contenders and all shapes (nodes and namespaces) at once, in every round. What failed is said.
pub(super) fn measure(
    arena: &Arena,
    contenders: &[Contender],
    shapes: &[(usize, usize)],
    timing: &Timing,
) -> Vec<Figure> {
    let wanted = shapes.iter().flat_map(|shape| contenders.iter().map(move |contender| (*shape, *contender)));
    let grounds: Vec<_> =
        wanted.filter_map(|(shape, contender)| said(contender, Ground::new(shape, contender))).collect();
    let short = live(arena, &grounds, Duration::ZERO);
    let mut figures = Vec::new();
    for round in 0..timing.idle_rounds {
        let long = live(arena, &grounds, Duration::from_millis(timing.idle_millis));
        for ((ground, short), long) in grounds.iter().zip(&short).zip(long) {
            if let (Some(short), Some(long)) = (short, long) {
                let transactions = (long.transactions - short.transactions) / (long.minutes - short.minutes);
                let measures =
                    [(Metric::TransactionsPerMinute, transactions), (Metric::WalPerMinute, long.wal_kib_per_minute)];
                let Ground { nodes, namespaces, contender, .. } = *ground;
                figures.extend(measures.map(|measure| Figure { nodes, namespaces, contender, round, measure }));
            }
        }
    }
    figures
}

/// Starts a cluster on each ground, lets all of them idle, and ends them.
fn live(arena: &Arena, grounds: &[Ground], window: Duration) -> Vec<Option<Life>> {
    let started: Vec<_> = grounds.iter().map(|ground| said(ground.contender, ground.start(arena))).collect();
    std::thread::sleep(CALM);
    let before: Vec<_> =
        grounds.iter().map(|ground| (Instant::now(), said(ground.contender, ground.wal_bytes()))).collect();
    std::thread::sleep(window);
    let lives = grounds.iter().zip(started).zip(before).map(|((ground, started), (since, before))| {
        let (cluster, birth, transactions) = started?;
        let wal_kib = (said(ground.contender, ground.wal_bytes())? - before?) / 1024.0;
        let wal_kib_per_minute = wal_kib / minutes(since);
        let minutes = minutes(birth);
        drop(cluster);
        let transactions = said(ground.contender, ground.transactions())? - transactions;
        Some(Life { minutes, transactions, wal_kib_per_minute })
    });
    lives.collect()
}

fn minutes(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() / 60.0
}

fn said<T>(contender: Contender, result: Result<T, String>) -> Option<T> {
    result.inspect_err(|error| eprintln!("FAILED: idle nodes of {}: {error}", contender.label())).ok()
}

impl Ground {
    fn new((nodes, namespaces): (usize, usize), contender: Contender) -> Result<Self, String> {
        let server = Postgres::start_with(&[("autovacuum", "off")]).map_err(|error| error.to_string())?;
        let database = server.create_database_with_table()?;
        let observer = server.create_database()?;
        Ok(Self { nodes, namespaces, contender, _server: server, database, observer })
    }

    /// A cluster that knows of itself, when it did, and the transactions before it.
    fn start(&self, arena: &Arena) -> Result<(Cluster, Instant, f64), String> {
        let transactions = self.transactions()?;
        let shape = Shape { nodes: self.nodes, namespaces: self.namespaces, ..Shape::PAIR };
        let cluster = arena.cluster_at(self.contender, shape, &self.database.url())?;
        Ok((cluster, Instant::now(), transactions))
    }

    /// Transactions in the nodes' database so far, once nobody is in it.
    fn transactions(&self) -> Result<f64, String> {
        let database = self.database.name();
        let deadline = Instant::now() + SESSIONS_DEADLINE;
        let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        while self.number(&sessions)? > 0.0 {
            if Instant::now() > deadline {
                return Err("sessions of nodes that are gone do not end".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.number(&format!("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"))
    }

    fn wal_bytes(&self) -> Result<f64, String> {
        self.number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
    }

    fn number(&self, statement: &str) -> Result<f64, String> {
        let answer = self.observer.execute(statement).map_err(|error| error.to_string())?.unwrap_or_default();
        answer.parse().map_err(|_| format!("PostgreSQL answers {answer:?} to {statement}"))
    }
}
