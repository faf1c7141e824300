//! Bar charts as SVG. They draw their own background, and turn dark where the reader's page is.

use std::fmt::Write;

use super::{Figures, Spread, table::number};
use crate::{contender::Contender, workload::Workload};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 48.0;
const ROW: f64 = 30.0;

/// The headline of a workload: a bar to the median for each contender, and a whisker from the least
/// to the greatest.
pub(super) fn bars(figures: &Figures, workload: &Workload) -> Option<String> {
    let rows: Vec<(Contender, Spread)> = Contender::ALL
        .into_iter()
        .filter_map(|contender| Some((contender, figures.spread(workload.id, contender, workload.headline)?)))
        .collect();
    let greatest = rows.iter().map(|(_, spread)| spread.max).reduce(f64::max)?.max(f64::MIN_POSITIVE);
    let x = |value: f64| LEFT + value / greatest * (WIDTH - LEFT - RIGHT);
    let height = TOP + ROW * rows.len() as f64 + 14.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"16\" y=\"28\">{title}: {unit}</text>\n",
        title = workload.title,
        unit = workload.headline.label(),
    );
    for (index, (contender, Spread { min, median, max })) in rows.into_iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let middle = y + ROW / 2.0;
        let class = if contender.is_ours() { "ours" } else { "other" };
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" rx=\"2\"/>\n\
             <path class=\"whisker\" d=\"M{:.1} {middle}H{:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{}</text>\n",
            LEFT - 10.0,
            middle + 4.5,
            contender.label(),
            y + 5.0,
            x(median) - LEFT,
            ROW - 10.0,
            x(min),
            x(max),
            x(max) + 8.0,
            middle + 4.5,
            number(median),
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

const STYLE: &str = ".ground{fill:#fff;stroke:#d0d7de}text{fill:#1f2328}.title{font-weight:600}.ours{fill:#2f81f7}\
    .other{fill:#9aa4af}.whisker{stroke:#1f2328;stroke-width:1.5}\
    @media(prefers-color-scheme:dark){.ground{fill:#161b22;stroke:#30363d}text{fill:#e6edf3}.other{fill:#6e7681}\
    .whisker{stroke:#e6edf3}}";
