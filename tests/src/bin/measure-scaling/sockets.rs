//! A node without sockets asks, and emits to, one that has many, each in a room of its own.

use std::time::{Duration, Instant};

use socketio_pg_tokio_postgres::{Cluster, ClusterNamespace, PostgresAdapter};
use socketioxide::{SocketIo, adapter::Emitter};

use crate::{
    Failure,
    crowd::{Crowd, Kind, room},
    figures::{Figures, Times},
    nodes::without_heartbeats,
    plot::{Chart, Line, Plot},
    scale::Scale,
    subject::{Bench, Subject},
    table::{Table, median, number, spread},
};

pub(crate) struct Sockets;

/// What is measured, in the order of the columns: p50 and p99 of each.
const OPERATIONS: [&str; 3] =
    ["an event to one room, until its client has it", "`fetch_sockets()` of one room", "`socket_count()` of all"];

impl Subject for Sockets {
    const NAME: &'static str = "sockets";

    /// The number of sockets.
    type Shape = usize;

    fn shapes(is_quick: bool) -> Vec<usize> {
        if is_quick { vec![100, 1_000] } else { vec![1_000, 10_000, 100_000] }
    }

    async fn measure(bench: &Bench, count: &usize) -> Result<Vec<f64>, Failure> {
        let url = bench.here.url();
        let mut crowd = Crowd::start(Kind::Recording, &url).await?;
        crowd.fill(*count).await?;
        let cluster = Cluster::connect(url.as_str(), without_heartbeats()).await?;
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter>>(cluster.clone()).build_layer();
        io.ns("/", async || {}).await?;
        let namespace = cluster.of("/");
        while namespace.server_count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // One after the other: a question about all sockets would leave the caches to the next event.
        let emits = emit(&namespace, &crowd, bench.times(300)).await?;
        let fetches = fetch(&namespace, &crowd, bench.times(300)).await?;
        let counts = count_all(&namespace, &crowd, bench.times(60)).await?;
        cluster.close().await;
        crowd.end().await?;
        Ok([emits, fetches, counts].map(Times::p50_and_p99).concat())
    }

    fn report(shapes: &[usize], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&["", "sockets", "p50, ms", "p99, ms", "p50, of the fewest"]);
        for (operation, name) in OPERATIONS.into_iter().enumerate() {
            for (index, count) in shapes.iter().enumerate() {
                table.row(&[
                    name.to_owned(),
                    number(*count as f64),
                    spread(figures.spread(index, 2 * operation)),
                    median(figures.spread(index, 2 * operation + 1)),
                    spread(figures.ratio(index, 0, 2 * operation)),
                ]);
            }
        }
        let lines = ["event to one room", "fetch_sockets, one room", "socket_count, all"].into_iter().enumerate();
        let lines = lines.map(|(operation, name)| Line {
            name: name.to_owned(),
            points: (shapes.iter().enumerate())
                .map(|(index, count)| (*count as f64, figures.spread(index, 2 * operation)))
                .collect(),
        });
        let chart = Chart {
            title: "Asked and emitted by another node: p50, ms",
            across: "sockets of the node, each in a room of its own",
            scales: [Scale::Logarithmic; 2],
            lines: lines.collect(),
        };
        (table.into_text(), vec![chart.plot("sockets")])
    }
}

/// Sockets from all over.
fn sample(crowd: &Crowd, times: usize) -> impl Iterator<Item = &String> {
    let step = (crowd.sockets.len() / times).max(1);
    crowd.sockets.iter().step_by(step).cycle().take(times)
}

async fn emit(namespace: &ClusterNamespace, crowd: &Crowd, times: usize) -> Result<Times, Failure> {
    let mut client = crowd.connect().await?;
    let mut took = Times::default();
    for socket in sample(crowd, times) {
        let selected = namespace.clone().to(room(socket));
        client.poll(socket).await?;
        let start = Instant::now();
        let (emitted, received) = tokio::join!(selected.emit("news", "It works"), client.receive());
        took.add(start.elapsed());
        emitted?;
        expect(received?.contains("It works"), "the event arrives")?;
    }
    Ok(took)
}

async fn fetch(namespace: &ClusterNamespace, crowd: &Crowd, times: usize) -> Result<Times, Failure> {
    let mut took = Times::default();
    for socket in sample(crowd, times) {
        let selected = namespace.clone().to(room(socket));
        let start = Instant::now();
        let found = selected.fetch_sockets().await?;
        took.add(start.elapsed());
        expect(found.len() == 1, "one socket is in the room")?;
    }
    Ok(took)
}

async fn count_all(namespace: &ClusterNamespace, crowd: &Crowd, times: usize) -> Result<Times, Failure> {
    let mut took = Times::default();
    for _ in 0..times {
        let start = Instant::now();
        let counted = namespace.socket_count().await?;
        took.add(start.elapsed());
        expect(counted == crowd.sockets.len() as u64, "all sockets are counted")?;
    }
    Ok(took)
}

fn expect(is_so: bool, expectation: &str) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(format!("not so: {expectation}").into()) }
}
