//! The tables, what is in them, and the functions that emit.

use std::{cmp::Ordering, collections::BTreeSet, time::Duration};

use socketio_pg_core::{
    Cluster, ConnectError, SqlFunctions,
    backend::{Backend, table::TableName},
};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, error::SqlState, types::Type};

use super::{
    locks::{LOCK_TIMEOUT, locked},
    report::{Finding, Report},
    server::{Server, value},
};
use crate::{
    arguments::{Doctor, Target},
    asking::{self, ask},
    database,
    failure::Failure,
    output::shell_quoted,
};

/// Nodes delete attachments that are 30 s old, every 30 s.
const OLD_ATTACHMENTS: f64 = 300.0;

/// A row of the outbox is published within milliseconds.
const OLD_OUTBOX: Duration = Duration::from_secs(5);

/// So many dead rows make every statement slow.
const DEAD_ROWS: i64 = 100_000;

pub(super) async fn check(
    target: &Target,
    command: &Doctor,
    client: &Client,
    server: &Server,
    report: &mut Report,
) -> Result<(), Failure> {
    let backend = database::backend(target)?;
    let options = target.options().query_timeout(LOCK_TIMEOUT);
    let checks = Cluster::<TokioPostgresBackend>::check_tables(&backend, &options).await;
    // What keeps a table from being read is reported once.
    let mut unusable = BTreeSet::new();
    for check in checks {
        if let Some(problem) = check.problem {
            report.add(of_problem(problem, target, client, &check.table).await);
            unusable.insert(check.table);
            continue;
        }
        report.add(Finding::ok("tables", format!("{} has its columns, and {} its rights", check.table, server.role)));
        for statement in check.improvements {
            report.add(Finding::warning(
                "tables",
                format!("{} lacks something", check.table),
                format!("run as its owner: {statement}"),
            ));
        }
        if let Err(error) = check_rows(client, &check.table, report).await {
            report.add(of_error("tables", error, client, &check.table).await);
            unusable.insert(check.table);
        }
    }
    if !unusable.contains(&target.table)
        && let Err(error) = check_age(client, &target.table, report).await
    {
        report.add(of_error("tables", error, client, &target.table).await);
    }
    match &target.outbox {
        Some(outbox) if unusable.contains(outbox) => {}
        Some(outbox) => check_outbox(outbox, &backend, report).await,
        None => look_for_outbox(client, report).await,
    }
    if let Err(error) = check_functions(client, target, &command.schema, report).await {
        report.add(Finding::failure("functions", asking::failure(error)));
    }
    backend.close();
    Ok(())
}

/// Why a node cannot use a table, with the command that makes it, or with who locks it.
async fn of_problem(problem: ConnectError, target: &Target, client: &Client, table: &str) -> Finding {
    let what = match &problem {
        ConnectError::MissingTable { .. } => "table",
        ConnectError::MissingLog { .. } => "log",
        ConnectError::MissingOutbox { .. } => "outbox",
        ConnectError::TableLocked { .. } => return locked("tables", client, table).await,
        _ => return Finding::failure("tables", problem.into()),
    };
    let install = install(target, what, "");
    let remedy =
        format!("{install}, as a role that may create tables there: its owner allows that with GRANT CREATE ON SCHEMA");
    Finding::failure("tables", problem.into()).with_remedy(remedy)
}

/// Why a statement about a table failed.
async fn of_error(check: &'static str, error: Error, client: &Client, table: &str) -> Finding {
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return locked(check, client, table).await;
    }
    Finding::failure(check, asking::failure(error))
}

