//! The PostgreSQL server, and what this role may do there.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use socketio_pg_connection::{POOLER_REMEDY, Settings};
use socketio_pg_core::ConnectError;
use tokio_postgres::{Client, Error, config::Host, types::Type};

use super::report::Report;
use crate::failure::Failure;

/// What the other checks need to know.
pub(super) struct Server {
    pub(super) role: String,
}

/// No statement of `doctor` may take longer, and none waits for a lock. The session is idle while
/// servers are waited for.
const LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '1s'; SET idle_session_timeout = 0";

/// As text, so that no statement is prepared: a pooler in transaction mode mixes them up.
const ABOUT: &str = "
SELECT
    pg_catalog.current_setting('server_version'),
    pg_catalog.current_setting('server_version_num')::int4,
    pg_catalog.current_setting('server_encoding'),
    pg_catalog.pg_is_in_recovery(),
    pg_catalog.current_setting('transaction_read_only')::bool,
    coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false),
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),
    pg_catalog.pg_notification_queue_usage(),
    current_user::text,
    pg_catalog.current_database()::text,
    pg_catalog.current_setting('max_connections')::int8
        - pg_catalog.current_setting('superuser_reserved_connections')::int8,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
    (SELECT rolconnlimit::int8 FROM pg_catalog.pg_roles WHERE rolname = current_user),
    (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user)
";

/// Milliseconds; 0 is no limit.
const TIMEOUTS: &str = "
SELECT name, setting::int8 FROM pg_catalog.pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout', 'idle_session_timeout')
ORDER BY name
";

/// Sessions in a transaction that is open for long: one that listens keeps the notification queue
/// from being emptied.
const OLD_TRANSACTIONS: &str = "
SELECT pid, coalesce(application_name, ''), coalesce(state, 'not visible'),
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - xact_start)
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
    AND xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
ORDER BY xact_start LIMIT 3
";

/// A node's sessions: one that listens, four for statements.
const SESSIONS_OF_NODE: i64 = 5;

pub(super) async fn check(
    client: &Client,
    settings: &Settings,
    old_transaction: Duration,
    report: &mut Report,
) -> Result<Server, Error> {
    let timeouts = client.query_typed(TIMEOUTS, &[]).await?;
    client.batch_execute(LIMITS).await?;
    let before = now();
    let rows = client.query_typed(ABOUT, &[]).await?;
    let after = now();
    let Some(row) = rows.first() else { return Ok(Server { role: String::new() }) };
    let (version, number): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let (role, database): (String, String) = (row.try_get(8)?, row.try_get(9)?);
    report.ok("connect", &format!("PostgreSQL {version}, database {database}, as role {role}"));
    check_version(number / 10_000, report);
    check_encoding(row.try_get(2)?, report);
    check_writable(row.try_get(3)?, row.try_get(4)?, report);
    check_tls(row.try_get(5)?, settings, report);
    check_clock(row.try_get(6)?, before, after, report);
    check_queue(client, row.try_get(7)?, old_transaction, report).await?;
    check_connections(row.try_get(10)?, row.try_get(11)?, "max_connections", report);
    let role_limit: Option<i64> = row.try_get(12)?;
    if let Some(limit) = role_limit.filter(|limit| *limit >= 0) {
        check_connections(limit, row.try_get(13)?, "the role's CONNECTION LIMIT", report);
    }
    for row in &timeouts {
        check_timeout(row.try_get(0)?, row.try_get(1)?, &role, report);
    }
    Ok(Server { role })
}

