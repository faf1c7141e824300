//! One notification, published and awaited, while other sessions listen on other channels of the
//! same database, or of another one.

use std::time::Instant;

use socketio_pg_core::backend::{Backend, Content, Listener, Outgoing};
use socketio_pg_tokio_postgres::TokioPostgresBackend;

use crate::{
    Failure,
    figures::{Figures, Times},
    plot::{Chart, Line, Plot},
    scale::Scale,
    subject::{Bench, Subject},
    table::{Table, median, number, spread},
};

const TABLE: &str = "socket_io_attachments";

pub(crate) struct Listeners;

pub(crate) struct Shape {
    others: usize,
    is_same_database: bool,
}

/// The columns.
const PUBLISH_P50: usize = 0;
const PUBLISH_P99: usize = 1;
const HEAR_P50: usize = 2;
const HEAR_P99: usize = 3;
const CPU: usize = 4;

impl Subject for Listeners {
    const NAME: &'static str = "listeners";

    const MAX_CONNECTIONS: u32 = 600;

    type Shape = Shape;

    fn shapes(is_quick: bool) -> Vec<Shape> {
        let [here, elsewhere]: [&[usize]; 2] =
            if is_quick { [&[0, 8, 32], &[32]] } else { [&[0, 8, 32, 128, 500], &[128, 500]] };
        let of = |is_same_database| move |others: &usize| Shape { others: *others, is_same_database };
        here.iter().map(of(true)).chain(elsewhere.iter().map(of(false))).collect()
    }

    async fn measure(bench: &Bench, shape: &Shape) -> Result<Vec<f64>, Failure> {
        let times = bench.times(300);
        let others = if shape.is_same_database { &bench.here } else { &bench.elsewhere };
        let others = TokioPostgresBackend::try_from(others.url())?;
        let mut waiting = Vec::new();
        for number in 0..shape.others {
            let mut listener = others.connect_listener().await?;
            listener.listen(&[format!("other{number}")]).await?;
            waiting.push(tokio::spawn(async move { listener.next().await }));
        }
        let backend = TokioPostgresBackend::try_from(bench.here.url())?;
        let mut listener = backend.connect_listener().await?;
        listener.listen(&["measured".to_owned()]).await?;
        let (mut published, mut heard) = (Times::default(), Times::default());
        let mut cpu = bench.postgres.cpu();
        for number in 0..times + 10 {
            // The first ones warm up.
            if number == 10 {
                (published, heard, cpu) = (Times::default(), Times::default(), bench.postgres.cpu());
            }
            let content = Content::Inline(format!("{number:0>150}"));
            let batch = [Outgoing { channel: "measured".to_owned(), content, is_logged: false }];
            let start = Instant::now();
            backend.publish(TABLE, None, &batch).await?;
            published.add(start.elapsed());
            listener.next().await?;
            heard.add(start.elapsed());
        }
        let cpu = bench.postgres.cpu() - cpu;
        backend.close();
        for task in waiting {
            task.abort();
        }
        let cpu = cpu.as_secs_f64() * 1e6 / times as f64;
        Ok([published.p50_and_p99().as_slice(), &heard.p50_and_p99(), &[cpu]].concat())
    }

    fn report(shapes: &[Shape], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "other sessions",
            "of",
            "publishing: p50, ms",
            "p99, ms",
            "p50, of no others",
            "until heard: p50, ms",
            "p99, ms",
            "CPU of PostgreSQL, µs",
        ]);
        for (index, shape) in shapes.iter().enumerate() {
            table.row(&[
                number(shape.others as f64),
                database(shape.is_same_database).to_owned(),
                spread(figures.spread(index, PUBLISH_P50)),
                median(figures.spread(index, PUBLISH_P99)),
                spread(figures.ratio(index, 0, PUBLISH_P50)),
                spread(figures.spread(index, HEAR_P50)),
                median(figures.spread(index, HEAR_P99)),
                median(figures.spread(index, CPU)),
            ]);
        }
        let line = |name: &str, is_same_database: bool, column: usize| Line {
            name: format!("{name}, {}", database(is_same_database)),
            // Without others, both databases are the same.
            points: (shapes.iter().enumerate())
                .filter(|(_, shape)| shape.is_same_database == is_same_database || shape.others == 0)
                .map(|(index, shape)| (shape.others as f64, figures.spread(index, column)))
                .collect(),
        };
        let chart = Chart {
            title: "One notification: p50, ms",
            across: "other sessions that listen",
            scales: [Scale::Linear; 2],
            lines: vec![
                line("heard", true, HEAR_P50),
                line("published", true, PUBLISH_P50),
                line("heard", false, HEAR_P50),
                line("published", false, PUBLISH_P50),
            ],
        };
        (table.into_text(), vec![chart.plot("listeners")])
    }
}

fn database(is_same: bool) -> &'static str {
    if is_same { "this database" } else { "another one" }
}
