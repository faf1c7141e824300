//! Who locks a table.

use std::time::Duration;

use socketio_pg_core::backend::table::TableName;
use tokio_postgres::{Client, Error, Row, types::Type};

use super::report::Finding;
use crate::asking::ask;

/// How long a look at a table may wait for a lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sessions with the one lock that keeps others from reading a table, or that wait for it: others
/// then wait behind them. A transaction that is prepared has no session.
const LOCKERS: &str = "
SELECT granted, pid, application_name, state,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - xact_start), pg_catalog.pg_blocking_pids(pid)
FROM pg_catalog.pg_locks LEFT JOIN pg_catalog.pg_stat_activity USING (pid)
WHERE relation = pg_catalog.to_regclass($1)::pg_catalog.oid AND mode = 'AccessExclusiveLock'
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY granted DESC, xact_start";

/// Says who locks a table.
pub(super) async fn locked(check: &'static str, client: &Client, table: &str) -> Finding {
    let locker = async {
        let name = TableName::parse(table).map(|name| name.to_string()).unwrap_or_default();
        let rows = ask(client, LOCKERS, &[(&name, Type::TEXT)]).await?;
        rows.first().map(Locker::read).transpose()
    };
    let Ok(Some(locker)) = locker.await else {
        return Finding::error(
            check,
            format!(
                "{table} could not be read within {LOCK_TIMEOUT:?}: another session had locked it, and has not any more"
            ),
            "find out what locks it, such as VACUUM FULL or a migration, and run this again",
        );
    };
    let says = format!("{table} cannot be read, and servers cannot use it: {}", locker.text());
    Finding::error(check, says, locker.remedy())
}

struct Locker {
    has_lock: bool,
    pid: Option<i32>,
    name: String,
    state: String,
    seconds: Option<f64>,
    waits_for: Vec<i32>,
}

impl Locker {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            has_lock: row.try_get(0)?,
            pid: row.try_get(1)?,
            name: row.try_get::<_, Option<_>>(2)?.unwrap_or_default(),
            state: row.try_get::<_, Option<_>>(3)?.unwrap_or_else(|| "not visible".to_owned()),
            seconds: row.try_get(4)?,
            waits_for: row.try_get::<_, Option<_>>(5)?.unwrap_or_default(),
        })
    }

    fn text(&self) -> String {
        let Some(pid) = self.pid else { return "a prepared transaction has an ACCESS EXCLUSIVE lock".to_owned() };
        let since = self.seconds.map(|seconds| format!(", in a transaction of {seconds:.0} s")).unwrap_or_default();
        let who = format!("pid {pid} ({}, {}{since})", self.name, self.state);
        if self.has_lock {
            return format!("{who} has an ACCESS EXCLUSIVE lock");
        }
        format!("{who} waits for an ACCESS EXCLUSIVE lock behind {}, and all others behind it", pids(&self.waits_for))
    }

    fn remedy(&self) -> String {
        match self.pid {
            Some(pid) if self.has_lock => {
                format!("let its transaction end, or end it with SELECT pg_terminate_backend({pid})")
            }
            Some(pid) => format!(
                "end one of the two with SELECT pg_terminate_backend: {pid}, or {}, whose transaction is open",
                pids(&self.waits_for)
            ),
            None => "end it with COMMIT PREPARED or ROLLBACK PREPARED: see pg_prepared_xacts".to_owned(),
        }
    }
}

fn pids(pids: &[i32]) -> String {
    let all: Vec<_> = pids.iter().map(|pid| format!("pid {pid}")).collect();
    if all.is_empty() { "another session".to_owned() } else { all.join(", ") }
}
