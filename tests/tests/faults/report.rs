//! The table: fault × backend, here and in docs/operations.md.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use crate::{
    BACKENDS,
    case::{Case, Result, Seen},
};

const HEAD: &str = "| fault | backend | heard again after | what senders were told | what receivers missed | reported; memory |\n\
                    |---|---|---|---|---|---|\n";
const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->";

/// The rows of a table, without the columns that name them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rows(BTreeMap<(String, String), String>);

impl Rows {
    pub(crate) fn seen(results: &[(&Case, &str, Seen)]) -> Self {
        let row = |(case, backend, seen): &(&Case, &str, Seen)| {
            let Seen { heard_again, senders, receivers, reported } = seen;
            let cells = format!("{heard_again} | {senders} | {receivers} | {reported}");
            ((case.name.to_owned(), (*backend).to_owned()), cells)
        };
        Self(results.iter().map(row).collect())
    }

    /// Reads a table that [`table`] wrote.
    fn parse(text: &str) -> Self {
        let mut rows = BTreeMap::new();
        let mut name = "";
        for line in text.lines() {
            let Some(row) = line.strip_prefix("| ") else { continue };
            let Some((first, rest)) = row.split_once("| ") else { continue };
            let Some((backend, cells)) = rest.split_once(" | ") else { continue };
            if !BACKENDS.contains(&backend) {
                continue;
            }
            if !first.trim().is_empty() {
                name = first.trim();
            }
            rows.insert((name.to_owned(), backend.to_owned()), cells.trim_end_matches(" |").to_owned());
        }
        Self(rows)
    }
}

/// The cells of a case: one for each backend.
fn cells_of(case: &Case) -> impl Iterator<Item = (String, String)> {
    BACKENDS.into_iter().map(|backend| (case.name.to_owned(), backend.to_owned()))
}

/// Rows in the order of the cases, in Markdown, and what each case is about.
pub(crate) fn table(cases: &[Case], rows: &Rows) -> String {
    let mut text = HEAD.to_owned();
    let mut about = String::new();
    for case in cases {
        let mut name = case.name;
        for key in cells_of(case) {
            let Some(cells) = rows.0.get(&key) else { continue };
            let _ = writeln!(text, "| {name} | {} | {cells} |", key.1);
            name = "";
        }
        if name.is_empty() && !case.about.is_empty() {
            let _ = writeln!(about, "- {}: {}", case.name, case.about);
        }
    }
    format!("{text}\n{about}")
}

/// Writes the table of a whole run to `target/faults.md`.
pub(crate) fn write(table: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults.md");
    std::fs::write(&path, table)?;
    Ok(path)
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")
}

/// The page before the table, the table, and the page after it.
fn split(page: &str) -> Result<(&str, &str, &str)> {
    let (before, rest) =
        page.split_once(BEGIN).ok_or("docs/operations.md lacks the marker of the table's beginning")?;
    let (table, after) = rest.split_once(END).ok_or("docs/operations.md lacks the marker of the table's end")?;
    Ok((before, table, after))
}

/// Writes the rows into the document. Rows of other cases stay, rows of cases that are no more go.
pub(crate) fn update_page(cases: &[Case], rows: Rows) -> Result<PathBuf> {
    let path = document();
    let page = std::fs::read_to_string(&path)?;
    let (before, old, after) = split(&page)?;
    let mut all = Rows::parse(old);
    all.0.extend(rows.0);
    std::fs::write(&path, format!("{before}{BEGIN}\n{}\n{END}{after}", table(cases, &all)))?;
    Ok(path)
}

/// Checks that the table of the document has the rows of these cases, no others, and says of each
/// what it is about. A case that not every machine can run needs the row of one backend only.
pub(crate) fn check_page(cases: &[Case]) -> Result {
    let page = std::fs::read_to_string(document())?;
    let (_, old, _) = split(&page)?;
    let rows = Rows::parse(old);
    let lacking = |case: &Case| {
        let (there, lacking): (Vec<_>, Vec<_>) = cells_of(case).partition(|key| rows.0.contains_key(key));
        if case.has_condition && !there.is_empty() { Vec::new() } else { lacking }
    };
    let missing: Vec<_> = cases.iter().flat_map(lacking).collect();
    let known: Vec<_> = cases.iter().flat_map(cells_of).collect();
    let stray: Vec<_> = rows.0.keys().filter(|key| !known.contains(key)).collect();
    let remedy = "`UPDATE_DOCS=1 cargo test -p socketio-pg-tests --test faults -- WORD…` runs the faults whose names have \
                  one of the words, and writes their rows";
    if !missing.is_empty() || !stray.is_empty() {
        return Err(
            format!("docs/operations.md lacks the rows {missing:?} and has {stray:?} too many: {remedy}").into()
        );
    }
    if old.trim() != table(cases, &rows).trim() {
        return Err(format!("docs/operations.md describes the faults in other words or another order: {remedy}").into());
    }
    Ok(())
}
