//! One node asks all others for their sockets: with responses to all nodes, and with responses on
//! its reply channel.

use std::time::Instant;

use crate::{
    Failure,
    counting::Delivered,
    figures::{Figures, Times},
    nodes,
    plot::{Chart, Line, Plot},
    scale::Scale,
    subject::{Bench, Subject},
    table::{Table, count, median, number, spread},
};

pub(crate) struct Fetch;

pub(crate) struct Shape {
    nodes: usize,
    has_reply_channel: bool,
}

/// The columns.
const DELIVERED: usize = 0;
const BYTES: usize = 1;
const P50: usize = 2;
const P99: usize = 3;
const CPU: usize = 4;

impl Subject for Fetch {
    const NAME: &'static str = "fetch";

    type Shape = Shape;

    fn shapes(is_quick: bool) -> Vec<Shape> {
        let nodes: &[usize] = if is_quick { &[2, 4, 8] } else { &[2, 4, 8, 16, 32] };
        let both = |nodes| [false, true].map(|has_reply_channel| Shape { nodes, has_reply_channel });
        nodes.iter().copied().flat_map(both).collect()
    }

    async fn measure(bench: &Bench, shape: &Shape) -> Result<Vec<f64>, Failure> {
        let times = bench.times(200);
        let delivered = Delivered::default();
        let options = nodes::without_heartbeats().reply_channel(shape.has_reply_channel);
        let nodes = nodes::start(&bench.here, shape.nodes, &["/".to_owned()], &options, &delivered).await?;
        let namespace = nodes[0].cluster.of("/");
        for _ in 0..10 {
            namespace.fetch_sockets().await?;
        }
        delivered.settled().await;
        let (before, cpu) = (delivered.so_far(), bench.postgres.cpu());
        let mut took = Times::default();
        for _ in 0..times {
            let start = Instant::now();
            namespace.fetch_sockets().await?;
            took.add(start.elapsed());
        }
        delivered.settled().await;
        let (after, cpu) = (delivered.so_far(), bench.postgres.cpu() - cpu);
        nodes::close(nodes).await;
        let each = |index: usize| (after[index] - before[index]) as f64 / times as f64;
        let [p50, p99] = took.p50_and_p99();
        Ok(vec![each(0), each(1), p50, p99, cpu.as_secs_f64() * 1e6 / times as f64])
    }

    fn report(shapes: &[Shape], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "nodes",
            "responses to",
            "delivered in all",
            "bytes delivered",
            "p50, ms",
            "p99, ms",
            "p50, of 2 nodes",
            "CPU of PostgreSQL, µs",
        ]);
        for (index, shape) in shapes.iter().enumerate() {
            table.row(&[
                number(shape.nodes as f64),
                receivers(shape.has_reply_channel).to_owned(),
                count(figures.spread(index, DELIVERED)),
                count(figures.spread(index, BYTES)),
                spread(figures.spread(index, P50)),
                median(figures.spread(index, P99)),
                // The shapes begin with one of each kind.
                spread(figures.ratio(index, usize::from(shape.has_reply_channel), P50)),
                median(figures.spread(index, CPU)),
            ]);
        }
        let chart = |title, column, name| {
            let lines = [false, true].map(|kind| Line {
                name: format!("responses to {}", receivers(kind)),
                points: (shapes.iter().enumerate().filter(|(_, shape)| shape.has_reply_channel == kind))
                    .map(|(index, shape)| (shape.nodes as f64, figures.spread(index, column)))
                    .collect(),
            });
            Chart { title, across: "nodes", scales: [Scale::Logarithmic; 2], lines: lines.into() }.plot(name)
        };
        let plots = vec![
            chart("fetch_sockets: p50, ms", P50, "fetch"),
            chart("fetch_sockets: CPU of PostgreSQL for each, µs", CPU, "fetch-cpu"),
        ];
        (table.into_text(), plots)
    }
}

fn receivers(has_reply_channel: bool) -> &'static str {
    if has_reply_channel { "the requester" } else { "all" }
}
