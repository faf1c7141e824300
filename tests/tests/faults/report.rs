//! The table: fault × backend.

use crate::fault::{Fault, Result, Seen};
use std::{fmt::Write as _, path::PathBuf};

/// A row for each fault and backend, in Markdown.
pub(crate) fn table(rows: &[(&Fault, &str, Seen)]) -> String {
    let mut text = String::from(
        "| fault | backend | heard again after | what senders were told | what receivers missed | reported; memory |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut last = "";
    for (fault, backend, seen) in rows {
        let name = if fault.name == last { "" } else { fault.name };
        last = fault.name;
        let Seen { heard_again, senders, receivers, reported } = seen;
        let _ = writeln!(text, "| {name} | {backend} | {heard_again} | {senders} | {receivers} | {reported} |");
    }
    text.push('\n');
    let mut told: Vec<&str> = Vec::new();
    for (fault, ..) in rows.iter().filter(|(fault, ..)| !fault.about.is_empty()) {
        if !told.contains(&fault.name) {
            told.push(fault.name);
            let _ = writeln!(text, "- {}: {}", fault.name, fault.about);
        }
    }
    text
}

/// Writes the table to `target/faults.md`, and with `UPDATE_DOCS` set into the document.
pub(crate) fn write(table: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults.md");
    std::fs::write(&path, table)?;
    if std::env::var_os("UPDATE_DOCS").is_none() {
        return Ok(path);
    }
    let document = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = std::fs::read_to_string(&document)?;
    let (begin, end) = ("<!-- faults: begin -->\n", "<!-- faults: end -->");
    let (before, rest) =
        text.split_once(begin).ok_or("docs/operations.md lacks the marker of the table's beginning")?;
    let (_, after) = rest.split_once(end).ok_or("docs/operations.md lacks the marker of the table's end")?;
    std::fs::write(&document, format!("{before}{begin}\n{table}\n{end}{after}"))?;
    Ok(document)
}
