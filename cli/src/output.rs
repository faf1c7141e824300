//! What is written, to people and to programs.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const RESET: &str = "\x1b[0m";

/// Moves to the top left and clears the rest of the terminal.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What stands between two columns of a table.
const GAP: &str = "  ";

/// The width that a column keeps in a narrow terminal.
const MIN_WIDTH: usize = 8;

/// The width to which columns are filled where there is no terminal.
const MAX_PADDING: usize = 60;

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
    text(&json_line(value));
}

/// A line for programs, with its end.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    // trees of JSON, written to memory
    let line = serde_json::to_string(value).unwrap_or_else(|error| format!(r#"{{"error":"{error}"}}"#));
    format!("{}\n", one_line(&line))
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

/// `1 server`, `2 servers`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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

/// The columns and rows of the terminal; `None` where there is none.
fn terminal() -> Option<(usize, usize)> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, height)| (usize::from(width.0), usize::from(height.0)))
}

/// The columns that fit into a line; `None` where there is no terminal.
pub(crate) fn width() -> Option<usize> {
    terminal().map(|(width, _)| width)
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

/// The columns of a terminal that a character takes. One that joins the character before it takes
/// none, but the selector of emoji makes that one wider.
fn columns(char: char) -> usize {
    if char == '\u{fe0f}' { 1 } else { char.width().unwrap_or(0) }
}

/// The text, cut to a number of columns.
pub(crate) fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else { return text.to_owned() };
    let mut left = width.saturating_sub(1);
    let fits = |char: &char| {
        let rest = left.checked_sub(columns(*char));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text, filled with blanks to a number of columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
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

    /// Writes all rows, as wide as the terminal.
    pub(crate) fn print(&self) {
        let limit = width();
        let lines = self.lines(limit);
        for (number, text) in lines.enumerate() {
            line(&if number == 0 { format!("{BOLD}{text}{RESET}") } else { text });
        }
    }

    /// Writes the rows that fit on the screen, which replaces the one before. Without a terminal,
    /// screens follow each other.
    pub(crate) fn print_screen(&mut self) {
        if let Some((_, height)) = terminal() {
            // The line below the last one has the cursor.
            let places = height.saturating_sub(1).max(2);
            if self.rows.len() > places {
                let others = self.rows.len() - (places - 1);
                self.rows.truncate(places - 1);
                self.rows.push(vec![format!("… {others} others")]);
            }
            text(CLEAR);
        }
        self.print();
    }

    fn lines(&self, limit: Option<usize>) -> impl Iterator<Item = String> {
        let widths = self.widths(limit);
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| match limit {
                Some(_) => pad(&cut(cell, Some(*width)), *width),
                None => pad(cell, *width),
            });
            cut(cells.collect::<Vec<_>>().join(GAP).trim_end(), limit)
        })
    }

    /// The widths of the columns. Where there is a limit, the widest give way.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let length = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.width());
        let width = |column| self.rows.iter().map(|row| length(row, column)).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns).map(width).collect();
        let Some(limit) = limit else {
            // A long text is not a reason to fill all other rows.
            widths.iter_mut().for_each(|width| *width = (*width).min(MAX_PADDING));
            return widths;
        };
        let limit = limit.saturating_sub(GAP.len() * columns.saturating_sub(1));
        widths.iter_mut().for_each(|width| *width = (*width).min(limit.max(MIN_WIDTH)));
        while widths.iter().sum::<usize>() > limit {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > MIN_WIDTH) else { break };
            *widest -= 1;
        }
        widths
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
    fn long_lines_are_cut_to_columns() {
        assert_eq!(cut("abcde", Some(3)), "ab…");
        assert_eq!(cut("日本語です", Some(6)), "日本…");
        assert_eq!(cut("日本語です", Some(10)), "日本語です");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", Some(2)), "e\u{301}…");
        assert_eq!(cut("日本語", None), "日本語");
        assert_eq!(cut("日本語", Some(0)), "…");
    }

    fn table(cells: &[[&str; 3]]) -> Table {
        let mut table = Table::new(&["NAME", "ROOMS", "DATA"]);
        cells.iter().for_each(|row| table.row(row.map(str::to_owned)));
        table
    }

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_them() {
        let rows = [["web-1", "a", "1"], ["日本", "👍", "2"], ["e\u{301}", "❤\u{fe0f}", "3"], ["x\u{1b}[m", "🇩🇪", "4"]];
        let lines: Vec<_> = table(&rows).lines(None).collect();
        let expected = [
            "NAME       ROOMS  DATA",
            "web-1      a      1",
            "日本       👍     2",
            "e\u{301}          ❤\u{fe0f}     3",
            "x\\u{1b}[m  🇩🇪     4",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_widest_columns_give_way_in_a_narrow_terminal() {
        let long = "x".repeat(100);
        let rows = [["web-1", "orders", &long], ["日本語日本語日本語", "a", "2"]];
        let lines: Vec<_> = table(&rows).lines(Some(40)).collect();
        assert!(lines.iter().all(|line| line.width() <= 40), "{lines:#?}");
        assert!(
            lines[1].starts_with("web-1 ") && lines[1].contains("  orders  x") && lines[1].ends_with('…'),
            "{lines:#?}"
        );
        assert!(lines[2].starts_with("日本語日") && lines[2].ends_with("  2"), "{lines:#?}");
        for width in 0..30 {
            assert!(table(&rows).lines(Some(width)).all(|line| line.width() <= width.max(1)), "{width}");
        }
    }

    #[test]
    fn a_long_text_does_not_fill_all_other_rows() {
        let long = "x".repeat(10_000);
        let lines: Vec<_> = table(&[["a", &long, "1"], ["b", "c", "2"]]).lines(None).collect();
        assert_eq!(lines[1].len(), "NAME  ".len() + 10_000 + "  1".len());
        assert_eq!(lines[2].len(), "NAME  ".len() + MAX_PADDING + "  2".len());
    }
}
