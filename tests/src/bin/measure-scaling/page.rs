//! Writes into `docs/scaling.md`, between markers, so that the prose around the tables stays; and
//! the plots beside it.

use std::{fs, io, path::Path};

use crate::plot::Plot;

/// Writes a section of the page, with its plots in front of its tables.
pub(crate) fn write(name: &str, text: &str, plots: &[Plot]) -> io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let folder = docs.join("scaling");
    fs::create_dir_all(&folder)?;
    for Plot { name, svg } in plots {
        fs::write(folder.join(format!("{name}.svg")), svg)?;
    }
    let page = docs.join("scaling.md");
    let replaced = replace(&fs::read_to_string(&page)?, name, &with_pictures(text, plots)).ok_or_else(|| {
        let [begin, end] = markers(name);
        io::Error::other(format!("{} lacks {begin} and {end}: put them where the tables belong", page.display()))
    })?;
    fs::write(page, replaced)
}

/// The text, and the plots below it. They are HTML, with an empty description: the documentation of
/// the crates shows this page without its pictures, and a reader finds their figures in the tables.
fn with_pictures(text: &str, plots: &[Plot]) -> String {
    let pictures = plots.iter().map(|plot| format!("\n<img src=\"scaling/{}.svg\" alt=\"\">\n", plot.name));
    text.trim_end().to_owned() + "\n" + &pictures.collect::<String>()
}

fn markers(name: &str) -> [String; 2] {
    ["begin", "end"].map(|edge| format!("<!-- scaling {name}: {edge} -->"))
}

/// The page with another text between the markers; `None` when it lacks them.
fn replace(page: &str, name: &str, text: &str) -> Option<String> {
    let [begin, end] = markers(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prose_round_the_tables_stays() {
        let page = "one\n<!-- scaling fetch: begin -->\nold\n<!-- scaling fetch: end -->\ntwo\n";
        let expected = "one\n<!-- scaling fetch: begin -->\nnew\n<!-- scaling fetch: end -->\ntwo\n";
        assert_eq!(replace(page, "fetch", "new").as_deref(), Some(expected));
        assert_eq!(replace(page, "memory", "new"), None);
    }

    #[test]
    fn pictures_come_after_the_tables() {
        let plot = Plot { name: "fetch".to_owned(), svg: String::new() };
        assert_eq!(with_pictures("text\n", &[plot]), "text\n\n<img src=\"scaling/fetch.svg\" alt=\"\">\n");
    }
}
