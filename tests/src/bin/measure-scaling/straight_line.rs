//! The straight line that lies nearest to measured points.

/// What is there at zero, and what each further one adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StraightLine {
    pub(crate) fixed: f64,
    pub(crate) each: f64,
}

impl StraightLine {
    /// By the method of least squares. Each distance is taken as a part of its value, so that large
    /// values do not outweigh small ones.
    pub(crate) fn through(points: &[(f64, f64)]) -> Self {
        let sum = |of: fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(*x, *y) / (y * y)).sum::<f64>();
        let [weight, x, y, xx, xy] =
            [sum(|_, _| 1.0), sum(|x, _| x), sum(|_, y| y), sum(|x, _| x * x), sum(|x, y| x * y)];
        let each = (weight * xy - x * y) / (weight * xx - x * x);
        Self { fixed: (y - each * x) / weight, each }
    }

    pub(crate) fn at(self, x: f64) -> f64 {
        self.fixed + self.each * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_that_line() {
        let line = StraightLine::through(&[1.0, 2.0, 4.0, 32.0].map(|x| (x, 40.0 + 10.0 * x)));
        assert!((line.fixed - 40.0).abs() < 1e-6 && (line.each - 10.0).abs() < 1e-6, "{line:?}");
        assert!((line.at(64.0) - 680.0).abs() < 1e-6);
    }

    #[test]
    fn a_point_beside_the_line_moves_it_a_little() {
        let line = StraightLine::through(&[(1.0, 10.0), (2.0, 21.0), (3.0, 30.0)]);
        assert!((9.0..11.0).contains(&line.each) && line.fixed.abs() < 1.0, "{line:?}");
    }
}
