//! The SQL with which nodes see each other's sessions, the same for every backend.

use std::time::Duration;

use socketio_pg_protocol::{SessionId, cluster::Sighting};

/// How the statement of a node begins that can be seen.
const MARK: &str = "/* socketio-pg ";

/// Looks at the sessions of all nodes in this database.
///
/// The statement itself is how others see the session in which it runs: `pg_stat_activity` shows
/// the latest statement of each session, and when it began or ended. So it begins with the name of
/// the session. Without a name it shows others nothing.
///
/// It writes nothing and takes no transaction number. Roles see the statements of their own
/// sessions, and of the roles of which they are members; members of `pg_read_all_stats` see all.
///
/// Returns `session`, `changed` and `age`: [`sighting`] reads them.
pub fn look(name: Option<SessionId>) -> String {
    let mark = mark(name);
    let from = MARK.len() + 1;
    format!(
        "{mark}SELECT pg_catalog.substr(query, {from}, 16) AS session,
             (pg_catalog.date_part('epoch', state_change) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS changed,
             (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) state_change)
                 OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS age
         FROM pg_catalog.pg_stat_activity
         WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
             AND query OPERATOR(pg_catalog.~~) '{MARK}%' AND state_change IS NOT NULL"
    )
}

/// What stands before the other statements of a session after a look, so that they do not hide its
/// name.
pub fn mark(name: Option<SessionId>) -> String {
    name.map(|name| format!("{MARK}{name} */ ")).unwrap_or_default()
}

/// A row of [`look`]: the name, and two numbers of microseconds. `None` when the name is not one of
/// a node.
pub fn sighting(session: &str, changed: i64, age: i64) -> Option<Sighting> {
    // Negative after the clock of the database was put back.
    let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
    SessionId::parse(session).map(|session| Sighting { session, changed, age })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_where_the_statement_looks_for_it() {
        let name = SessionId::new(0xcafe);
        let statement = look(Some(name));
        let at = statement.find("substr(query, ").and_then(|at| statement[at + 14..].split_once(','));
        let from: usize = at.expect("it takes a part").0.parse().expect("a number");
        assert_eq!(SessionId::parse(&statement[from - 1..from + 15]), Some(name));
        assert!(look(None).starts_with("SELECT"));
    }
}
