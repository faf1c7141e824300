//! Figures as Markdown tables, which are readable as text too.

use std::fmt::Write;

use crate::figures::Spread;

/// A table with these heads.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self(format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len())))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// Least, median and greatest.
pub(crate) fn spread(Spread { least, median, greatest }: Spread) -> String {
    format!("{} – **{}** – {}", number(least), number(median), number(greatest))
}

/// The median of measured values.
pub(crate) fn median(spread: Spread) -> String {
    number(spread.median)
}

/// A count, which is whole.
pub(crate) fn count(spread: Spread) -> String {
    number(spread.median.round())
}

/// Three significant digits, with thousands separated. A whole number has no fraction.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        _ => 3,
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
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let texts = [0.0, 2.0, 0.0123, 0.123, 12.34, 123.4, 1234.0, 1_234_567.0, -1234.0].map(number);
        let expected = ["0", "2", "0.012", "0.12", "12.3", "123", "1 234", "1 234 567", "-1 234"];
        assert_eq!(texts.map(|text| text.replace('\u{202f}', " ")), expected);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["nodes", "ms"]);
        table.row(&["2".to_owned(), spread(Spread { least: 1.0, median: 1.5, greatest: 20.0 })]);
        assert_eq!(table.into_text(), "| nodes | ms |\n|---|---|\n| 2 | 1 – **1.50** – 20 |\n");
    }
}
