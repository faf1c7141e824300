//! The table: fault × backend.

use crate::case::{Case, Result, Seen};
use std::{fmt::Write as _, path::PathBuf};

/// A row for each fault and backend, in Markdown.
pub(crate) fn table(rows: &[(&Case, &str, Seen)]) -> String {
    let mut text = String::from(
        "| fault | backend | heard again after | what senders were told | what receivers missed | reported; memory |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut last = "";
    for (case, backend, seen) in rows {
        let name = if case.name == last { "" } else { case.name };
        last = case.name;
        let Seen { heard_again, senders, receivers, reported } = seen;
        let _ = writeln!(text, "| {name} | {backend} | {heard_again} | {senders} | {receivers} | {reported} |");
    }
    text.push('\n');
    let mut told: Vec<&str> = Vec::new();
    for (case, ..) in rows.iter().filter(|(case, ..)| !case.about.is_empty()) {
        if !told.contains(&case.name) {
            told.push(case.name);
            let _ = writeln!(text, "- {}: {}", case.name, case.about);
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
