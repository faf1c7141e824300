//! Inspects a table: its columns, and what the role may do with it.
//!
//! A backend runs [`INSPECT_TABLE_SQL`] and passes the result to [`TableReport::read`]; the rest is
//! the same for all backends.

use serde::Deserialize;
use socketio_pg_protocol::channel::quote_identifier;

use crate::backend::{
    BackendError, ErrorKind,
    error::{List, PrepareError},
    table::{TableName, TableSpec},
};

/// Reads everything about a table that matters here, and changes nothing. `$1`: its name, as
/// [`TableName`] is displayed. Returns one row with one text, for [`TableReport::read`].
///
/// * The catalogue is read by name, as `to_regclass` fails where a schema may not be used. A table
///   in such a schema of the search path is found, too: to call it missing would not help the
///   reader.
/// * `nextval` in a default is checked against the sequence's rights, in every schema; the sequence
///   of an identity column is not.
/// * A domain is treated as the type that it is based on.
/// * Everything is qualified, operators too: a role that may create objects in a schema of the
///   search path must not get the node to run its functions. For the same reason `IN` and `CASE …
///   WHEN` with values are not used, which take any `=` that they find.
pub const INSPECT_TABLE_SQL: &str = r#"
WITH parts AS (
    SELECT pg_catalog.parse_ident($1::pg_catalog.text) AS parts
), named AS (
    SELECT
        parts[pg_catalog.cardinality(parts)]::pg_catalog.name AS table_name,
        CASE WHEN pg_catalog.cardinality(parts) OPERATOR(pg_catalog.>) 1 THEN parts[1]::pg_catalog.name END AS schema_name
    FROM parts
), found AS (
    SELECT class.oid, relname, relnamespace, relkind, relowner, relhastriggers
    FROM named, pg_catalog.pg_class AS class
        JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) relnamespace
    WHERE relname OPERATOR(pg_catalog.=) table_name AND CASE
        WHEN schema_name IS NOT NULL THEN nspname OPERATOR(pg_catalog.=) schema_name
        ELSE pg_catalog.pg_table_is_visible(class.oid)
            OR NOT pg_catalog.has_schema_privilege(relnamespace, 'USAGE')
            AND nspname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY(
                SELECT pg_catalog.replace(pg_catalog.btrim(part, ' "'), '$user', current_user::pg_catalog.text)
                FROM pg_catalog.unnest(
                    pg_catalog.string_to_array(pg_catalog.current_setting('search_path'), ',')
                ) AS path(part)
            ))
    END
    ORDER BY pg_catalog.pg_table_is_visible(class.oid) DESC LIMIT 1
)
SELECT pg_catalog.json_build_object(
    'encoding', pg_catalog.current_setting('server_encoding'),
    'role', current_user,
    'schema', relnamespace::pg_catalog.regnamespace::pg_catalog.text,
    'may_use_schema', pg_catalog.has_schema_privilege(relnamespace, 'USAGE'),
    'owner', pg_catalog.pg_get_userbyid(relowner),
    'is_owner', pg_catalog.pg_has_role(relowner, 'USAGE'),
    'is_table', relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f,v}'::pg_catalog."char"[]),
    'is_filled_otherwise', relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog."char" OR relhastriggers,
    'may_have_indexes', relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[]),
    'may_delete', pg_catalog.has_table_privilege(found.oid, 'DELETE'),
    'indexed', (
        SELECT coalesce(pg_catalog.json_agg(attname), '[]')
        FROM pg_catalog.pg_index
            JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) indrelid
                AND attnum OPERATOR(pg_catalog.=) indkey[0]
        WHERE indrelid OPERATOR(pg_catalog.=) found.oid AND indisvalid AND indpred IS NULL
    ),
    'columns', (
        SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', attname,
            'type', pg_catalog.format_type(
                CASE WHEN typbasetype OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN atttypid ELSE typbasetype END, NULL
            ),
            'may_select', pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'),
            'may_insert', pg_catalog.has_column_privilege(attrelid, attnum, 'INSERT'),
            'is_required', attnotnull,
            'fills_itself', atthasdef OR attidentity OPERATOR(pg_catalog.<>) ''::pg_catalog."char",
            'sequences', (
                SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                    'name', pg_catalog.quote_ident(nspname::pg_catalog.text) OPERATOR(pg_catalog.||) '.'
                        OPERATOR(pg_catalog.||) pg_catalog.quote_ident(sequence.relname::pg_catalog.text),
                    -- CASE, as the order of conditions is the planner's, and the question fails for what is no sequence
                    'may_use', is_own OR CASE WHEN sequence.relkind OPERATOR(pg_catalog.=) 'S'::pg_catalog."char"
                        THEN pg_catalog.has_sequence_privilege(sequence.oid, 'USAGE, UPDATE') END,
                    'is_unlogged', sequence.relpersistence OPERATOR(pg_catalog.=) 'u'::pg_catalog."char"
                )), '[]')
                FROM (
                    SELECT refobjid AS oid, false AS is_own
                    FROM pg_catalog.pg_attrdef JOIN pg_catalog.pg_depend
                        ON classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid
                        AND objid OPERATOR(pg_catalog.=) pg_attrdef.oid
                    WHERE adrelid OPERATOR(pg_catalog.=) attrelid AND adnum OPERATOR(pg_catalog.=) attnum
                        AND refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                    UNION ALL
                    SELECT objid, true
                    FROM pg_catalog.pg_depend
                    WHERE classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                        AND refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                        AND refobjid OPERATOR(pg_catalog.=) attrelid
                        AND refobjsubid OPERATOR(pg_catalog.=) attnum::pg_catalog.int4
                        AND deptype OPERATOR(pg_catalog.=) 'i'::pg_catalog."char"
                ) AS depended
                    JOIN pg_catalog.pg_class AS sequence ON sequence.oid OPERATOR(pg_catalog.=) depended.oid
                    JOIN pg_catalog.pg_namespace AS namespace
                        ON namespace.oid OPERATOR(pg_catalog.=) sequence.relnamespace
                WHERE sequence.relkind OPERATOR(pg_catalog.=) 'S'::pg_catalog."char"
            )
        ) ORDER BY attnum), '[]')
        FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) atttypid
        WHERE attrelid OPERATOR(pg_catalog.=) found.oid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped
    )
)::pg_catalog.text
FROM (SELECT) AS once LEFT JOIN found ON true
"#;

