//! Compares the page with the code.

use std::{fs, path::Path};

/// The modules with the rows of the tables.
const CODE: [&str; 4] = [
    include_str!("to_clients.rs"),
    include_str!("rooms.rs"),
    include_str!("between_servers.rs"),
    include_str!("connecting.rs"),
];

/// The sections of the page with the tables, and the heading after them.
const SECTIONS: [&str; 3] = ["## See that the cluster is whole", "## Call by call", "## Middleware and sessions"];

/// A row of a table: what it is about, and the code for Rust.
struct Row {
    about: String,
    code: Vec<String>,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/moving-from-node.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, tables) = page.split_once(SECTIONS[0]).expect("the page has the section");
    assert!(tables.contains(SECTIONS[1]), "the page has the section {}", SECTIONS[1]);
    let (tables, _) = tables.split_once(SECTIONS[2]).expect("the page has the section");
    let lines: Vec<_> = tables.lines().collect();
    // The head of a table is the line before its dashes.
    let is_row = |index: usize| {
        let is_dashes = |index: usize| lines.get(index).is_some_and(|line| line.starts_with("|---"));
        lines[index].starts_with('|') && !is_dashes(index) && !is_dashes(index + 1)
    };
    (0..lines.len()).filter(|index| is_row(*index)).map(|index| row(lines[index])).collect()
}

fn row(line: &str) -> Row {
    // A `|` of a closure is escaped in a table.
    let line = line.replace("\\|", "\u{0}");
    let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
    let code = cells[1].split('`').skip(1).step_by(2).map(str::to_owned);
    // The names of metrics are compared with the exporter elsewhere.
    let code = code.filter(|code| !code.starts_with("socketio_pg_"));
    Row { about: cells[0].replace('`', ""), code: code.collect() }
}

/// Code without white space.
fn dense(code: &str) -> String {
    code.chars().filter(|char| !char.is_whitespace()).collect()
}

/// Whether code has a text, in which `…` and the inside of `[]` stand for anything.
fn has(code: &str, text: &str) -> bool {
    let mut rest = code;
    dense(text).replace("[]", "[…]").split('…').all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or("", |(_, after)| after);
        found.is_some()
    })
}

/// The comments of the code that are the first cell of a row, each with the code up to the next
/// one.
fn sections(rows: &[Row]) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in CODE.iter().flat_map(|code| code.lines()) {
        match line.trim().strip_prefix("// ") {
            Some(comment) if rows.iter().any(|row| row.about == comment) => {
                sections.push((comment.to_owned(), String::new()));
            }
            Some(_) => {}
            None => {
                if let Some((_, code)) = sections.last_mut() {
                    code.push_str(&dense(line));
                }
            }
        }
    }
    sections
}

#[test]
fn each_cell_for_rust_is_compiled_and_run() {
    let rows = rows();
    assert!(rows.len() > 40, "{} rows were found", rows.len());
    let sections = sections(&rows);
    let mut missing = Vec::new();
    for Row { about, code } in &rows {
        let of_row: Vec<_> = sections.iter().filter(|(comment, _)| comment == about).collect();
        if of_row.len() != 1 {
            missing.push(format!("{} times code for the row: {about}", of_row.len()));
        }
        let is_missing = |text: &&String| !of_row.iter().any(|(_, section)| has(section, text));
        missing.extend(code.iter().filter(is_missing).map(|text| format!("no `{text}` in the row: {about}")));
        if code.is_empty() {
            missing.push(format!("no code for Rust on the page in the row: {about}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn code_that_is_not_there_is_missed() {
    let code = dense(r#"io.to("a").emit("e", &data).await?; io.within("a").join("b").await?"#);
    assert!(has(&code, r#"io.to("a").emit("e", &data).await"#) && has(&code, "io.to(…).await"));
    assert!(!has(&code, r#"io.to("b").emit("e", &data).await"#) && !has(&code, "io.within(…).leave(…)"));
}
