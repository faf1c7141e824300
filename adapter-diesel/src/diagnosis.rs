//! Finds out why a statement failed.
//!
//! diesel does not expose PostgreSQL's error codes, and the texts come in the server's language.
//! After a failed statement, queries on the same connection therefore find out what the error
//! means.

use std::time::Duration;

use diesel::{
    QueryableByName,
    result::{DatabaseErrorKind, Error},
    sql_types::{Array, BigInt, Bool, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use socketio_pg_core::backend::{BackendError, ErrorKind, table::TableName};

use crate::error::{is_of_connection, refused};

/// What a statement was about.
#[derive(Clone, Copy)]
pub(crate) enum Concern<'a> {
    /// The session alone.
    Session,
    /// A table, with the rights that the statement needs.
    Table(&'a TableName, &'static [&'static str]),
    /// Two tables, with the rights that the statement needs on each.
    Tables([(&'a TableName, &'static [&'static str]); 2]),
    /// A table that the statement creates.
    Creation(&'a TableName),
}

pub(crate) const TO_LOOK: &[&str] = &[];
pub(crate) const TO_INSERT: &[&str] = &["INSERT", "SELECT"];
pub(crate) const TO_FETCH: &[&str] = &["SELECT"];
pub(crate) const TO_SWEEP: &[&str] = &["DELETE", "SELECT"];

/// `took` is how long the statement ran, if the server may have given it up.
pub(crate) async fn explain(
    connection: &mut AsyncPgConnection,
    concern: Concern<'_>,
    error: Error,
    took: Duration,
) -> BackendError {
    // The only one of its kind that diesel exposes.
    if matches!(error, Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)) {
        return BackendError::new(ErrorKind::ReadOnly, error);
    }
    let found = match was_given_up(connection, &error, took).await {
        Ok(true) => Ok(ErrorKind::Timeout),
        Ok(false) => find_out(connection, concern).await,
        Err(error) => Err(error),
    };
    let kind = match found {
        Ok(kind) => kind,
        // A server that does not respond cannot be reached.
        Err(unanswered) if is_of_connection(&unanswered) => ErrorKind::Connection,
        // As in a transaction that has failed, where queries are refused.
        Err(_) => ErrorKind::Other,
    };
    refused(kind, error)
}

/// Whether the server gave the statement up. In English the text says so; in other languages the
/// time that the statement took shows it, unlike for a statement that was cancelled by hand.
async fn was_given_up(connection: &mut AsyncPgConnection, error: &Error, took: Duration) -> Result<bool, Error> {
    if let Error::DatabaseError(_, information) = error
        && information.message().starts_with("canceling statement due to")
    {
        return Ok(true);
    }
    let limits: Limits = diesel::sql_query(
        "SELECT pg_catalog.min(setting::pg_catalog.int8) AS shortest FROM pg_catalog.pg_settings
         WHERE name OPERATOR(pg_catalog.=) ANY ('{statement_timeout,lock_timeout}'::pg_catalog.text[])
             AND setting OPERATOR(pg_catalog.<>) '0'::pg_catalog.text",
    )
    .get_result(connection)
    .await?;
    let shortest = limits.shortest.and_then(|milliseconds| u64::try_from(milliseconds).ok());
    Ok(shortest.is_some_and(|milliseconds| took >= Duration::from_millis(milliseconds)))
}

#[derive(QueryableByName)]
struct Limits {
    #[diesel(sql_type = Nullable<BigInt>)]
    shortest: Option<i64>,
}

async fn find_out(connection: &mut AsyncPgConnection, concern: Concern<'_>) -> Result<ErrorKind, Error> {
    match concern {
        Concern::Session => {
            diesel::sql_query("SELECT 1").execute(connection).await?;
            Ok(ErrorKind::Other)
        }
        Concern::Table(table, rights) => about_table(connection, table, rights).await,
        Concern::Tables([(first, rights), (second, others)]) => match about_table(connection, first, rights).await? {
            ErrorKind::Other => about_table(connection, second, others).await,
            kind => Ok(kind),
        },
        Concern::Creation(table) => Ok(match circumstances(connection, table, TO_LOOK).await? {
            Circumstances { may_use_schema: None, .. } => ErrorKind::Configuration,
            Circumstances { may_create: Some(false), .. } => ErrorKind::Permission,
            _ => ErrorKind::Other,
        }),
    }
}

async fn about_table(
    connection: &mut AsyncPgConnection,
    table: &TableName,
    rights: &[&str],
) -> Result<ErrorKind, Error> {
    Ok(match circumstances(connection, table, rights).await? {
        Circumstances { may_use_schema: Some(false), .. } => ErrorKind::Permission,
        Circumstances { table_exists: false, .. } => ErrorKind::MissingTable,
        Circumstances { has_rights: Some(false), .. } => ErrorKind::Permission,
        _ => ErrorKind::Other,
    })
}

#[derive(QueryableByName)]
struct Circumstances {
    /// `None`: the schema does not exist.
    #[diesel(sql_type = Nullable<Bool>)]
    may_use_schema: Option<bool>,
    #[diesel(sql_type = Nullable<Bool>)]
    may_create: Option<bool>,
    #[diesel(sql_type = Bool)]
    table_exists: bool,
    #[diesel(sql_type = Nullable<Bool>)]
    has_rights: Option<bool>,
}

async fn circumstances(
    connection: &mut AsyncPgConnection,
    table: &TableName,
    rights: &[&str],
) -> Result<Circumstances, Error> {
    // `to_regclass` fails where the schema may not be used. An insert also takes an id from the
    // sequence.
    diesel::sql_query(
        "SELECT may_use_schema, may_create, found IS NOT NULL AS table_exists,
             CASE WHEN found IS NOT NULL THEN
                 (
                     SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(found::pg_catalog.oid, kind))
                     FROM pg_catalog.unnest($2::pg_catalog.text[]) AS rights(kind)
                 ) AND (
                     'INSERT'::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ($2::pg_catalog.text[])
                     OR coalesce(
                         pg_catalog.has_sequence_privilege(
                             pg_catalog.pg_get_serial_sequence($1::pg_catalog.text, 'id'), 'USAGE'
                         ),
                         true
                     )
                 )
             END AS has_rights
         FROM pg_catalog.parse_ident($1::pg_catalog.text) AS parts
         LEFT JOIN LATERAL (
             SELECT
                 pg_catalog.has_schema_privilege(oid, 'USAGE') AS may_use_schema,
                 pg_catalog.has_schema_privilege(oid, 'CREATE') AS may_create
             FROM pg_catalog.pg_namespace
             WHERE nspname OPERATOR(pg_catalog.=) CASE
                 WHEN pg_catalog.cardinality(parts) OPERATOR(pg_catalog.=) 1 THEN pg_catalog.current_schema()
                 ELSE parts[1]::pg_catalog.name
             END
         ) AS schema ON true
         LEFT JOIN LATERAL (
             SELECT CASE WHEN may_use_schema THEN pg_catalog.to_regclass($1::pg_catalog.text) END AS found
         ) AS looked_for ON true",
    )
    .bind::<Text, _>(table.to_string())
    .bind::<Array<Text>, _>(rights)
    .get_result(connection)
    .await
}
