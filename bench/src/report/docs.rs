//! Writes `docs/performance.md`: tables between markers, so that the prose around them stays; and
//! plots.

use std::{fmt::Write, fs, io, path::Path};

use super::{Figures, goals, plot, workload_table};
use crate::workload::{self, Workload};

/// Writes the page and its plots into a directory.
pub(crate) fn write(figures: &Figures, docs: &Path) -> io::Result<()> {
    let plots = docs.join("performance");
    fs::create_dir_all(&plots)?;
    let mut tables = circumstances(figures);
    let _ = write!(tables, "\n## Goals\n\n{}", goals(figures));
    for workload in workload::ALL {
        let table = workload_table(figures, workload);
        if table.is_empty() {
            continue;
        }
        let _ = write!(tables, "\n## {}\n\n", heading(workload));
        if let Some(svg) = plot::bars(figures, workload) {
            fs::write(plots.join(format!("{}.svg", workload.id)), svg)?;
            let _ = write!(tables, "![{}](performance/{}.svg)\n\n", workload.title, workload.id);
        }
        tables.push_str(&table);
    }
    replace_in(&docs.join("performance.md"), "measured", &tables)
}

/// Writes tables into the section of the page that has this name: those of a run on another server.
pub(crate) fn write_section(figures: &Figures, docs: &Path, section: &str) -> io::Result<()> {
    let mut tables = circumstances(figures);
    for workload in workload::ALL {
        let table = workload_table(figures, workload);
        if !table.is_empty() {
            let _ = write!(tables, "\n### {}\n\n{table}", heading(workload));
        }
    }
    replace_in(&docs.join("performance.md"), &format!("measured on {section}"), &tables)
}

fn replace_in(page: &Path, name: &str, tables: &str) -> io::Result<()> {
    let text = fs::read_to_string(page)?;
    let [begin, end] = markers(name);
    let replaced = replace(&text, name, tables).ok_or_else(|| {
        io::Error::other(format!("{} lacks its markers: put {begin} and {end} where the tables belong", page.display()))
    })?;
    fs::write(page, replaced)
}

fn markers(name: &str) -> [String; 2] {
    ["begin", "end"].map(|word| format!("<!-- {name}: {word} -->"))
}

fn heading(workload: &Workload) -> String {
    let mut letters = workload.title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn circumstances(figures: &Figures) -> String {
    let mut list = String::new();
    for (name, value) in &figures.circumstances {
        let _ = writeln!(list, "- {name}: {value}");
    }
    list
}

fn replace(page: &str, name: &str, tables: &str) -> Option<String> {
    let [begin, end] = markers(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{tables}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prose_round_the_tables_stays() {
        let page = "one\n<!-- measured: begin -->\nold\n<!-- measured: end -->\ntwo\n";
        let replaced = "one\n<!-- measured: begin -->\nnew\n\n<!-- measured: end -->\ntwo\n";
        assert_eq!(replace(page, "measured", "new\n").as_deref(), Some(replaced));
        assert_eq!(replace(page, "measured on a moon", "new\n"), None);
    }
}
