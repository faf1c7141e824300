//! The attachments table, the table of the catch-up log, and the outbox: their names, their columns,
//! and the statements that create them.

use std::fmt;

use socketio_pg_protocol::channel::quote_identifier;

use crate::backend::{BackendError, ErrorKind};

/// The statement that creates the attachments table, for applications that keep their schema in
/// migrations.
///
/// The columns are the ones that `@socket.io/postgres-adapter` documents. So Rust and Node.js
/// servers can share the table, also one that was created as Node.js's documentation says. This one
/// is cheaper, by half or more for large messages:
///
/// * `UNLOGGED`: attachments live for seconds, and after a crash of the server every node that was
///   to read them has lost its connection, and with it the notification. After a crash, and on a
///   standby that took over, the table is empty. Standbys cannot read it, but nodes cannot listen
///   there either. Its sequence is logged, so that no id comes twice. `ALTER TABLE … SET LOGGED`
///   undoes it.
/// * `STORAGE EXTERNAL`: bodies are stored as they are. Compressing each takes PostgreSQL longer
///   than everything else about it.
///
/// `table` is a name, or a schema and a name: see [`InvalidTableName`].
///
/// # Errors
/// When `table` is not such a name.
///
/// ```
/// let sql = socketio_pg_core::backend::table::schema_sql("socket_io_attachments")?;
/// assert!(sql.starts_with(r#"CREATE UNLOGGED TABLE IF NOT EXISTS "socket_io_attachments" ("#));
/// # Ok::<(), socketio_pg_core::backend::table::InvalidTableName>(())
/// ```
pub fn schema_sql(table: &str) -> Result<String, InvalidTableName> {
    Ok(TableName::parse(table)?.create_statement())
}

/// The statement that creates the table of the catch-up log, for applications that keep their
/// schema in migrations: see [`Options::catch_up`](crate::Options::catch_up).
///
/// It is a logged table: an unlogged one would be empty after a crash of the server, which is when
/// it is needed.
///
/// # Errors
/// When `table` is not a name: see [`InvalidTableName`].
///
/// ```
/// let sql = socketio_pg_core::backend::table::log_schema_sql("socket_io_log")?;
/// assert!(sql.starts_with(r#"CREATE TABLE IF NOT EXISTS "socket_io_log" ("#));
/// # Ok::<(), socketio_pg_core::backend::table::InvalidTableName>(())
/// ```
pub fn log_schema_sql(table: &str) -> Result<String, InvalidTableName> {
    Ok(TableName::parse(table)?.create_log_statement())
}

/// The statements that create the outbox, for applications that keep their schema in migrations: see
/// [`Options::outbox`](crate::Options::outbox).
///
/// It is a logged table, which loses nothing in a crash of the server. PostgreSQL vacuums it after
/// every thousand rows, as it is mostly empty and its rows are deleted at once, and does not lock it
/// to give space back to the disk. Beside it stands a sequence, the table's name with `_turn`, which
/// says until when a server publishes the rows.
///
/// # Errors
/// When `table` is not a name: see [`InvalidTableName`].
///
/// ```
/// let sql = socketio_pg_core::backend::table::outbox_schema_sql("socket_io_outbox")?;
/// assert!(sql.starts_with(r#"CREATE TABLE IF NOT EXISTS "socket_io_outbox" ("#));
/// # Ok::<(), socketio_pg_core::backend::table::InvalidTableName>(())
/// ```
pub fn outbox_schema_sql(table: &str) -> Result<String, InvalidTableName> {
    Ok(TableName::parse(table)?.create_outbox_statement())
}

/// The table of the catch-up log, by default.
pub const DEFAULT_LOG: &str = "socket_io_log";

/// The table of the outbox, by default.
pub const DEFAULT_OUTBOX: &str = "socket_io_outbox";

/// What the node requires of a table.
#[derive(Debug)]
pub struct TableSpec {
    pub(crate) columns: &'static [Column],
    /// The columns that need an index of their own.
    pub(crate) indexed: &'static [&'static str],
    create: fn(&TableName) -> String,
}

/// A column that a table must have.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// The types that it may have, as PostgreSQL calls them.
    pub(crate) types: &'static [&'static str],
    /// The SQL after the name where the column is added.
    pub(crate) definition: &'static str,
    /// Whether its default must fill it, because no statement writes it.
    pub(crate) fills_itself: bool,
    /// The default; `None` for numbers.
    pub(crate) default: Option<&'static str>,
    /// Whether a statement writes it.
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

    /// A column that others write.
    const fn read(name: &'static str, types: &'static [&'static str], definition: &'static str) -> Self {
        Self { name, types, definition, fills_itself: false, default: None, is_written: false }
    }
}

const ZONED: &[&str] = &["timestamp with time zone"];
/// Node.js compares it with `now()`, which works with both types.
const TIME: &[&str] = &["timestamp with time zone", "timestamp without time zone"];
const TEXT: &[&str] = &["text", "character varying"];

