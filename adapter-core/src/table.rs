//! The attachments table and that of the catch-up log: their names, their shapes, how they come into being.

use std::fmt;

use socketio_pg_protocol::channel::quote_identifier;

use crate::backend::{BackendError, ErrorKind};

/// The statement that creates the attachments table, for those who keep their schema in migrations.
///
/// The columns are those that `@socket.io/postgres-adapter` documents, so that Rust and Node servers can share the table, also one
/// that Node's documentation had you create. This one is cheaper, by half or more for large messages:
///
/// * `UNLOGGED`: attachments live for seconds, and whoever was to read them after a crash of the server lost its connection, and with
///   it the notification. After a crash the table is empty and its ids begin anew. Standbys cannot read it; nobody listens there.
///   `ALTER TABLE … SET LOGGED` undoes it.
/// * `STORAGE EXTERNAL`: bodies are stored as they are. To compress each takes PostgreSQL longer than everything else about it.
///
/// `table` is a name, or a schema and a name: see [`InvalidTableName`].
///
/// # Errors
/// When `table` is not such a name.
///
/// ```
/// let sql = socketio_pg_core::table::schema_sql("socket_io_attachments")?;
/// assert!(sql.starts_with(r#"CREATE UNLOGGED TABLE IF NOT EXISTS "socket_io_attachments" ("#));
/// # Ok::<(), socketio_pg_core::table::InvalidTableName>(())
/// ```
pub fn schema_sql(table: &str) -> Result<String, InvalidTableName> {
    Ok(TableName::parse(table)?.create_statement())
}

/// The statement that creates the table of the catch-up log, for those who keep their schema in migrations: see
/// [`Options::catch_up`](crate::Options::catch_up).
///
/// It is a logged table, as an unlogged one would be empty after a crash of the server, which is when it is needed.
///
/// # Errors
/// When `table` is not a name: see [`InvalidTableName`].
///
/// ```
/// let sql = socketio_pg_core::table::log_schema_sql("socket_io_log")?;
/// assert!(sql.starts_with(r#"CREATE TABLE IF NOT EXISTS "socket_io_log" ("#));
/// # Ok::<(), socketio_pg_core::table::InvalidTableName>(())
/// ```
pub fn log_schema_sql(table: &str) -> Result<String, InvalidTableName> {
    Ok(TableName::parse(table)?.create_log_statement())
}

/// The table of the catch-up log, by default.
pub const DEFAULT_LOG: &str = "socket_io_log";

/// What a table must be like.
#[derive(Debug)]
pub struct Shape {
    pub(crate) columns: &'static [Column],
    create: fn(&TableName) -> String,
}

/// A column that a table must have.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// The types that it may have, as PostgreSQL calls them.
    pub(crate) types: &'static [&'static str],
    /// What stands behind the name where the column is added.
    pub(crate) definition: &'static str,
    /// Nobody writes it: a default must.
    pub(crate) fills_itself: bool,
    /// That default; `None` for numbers.
    pub(crate) default: Option<&'static str>,
    /// Whether it is written.
    pub(crate) is_written: bool,
}

impl Column {
    const fn number(definition: &'static str) -> Self {
        Self { name: "id", types: &["bigint"], definition, fills_itself: true, default: None, is_written: false }
    }

    const fn default(
        name: &'static str,
        types: &'static [&'static str],
        definition: &'static str,
        default: &'static str,
    ) -> Self {
        Self { name, types, definition, fills_itself: true, default: Some(default), is_written: false }
    }

    const fn written(name: &'static str, types: &'static [&'static str], definition: &'static str) -> Self {
        Self { name, types, definition, fills_itself: false, default: None, is_written: true }
    }
}

/// Node compares it with `now()`, which both can be.
const TIME: &[&str] = &["timestamp with time zone", "timestamp without time zone"];
const TEXT: &[&str] = &["text", "character varying"];

impl Shape {
    /// That of the attachments table.
    pub const ATTACHMENTS: Self = Self {
        columns: &[
            Column::number("bigserial UNIQUE"),
            Column::default("created_at", TIME, "timestamptz DEFAULT now()", "now()"),
            Column::written("payload", &["bytea"], "bytea"),
        ],
        create: TableName::create_statement,
    };

    /// That of the catch-up log.
    pub const LOG: Self = Self {
        columns: &[
            Column::number("bigserial PRIMARY KEY"),
            Column::default("xid", &["xid8"], "xid8 NOT NULL DEFAULT pg_current_xact_id()", "pg_current_xact_id()"),
            Column::default("created_at", TIME, "timestamptz NOT NULL DEFAULT clock_timestamp()", "clock_timestamp()"),
            Column::written("channel", TEXT, "text NOT NULL"),
            Column::written("payload", TEXT, "text NOT NULL"),
        ],
        create: TableName::create_log_statement,
    };

