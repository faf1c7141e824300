//! What one table is about: its shapes, and the rounds in which they are measured.

use socketio_pg_throwaway::Database;

use crate::{Failure, figures::Figures, plot::Plot, postgres::Postgres};

/// How much to measure.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) is_quick: bool,
}

/// Where a subject is measured.
pub(crate) struct Bench {
    pub(crate) postgres: Postgres,
    /// The database of the nodes.
    pub(crate) here: Database,
    /// Another one of the same server.
    pub(crate) elsewhere: Database,
    is_quick: bool,
}

impl Bench {
    fn start(max_connections: u32, is_quick: bool) -> Result<Self, Failure> {
        let postgres = Postgres::start(max_connections)?;
        let (here, elsewhere) = (postgres.create_database()?, postgres.create_database()?);
        Ok(Self { postgres, here, elsewhere, is_quick })
    }

    /// How often something is repeated in one measurement.
    pub(crate) fn times(&self, times: usize) -> usize {
        if self.is_quick { (times / 10).max(1) } else { times }
    }
}

/// What a table shows.
pub(crate) struct Report {
    /// The version of PostgreSQL, and its settings.
    pub(crate) postgres: String,
    /// Markdown: plots, tables, and what must be said about them.
    pub(crate) text: String,
    pub(crate) plots: Vec<Plot>,
}

/// One cost, in several shapes of a cluster.
pub(crate) trait Subject {
    /// Names its section of the page. The names of its plots begin with it.
    const NAME: &'static str;

    /// How many sessions PostgreSQL must accept. A look at the sessions costs more with more.
    const MAX_CONNECTIONS: u32 = 200;

    /// What differs from one measurement to the next.
    type Shape;

    fn shapes(is_quick: bool) -> Vec<Self::Shape>;

    /// Measures a shape once: the figures in the order of the subject's columns.
    async fn measure(bench: &Bench, shape: &Self::Shape) -> Result<Vec<f64>, Failure>;

    /// The text and the plots.
    fn report(shapes: &[Self::Shape], figures: &Figures) -> (String, Vec<Plot>);
}

/// Measures a subject. Each round measures all shapes, so that other load of the machine affects all
/// of them. Every other round goes backwards.
pub(crate) async fn run<S: Subject>(plan: Plan) -> Result<Report, Failure> {
    let bench = Bench::start(S::MAX_CONNECTIONS, plan.is_quick)?;
    let shapes = S::shapes(plan.is_quick);
    let mut figures = Figures::default();
    for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..shapes.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut measured = vec![Vec::new(); shapes.len()];
        for index in order {
            bench.postgres.wait_until_idle().await?;
            measured[index] = S::measure(&bench, &shapes[index]).await?;
        }
        figures.add(measured);
        eprintln!("{}: round {} of {}", S::NAME, round + 1, plan.rounds);
    }
    let (text, plots) = S::report(&shapes, &figures);
    Ok(Report { postgres: bench.postgres.description()?, text, plots })
}
