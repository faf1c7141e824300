//! One session publishes as fast as it can, and more and more sessions listen: where one PostgreSQL
//! ends on this machine, and what that means for more nodes.

use std::time::Instant;

use futures_util::future::try_join_all;
use socketio_pg_core::backend::{Backend, Content, Listener, Outgoing};
use socketio_pg_tokio_postgres::TokioPostgresBackend;

use crate::{
    Failure,
    figures::Figures,
    plot::{Chart, Line, Plot},
    scale::Scale,
    straight_line::StraightLine,
    subject::{Bench, Subject},
    table::{Table, number, spread},
};

const TABLE: &str = "socket_io_attachments";
const CHANNEL: &str = "measured";

/// How many notifications a transaction has: one, or as many as a node has waiting under load.
const BATCHES: [usize; 2] = [1, 64];

/// More nodes than are measured.
const ON_PAPER: [usize; 2] = [64, 128];

pub(crate) struct Capacity;

pub(crate) struct Shape {
    listeners: usize,
    batch: usize,
}

/// The columns: notifications and deliveries a second, microseconds of PostgreSQL for a
/// notification with all of its deliveries.
const PUBLISHED: usize = 0;
const DELIVERED: usize = 1;
const CPU: usize = 2;

impl Subject for Capacity {
    const NAME: &'static str = "capacity";

    type Shape = Shape;

    fn shapes(is_quick: bool) -> Vec<Shape> {
        let listeners: &[usize] = if is_quick { &[1, 4, 8] } else { &[1, 2, 4, 8, 16, 32] };
        let of = |batch| listeners.iter().map(move |listeners| Shape { listeners: *listeners, batch });
        BATCHES.into_iter().flat_map(of).collect()
    }

    async fn measure(bench: &Bench, shape: &Shape) -> Result<Vec<f64>, Failure> {
        let batches = bench.times(if shape.batch == 1 { 3_000 } else { 300 });
        let count = batches * shape.batch;
        let backend = TokioPostgresBackend::try_from(bench.here.url())?;
        let mut listeners = Vec::new();
        for _ in 0..shape.listeners {
            let mut listener = backend.connect_listener().await?;
            listener.listen(&[CHANNEL.to_owned()]).await?;
            listeners.push(listener);
        }
        // Connects.
        backend.publish(TABLE, None, &batch(shape.batch, 0)).await?;
        for listener in &mut listeners {
            hear(listener, shape.batch).await?;
        }
        let (start, cpu) = (Instant::now(), bench.postgres.cpu());
        let hearing = listeners.into_iter().map(|mut listener| async move {
            // The session is kept until the time is taken.
            tokio::spawn(async move { hear(&mut listener, count).await.map(|()| listener) }).await?
        });
        let publishing = async {
            for number in 1..=batches {
                backend.publish(TABLE, None, &batch(shape.batch, number)).await?;
            }
            Ok::<_, Failure>(())
        };
        let (listeners, ()) = tokio::try_join!(try_join_all(hearing), publishing)?;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), bench.postgres.cpu() - cpu);
        drop(listeners);
        backend.close();
        let rate = count as f64 / seconds;
        Ok(vec![rate, rate * shape.listeners as f64, cpu.as_secs_f64() * 1e6 / count as f64])
    }

    fn report(shapes: &[Shape], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "notifications in a transaction",
            "sessions that listen",
            "notifications a second",
            "deliveries a second",
            "CPU of PostgreSQL for a notification, µs",
            "for each delivery, µs",
        ]);
        for (index, shape) in shapes.iter().enumerate() {
            let cpu = figures.spread(index, CPU);
            table.row(&[
                number(shape.batch as f64),
                number(shape.listeners as f64),
                spread(figures.spread(index, PUBLISHED)),
                spread(figures.spread(index, DELIVERED)),
                spread(cpu),
                spread(cpu.times(1.0 / shape.listeners as f64)),
            ]);
        }
        let chart = |title, column, name| {
            let line = |batch: usize| Line {
                name: if batch == 1 { "1 in a transaction".to_owned() } else { format!("{batch} in a transaction") },
                points: (shapes.iter().enumerate().filter(|(_, shape)| shape.batch == batch))
                    .map(|(index, shape)| (shape.listeners as f64, figures.spread(index, column)))
                    .collect(),
            };
            let lines = BATCHES.map(line).into();
            Chart { title, across: "sessions that listen", scales: [Scale::Logarithmic; 2], lines }.plot(name)
        };
        let plots = vec![
            chart("Deliveries a second", DELIVERED, "capacity"),
            chart("CPU of PostgreSQL for a notification with its deliveries, µs", CPU, "capacity-cpu"),
        ];
        (table.into_text() + "\n" + &on_paper(shapes, figures), plots)
    }
}

/// Notifications that differ from all others: PostgreSQL folds equal ones of a transaction.
fn batch(size: usize, number: usize) -> Vec<Outgoing> {
    let content = |index: usize| Content::Inline(format!("{:0>150}", number * size + index));
    let outgoing = |index| Outgoing { channel: CHANNEL.to_owned(), content: content(index), is_logged: false };
    (0..size).map(outgoing).collect()
}

async fn hear(listener: &mut impl Listener, count: usize) -> Result<(), Failure> {
    for _ in 0..count {
        listener.next().await?;
    }
    Ok(())
}

/// What the measured costs mean for more nodes.
fn on_paper(shapes: &[Shape], figures: &Figures) -> String {
    let [alone, batched] = BATCHES.map(|batch| {
        let points = shapes.iter().enumerate().filter(|(_, shape)| shape.batch == batch);
        let points: Vec<_> =
            points.map(|(index, shape)| (shape.listeners as f64, figures.spread(index, CPU).median)).collect();
        StraightLine::through(&points)
    });
    let mut table = Table::new(&[
        "nodes",
        "CPU for a notification by itself, µs",
        "of these, one processor does a second",
        "CPU for one of 64 in a transaction, µs",
        "of these, one processor does a second",
    ]);
    for nodes in ON_PAPER {
        let costs = [alone, batched].map(|line| line.at(nodes as f64));
        let cells = costs.into_iter().flat_map(|cost| [number(cost), number(1e6 / cost)]);
        table.row(&[vec![number(nodes as f64)], cells.collect()].concat());
    }
    format!(
        "**Computed, not measured**: with N sessions that listen, a notification costs PostgreSQL about {} + {} × N µs \
         of processor time in a transaction of its own, and {} + {} × N µs as one of 64 in a transaction: these are the \
         straight lines nearest to the medians above. If they go on like that:\n\n{}",
        number(alone.fixed),
        number(alone.each),
        number(batched.fixed),
        number(batched.each),
        table.into_text()
    )
}
