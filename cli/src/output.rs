//! What is written, to people and to programs.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const RESET: &str = "\x1b[0m";

/// Moves to the top left and clears the rest of the terminal.
const CLEAR: &str = "\x1b[H\x1b[J";

/// A line for people. Colours are left out where they cannot be shown.
pub(crate) fn line(text: &str) {
    written(writeln!(anstream::stdout(), "{text}"));
}

/// Text as it is, such as a document.
pub(crate) fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// A line for programs.
pub(crate) fn json(value: &impl Serialize) {
    // trees of JSON, written to memory
    let line = serde_json::to_string(value).unwrap_or_else(|error| format!(r#"{{"error":"{error}"}}"#));
    text(&format!("{}\n", one_line(&line)));
}

/// The same JSON without line breaks, and without what a terminal would obey. Line breaks stand
/// between its tokens, where the sender wrote them; what is left stands in its texts.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\n' | '\r' | '\t' => line.push(' '),
            char if is_obeyed(char) => {
                let units =
                    char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
                line.push_str(&units);
            }
            char => line.push(char),
        }
    }
    line
}

/// The text as one word for a shell.
pub(crate) fn shell_quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@%+,".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// In milliseconds since 1970.
pub(crate) fn now_in_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Something for people beside the results.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{DIM}{}{RESET}", printable_lines(text));
}

pub(crate) fn warning(text: &str) {
    let _ = writeln!(anstream::stderr(), "{YELLOW}warning:{RESET} {}", printable_lines(text));
}

pub(crate) fn error(text: &str) {
    let _ = writeln!(anstream::stderr(), "{RED}error:{RESET} {}", printable_lines(text));
}

/// Begins a screen that replaces the one before. Without a terminal, screens follow each other.
pub(crate) fn begin_screen() {
    if io::stdout().is_terminal() {
        text(CLEAR);
    }
}

/// The characters that fit into a line; `None` where there is no terminal.
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Whoever reads the output may stop early, as `head` does.
fn written(result: io::Result<()>) {
    if let Err(error) = result {
        if error.kind() != ErrorKind::BrokenPipe {
            self::error(&format!("the output cannot be written: {error}"));
            process::exit(1);
        }
        process::exit(0);
    }
}

/// Text of others without what a terminal would obey: names and data come from clients.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for char in text.chars() {
        if is_obeyed(char) {
            printable.extend(char.escape_unicode());
        } else {
            printable.push(char);
        }
    }
    printable
}

fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Control characters, and characters that change the direction or cannot be seen.
fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text, cut to a number of characters.
pub(crate) fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| text.chars().count() > *width) else { return text.to_owned() };
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Rows in columns that are as wide as they must be.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; its texts may come from others.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let length = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let width = |column| self.rows.iter().map(|row| length(row, column)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let limit = self::width();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let text = cut(cells.collect::<Vec<_>>().join("  ").trim_end(), limit);
            line(&if number == 0 { format!("{BOLD}{text}{RESET}") } else { text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c\n\u{202e}d é 日"), "a\\u{1b}[2Jb\\u{9b}c\\u{a}\\u{202e}d é 日");
    }

    #[test]
    fn json_is_one_line_that_means_the_same() {
        let written = "{\"a\":[1,\n\t2],\"b\":\"\u{9b}\u{e0041}é\"}";
        let line = one_line(written);
        assert_eq!(line, r#"{"a":[1,  2],"b":"\u009b\udb40\udc41é"}"#);
        let values = [written, &line].map(|text| serde_json::from_str::<serde_json::Value>(text).expect("it is JSON"));
        assert_eq!(values[0], values[1]);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_quoted("public.chat"), "public.chat");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted(""), "''");
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(cut("日本語です", Some(3)), "日本…");
        assert_eq!(cut("日本語", Some(3)), "日本語");
        assert_eq!(cut("日本語", None), "日本語");
    }
}
