//! The figures of all rounds, and what can be said of them.

use std::time::Duration;

/// The least, the median and the greatest of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Of no values, all three are zero.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let [least, greatest] = [values.first(), values.last()].map(|value| value.copied().unwrap_or(0.0));
        Self { least, median: percentile_of(&values, 0.5), greatest }
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { least: self.least * factor, median: self.median * factor, greatest: self.greatest * factor }
    }
}

/// What was measured: for each round, for each shape, the value of each column.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Vec<Vec<f64>>>);

impl Figures {
    pub(crate) fn add(&mut self, round: Vec<Vec<f64>>) {
        self.0.push(round);
    }

    /// The values of all rounds.
    pub(crate) fn spread(&self, shape: usize, column: usize) -> Spread {
        self.compare(shape, shape, column, |value, _| value)
    }

    /// The values of all rounds, each as a multiple of what the base had in the same round.
    pub(crate) fn ratio(&self, shape: usize, base: usize, column: usize) -> Spread {
        self.compare(shape, base, column, |value, base| if base == 0.0 { 0.0 } else { value / base })
    }

    /// The values of all rounds, each without what the base had in the same round.
    pub(crate) fn difference(&self, shape: usize, base: usize, column: usize) -> Spread {
        self.compare(shape, base, column, |value, base| value - base)
    }

    fn compare(&self, shape: usize, base: usize, column: usize, with: impl Fn(f64, f64) -> f64) -> Spread {
        Spread::of(self.0.iter().map(|round| with(round[shape][column], round[base][column])).collect())
    }
}

/// The times of one measurement.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1000.0);
    }

    /// Half of them and 99 of 100 took no longer, in milliseconds.
    pub(crate) fn p50_and_p99(mut self) -> [f64; 2] {
        self.0.sort_unstable_by(f64::total_cmp);
        [0.50, 0.99].map(|part| percentile_of(&self.0, part))
    }
}

/// The value below which this part of the sorted values lies, between its two neighbours.
fn percentile_of(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = last as f64 * part;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let sorted = [1.0, 2.0, 3.0, 5.0];
        assert_eq!([0.0, 0.5, 1.0].map(|part| percentile_of(&sorted, part)), [1.0, 2.5, 5.0]);
        assert_eq!((percentile_of(&[], 0.5), percentile_of(&[7.0], 0.99)), (0.0, 7.0));
    }

    #[test]
    fn a_ratio_compares_figures_of_one_round() {
        let mut figures = Figures::default();
        for (base, other) in [(1.0, 2.0), (10.0, 20.0), (100.0, 300.0)] {
            figures.add(vec![vec![base], vec![other]]);
        }
        assert_eq!(figures.spread(1, 0), Spread { least: 2.0, median: 20.0, greatest: 300.0 });
        assert_eq!(figures.ratio(1, 0, 0), Spread { least: 2.0, median: 2.0, greatest: 3.0 });
        assert_eq!(figures.difference(1, 0, 0), Spread { least: 1.0, median: 10.0, greatest: 200.0 });
        figures.add(vec![vec![0.0], vec![1.0]]);
        assert_eq!(figures.ratio(1, 0, 0).least, 0.0);
    }
}
