//! Tables at the start: created when they are missing, and looked at: whether their columns are those that are needed, and what
//! the role may do.
//!
//! A driver only asks [`LOOK`] and runs the statements that create a table; the rest is the same for all of them.

use std::fmt;

use serde::Deserialize;
use socketio_pg_protocol::channel::quote_identifier;

use crate::{
    backend::{Backend, BackendError, ErrorKind},
    table::{Shape, TableName},
};

/// Reads everything about a table that matters here, and changes nothing. `$1`: its name, as [`TableName`] is displayed. Returns one
/// row with one text, for [`Sight::read`].
///
/// * The catalogue is read by name, as `to_regclass` fails where a schema may not be used. A table that hides in such a schema of the
///   search path is found, too: to call it missing would be no help.
/// * `nextval` in a default is checked against the sequence's rights, wherever it is; the sequence of an identity column is not.
/// * A domain is taken for the type below it.
pub const LOOK: &str = r#"
WITH parts AS (
    SELECT parse_ident($1::text) AS parts
), found AS (
    SELECT pg_class.oid, relname, relnamespace, relkind, relowner, relhastriggers
    FROM parts, pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relname = parts[cardinality(parts)]::name AND CASE cardinality(parts)
        WHEN 1 THEN pg_table_is_visible(pg_class.oid) OR NOT has_schema_privilege(relnamespace, 'USAGE') AND nspname IN (
            SELECT replace(btrim(part, ' "'), '$user', current_user)
            FROM unnest(string_to_array(current_setting('search_path'), ',')) AS path(part)
        )
        ELSE nspname = parts[1]::name
    END
    ORDER BY pg_table_is_visible(pg_class.oid) DESC LIMIT 1
)
SELECT json_build_object(
    'encoding', pg_catalog.current_setting('server_encoding'),
    'role', current_user,
    'schema', relnamespace::regnamespace::text,
    'may_use_schema', has_schema_privilege(relnamespace, 'USAGE'),
    'owner', pg_get_userbyid(relowner),
    'is_table', relkind IN ('r', 'p', 'f', 'v'),
    'is_filled_otherwise', relkind = 'v' OR relhastriggers,
    'may_delete', has_table_privilege(oid, 'DELETE'),
    'columns', (
        SELECT coalesce(json_agg(json_build_object(
            'name', attname,
            'type', format_type(coalesce(nullif(typbasetype, 0), atttypid), NULL),
            'may_select', has_column_privilege(attrelid, attnum, 'SELECT'),
            'may_insert', has_column_privilege(attrelid, attnum, 'INSERT'),
            'is_required', attnotnull,
            'fills_itself', atthasdef OR attidentity <> '',
            'sequences', (
                SELECT coalesce(json_agg(quote_ident(nspname) || '.' || quote_ident(relname)), '[]')
                FROM pg_attrdef
                JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
                JOIN pg_class AS sequence ON refclassid = 'pg_class'::regclass AND refobjid = sequence.oid
                JOIN pg_namespace ON pg_namespace.oid = sequence.relnamespace
                WHERE adrelid = attrelid AND adnum = attnum
                    -- CASE, as the order of conditions is the planner's, and the question fails for what is no sequence
                    AND CASE sequence.relkind WHEN 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE, UPDATE') END
            )
        )), '[]')
        FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
        WHERE attrelid = found.oid AND attnum > 0 AND NOT attisdropped
    )
)::text
FROM (SELECT) AS once LEFT JOIN found ON true
"#;

/// The one encoding in which every name and every text can be written.
const UTF8: &str = "UTF8";

/// What [`LOOK`] has found.
#[derive(Clone, Debug, Deserialize)]
pub struct Sight {
    encoding: String,
    role: String,
    /// `None`: there is no such table.
    schema: Option<String>,
    may_use_schema: Option<bool>,
    owner: Option<String>,
    is_table: Option<bool>,
    /// By triggers, or as a view is.
    is_filled_otherwise: Option<bool>,
    may_delete: Option<bool>,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    r#type: String,
    may_select: bool,
    may_insert: bool,
    /// It takes no null.
    is_required: bool,
    /// It has a default, or numbers its rows.
    fills_itself: bool,
    /// Those that its default takes numbers from, and that the role may not use.
    sequences: Vec<String>,
}

impl Sight {
    /// Reads the text that [`LOOK`] returns.
    ///
    /// # Errors
    /// When it is another one.
    pub fn read(text: &str) -> Result<Self, BackendError> {
        serde_json::from_str(text).map_err(|error| BackendError::new(ErrorKind::Other, error))
    }

    /// A table with which all is well, for backends without a database.
    pub fn usable(shape: &Shape) -> Self {
        let column = |column: &crate::table::Column| Column {
            name: column.name.to_owned(),
            r#type: column.types[0].to_owned(),
            may_select: true,
            may_insert: true,
            is_required: false,
            fills_itself: column.fills_itself,
            sequences: Vec::new(),
        };
        Self {
            encoding: UTF8.to_owned(),
            role: String::new(),
            schema: Some(String::new()),
            may_use_schema: Some(true),
            owner: Some(String::new()),
            is_table: Some(true),
            is_filled_otherwise: Some(false),
            may_delete: Some(true),
            columns: shape.columns.iter().map(column).collect(),
        }
    }

    /// Whether there is such a table.
    fn is_there(&self) -> bool {
        self.schema.is_some()
    }

    fn check(&self, table: &TableName, shape: &Shape) -> Result<(), PrepareError> {
        self.check_columns(table, shape)?;
        self.check_rights(table, shape)
    }

