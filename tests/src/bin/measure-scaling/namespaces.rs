//! Two nodes with many namespaces: what it takes to enter one more, and to ask the other node.

use std::time::{Duration, Instant};

use crate::{
    Failure,
    counting::Delivered,
    figures::{Figures, Times},
    nodes,
    plot::{Chart, Line, Plot},
    scale::Scale,
    subject::{Bench, Subject},
    table::{Table, median, number, spread},
};

pub(crate) struct Namespaces;

/// The columns.
const ENTER_P50: usize = 0;
const ENTER_P99: usize = 1;
const ASK_P50: usize = 2;
const ASK_P99: usize = 3;
const CPU: usize = 4;

impl Subject for Namespaces {
    const NAME: &'static str = "namespaces";

    /// How many namespaces each node has.
    type Shape = usize;

    fn shapes(is_quick: bool) -> Vec<usize> {
        if is_quick { vec![1, 10, 100] } else { vec![1, 10, 100, 1_000] }
    }

    async fn measure(bench: &Bench, count: &usize) -> Result<Vec<f64>, Failure> {
        let times = bench.times(100);
        let names = nodes::names(*count);
        let options = nodes::without_heartbeats();
        let nodes = nodes::start(&bench.here, 2, &names, &options, &Delivered::default()).await?;
        let (mut entered, mut asked) = (Times::default(), Times::default());
        for number in 0..times {
            let name = format!("/more{number}");
            let start = Instant::now();
            nodes[0].io.ns(name.clone(), async || {}).await?;
            entered.add(start.elapsed());
            // The node stops listening in the background.
            nodes[0].io.delete_ns(&name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // On the channel that the nodes have listened on for the shortest time.
        let namespace = nodes[0].cluster.of(names.last().cloned().unwrap_or_default());
        let cpu = bench.postgres.cpu();
        for _ in 0..times {
            let start = Instant::now();
            namespace.socket_count().await?;
            asked.add(start.elapsed());
        }
        let cpu = (bench.postgres.cpu() - cpu).as_secs_f64() * 1e6 / times as f64;
        nodes::close(nodes).await;
        Ok([entered.p50_and_p99().as_slice(), &asked.p50_and_p99(), &[cpu]].concat())
    }

    fn report(shapes: &[usize], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "namespaces",
            "to enter one more: p50, ms",
            "p99, ms",
            "p50, of one",
            "`socket_count()`: p50, ms",
            "p99, ms",
            "p50, of one",
            "CPU of PostgreSQL, µs",
        ]);
        for (index, count) in shapes.iter().enumerate() {
            table.row(&[
                number(*count as f64),
                spread(figures.spread(index, ENTER_P50)),
                median(figures.spread(index, ENTER_P99)),
                spread(figures.ratio(index, 0, ENTER_P50)),
                spread(figures.spread(index, ASK_P50)),
                median(figures.spread(index, ASK_P99)),
                spread(figures.ratio(index, 0, ASK_P50)),
                median(figures.spread(index, CPU)),
            ]);
        }
        let line = |name: &str, column| Line {
            name: name.to_owned(),
            points: (shapes.iter().enumerate())
                .map(|(index, count)| (*count as f64, figures.spread(index, column)))
                .collect(),
        };
        let chart = Chart {
            title: "Two nodes with many namespaces: p50, ms",
            across: "namespaces of each node",
            scales: [Scale::Logarithmic, Scale::Linear],
            lines: vec![line("to enter one more", ENTER_P50), line("socket_count", ASK_P50)],
        };
        (table.into_text(), vec![chart.plot("namespaces")])
    }
}
