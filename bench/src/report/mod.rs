//! Figures, and what is made of them.

use crate::{
    contender::Contender,
    workload::{Metric, Workload},
};
use serde::Serialize;

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
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
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { min, median, max })
    }
}

impl Figures {
    pub(crate) fn extend(&mut self, records: impl IntoIterator<Item = Record>) {
        self.records.extend(records);
    }

    /// The values of a metric, round by round.
    pub(crate) fn values(&self, workload: &str, contender: Contender, metric: Metric) -> Vec<(usize, f64)> {
        let is_it =
            |record: &&Record| record.workload == workload && record.contender == contender && record.metric == metric;
        self.records.iter().filter(is_it).map(|record| (record.round, record.value)).collect()
    }

    pub(crate) fn spread(&self, workload: &str, contender: Contender, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(workload, contender, metric).into_iter().map(|(_, value)| value).collect())
    }

    /// Prints a workload's figures.
    pub(crate) fn print(&self, workload: &Workload, contenders: &[Contender]) {
        println!("\n{} ({})", workload.title, workload.id);
        for &contender in contenders {
            let text = |metric| {
                let spread = self.spread(workload.id, contender, metric)?;
                Some(format!("{:>9.1} {:>9.1} {:>9.1}", spread.min, spread.median, spread.max))
            };
            let sum =
                |metric| -> f64 { self.values(workload.id, contender, metric).iter().map(|(_, value)| value).sum() };
            println!(
                "{:38} {} lost {} dup {} disorder {} failed {} | cpu {:.2?} {:.2?} {:.2?} mem {:.1?} {:.1?} p99 {}",
                contender.label(),
                text(workload.headline).unwrap_or_default(),
                sum(Metric::Lost),
                sum(Metric::Duplicated),
                sum(Metric::OutOfOrder),
                sum(Metric::Failed),
                self.spread(workload.id, contender, Metric::SenderCpu).map(|spread| spread.median),
                self.spread(workload.id, contender, Metric::ReceiverCpu).map(|spread| spread.median),
                self.spread(workload.id, contender, Metric::ServerCpu).map(|spread| spread.median),
                self.spread(workload.id, contender, Metric::RestMemory).map(|spread| spread.median),
                self.spread(workload.id, contender, Metric::PeakMemory).map(|spread| spread.median),
                text(Metric::P99).unwrap_or_default(),
            );
        }
    }
}