async fn check_rows(client: &Client, table: &str, report: &mut Report) -> Result<(), Error> {
    let statement = "
SELECT n_live_tup, n_dead_tup,
    coalesce(pg_catalog.to_char(greatest(last_vacuum, last_autovacuum), 'YYYY-MM-DD HH24:MI:SS OF'), 'never'),
    pg_catalog.pg_total_relation_size(relid) / 1024
FROM pg_catalog.pg_stat_all_tables WHERE relid = pg_catalog.to_regclass($1)::pg_catalog.oid";
    let Ok(name) = TableName::parse(table) else { return Ok(()) };
    let rows = ask(client, statement, &[(&name.to_string(), Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (live, dead, vacuumed, size): (i64, i64, String, i64) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let says = format!("{table}: {live} rows, {dead} dead rows, {size} KiB, last vacuum {vacuumed}");
    if dead >= DEAD_ROWS && dead > 5 * live {
        report.add(Finding::warning(
            "vacuum",
            &says,
            format!("VACUUM {name}; if autovacuum does not keep up: ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = 0, \
                      autovacuum_vacuum_threshold = 10000), and look for transactions and replication slots that are old"),
        ));
    } else {
        report.add(Finding::ok("vacuum", &says));
    }
    Ok(())
}

/// Whether somebody deletes old attachments.
async fn check_age(client: &Client, table: &str, report: &mut Report) -> Result<(), Error> {
    let Ok(name) = TableName::parse(table) else { return Ok(()) };
    let statement = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    if value::<bool>(client, statement, &name.to_string()).await? != Some(true) {
        return Ok(());
    }
    let statement =
        format!("SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - min(created_at)) FROM {name}");
    let rows = match ask(client, &statement, &[]).await {
        Ok(rows) => rows,
        // Without the right or the column, that is reported already.
        Err(error) if error.code().is_some_and(|code| code.code().starts_with("42")) => return Ok(()),
        Err(error) => return Err(error),
    };
    let oldest: Option<f64> = rows.first().map_or(Ok(None), |row| row.try_get(0))?;
    match oldest {
        Some(age) if age > OLD_ATTACHMENTS => report.add(Finding::warning(
            "cleaning up",
            format!("the oldest attachment is {age:.0} s old"),
            "servers delete attachments that are older than 30 s: is one running, and does its role have the right to DELETE?",
        )),
        _ => report.add(Finding::ok("cleaning up", "no attachment is old")),
    }
    Ok(())
}

async fn check_outbox(outbox: &str, backend: &TokioPostgresBackend, report: &mut Report) {
    // What keeps it from being read is reported with the tables.
    let Ok(Ok(state)) = timeout(LOCK_TIMEOUT, backend.look_at_outbox(outbox, i64::MIN)).await else { return };
    let age = Duration::from_millis(state.waited.unsigned_abs());
    match state.oldest {
        Some(_) if age > OLD_OUTBOX => report.add(Finding::error(
            "outbox",
            format!("a row of {outbox} has been waiting for {} s", age.as_secs()),
            "a server with `Options::outbox` publishes it: is one running, and what does its log say?",
        )),
        _ => report.add(Finding::ok("outbox", format!("no row of {outbox} waits for long"))),
    }
}

/// Whether there is an outbox that was not named.
async fn look_for_outbox(client: &Client, report: &mut Report) {
    let statement = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    if value::<bool>(client, statement, "socket_io_outbox").await.ok().flatten() == Some(true) {
        report.add(Finding::ok("outbox", "the table socket_io_outbox exists: with --outbox it is looked into"));
    }
}

/// The installed version is read, not called: anybody who may create a schema can put a function of that
/// name there, and it would run with the rights of whoever runs `doctor`.
///
/// Beside it: the comment, by which the functions are known, and how many functions every role may call,
/// because nobody has revoked it.
const INSTALLED: &str = "
SELECT prosrc, coalesce(pg_catalog.obj_description(version.oid, 'pg_proc'), ''), (
    SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc AS function
    WHERE function.pronamespace = namespace.oid AND function.proacl IS NULL AND function.proname IN (
        'emit', 'server_side_emit', 'sockets_join', 'sockets_leave', 'disconnect_sockets', 'internal_notify',
        'internal_notify_attachment', 'internal_publish'
    )
)
FROM pg_catalog.pg_proc AS version JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = version.pronamespace
WHERE nspname = $1 AND proname = 'version' AND pronargs = 0";

async fn check_functions(client: &Client, target: &Target, schema: &str, report: &mut Report) -> Result<(), Error> {
    let rows = ask(client, INSTALLED, &[(&schema, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        report.add(Finding::ok("functions", format!("no SQL functions are installed in the schema {schema}")));
        return Ok(());
    };
    let (source, comment, open): (String, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let digits: String = source.chars().filter(char::is_ascii_digit).collect();
    let version = digits.parse().unwrap_or(0);
    let install = install(target, "functions", schema);
    report.add(functions(version, &install));
    if open > 0 {
        report.add(Finding::error(
            "functions",
            format!("in the schema {schema}, every role may call SQL functions that emit: {open}"),
            format!("install them again, which revokes that: {install}; then grant EXECUTE to those who may emit"),
        ));
    }
    if comment != format!("socketio-pg {version}") {
        report.add(Finding::warning(
            "functions",
            format!("the SQL functions of the schema {schema} lack their comments, by which they are removed"),
            format!("install them again: {install}"),
        ));
    }
    Ok(())
}

fn functions(installed: u32, install: &str) -> Finding {
    let current = SqlFunctions::VERSION;
    let says = format!("the SQL functions have version {installed}, and this command knows {current}");
    match installed.cmp(&current) {
        Ordering::Equal => Finding::ok("functions", format!("the SQL functions are current (version {current})")),
        Ordering::Less => {
            Finding::warning("functions", says, format!("install the newer ones, which replace them: {install}"))
        }
        Ordering::Greater => Finding::warning("functions", says, "upgrade this command, and the servers"),
    }
}

/// The command line that installs something with the same options.
fn install(target: &Target, what: &str, schema: &str) -> String {
    let mut words = vec!["socketio-pg".to_owned(), "sql".to_owned(), what.to_owned()];
    let mut option = |name: &str, value: &str, default: &str| {
        if value != default {
            words.push(format!("{name}={}", shell_quoted(value)));
        }
    };
    option("--table", &target.table, "socket_io_attachments");
    option("--log", target.log.as_deref().unwrap_or_default(), "");
    option("--outbox", target.outbox.as_deref().unwrap_or_default(), "");
    if what == "functions" {
        option("--prefix", &target.prefix, "socket.io");
        option("--schema", schema, "socketio");
    }
    format!("{} | psql -v ON_ERROR_STOP=1 \"$DATABASE_URL\"", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_functions_are_compared() {
        assert!(functions(SqlFunctions::VERSION, "x").is("ok", &["current"]));
        assert!(functions(1, "the command").is("warning", &["version 1", "the command"]));
        assert!(functions(SqlFunctions::VERSION + 1, "x").is("warning", &["upgrade this command"]));
    }
}