/// The one encoding in which every name and every text can be written.
pub(super) const UTF8: &str = "UTF8";

/// What [`INSPECT_TABLE_SQL`] found.
#[derive(Clone, Debug, Deserialize)]
pub struct TableReport {
    pub(super) encoding: String,
    pub(super) role: String,
    /// `None`: the table does not exist.
    schema: Option<String>,
    may_use_schema: Option<bool>,
    pub(super) owner: Option<String>,
    /// Whether the role may do what the owner may.
    pub(super) is_owner: Option<bool>,
    is_table: Option<bool>,
    /// Whether triggers, or the rule of a view, fill it.
    is_filled_otherwise: Option<bool>,
    may_delete: Option<bool>,
    may_have_indexes: Option<bool>,
    /// The columns that have an index.
    indexed: Vec<String>,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    r#type: String,
    may_select: bool,
    may_insert: bool,
    /// Whether it rejects null.
    is_required: bool,
    /// Whether it has a default, or is an identity column.
    fills_itself: bool,
    /// The sequences that its default takes numbers from.
    sequences: Vec<Sequence>,
}

#[derive(Clone, Debug, Deserialize)]
struct Sequence {
    /// Qualified and quoted.
    name: String,
    may_use: bool,
    is_unlogged: bool,
}

impl TableReport {
    /// Reads the text that [`INSPECT_TABLE_SQL`] returns.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn read(text: &str) -> Result<Self, BackendError> {
        let mut report: Self =
            serde_json::from_str(text).map_err(|error| BackendError::new(ErrorKind::Other, error))?;
        for column in &mut report.columns {
            // PostgreSQL qualifies its own type where the search path has another type of that name
            // first.
            if let Some(name) = column.r#type.strip_prefix("pg_catalog.") {
                column.r#type = name.to_owned();
            }
        }
        Ok(report)
    }

    /// The report on a table that is in order, for backends without a database.
    pub fn usable(spec: &TableSpec) -> Self {
        let column = |column: &crate::backend::table::Column| Column {
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
            is_owner: Some(true),
            is_table: Some(true),
            is_filled_otherwise: Some(false),
            may_delete: Some(true),
            may_have_indexes: Some(true),
            indexed: spec.indexed.iter().map(|&column| column.to_owned()).collect(),
            columns: spec.columns.iter().map(column).collect(),
        }
    }

    /// Whether the table exists.
    pub(super) fn is_there(&self) -> bool {
        self.schema.is_some()
    }

    pub(super) fn check(&self, table: &TableName, spec: &TableSpec) -> Result<(), PrepareError> {
        self.check_columns(table, spec)?;
        self.check_rights(table, spec)
    }

    fn check_columns(&self, table: &TableName, spec: &TableSpec) -> Result<(), PrepareError> {
        let owner = self.owner.clone().unwrap_or_default();
        let unsuitable = |problems: Vec<String>, statement: String| {
            let problems = List(problems);
            Err(PrepareError::Unsuitable { problems, owner: owner.clone(), statement })
        };
        if self.is_table != Some(true) {
            return unsuitable(vec!["it is not a table".to_owned()], spec.create_statement(table));
        }
        let fills_all = self.is_filled_otherwise == Some(true);
        let (mut problems, mut changes) = (Vec::new(), Vec::new());
        for needed in spec.columns {
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
            let is_ours = spec.columns.iter().any(|needed| needed.name == column.name);
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

    fn check_rights(&self, table: &TableName, spec: &TableSpec) -> Result<(), PrepareError> {
        let role = quote_identifier(&self.role);
        let (mut missing, mut grants) = (Vec::new(), Vec::new());
        if self.may_use_schema == Some(false) {
            let schema = self.schema.as_deref().unwrap_or_default();
            missing.push(format!("USAGE on the schema {schema}"));
            grants.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role};"));
        }
        let columns = || spec.columns.iter().filter_map(|needed| Some((needed, self.column(needed.name)?)));
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
        for Sequence { name, .. } in self.sequences().filter(|sequence| !sequence.may_use) {
            missing.push(format!("USAGE on the sequence {name}"));
            grants.push(format!("GRANT USAGE ON SEQUENCE {name} TO {role};"));
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

    /// The statements that add to the table what it can work without, but works better with.
    pub(super) fn improvements(&self, table: &TableName, spec: &TableSpec) -> Vec<String> {
        let indexes = spec.indexed.iter().filter(|column| !self.has_index(column));
        let indexes = indexes.map(|column| table.create_index_statement(column));
        let sequences = self.sequences().filter(|sequence| sequence.is_unlogged);
        indexes.chain(sequences.map(|sequence| format!("ALTER SEQUENCE {} SET LOGGED;", sequence.name))).collect()
    }

    /// Whether the column has an index, or cannot have one.
    pub(crate) fn has_index(&self, column: &str) -> bool {
        self.may_have_indexes == Some(false) || self.indexed.iter().any(|indexed| indexed == column)
    }

    fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.columns.iter().flat_map(|column| &column.sequences)
    }

    /// Whether a column comes before another. PostgreSQL fills defaults in the order of the columns.
    pub(super) fn is_before(&self, column: &str, other: &str) -> bool {
        let place = |name: &str| self.columns.iter().position(|column| column.name == name);
        place(column) < place(other)
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
