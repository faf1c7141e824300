//! Where a value lies on an axis of a plot, and which values are marked there.

/// How the values of an axis follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal distances are equal differences. It begins at zero.
    Linear,
    /// Equal distances are equal ratios.
    Logarithmic,
}

/// An axis from one place of the picture to another.
#[derive(Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
}

impl Axis {
    /// An axis that has room for all values. Without positive values it goes to one.
    pub(crate) fn new(scale: Scale, values: impl Iterator<Item = f64> + Clone, [begin, end]: [f64; 2]) -> Self {
        let greatest = values.clone().fold(0.0, f64::max);
        let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let high = if greatest > 0.0 { greatest } else { 1.0 };
        let (low, high) = match scale {
            Scale::Linear => (0.0, high),
            Scale::Logarithmic => (round_number_below(least.min(high)), round_number_above(high)),
        };
        let high = if scale == Scale::Logarithmic && low == high { low * 10.0 } else { high };
        Self { scale, low, high, begin, end }
    }

    /// The place of a value. What a logarithmic axis cannot show lies at its beginning.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => value / self.high,
            Scale::Logarithmic => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        self.begin + part * (self.end - self.begin)
    }

    /// Round values along the axis: about five on a linear one, on a logarithmic one the powers of
    /// ten, or of these also twice and five times the value where there are few.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Linear {
            let step = round_number_above(self.high / 5.0);
            return (0..).map(|index| f64::from(index) * step).take_while(|tick| *tick <= self.high).collect();
        }
        let factors: &[f64] = if self.high / self.low > 1000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
        // As they are computed, equal numbers may differ in their last digit.
        all.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
    }
}

/// The greatest of 1, 2, 5, 10, 20, … that is not above the value.
fn round_number_below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|factor| factor * decade).find(|round| *round <= value * 1.001).unwrap_or(decade)
}

/// The least of 1, 2, 5, 10, 20, … that is not below the value.
fn round_number_above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let rounds = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * decade);
    rounds.into_iter().find(|round| *round >= value * 0.999).unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, values: &[f64]) -> Axis {
        Axis::new(scale, values.iter().copied(), [100.0, 200.0])
    }

    #[test]
    fn a_linear_axis_begins_at_zero() {
        let axis = axis(Scale::Linear, &[8.0, 50.0]);
        assert_eq!([0.0, 25.0, 50.0].map(|value| axis.place(value)), [100.0, 150.0, 200.0]);
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
    }

    #[test]
    fn a_logarithmic_axis_shows_ratios() {
        let axis = axis(Scale::Logarithmic, &[1.0, 100.0, 0.0]);
        let places = [0.0, 1.0, 10.0, 100.0].map(|value| axis.place(value).round());
        assert_eq!(places, [100.0, 100.0, 150.0, 200.0]);
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn an_axis_of_one_value_has_a_length() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for values in [&[][..], &[0.0], &[10.0]] {
                let axis = axis(scale, values);
                assert!(axis.place(10.0).is_finite() && axis.ticks().len() > 1, "{axis:?} {:?}", axis.ticks());
            }
        }
    }

    #[test]
    fn round_numbers_are_found_on_both_sides() {
        assert_eq!([0.3, 1.0, 7.0, 50.0, 99.0].map(round_number_above), [0.5, 1.0, 10.0, 50.0, 100.0]);
        assert_eq!([0.3, 1.0, 7.0, 50.0, 99.0].map(round_number_below), [0.2, 1.0, 5.0, 50.0, 50.0]);
    }
}