impl TableSpec {
    /// What the node requires of the attachments table.
    pub const ATTACHMENTS: Self = Self {
        columns: &[
            Column::number("bigserial UNIQUE"),
            Column::default("created_at", TIME, "timestamptz DEFAULT now()", "now()"),
            Column::written("payload", &["bytea"], "bytea"),
        ],
        indexed: &[],
        create: TableName::create_statement,
    };

    /// What the node requires of the catch-up log.
    pub const LOG: Self = Self {
        columns: &[
            Column::number("bigserial PRIMARY KEY"),
            Column::default("xid", &["xid8"], "xid8 NOT NULL DEFAULT pg_current_xact_id()", "pg_current_xact_id()"),
            Column::default("created_at", ZONED, "timestamptz NOT NULL DEFAULT clock_timestamp()", "clock_timestamp()"),
            Column::written("channel", TEXT, "text NOT NULL"),
            Column::written("payload", TEXT, "text NOT NULL"),
        ],
        indexed: Self::LOG_INDEXES,
        create: TableName::create_log_statement,
    };

    /// What the node requires of the outbox. Emitters write it, and the node only reads and deletes.
    pub const OUTBOX: Self = Self {
        columns: &[
            Column::default("xid", &["xid8"], "xid8 NOT NULL DEFAULT pg_current_xact_id()", "pg_current_xact_id()"),
            Column::number("bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
            Column::default("created_at", ZONED, "timestamptz NOT NULL DEFAULT clock_timestamp()", "clock_timestamp()"),
            Column::read("channel", TEXT, "text NOT NULL"),
            Column::read("payload", TEXT, "text NOT NULL"),
            Column::read("after_id", TEXT, "text"),
            Column::read("body", &["bytea"], "bytea"),
        ],
        indexed: &["id"],
        create: TableName::create_outbox_statement,
    };

    /// A node finds its position in the log by `xid`, and deletes old rows by `created_at`.
    const LOG_INDEXES: &'static [&'static str] = &["xid", "created_at"];

    pub(crate) fn create_statement(&self, table: &TableName) -> String {
        (self.create)(table)
    }
}

/// The name of a table cannot be understood.
///
/// A name is read as SQL reads it, since Node.js pastes it into its statements as it is: at most
/// two parts with a dot between them; a part without quotes is taken in lower case; a part in
/// double quotes is taken literally, `""` being one quote. Unlike in SQL, a part without quotes may
/// contain any character but a dot, and is then taken literally.
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

/// A table's name, quoted: displayed as it is used in statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    quoted: String,
    /// Without its schema, not quoted.
    own: String,
}

