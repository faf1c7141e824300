//! Workloads with idle nodes, and their cost.
//!
//! Every contender and every shape gets its own PostgreSQL server, since all databases of a server
//! share its write-ahead log. All are idle at the same time: transactions and bytes count here, not
//! seconds. Autovacuum is off, as its transactions would be counted too.
//!
//! A session that listens has a transaction for each notification that wakes it, and reports it
//! when it runs its next statement. The sessions of this project do that every 5 s.
//! socketioxide-postgres on tokio-postgres has one session for all that it does. Node.js's sessions
//! are asked to report. The listeners of socketioxide-postgres on sqlx never report, and cannot be
//! asked: their transactions are not known.

use std::time::{Duration, Instant};

use socketio_pg_throwaway::Database;

use super::{Measure, Metric, Timing};
use crate::{
    arena::{Arena, Cluster, NodeProcess, Postgres, Shape},
    contender::Contender,
    wire::Command,
};

/// Until the work of the start is over, and reported: sessions take up to 10 s for that.
const CALM: Duration = Duration::from_secs(15);

/// A cluster with its own server. The nodes end first.
struct Idle {
    nodes: usize,
    namespaces: usize,
    contender: Contender,
    cluster: Cluster,
    /// The database of the nodes.
    database: Database,
    /// The database for our queries, which are transactions too.
    observer: Database,
    _server: Postgres,
}

/// What a server has counted so far.
struct ServerCounters {
    at: Instant,
    transactions: f64,
    writes: f64,
    wal_bytes: f64,
}

/// A figure, and the contender that it belongs to.
pub(super) struct Figure {
    pub(super) nodes: usize,
    pub(super) namespaces: usize,
    pub(super) contender: Contender,
    pub(super) round: usize,
    pub(super) measure: Measure,
}

/// Measures all shapes (nodes and namespaces) with their contenders at once, in every round.
/// Failures are reported.
pub(super) fn measure(arena: &Arena, wanted: &[((usize, usize), Contender)], timing: &Timing) -> Vec<Figure> {
    let mut all: Vec<_> = wanted
        .iter()
        .filter_map(|(shape, contender)| report_failure(*contender, Idle::start(arena, *shape, *contender)))
        .collect();
    std::thread::sleep(CALM);
    let mut figures = Vec::new();
    for round in 0..timing.idle_rounds {
        let before: Vec<_> = all.iter_mut().map(|idle| report_failure(idle.contender, idle.count())).collect();
        std::thread::sleep(Duration::from_millis(timing.idle_millis));
        for (idle, before) in all.iter_mut().zip(before) {
            if let (Some(before), Some(after)) = (before, report_failure(idle.contender, idle.count())) {
                let Idle { nodes, namespaces, contender, .. } = *idle;
                let figure = |measure| Figure { nodes, namespaces, contender, round, measure };
                figures.extend(measures(contender, &before, &after).into_iter().map(figure));
            }
        }
    }
    figures
}

fn measures(contender: Contender, before: &ServerCounters, after: &ServerCounters) -> Vec<Measure> {
    let minutes = (after.at - before.at).as_secs_f64() / 60.0;
    let mut measures = vec![
        (Metric::WritesPerMinute, (after.writes - before.writes) / minutes),
        (Metric::WalPerMinute, (after.wal_bytes - before.wal_bytes) / 1024.0 / minutes),
    ];
    if contender != Contender::PeerSqlx {
        measures.push((Metric::TransactionsPerMinute, (after.transactions - before.transactions) / minutes));
    }
    measures
}

fn report_failure<T>(contender: Contender, result: Result<T, String>) -> Option<T> {
    result.inspect_err(|error| eprintln!("FAILED: idle nodes of {}: {error}", contender.label())).ok()
}

impl Idle {
    fn start(arena: &Arena, (nodes, namespaces): (usize, usize), contender: Contender) -> Result<Self, String> {
        let server = Postgres::start_with(&[("autovacuum", "off")]).map_err(|error| error.to_string())?;
        let database = server.create_database_for(contender)?;
        let observer = server.create_database()?;
        let shape = Shape { nodes, namespaces, ..Shape::PAIR };
        let cluster = arena.cluster_at(contender, shape, &database.url())?;
        Ok(Self { nodes, namespaces, contender, cluster, database, observer, _server: server })
    }

    fn count(&mut self) -> Result<ServerCounters, String> {
        self.cluster.sender.ask::<()>(&Command::ReportStatistics)?;
        NodeProcess::ask_all::<()>(&mut self.cluster.receivers, &Command::ReportStatistics)?;
        let transactions = format!(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{}'",
            self.database.name()
        );
        Ok(ServerCounters {
            at: Instant::now(),
            transactions: self.number(&transactions)?,
            writes: self.number("SELECT pg_snapshot_xmax(pg_current_snapshot())")?,
            wal_bytes: self.number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")?,
        })
    }

    fn number(&self, statement: &str) -> Result<f64, String> {
        let answer = self.observer.execute(statement).map_err(|error| error.to_string())?.unwrap_or_default();
        answer.parse().map_err(|_| format!("PostgreSQL answers {answer:?} to {statement}"))
    }
}
