//! The table: scenario × composition.

use crate::{
    composition::{Composition, Seat, backends},
    defects::DEFECTS,
    scenario::Scenario,
};
use serde_json::Value;
use socketio_pg_tests::Parser;
use std::{fmt::Write as _, path::PathBuf};

/// How a scenario went on a composition.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    AsExpected,
    Defects(Vec<&'static str>),
    Failed(String),
}

/// As many differences of an observation are shown, each cut after so many characters.
const SHOWN_DIFFERENCES: usize = 12;
const SHOWN_CHARACTERS: usize = 400;

/// The table in Markdown. `cells` has a row for each scenario.
pub(crate) fn table(compositions: &[Composition], scenarios: &[Scenario], cells: &[Vec<Cell>]) -> String {
    let mut rows = vec![vec!["scenario".to_owned()]];
    rows[0].extend(compositions.iter().map(|composition| composition.name.clone()));
    for (scenario, row) in scenarios.iter().zip(cells) {
        rows.push(std::iter::once(scenario.name.to_owned()).chain(row.iter().map(Cell::symbol)).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..=compositions.len()).map(width).collect();

    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for &width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text.push_str("\nThe first server acts, the others hear it. N: Node. W: a worker of a Node cluster. ");
    for backend in backends() {
        let symbol = Seat::Rust { backend, parser: Parser::Common }.symbol();
        let _ = write!(text, "{symbol}: Rust on {backend}. ");
    }
    text.push_str("ᵐ: with the MessagePack parser. ✓: as three Node servers should.\n\n");
    let shown = |name: &str| cells.iter().flatten().any(|cell| cell.has(name));
    let mut named = Vec::new();
    for defect in DEFECTS.iter().filter(|defect| shown(defect.name)) {
        if !named.contains(&defect.name) {
            named.push(defect.name);
            let _ = writeln!(text, "- {}: {}", defect.name, defect.about);
        }
    }
    text
}

/// Writes the table to `target/conformance.md`.
pub(crate) fn write(table: &str) -> std::io::Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("conformance.md");
    std::fs::write(&path, table)?;
    Ok(path)
}

impl Cell {
    fn symbol(&self) -> String {
        match self {
            Self::AsExpected => "✓".to_owned(),
            Self::Defects(names) => names.join("+"),
            Self::Failed(_) => "✗".to_owned(),
        }
    }

    fn has(&self, defect: &str) -> bool {
        matches!(self, Self::Defects(names) if names.contains(&defect))
    }
}

/// Where two observations differ, one line each.
pub(crate) fn differences(seen: &Value, expected: &Value) -> String {
    let mut lines = Vec::new();
    compare("", seen, expected, &mut lines);
    let more = lines.len().saturating_sub(SHOWN_DIFFERENCES);
    lines.truncate(SHOWN_DIFFERENCES);
    if more > 0 {
        lines.push(format!("    … and {more} more"));
    }
    lines.join("\n")
}

fn compare(path: &str, seen: &Value, expected: &Value, lines: &mut Vec<String>) {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            for key in seen.keys().chain(expected.keys().filter(|key| !seen.contains_key(*key))) {
                match (seen.get(key), expected.get(key)) {
                    (Some(seen), Some(expected)) => compare(&format!("{path}/{key}"), seen, expected, lines),
                    (seen, expected) => lines.push(line(&format!("{path}/{key}"), seen, expected)),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (seen, expected)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{index}"), seen, expected, lines);
            }
        }
        _ if seen == expected => {}
        _ => lines.push(line(path, Some(seen), Some(expected))),
    }
}

fn line(path: &str, seen: Option<&Value>, expected: Option<&Value>) -> String {
    let text = |value: Option<&Value>| {
        let text = value.map_or("nothing".to_owned(), Value::to_string);
        match text.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text,
        }
    };
    format!("    {path}: {}\n      expected {}", text(seen), text(expected))
}