    fn check_columns(&self, table: &TableName, shape: &Shape) -> Result<(), PrepareError> {
        let owner = self.owner.clone().unwrap_or_default();
        let unsuitable = |problems: Vec<String>, statement: String| {
            let problems = List(problems);
            Err(PrepareError::Unsuitable { problems, owner: owner.clone(), statement })
        };
        if self.is_table != Some(true) {
            return unsuitable(vec!["it is no table".to_owned()], shape.create_statement(table));
        }
        let fills_all = self.is_filled_otherwise == Some(true);
        let (mut problems, mut changes) = (Vec::new(), Vec::new());
        for needed in shape.columns {
            let name = quote_identifier(needed.name);
            let add = format!("ADD COLUMN {name} {}", needed.definition);
            match self.columns.iter().find(|column| column.name == needed.name) {
                None => {
                    problems.push(format!("it has no column {name}"));
                    changes.push(add);
                }
                Some(Column { r#type, .. }) if !needed.types.contains(&r#type.as_str()) => {
                    problems.push(format!("its column {name} is of type {type} and not {}", needed.types[0]));
                    changes.push(format!("DROP COLUMN {name}, {add}"));
                }
                Some(column) if needed.fills_itself && !column.fills_itself && !fills_all => {
                    problems.push(format!("its column {name} has no default"));
                    changes.push(match needed.default {
                        Some(default) => format!("ALTER COLUMN {name} SET DEFAULT {default}"),
                        None => format!(
                            "ALTER COLUMN {name} SET NOT NULL, ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY"
                        ),
                    });
                }
                Some(_) => {}
            }
        }
        for column in &self.columns {
            let is_ours = shape.columns.iter().any(|needed| needed.name == column.name);
            if !is_ours && column.is_required && !column.fills_itself && !fills_all {
                let name = quote_identifier(&column.name);
                problems.push(format!("its column {name}, which is not ours, takes no null and has no default"));
                changes.push(format!("ALTER COLUMN {name} DROP NOT NULL"));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        unsuitable(problems, format!("ALTER TABLE {table} {};", changes.join(", ")))
    }

    fn check_rights(&self, table: &TableName, shape: &Shape) -> Result<(), PrepareError> {
        let role = quote_identifier(&self.role);
        let (mut missing, mut grants) = (Vec::new(), Vec::new());
        if self.may_use_schema == Some(false) {
            let schema = self.schema.as_deref().unwrap_or_default();
            missing.push(format!("USAGE on the schema {schema}"));
            grants.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role};"));
        }
        let columns = || shape.columns.iter().filter_map(|needed| Some((needed, self.column(needed.name)?)));
        let on_table: Vec<_> = [
            ("SELECT", columns().all(|(_, column)| column.may_select)),
            ("INSERT", columns().all(|(needed, column)| column.may_insert || !needed.is_written)),
            ("DELETE", self.may_delete == Some(true)),
        ]
        .into_iter()
        .filter_map(|(right, is_given)| (!is_given).then_some(right))
        .collect();
        if !on_table.is_empty() {
            missing.extend(on_table.iter().map(|right| format!("{right} on the table")));
            grants.push(format!("GRANT {} ON {table} TO {role};", on_table.join(", ")));
        }
        for sequence in self.columns.iter().flat_map(|column| &column.sequences) {
            missing.push(format!("USAGE on the sequence {sequence}"));
            grants.push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {role};"));
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(PrepareError::Rights {
            role: self.role.clone(),
            missing: List(missing),
            owner: self.owner.clone().unwrap_or_default(),
            statement: grants.join(" "),
        })
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Things, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List(Vec<String>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Why a table cannot be used, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("the encoding of the database is {encoding}, and not UTF8")]
    Encoding { encoding: String },
    #[error("the table is missing: let the node create it, or run this as its owner: {statement}")]
    Missing { statement: String },
    #[error("the table is missing and was not created: run this as a role that may: {statement}")]
    NotCreated { statement: String, source: BackendError },
    #[error("the role {role} lacks {missing}: run this as the owner, {owner}: {statement}")]
    Rights { role: String, missing: List, owner: String, statement: String },
    #[error("{problems}: give another table, or run this as the owner, {owner}: {statement}")]
    Unsuitable { problems: List, owner: String, statement: String },
}

impl PrepareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Encoding { .. } => ErrorKind::Configuration,
            Self::Missing { .. } => ErrorKind::MissingTable,
            Self::NotCreated { source, .. } => source.kind(),
            Self::Rights { .. } => ErrorKind::Permission,
            Self::Unsuitable { .. } => ErrorKind::UnsuitableTable,
        }
    }
}

impl From<PrepareError> for BackendError {
    fn from(error: PrepareError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Looks at a table, and creates it before when it is missing and may be created.
pub(crate) async fn prepare<B: Backend + ?Sized>(
    backend: &B,
    table: &str,
    shape: &Shape,
    create: bool,
) -> Result<(), BackendError> {
    let table = TableName::parse(table)?;
    // Who finds the table needs no right to create one.
    let mut sight = backend.look(&table, shape).await?;
    if sight.encoding != UTF8 {
        return Err(PrepareError::Encoding { encoding: sight.encoding }.into());
    }
    if !sight.is_there() {
        let statement = shape.create_statement(&table);
        if !create {
            return Err(PrepareError::Missing { statement }.into());
        }
        let created = backend.create(&table, &TableName::alone(&statement)).await;
        // A Node server that starts at the same time creates it without our lock: then ours fails, and all is well.
        sight = backend.look(&table, shape).await?;
        if !sight.is_there() {
            let gone = || BackendError::new(ErrorKind::MissingTable, "it was created, and is not there");
            let source = created.err().unwrap_or_else(gone);
            return Err(PrepareError::NotCreated { statement, source }.into());
        }
    }
    Ok(sight.check(&table, shape)?)
}