    pub(crate) fn create_statement(&self, table: &TableName) -> String {
        (self.create)(table)
    }
}

/// The name of a table cannot be understood.
///
/// A name is read as SQL reads it, since Node pastes it into its statements as it is: at most two parts with a dot between
/// them; a part without quotes is taken in lower case; a part in double quotes is taken literally, `""` being one quote. Other than
/// in SQL, a part without quotes may contain anything but a dot, and is then taken literally.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a table: give `table` or `schema.table`, a part with a dot in it in double quotes")]
pub struct InvalidTableName {
    name: String,
}

impl From<InvalidTableName> for BackendError {
    fn from(error: InvalidTableName) -> Self {
        Self::new(ErrorKind::Configuration, error)
    }
}

/// A table's name, quoted: displayed as it goes into statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    quoted: String,
}

impl TableName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is not one: see [`InvalidTableName`].
    pub fn parse(name: &str) -> Result<Self, InvalidTableName> {
        let invalid = || InvalidTableName { name: name.to_owned() };
        let (first, rest) = take_part(name).ok_or_else(invalid)?;
        let quoted = match rest.strip_prefix('.') {
            None if rest.is_empty() => quote_identifier(&first),
            None => return Err(invalid()),
            Some(rest) => match take_part(rest) {
                Some((second, "")) => format!("{}.{}", quote_identifier(&first), quote_identifier(&second)),
                _ => return Err(invalid()),
            },
        };
        // PostgreSQL's text has no NUL.
        if quoted.contains('\0') { Err(invalid()) } else { Ok(Self { quoted }) }
    }

    /// The statements that create the table when it is missing.
    pub fn create_statement(&self) -> String {
        format!(
            "CREATE UNLOGGED TABLE IF NOT EXISTS {self} (\n    \
                 id          bigserial UNIQUE,\n    \
                 created_at  timestamptz DEFAULT NOW(),\n    \
                 payload     bytea\n\
             );\n\
             ALTER TABLE {self} ALTER COLUMN payload SET STORAGE EXTERNAL;"
        )
    }

    /// The statement that creates the table as one of a catch-up log when it is missing.
    ///
    /// It is dated by the clock, not by the transaction's beginning: one of the application's may have been open for long.
    pub fn create_log_statement(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {self} (\n    \
                 id          bigserial PRIMARY KEY,\n    \
                 xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),\n    \
                 created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),\n    \
                 channel     text NOT NULL,\n    \
                 payload     text NOT NULL\n\
             );"
        )
    }

    /// Statements that carry out one of the former once, however many nodes run them at the same time: alone, `IF NOT EXISTS` fails
    /// when two sessions pass it together. Sent as one simple query they are one transaction, which the lock ends with.
    pub fn alone(statement: &str) -> String {
        // The same for all tables: nodes seldom start. The bytes of "socketio".
        const LOCK: i64 = i64::from_be_bytes(*b"socketio");
        format!("SELECT pg_advisory_xact_lock({LOCK}); {statement}")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted)
    }
}

/// The first part of a name, unquoted, and what follows it.
fn take_part(text: &str) -> Option<(String, &str)> {
    let (part, rest) = match text.strip_prefix('"') {
        Some(quoted) => take_quoted(quoted)?,
        None => {
            let (part, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
            (if is_plain(part) { part.to_ascii_lowercase() } else { part.to_owned() }, rest)
        }
    };
    if part.is_empty() { None } else { Some((part, rest)) }
}

fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, after)),
        }
    }
}

/// What SQL takes for a name without quotes.
fn is_plain(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sql_reads_them_and_quoted() {
        for (name, quoted) in [
            ("socket_io_attachments", r#""socket_io_attachments""#),
            ("chat.Attachments", r#""chat"."attachments""#),
            (r#""Chat"."Atta.chments""#, r#""Chat"."Atta.chments""#),
            (r#"chat."At""ta""#, r#""chat"."At""ta""#),
            ("user", r#""user""#),
            ("my-table", r#""my-table""#),
            (r#"a"; DROP TABLE x; --"#, r#""a""; DROP TABLE x; --""#),
            ("Größe", r#""Größe""#),
        ] {
            assert_eq!(TableName::parse(name).map(|table| table.to_string()).as_deref(), Ok(quoted));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "a.", ".a", "a.b.c", r#"""#, r#""a"#, r#""a"b"#, r#""""#, r#""a"."b"c"#, "a\0b"] {
            assert_eq!(TableName::parse(name), Err(InvalidTableName { name: name.to_owned() }), "{name:?}");
        }
    }
}
