//! What nodes cost that have nothing to do.
//!
//! Every contender and every shape gets a PostgreSQL server of its own, for the log is the whole server's. All idle at the same time: it
//! is transactions and bytes that count here, not seconds. Autovacuum is off, as its transactions would be counted too.

use super::{Measure, Metric, Timing};
use crate::{
    arena::{Arena, Cluster, Postgres, Shape},
    contender::Contender,
};
use socketio_pg_throwaway::Database;
use std::time::Duration;

/// Until everybody knows everybody, and PostgreSQL's sessions have told what they did: that takes them up to 10 s.
const CALM: Duration = Duration::from_secs(15);

/// Idle nodes with the server that they idle on. The nodes end first.
struct Idle {
    shape: (usize, usize),
    contender: Contender,
    _cluster: Cluster,
    /// Where the nodes are.
    database: Database,
    /// Where the questions are asked, which are transactions too.
    observer: Database,
}

/// Measures all contenders and all shapes (nodes and namespaces) at once, in every round. Returns the shape, the contender, the
/// round and the figure; what failed is said.
pub(super) fn measure(
    arena: &Arena,
    contenders: &[Contender],
    shapes: &[(usize, usize)],
    timing: &Timing,
) -> Vec<((usize, usize), Contender, usize, Measure)> {
    let mut all = Vec::new();
    // Servers are held until the end: a database does not hold its server.
    let mut servers = Vec::new();
    for &shape in shapes {
        for &contender in contenders {
            match start(arena, contender, shape) {
                Ok((idle, server)) => {
                    all.push(idle);
                    servers.push(server);
                }
                Err(error) => eprintln!("FAILED: {} nodes of {} idle: {error}", shape.0, contender.label()),
            }
        }
    }
    std::thread::sleep(CALM);
    let mut figures = Vec::new();
    for round in 0..timing.idle_rounds {
        let before: Vec<_> = all.iter().map(Idle::read).collect();
        std::thread::sleep(Duration::from_millis(timing.idle_millis));
        let minutes = timing.idle_millis as f64 / 60_000.0;
        for (idle, before) in all.iter().zip(before) {
            match (before, idle.read()) {
                (Ok(before), Ok(after)) => {
                    let measures = [
                        (Metric::TransactionsPerMinute, (after.0 - before.0) / minutes),
                        (Metric::WalPerMinute, (after.1 - before.1) / minutes / 1024.0),
                    ];
                    figures.extend(measures.map(|measure| (idle.shape, idle.contender, round, measure)));
                }
                (Err(error), _) | (_, Err(error)) => eprintln!("FAILED: {} idle: {error}", idle.contender.label()),
            }
        }
    }
    drop(all);
    drop(servers);
    figures
}

fn start(arena: &Arena, contender: Contender, shape: (usize, usize)) -> Result<(Idle, Postgres), String> {
    let server = Postgres::start_with(&[("autovacuum", "off")]).map_err(|error| error.to_string())?;
    let database = server.create_database_with_table()?;
    let observer = server.create_database()?;
    let (nodes, namespaces) = shape;
    let cluster = arena.cluster_at(contender, Shape { nodes, namespaces, ..Shape::PAIR }, &database.url())?;
    Ok((Idle { shape, contender, _cluster: cluster, database, observer }, server))
}

impl Idle {
    /// Transactions in the nodes' database and bytes of the log so far.
    fn read(&self) -> Result<(f64, f64), String> {
        let statement = format!(
            "SELECT xact_commit + xact_rollback || ' ' || pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') \
             FROM pg_stat_database WHERE datname = '{}'",
            self.database.name()
        );
        let answer = self.observer.execute(&statement).map_err(|error| error.to_string())?.unwrap_or_default();
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("PostgreSQL answers {answer:?}"));
        let (transactions, bytes) = answer.split_once(' ').ok_or("PostgreSQL answers nothing")?;
        Ok((number(transactions)?, number(bytes)?))
    }
}
