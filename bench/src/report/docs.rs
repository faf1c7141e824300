//! Writes `docs/performance.md`: tables between markers, so that the prose around them stays; and
//! plots.

use std::{fmt::Write, fs, io, path::Path};

use super::{Figures, goals, plot, workload_table};
use crate::workload::{self, Workload};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Writes the page and its plots into a directory.
pub(crate) fn write(figures: &Figures, docs: &Path) -> io::Result<()> {
    let page = docs.join("performance.md");
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
    let text = fs::read_to_string(&page)?;
    let replaced = replace(&text, &tables).ok_or_else(|| {
        io::Error::other(format!("{} lacks its markers: put {BEGIN} and {END} where the tables belong", page.display()))
    })?;
    fs::write(page, replaced)
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

fn replace(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prose_round_the_tables_stays() {
        let page = format!("one\n{BEGIN}\nold\n{END}\ntwo\n");
        assert_eq!(replace(&page, "new\n"), Some(format!("one\n{BEGIN}\nnew\n\n{END}\ntwo\n")));
        assert_eq!(replace("a page without markers", "new"), None);
    }
}