/// Why a statement of `doctor` failed, with the remedies of a node.
pub(super) fn failure(error: Error) -> Failure {
    let is_mixed_up = error.code().is_some_and(|code| ["42P05", "26000"].contains(&code.code()));
    let text = error.as_db_error().map_or_else(|| error.to_string(), |refused| refused.message().to_owned());
    Failure::failed(if is_mixed_up { format!("{text}: {POOLER_REMEDY}") } else { text })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn check_version(major: i32, report: &mut Report) {
    let wakes =
        if major < 19 { "each notification wakes every session that listens to anything in this database" } else { "" };
    match major {
        ..14 => report.error(
            "version",
            &format!("PostgreSQL {major} is older than what is tested"),
            "use 14 or newer; 15 to 18 are supported by PostgreSQL's own releases",
        ),
        14 => report.warning("version", "PostgreSQL 14 gets no more releases", "upgrade: 15 to 18 work"),
        15..=18 => report.ok("version", &format!("PostgreSQL {major}: {wakes}")),
        _ => report.ok("version", &format!("PostgreSQL {major}: a notification wakes the sessions that listen to it")),
    }
}

fn check_encoding(encoding: String, report: &mut Report) {
    if encoding == "UTF8" {
        report.ok("encoding", "UTF8");
    } else {
        report.failure("encoding", &ConnectError::Encoding { encoding }.into());
    }
}

fn check_writable(is_standby: bool, is_read_only: bool, report: &mut Report) {
    let why = match (is_standby, is_read_only) {
        (true, _) => "it is a standby",
        (false, true) => "transactions are read-only, as `default_transaction_read_only` says",
        (false, false) => return report.ok("read-only", "the server takes writes"),
    };
    report.error(
        "read-only",
        &format!("this PostgreSQL server takes no writes, and so no notifications: {why}"),
        "give the address of the primary, or `target_session_attrs=read-write` with the addresses of all",
    );
}

fn check_tls(is_encrypted: bool, settings: &Settings, report: &mut Report) {
    let is_here = settings.config().get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    match (is_encrypted, is_here) {
        (true, _) => report.ok("tls", "the connection is encrypted"),
        (false, true) => report.ok("tls", "the connection is not encrypted, and stays on this machine"),
        (false, false) => report.warning(
            "tls",
            "the connection is not encrypted: a machine in between reads passwords and messages",
            "add `sslmode=verify-full` to the database URL, with `sslrootcert=FILE` where the server's certificate is not from a known issuer",
        ),
    }
}

fn check_clock(server: f64, before: f64, after: f64, report: &mut Report) {
    // The server read its clock in between.
    let ahead = if server > after { server - after } else { (server - before).min(0.0) };
    let round_trip = after - before;
    if ahead.abs() < 2.0 {
        report.ok("clock", &format!("the clocks agree; the database answers in {:.1} ms", round_trip * 1000.0));
    } else {
        let than = if ahead > 0.0 { "ahead of" } else { "behind" };
        report.warning(
            "clock",
            &format!("the database's clock is {:.1} s {than} this machine's", ahead.abs()),
            "let both be set by NTP: times in logs and handshakes cannot be compared",
        );
    }
}

async fn check_queue(client: &Client, usage: f64, old: Duration, report: &mut Report) -> Result<(), Error> {
    let percent = usage * 100.0;
    let mut holders = Vec::new();
    for row in client.query_typed(OLD_TRANSACTIONS, &[(&old.as_secs_f64(), Type::FLOAT8)]).await? {
        let (pid, name, state, seconds): (i32, String, String, f64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        holders.push(format!("pid {pid} ({name}, {state}) for {seconds:.0} s"));
    }
    let says = format!("the notification queue of the whole server is {percent:.1} % full");
    let remedy = if holders.is_empty() {
        "find the session that listens and does not read, or whose transaction is open for long, in pg_stat_activity of all \
         databases, and end it with pg_terminate_backend"
            .to_owned()
    } else {
        format!("transactions are open for long: {}; end them, or SELECT pg_terminate_backend(pid)", holders.join("; "))
    };
    match usage {
        0.5.. => {
            report.error("queue", &format!("{says}: when it is full, no transaction that notifies commits"), &remedy)
        }
        0.05.. => report.warning("queue", &says, &remedy),
        _ if !holders.is_empty() => {
            report.warning("queue", &format!("{says}; transactions that listen keep it from being emptied"), &remedy);
        }
        _ => report.ok("queue", &says),
    }
    Ok(())
}

fn check_connections(limit: i64, used: i64, name: &str, report: &mut Report) {
    let free = limit - used;
    let says = format!("{used} of {limit} connections are in use ({name})");
    if free < 2 * SESSIONS_OF_NODE {
        let remedy = format!("raise it, or use fewer: a node needs up to {SESSIONS_OF_NODE}");
        report.warning("connections", &says, &remedy);
    } else {
        report.ok("connections", &says);
    }
}

fn check_timeout(name: String, milliseconds: i64, role: &str, report: &mut Report) {
    let least = match name.as_str() {
        // A node asks something on its listening session every 5 s.
        "idle_session_timeout" => 10_000,
        "lock_timeout" => 1000,
        _ => 5000,
    };
    if milliseconds == 0 || milliseconds >= least {
        let value = if milliseconds == 0 { "none".to_owned() } else { format!("{milliseconds} ms") };
        return report.ok("timeouts", &format!("{name}: {value}"));
    }
    report.warning(
        "timeouts",
        &format!("{name} is {milliseconds} ms for this role: PostgreSQL ends what a node does after that"),
        &format!("ALTER ROLE {} SET {name} = '{}s'", quoted(role), least / 1000 * 3),
    );
}

pub(super) fn quoted(name: &str) -> String {
    socketio_pg_core::protocol::channel::quote_identifier(name)
}

/// One value of one row; `None` without a row, or when it is null.
pub(super) async fn value<T>(client: &Client, statement: &str, parameter: &str) -> Result<Option<T>, Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    let rows = client.query_typed(statement, &[(&parameter, Type::TEXT)]).await?;
    rows.first().map_or(Ok(None), |row| row.try_get(0))
}
