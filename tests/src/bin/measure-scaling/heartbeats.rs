//! What idle nodes send, with several namespaces: with heartbeats, and where nodes watch each
//! other's sessions instead.

use std::time::Duration;

use socketio_pg_core::Options;

use crate::{
    Failure,
    counting::Delivered,
    figures::Figures,
    nodes::{self, Node},
    plot::Plot,
    subject::{Bench, Subject},
    table::{Table, median, number, spread},
};

/// A tenth of the default: the counts for each interval are the same.
const INTERVAL: Duration = Duration::from_millis(500);

/// Nodes that watch sessions stop sending heartbeats some time after the last of them has come,
/// which depends on this.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Heartbeats;

pub(crate) struct Shape {
    nodes: usize,
    namespaces: usize,
    watches_sessions: bool,
}

/// The columns.
const TRANSACTIONS: usize = 0;
const LOOKS: usize = 1;
const NOTIFICATIONS: usize = 2;
const DELIVERIES: usize = 3;
const BYTES: usize = 4;
const CPU: usize = 5;

impl Subject for Heartbeats {
    const NAME: &'static str = "heartbeats";

    type Shape = Shape;

    fn shapes(is_quick: bool) -> Vec<Shape> {
        let sizes: &[(usize, usize)] =
            if is_quick { &[(2, 1), (4, 10)] } else { &[(2, 1), (8, 1), (16, 1), (32, 1), (8, 10), (8, 100)] };
        let both =
            |(nodes, namespaces)| [false, true].map(|watches_sessions| Shape { nodes, namespaces, watches_sessions });
        sizes.iter().copied().flat_map(both).collect()
    }

    async fn measure(bench: &Bench, shape: &Shape) -> Result<Vec<f64>, Failure> {
        let intervals = u32::try_from(bench.times(10).max(4))?;
        let delivered = Delivered::default();
        let options = Options::default()
            .heartbeat_interval(INTERVAL)
            .heartbeat_timeout(TIMEOUT)
            .watch_sessions(shape.watches_sessions);
        let names = nodes::names(shape.namespaces);
        let nodes = nodes::start(&bench.here, shape.nodes, &names, &options, &delivered).await?;
        if shape.watches_sessions {
            tokio::time::timeout(PATIENCE, until_silent(&nodes)).await?;
        }
        tokio::time::sleep(4 * INTERVAL).await;
        let counts = || {
            let [deliveries, bytes] = delivered.so_far();
            let cpu = bench.postgres.cpu().as_secs_f64() * 1e3;
            [delivered.batches() as f64, delivered.looks() as f64, deliveries as f64, bytes as f64, cpu]
        };
        let before = counts();
        tokio::time::sleep(intervals * INTERVAL).await;
        let after = counts();
        nodes::close(nodes).await;
        let each = |index: usize| (after[index] - before[index]) / f64::from(intervals);
        // Each is delivered to all nodes, to its sender too.
        let notifications = each(2) / shape.nodes as f64;
        Ok(vec![each(0), each(1), notifications, each(2), each(3), each(4)])
    }

    fn report(shapes: &[Shape], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "nodes",
            "namespaces",
            "`watch_sessions`",
            "transactions that notify",
            "looks at sessions",
            "notifications",
            "deliveries",
            "bytes delivered",
            "CPU of PostgreSQL, ms",
        ]);
        for (index, shape) in shapes.iter().enumerate() {
            let of = |column| median(figures.spread(index, column));
            table.row(&[
                number(shape.nodes as f64),
                number(shape.namespaces as f64),
                if shape.watches_sessions { "on" } else { "off" }.to_owned(),
                of(TRANSACTIONS),
                of(LOOKS),
                of(NOTIFICATIONS),
                of(DELIVERIES),
                of(BYTES),
                spread(figures.spread(index, CPU)),
            ]);
        }
        let text = format!(
            "For each heartbeat interval, of {} ms here, while all nodes are idle:\n\n{}",
            INTERVAL.as_millis(),
            table.into_text()
        );
        (text, Vec::new())
    }
}

/// Waits until no node sends heartbeats in any namespace.
async fn until_silent(nodes: &[Node]) {
    let is_silent = |node: &Node| node.cluster.health().namespaces.iter().all(|namespace| namespace.is_silent);
    while !nodes.iter().all(is_silent) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
