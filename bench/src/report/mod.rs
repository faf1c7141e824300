//! Figures, and the reports made from them.

mod docs;
mod goals;
mod plot;
mod table;

pub(crate) use docs::{write as write_docs, write_section};
pub(crate) use goals::goals;
pub(crate) use table::{number, workload as workload_table};

use std::{fs, io, path::Path};

use serde::Serialize;

use crate::{contender::Contender, workload::Metric};

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) workload: &'static str,
    pub(crate) contender: Contender,
    pub(crate) round: usize,
    pub(crate) metric: Metric,
    pub(crate) value: f64,
}

/// All figures of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// The circumstances on which they depend: names and values.
    circumstances: Vec<(String, String)>,
    records: Vec<Record>,
}

/// The least, the middle and the greatest of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { min, median, max })
    }
}

impl Figures {
    pub(crate) fn new(circumstances: Vec<(String, String)>) -> Self {
        Self { circumstances, records: Vec::new() }
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// The values of a metric with their rounds.
    fn values(&self, workload: &str, contender: Contender, metric: Metric) -> impl Iterator<Item = (usize, f64)> {
        let is_it = move |record: &&Record| {
            record.workload == workload && record.contender == contender && record.metric == metric
        };
        self.records.iter().filter(is_it).map(|record| (record.round, record.value))
    }

    fn spread(&self, workload: &str, contender: Contender, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(workload, contender, metric).map(|(_, value)| value))
    }

    /// A metric of one contender over the best of others, in each round that has both.
    fn ratio(&self, workload: &str, one: Contender, others: &[Contender], metric: Metric) -> Option<Spread> {
        let best = |round| {
            let of_round = |other: &Contender| {
                self.values(workload, *other, metric).find(|(other, _)| *other == round).map(|(_, value)| value)
            };
            let values = others.iter().filter_map(of_round);
            if metric.is_better_when_high() { values.reduce(f64::max) } else { values.reduce(f64::min) }
        };
        let ratios = self.values(workload, one, metric).filter_map(|(round, value)| Some(value / best(round)?));
        Spread::of(ratios.filter(|ratio| ratio.is_finite()))
    }

    /// Writes every figure of every round.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_made_round_by_round_with_the_best_of_the_others() {
        let mut figures = Figures::default();
        for (contender, round, value) in [
            (Contender::Diesel, 0, 100.0),
            (Contender::Diesel, 1, 300.0),
            (Contender::PeerSqlx, 0, 10.0),
            (Contender::PeerSqlx, 1, 10.0),
            (Contender::PeerTokioPostgres, 0, 5.0),
            (Contender::PeerTokioPostgres, 1, 100.0),
        ] {
            figures.push(Record { workload: "w", contender, round, metric: Metric::DeliveredPerSecond, value });
        }
        let peers = [Contender::PeerSqlx, Contender::PeerTokioPostgres];
        let ratio = figures.ratio("w", Contender::Diesel, &peers, Metric::DeliveredPerSecond);
        assert_eq!(ratio, Some(Spread { min: 3.0, median: 6.5, max: 10.0 }));
        assert_eq!(figures.ratio("w", Contender::Diesel, &[Contender::Node], Metric::DeliveredPerSecond), None);
    }

    #[test]
    fn a_spread_has_the_middle_of_its_values() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
