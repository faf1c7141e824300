//! Figures as Markdown tables, which are readable as text too.

use std::fmt::Write;

use super::{Figures, Spread};
use crate::{contender::Contender, workload::Workload};

/// The figures of a workload: a line for each contender that was measured. Empty when none was.
pub(crate) fn workload(figures: &Figures, workload: &Workload) -> String {
    let mut table = String::new();
    for contender in Contender::ALL {
        let spreads: Vec<_> =
            workload.columns().iter().map(|metric| figures.spread(workload.id, contender, *metric)).collect();
        if spreads.iter().all(Option::is_none) {
            continue;
        }
        if table.is_empty() {
            let heads: Vec<_> = workload.columns().iter().map(|metric| metric.label()).collect();
            let _ = writeln!(table, "| | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(heads.len()));
        }
        let cells: Vec<_> = workload
            .columns()
            .iter()
            .zip(spreads)
            .map(|(metric, spread)| match spread {
                None => String::new(),
                Some(_) if metric.is_count() => {
                    let total: f64 =
                        figures.values(workload.id, contender, *metric).fold(0.0, |sum, (_, value)| sum + value);
                    format!("{total}")
                }
                Some(Spread { min, median, max }) if *metric == workload.headline => {
                    format!("{} – **{}** – {}", number(min), number(median), number(max))
                }
                Some(spread) => number(spread.median),
            })
            .collect();
        let _ = writeln!(table, "| {} | {} |", contender.label(), cells.join(" | "));
    }
    table
}

/// Three significant digits, with thousands separated.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short_and_grouped() {
        let texts = [0.0, 0.123, 12.34, 123.4, 1234.0, 1_234_567.0].map(number);
        assert_eq!(texts, ["0", "0.12", "12.3", "123", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
    }
}
