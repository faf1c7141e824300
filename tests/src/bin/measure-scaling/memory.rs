//! What sockets and rooms take in memory: with socketioxide's own adapter and with this project's,
//! each in a process of its own.

use crate::{
    Failure,
    crowd::{Crowd, Kind},
    figures::Figures,
    plot::Plot,
    subject::{Bench, Subject},
    table::{Table, number, spread},
};

pub(crate) struct Memory;

pub(crate) struct Shape {
    kind: Kind,
    sockets: usize,
}

/// The columns.
const BEFORE: usize = 0;
const EACH: usize = 1;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

impl Subject for Memory {
    const NAME: &'static str = "memory";

    type Shape = Shape;

    fn shapes(is_quick: bool) -> Vec<Shape> {
        let sockets = if is_quick { 2_000 } else { 100_000 };
        [Kind::Alone, Kind::Adapter, Kind::Recording].map(|kind| Shape { kind, sockets }).into()
    }

    async fn measure(bench: &Bench, shape: &Shape) -> Result<Vec<f64>, Failure> {
        let mut crowd = Crowd::start(shape.kind, &bench.here.url()).await?;
        // What the first clients bring about is not for each socket.
        crowd.fill(100).await?;
        let before = crowd.resident().await?;
        crowd.fill(shape.sockets).await?;
        let after = crowd.resident().await?;
        crowd.end().await?;
        Ok(vec![before / MEBIBYTE, (after - before) / shape.sockets as f64])
    }

    fn report(shapes: &[Shape], figures: &Figures) -> (String, Vec<Plot>) {
        let mut table = Table::new(&[
            "a process with",
            "MiB with few sockets",
            "sockets, each in a room of its own",
            "bytes for each",
            "more than socketioxide by itself",
        ]);
        for (index, shape) in shapes.iter().enumerate() {
            table.row(&[
                match shape.kind {
                    Kind::Alone => "socketioxide by itself",
                    Kind::Adapter => "this adapter",
                    Kind::Recording => "this adapter and `record_handshake`",
                }
                .to_owned(),
                spread(figures.spread(index, BEFORE)),
                number(shape.sockets as f64),
                spread(figures.spread(index, EACH)),
                if index == 0 { String::new() } else { spread(figures.difference(index, 0, EACH)) },
            ]);
        }
        (table.into_text(), Vec::new())
    }
}
