//! Line charts as SVG. They draw their own background, and turn dark where the reader's page is.

use std::fmt::Write;

use crate::{
    figures::Spread,
    scale::{Axis, Scale},
    table::number,
};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 210.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 52.0;

/// How far texts beside or below each other must be apart.
const LINE_HEIGHT: f64 = 16.0;
const LABEL_WIDTH: f64 = 44.0;

/// A picture, and the name of its file.
pub(crate) struct Plot {
    pub(crate) name: String,
    pub(crate) svg: String,
}

/// What a chart shows.
pub(crate) struct Chart<'a> {
    /// What is measured, with its unit.
    pub(crate) title: &'a str,
    /// What it grows with.
    pub(crate) across: &'a str,
    pub(crate) scales: [Scale; 2],
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Chart<'_> {
    /// Each line with a point for each median, and a whisker from the least to the greatest.
    pub(crate) fn plot(&self, name: &str) -> Plot {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let all_x = points().map(|(x, _)| *x);
        let all_y = points().flat_map(|(_, spread)| [spread.least, spread.median, spread.greatest]);
        let x = Axis::new(self.scales[0], all_x.clone(), [LEFT, WIDTH - RIGHT]);
        let y = Axis::new(self.scales[1], all_y, [HEIGHT - BOTTOM, TOP]);
        let mut measured: Vec<f64> = all_x.collect();
        measured.sort_unstable_by(f64::total_cmp);
        measured.dedup();
        let svg = [self.frame(), grid(&x, &y, &measured), self.curves(&x, &y), "</svg>\n".to_owned()].concat();
        Plot { name: name.to_owned(), svg }
    }

    fn frame(&self) -> String {
        let Self { title, across, .. } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n\
             <text class=\"title\" x=\"16\" y=\"28\">{title}</text>\n\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{across}</text>\n",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 14.0,
        )
    }

    fn curves(&self, x: &Axis, y: &Axis) -> String {
        let ends = self.lines.iter().map(|line| line.points.last().map_or(TOP, |(_, spread)| y.place(spread.median)));
        let labels = apart(&ends.collect::<Vec<_>>(), LINE_HEIGHT);
        let mut svg = String::new();
        for (index, (line, label)) in self.lines.iter().zip(labels).enumerate() {
            let mut path = String::new();
            for (number, (at, spread)) in line.points.iter().enumerate() {
                let (at, middle) = (x.place(*at), y.place(spread.median));
                let _ = write!(path, "{}{at:.1} {middle:.1}", if number == 0 { 'M' } else { 'L' });
                let _ = writeln!(
                    svg,
                    "<path class=\"line l{index}\" d=\"M{at:.1} {:.1}V{:.1}\"/><circle class=\"dot d{index}\" \
                     cx=\"{at:.1}\" cy=\"{middle:.1}\" r=\"3.5\"/>",
                    y.place(spread.least),
                    y.place(spread.greatest),
                );
            }
            let end = line.points.last().map_or(LEFT, |(at, _)| x.place(*at));
            let _ = writeln!(
                svg,
                "<path class=\"line l{index}\" d=\"{path}\"/>\n<text class=\"d{index}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                end + 12.0,
                label + 4.5,
                line.name
            );
        }
        svg
    }
}

/// Lines at the round values of the upright axis, and the measured values below the other.
fn grid(x: &Axis, y: &Axis, measured: &[f64]) -> String {
    let mut svg = String::new();
    for tick in y.ticks() {
        let at = y.place(tick);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 10.0,
            at + 4.5,
            number(tick),
        );
    }
    // The greatest value is always marked.
    let mut free_until = f64::INFINITY;
    for value in measured.iter().rev() {
        let at = x.place(*value);
        if at + LABEL_WIDTH <= free_until || free_until.is_infinite() {
            let y = HEIGHT - BOTTOM + 18.0;
            let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", number(*value));
            free_until = at;
        }
    }
    svg
}

/// Moves places apart that are closer than `distance`, downwards, in their order.
fn apart(places: &[f64], distance: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_unstable_by(|one, other| places[*one].total_cmp(&places[*other]));
    let mut moved = places.to_vec();
    for pair in order.windows(2) {
        moved[pair[1]] = moved[pair[1]].max(moved[pair[0]] + distance);
    }
    moved
}

const STYLE: &str = ".ground{fill:#fff;stroke:#d0d7de}text{fill:#1f2328}.title{font-weight:600}.grid{stroke:#d0d7de}\
    .line{fill:none;stroke-width:2}.l0{stroke:#2f81f7}.l1{stroke:#bc4c00}.l2{stroke:#1a7f37}.l3{stroke:#8250df}\
    .d0{fill:#2f81f7}.d1{fill:#bc4c00}.d2{fill:#1a7f37}.d3{fill:#8250df}\
    @media(prefers-color-scheme:dark){.ground{fill:#161b22;stroke:#30363d}text{fill:#e6edf3}.grid{stroke:#30363d}\
    .l1{stroke:#f0883e}.l2{stroke:#3fb950}.l3{stroke:#a371f7}.d0{fill:#2f81f7}.d1{fill:#f0883e}.d2{fill:#3fb950}\
    .d3{fill:#a371f7}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_cover_each_other() {
        assert_eq!(apart(&[100.0, 95.0, 30.0], 10.0), [105.0, 95.0, 30.0]);
        assert_eq!(apart(&[50.0, 50.0, 50.0], 10.0), [50.0, 60.0, 70.0]);
    }

    #[test]
    fn a_chart_has_its_points_and_units() {
        let points = [2.0, 4.0].map(|x| (x, Spread { least: x, median: 2.0 * x, greatest: 3.0 * x })).to_vec();
        let lines = vec![Line { name: "one".to_owned(), points }];
        let chart = Chart { title: "p50, ms", across: "nodes", scales: [Scale::Logarithmic, Scale::Linear], lines };
        let Plot { name, svg } = chart.plot("fetch");
        assert_eq!((name.as_str(), svg.matches("<circle").count()), ("fetch", 2));
        assert!([">p50, ms<", ">nodes<", ">one<", ">4<"].iter().all(|text| svg.contains(text)), "{svg}");
    }
}
