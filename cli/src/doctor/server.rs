//! The PostgreSQL server, and what this role may do there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socketio_pg_connection::Settings;
use tokio_postgres::{Client, Error, types::Type};

use super::{
    judge,
    report::{Finding, Report},
};
use crate::asking::ask;

/// What the other checks need to know.
pub(super) struct Server {
    pub(super) role: String,
}

const ABOUT: &str = "
SELECT
    pg_catalog.current_setting('server_version'),
    pg_catalog.current_setting('server_version_num')::int4,
    pg_catalog.current_setting('server_encoding'),
    pg_catalog.pg_is_in_recovery(),
    pg_catalog.current_setting('default_transaction_read_only')::bool,
    coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false),
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),
    pg_catalog.pg_notification_queue_usage(),
    current_user::text,
    pg_catalog.current_database()::text,
    pg_catalog.current_setting('max_connections')::int8
        - pg_catalog.current_setting('superuser_reserved_connections')::int8
        - coalesce(pg_catalog.current_setting('reserved_connections', true)::int8, 0),
    -- pg_stat_activity hides what the sessions of other roles are.
    (SELECT sum(numbackends)::int8 FROM pg_catalog.pg_stat_database),
    (SELECT rolconnlimit::int8 FROM pg_catalog.pg_roles WHERE rolname = current_user),
    (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user),
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
";

/// Milliseconds; 0 is no limit.
const TIMEOUTS: &str = "
SELECT name, setting::int8, source FROM pg_catalog.pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout', 'idle_session_timeout')
ORDER BY name
";

/// Sessions in a transaction that is open for long: one that listens keeps the notification queue
/// from being emptied, and which of them listen cannot be seen.
const OLD_TRANSACTIONS: &str = "
SELECT pid, coalesce(application_name, ''), coalesce(state, 'not visible'),
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - xact_start)
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
    AND backend_type = 'client backend' AND xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
ORDER BY xact_start LIMIT 3
";

pub(super) async fn check(
    client: &Client,
    settings: &Settings,
    old_transaction: Duration,
    report: &mut Report,
) -> Result<Server, Error> {
    // Not through `ask`, which sets some of them.
    let timeouts = client.query_typed(TIMEOUTS, &[]).await?;
    let before = now();
    let rows = ask(client, ABOUT, &[]).await?;
    let after = now();
    let Some(row) = rows.first() else { return Ok(Server { role: String::new() }) };
    let (version, number): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let (role, database): (String, String) = (row.try_get(8)?, row.try_get(9)?);
    report.add(Finding::ok("connect", format!("PostgreSQL {version}, database {database}, as role {role}")));
    report.add(judge::version(number / 10_000));
    report.add(judge::encoding(row.try_get(2)?));
    report.add(judge::writable(row.try_get(3)?, row.try_get(4)?, &role));
    report.add(judge::tls(row.try_get(5)?, settings));
    report.add(judge::clock(row.try_get(6)?, before, after));
    check_queue(client, (row.try_get(7)?, row.try_get(14)?), old_transaction, report).await?;
    report.add(judge::connections(row.try_get(10)?, row.try_get(11)?, "max_connections"));
    let role_limit: Option<i64> = row.try_get(12)?;
    if let Some(limit) = role_limit.filter(|limit| *limit >= 0) {
        report.add(judge::connections(limit, row.try_get(13)?, "the role's CONNECTION LIMIT"));
    }
    for row in &timeouts {
        report.add(judge::timeout(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, (&role, &database)));
    }
    Ok(Server { role })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

async fn check_queue(
    client: &Client,
    (usage, sees_others): (f64, bool),
    old: Duration,
    report: &mut Report,
) -> Result<(), Error> {
    let mut holders = Vec::new();
    for row in ask(client, OLD_TRANSACTIONS, &[(&old.as_secs_f64(), Type::FLOAT8)]).await? {
        let (pid, name, state, seconds): (i32, String, String, f64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        holders.push(format!("pid {pid} ({name}, {state}) for {seconds:.0} s"));
    }
    report.add(judge::queue(usage, &holders, sees_others));
    Ok(())
}

/// One value of one row; `None` without a row, or when it is null.
pub(super) async fn value<T>(client: &Client, statement: &str, parameter: &str) -> Result<Option<T>, Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    let rows = ask(client, statement, &[(&parameter, Type::TEXT)]).await?;
    rows.first().map_or(Ok(None), |row| row.try_get(0))
}