impl TableName {
    /// Its schema, quoted, where the name has one.
    pub(super) fn schema(&self) -> Option<String> {
        let own = quote_identifier(&self.own);
        Some(self.quoted.strip_suffix(&own)?.strip_suffix('.')?.to_owned())
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When the text is not a name: see [`InvalidTableName`].
    pub fn parse(name: &str) -> Result<Self, InvalidTableName> {
        let invalid = || InvalidTableName { name: name.to_owned() };
        let (first, rest) = take_part(name).ok_or_else(invalid)?;
        let (quoted, own) = match rest.strip_prefix('.') {
            None if rest.is_empty() => (quote_identifier(&first), first),
            None => return Err(invalid()),
            Some(rest) => match take_part(rest) {
                Some((second, "")) => (format!("{}.{}", quote_identifier(&first), quote_identifier(&second)), second),
                _ => return Err(invalid()),
            },
        };
        // PostgreSQL's text cannot contain NUL.
        if quoted.contains('\0') { Err(invalid()) } else { Ok(Self { quoted, own }) }
    }

    /// The statements that create the table when it is missing.
    ///
    /// From PostgreSQL 15 on the sequence of an unlogged table is unlogged, too, unless it is
    /// declared logged: then numbers would begin again after a crash, and on a standby that takes
    /// over the sequence may be unreadable.
    pub fn create_statement(&self) -> String {
        let name = self.to_string().replace('\'', "''");
        let body = format!(
            "BEGIN\n    \
                 IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000\n        \
                     AND pg_catalog.pg_get_serial_sequence('{name}', 'id') IS NOT NULL\n    \
                 THEN\n        \
                     EXECUTE pg_catalog.concat(\n            \
                         'ALTER SEQUENCE ', pg_catalog.pg_get_serial_sequence('{name}', 'id'), ' SET LOGGED'\n        \
                     );\n    \
                 END IF;\n\
             END"
        );
        format!(
            "CREATE UNLOGGED TABLE IF NOT EXISTS {self} (\n    \
                 id          bigserial UNIQUE,\n    \
                 created_at  pg_catalog.timestamptz DEFAULT pg_catalog.now(),\n    \
                 payload     pg_catalog.bytea\n\
             );\n\
             ALTER TABLE {self} ALTER COLUMN payload SET STORAGE EXTERNAL;\n\
             DO {};",
            dollar_quoted(&body)
        )
    }

    /// The statements that create the table of a catch-up log when it is missing.
    ///
    /// Rows are dated by the clock, not by the beginning of the transaction: a transaction of the
    /// application may have been open for long.
    pub fn create_log_statement(&self) -> String {
        let indexes: Vec<String> = TableSpec::LOG_INDEXES.iter().map(|it| self.create_index_statement(it)).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {self} (\n    \
                 id          bigserial PRIMARY KEY,\n    \
                 xid         pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),\n    \
                 created_at  pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n    \
                 channel     pg_catalog.text NOT NULL,\n    \
                 payload     pg_catalog.text NOT NULL\n\
             );\n\
             {}",
            indexes.join("\n")
        )
    }

    /// The statements that create an outbox when it is missing.
    ///
    /// `xid` is the first column, so that a transaction has its number before it takes one for a
    /// row: see [`outbox_sql`](super::outbox_sql). There are no constraints on lengths, which would
    /// take longer to check than all else that writing a row takes.
    pub fn create_outbox_statement(&self) -> String {
        let turn = self.turn_sequence();
        format!(
            "CREATE TABLE IF NOT EXISTS {self} (\n    \
                 xid         pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),\n    \
                 id          pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    \
                 created_at  pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),\n    \
                 channel     pg_catalog.text NOT NULL,\n    \
                 payload     pg_catalog.text NOT NULL,\n    \
                 after_id    pg_catalog.text,\n    \
                 body        pg_catalog.bytea\n\
             ) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, vacuum_truncate = false);\n\
             ALTER TABLE {self} ALTER COLUMN body SET STORAGE EXTERNAL;\n\
             CREATE SEQUENCE IF NOT EXISTS {turn} OWNED BY {self}.xid;"
        )
    }

    /// The name of the sequence that says until when a server publishes the outbox, quoted.
    pub(crate) fn turn_sequence(&self) -> String {
        let own = quote_identifier(&self.name_with("_turn"));
        self.schema().map_or_else(|| own.clone(), |schema| format!("{schema}.{own}"))
    }

    /// The statement that creates an index on a column, unless an index of this name exists.
    pub(crate) fn create_index_statement(&self, column: &str) -> String {
        let name = quote_identifier(&self.name_with(&format!("_{column}_idx")));
        format!("CREATE INDEX IF NOT EXISTS {name} ON {self} ({column});")
    }

    /// The name of something that belongs to the table: for an index, the one that PostgreSQL would
    /// give it. A name that is too long gets a hash of the whole, as another name may begin in the
    /// same way.
    fn name_with(&self, suffix: &str) -> String {
        const MAX_BYTES: usize = 63;
        let table = &self.own;
        if table.len() + suffix.len() <= MAX_BYTES {
            return format!("{table}{suffix}");
        }
        // FNV-1a: always the same, unlike the hashes of the standard library.
        let hash = table.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let suffix = format!("_{hash:08x}{suffix}");
        let cut = table.floor_char_boundary(MAX_BYTES - suffix.len());
        format!("{}{suffix}", &table[..cut])
    }

    /// Statements that give up soon rather than delay sessions that wait for the same lock, sent as
    /// one simple query.
    pub(crate) fn hurried(statement: &str) -> String {
        format!(
            "SELECT pg_catalog.set_config('lock_timeout', '1s', true), \
                    pg_catalog.set_config('statement_timeout', '3s', true); {statement}"
        )
    }

    /// Statements that create a table once, however many nodes run them at the same time: `IF NOT
    /// EXISTS` alone fails when two sessions pass it together. Sent as one simple query they are
    /// one transaction, and the lock ends with it.
    pub fn alone(statement: &str) -> String {
        // The same for all tables: nodes seldom start. The bytes of "socketio".
        const LOCK: i64 = i64::from_be_bytes(*b"socketio");
        format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCK}::pg_catalog.int8); {statement}")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted)
    }
}

/// A text as SQL, whatever `standard_conforming_strings` is.
pub(crate) fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// A text in dollar quotes that do not occur in it.
fn dollar_quoted(text: &str) -> String {
    let mut tag = "$do$".to_owned();
    while text.contains(&tag) {
        tag.insert(1, '_');
    }
    format!("{tag}\n{text}\n{tag}")
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

/// Whether SQL accepts it as a name without quotes.
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
    fn names_of_indexes_fit_and_are_unlike_each_other() {
        let name = |table: &str| TableName::parse(table).unwrap().name_with("_created_at_idx");
        assert_eq!(name("chat.socket_io_log"), "socket_io_log_created_at_idx");
        let long = ["é".repeat(30), format!("{}x", "é".repeat(30))];
        let [one, other] = [name(&long[0]), name(&long[1])];
        assert!(one.len() <= 63 && other.len() <= 63 && one != other, "{one} {other}");
        assert!(one.starts_with("éééé") && one.ends_with("_created_at_idx"), "{one}");
    }

    #[test]
    fn a_text_may_contain_any_dollars() {
        assert_eq!(dollar_quoted("a"), "$do$\na\n$do$");
        assert_eq!(dollar_quoted("$do$ $_do$"), "$__do$\n$do$ $_do$\n$__do$");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "a.", ".a", "a.b.c", r#"""#, r#""a"#, r#""a"b"#, r#""""#, r#""a"."b"c"#, "a\0b"] {
            assert_eq!(TableName::parse(name), Err(InvalidTableName { name: name.to_owned() }), "{name:?}");
        }
    }
}
