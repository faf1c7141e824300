//! The tables: scenario × composition.

use std::{fmt::Write as _, path::PathBuf};

use socketio_pg_kit::scenarios::{Capability, Scenario};
use socketio_pg_tests::Parser;

use crate::{
    composition::{Composition, FAR, Seat},
    defects::DEFECTS,
};

/// The result of a scenario on a composition.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    AsExpected,
    Defects(Vec<&'static str>),
    Failed(String),
    /// It failed, as it must when a server lacks what it needs.
    LeftOut(Capability),
}

/// The result of each scenario on a composition.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) composition: Composition,
    pub(crate) cells: Vec<Cell>,
}

/// A table in Markdown of columns that leave out the same scenarios.
pub(crate) fn table(columns: &[&Column], scenarios: &[Scenario]) -> String {
    let mut rows = vec![vec!["scenario".to_owned()]];
    rows[0].extend(columns.iter().map(|column| column.composition.name.clone()));
    let mut left_out: Vec<(Capability, Vec<&str>)> = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let cells = || columns.iter().map(|column| &column.cells[index]);
        let lacking = cells().find_map(|cell| if let Cell::LeftOut(lacking) = cell { Some(*lacking) } else { None });
        match lacking {
            None => rows.push(std::iter::once(scenario.name.to_owned()).chain(cells().map(Cell::symbol)).collect()),
            Some(lacking) => match left_out.iter_mut().find(|(capability, _)| *capability == lacking) {
                Some((_, names)) => names.push(scenario.name),
                None => left_out.push((lacking, vec![scenario.name])),
            },
        }
    }
    let mut text = aligned(&rows);
    if !left_out.is_empty() {
        let reasons = left_out.iter().map(|(lacking, names)| format!("{} ({})", names.join(", "), lacking.name()));
        let reasons: Vec<String> = reasons.collect();
        let _ = write!(text, "\nLeft out for what a server lacks: {}.\n", reasons.join("; "));
    }
    let _ = writeln!(text, "\n{}\n", legend(columns));
    let shown = |name: &str| columns.iter().flat_map(|column| &column.cells).any(|cell| cell.has(name));
    let mut named = Vec::new();
    for defect in DEFECTS.iter().filter(|defect| shown(defect.name)) {
        if !named.contains(&defect.name) {
            named.push(defect.name);
            let _ = writeln!(text, "- {}: {}", defect.name, defect.about);
        }
    }
    text
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
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
    text
}

fn legend(columns: &[&Column]) -> String {
    let mut text = "The first server acts, the others hear it. ".to_owned();
    let seats: Vec<Seat> = columns.iter().flat_map(|column| column.composition.seats).collect();
    let mut explained = Vec::new();
    for symbol in seats.iter().map(|seat| format!("{}: {}. ", seat.letter(), seat.about())) {
        if !explained.contains(&symbol) {
            text.push_str(&symbol);
            explained.push(symbol);
        }
    }
    if seats.iter().any(|seat| seat.parser() == Parser::MsgPack) {
        text.push_str("ᵐ: with the MessagePack parser. ");
    }
    if columns.iter().any(|column| column.composition.is_far) {
        let _ = write!(text, "far: a round trip to the database takes {} ms. ", (FAR * 2).as_millis());
    }
    if columns.iter().any(|column| column.composition.is_packed) {
        text.push_str("packed: with binary in notifications. ");
    }
    if columns.iter().any(|column| column.composition.is_watching) {
        text.push_str("watching: without heartbeats where all are Rust. ");
    }
    text + "✓: as three Node servers should."
}

/// Writes the tables to `target/conformance.md`.
pub(crate) fn write(tables: &str) -> std::io::Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("conformance.md");
    std::fs::write(&path, tables)?;
    Ok(path)
}

impl Cell {
    fn symbol(&self) -> String {
        match self {
            Self::AsExpected => "✓".to_owned(),
            Self::Defects(names) => names.join("+"),
            Self::Failed(_) => "✗".to_owned(),
            Self::LeftOut(_) => "–".to_owned(),
        }
    }

    fn has(&self, defect: &str) -> bool {
        matches!(self, Self::Defects(names) if names.contains(&defect))
    }
}
