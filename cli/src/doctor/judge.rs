//! What values of the server mean.

use std::net::IpAddr;

use socketio_pg_connection::Settings;
use socketio_pg_core::{ConnectError, protocol::channel::quote_identifier};
use tokio_postgres::config::Host;

use super::report::Finding;

/// A node's sessions: one that listens, four for statements.
const SESSIONS_OF_NODE: i64 = 5;

/// Clocks of machines that are set by NTP differ by less, in seconds.
const CLOCK_TOLERANCE: f64 = 2.0;

pub(super) fn version(major: i32) -> Finding {
    match major {
        ..14 => Finding::error("version", format!("PostgreSQL {major} is not supported"), "use 15 or newer"),
        14 => Finding::warning("version", "PostgreSQL 14 gets no more releases", "upgrade: 15 to 18 work"),
        15..=18 => Finding::ok(
            "version",
            format!(
                "PostgreSQL {major}: each notification wakes every session that listens to anything in this database"
            ),
        ),
        _ => Finding::ok("version", format!("PostgreSQL {major}: a notification wakes the sessions that listen to it")),
    }
}

pub(super) fn encoding(encoding: String) -> Finding {
    if encoding == "UTF8" {
        Finding::ok("encoding", "UTF8")
    } else {
        Finding::failure("encoding", ConnectError::Encoding { encoding }.into())
    }
}

/// `is_read_only` is what the role's transactions are by default.
pub(super) fn writable(is_standby: bool, is_read_only: bool, role: &str) -> Finding {
    match (is_standby, is_read_only) {
        (true, _) => Finding::error(
            "read-only",
            "this PostgreSQL server takes no writes, and so no notifications: it is a standby",
            "give the address of the primary, or `target_session_attrs=read-write` with the addresses of all",
        ),
        (false, true) => Finding::error(
            "read-only",
            "transactions are read-only, as `default_transaction_read_only` says: attachments, a catch-up log and an outbox cannot be \
             written",
            format!(
                "ALTER ROLE {} SET default_transaction_read_only = off, unless this is a server that is about to become a standby",
                quote_identifier(role)
            ),
        ),
        (false, false) => Finding::ok("read-only", "the server takes writes"),
    }
}

pub(super) fn tls(is_encrypted: bool, settings: &Settings) -> Finding {
    let config = settings.config();
    // Where there are addresses, the names are those of certificates.
    let is_here = match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
            #[cfg(unix)]
            Host::Unix(_) => true,
        }),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    };
    match (is_encrypted, is_here) {
        (true, _) => Finding::ok("tls", "the connection is encrypted"),
        (false, true) => Finding::ok("tls", "the connection is not encrypted, and stays on this machine"),
        (false, false) => Finding::warning(
            "tls",
            "the connection is not encrypted: a machine in between reads passwords and messages",
            "add `sslmode=verify-full` to the database URL, with `sslrootcert=FILE` where the issuer of the server's certificate is \
             not a known one",
        ),
    }
}

/// `server` was read by the server between `before` and `after`; in seconds since 1970.
pub(super) fn clock(server: f64, before: f64, after: f64) -> Finding {
    let ahead = if server > after { server - after } else { (server - before).min(0.0) };
    if ahead.abs() < CLOCK_TOLERANCE {
        let milliseconds = (after - before) * 1000.0;
        return Finding::ok("clock", format!("the clocks agree; the database answers in {milliseconds:.1} ms"));
    }
    let than = if ahead > 0.0 { "ahead of" } else { "behind" };
    Finding::warning(
        "clock",
        format!("the database's clock is {:.1} s {than} this machine's", ahead.abs()),
        "let both be set by NTP: times in logs and handshakes cannot be compared",
    )
}

/// `usage` is from 0 to 1; `holders` are transactions that are open for long, of this role alone unless
/// `sees_others`.
pub(super) fn queue(usage: f64, holders: &[String], sees_others: bool) -> Finding {
    let mut says = format!("the notification queue of the whole server is {:.1} % full", usage * 100.0);
    if !holders.is_empty() {
        says += &format!("; transactions that are open for long, and may listen: {}", holders.join("; "));
    }
    if !sees_others {
        says += "; transactions of other roles are hidden from this one, which GRANT pg_read_all_stats changes";
    }
    let remedy = "find the session that listens and does not read, or that listens in a transaction that is open for long, in \
                  pg_stat_activity of all databases, and end it with SELECT pg_terminate_backend(pid)";
    match usage {
        0.5.. => {
            Finding::error("queue", format!("{says}. When it is full, no transaction that notifies commits"), remedy)
        }
        0.05.. => Finding::warning("queue", says, remedy),
        _ => Finding::ok("queue", says),
    }
}

pub(super) fn connections(limit: i64, used: i64, name: &str) -> Finding {
    let says = format!("{used} of {limit} connections are in use ({name})");
    if limit - used >= 2 * SESSIONS_OF_NODE {
        return Finding::ok("connections", says);
    }
    Finding::warning("connections", says, format!("raise it, or use fewer: a node needs up to {SESSIONS_OF_NODE}"))
}

/// A setting of the session, in milliseconds; 0 is no limit. `source` says where it was set, as
/// `pg_settings` has it.
pub(super) fn timeout(name: String, milliseconds: i64, source: String, (role, database): (&str, &str)) -> Finding {
    let least = match name.as_str() {
        // A node asks something on its listening session every 5 s, or every 20 s while it hears others.
        "idle_session_timeout" => 30_000,
        "lock_timeout" => 1000,
        _ => 5000,
    };
    if milliseconds == 0 {
        return Finding::ok("timeouts", format!("{name}: none"));
    }
    if milliseconds >= least {
        return Finding::ok("timeouts", format!("{name}: {milliseconds} ms"));
    }
    let (role, database) = (quote_identifier(role), quote_identifier(database));
    let set = format!("SET {name} = '{}s'", least / 1000 * 3);
    let remedy = match source.as_str() {
        "database user" => format!("ALTER ROLE {role} IN DATABASE {database} {set}"),
        "client" | "environment variable" => {
            format!("change it in the database URL (`options`), or in PGOPTIONS: {set}")
        }
        // What is set for the role wins over what is set for the database, for all, or in a file.
        _ => format!("ALTER ROLE {role} {set}"),
    };
    let says = format!("{name} is {milliseconds} ms for this role: PostgreSQL ends what a node does after that");
    Finding::warning("timeouts", says, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert!(version(13).is("error", &["13", "15"]));
        assert!(version(14).is("warning", &["upgrade"]));
        assert!(version(18).is("ok", &["wakes every session"]));
        assert!(version(19).is("ok", &["that listen to it"]));
    }

    #[test]
    fn servers_that_take_no_writes_are_errors() {
        assert!(writable(true, true, "app").is("error", &["standby", "target_session_attrs"]));
        assert!(
            writable(false, true, "app").is("error", &["ALTER ROLE \"app\" SET default_transaction_read_only = off"])
        );
        assert!(writable(false, false, "app").is("ok", &[]));
    }

    #[test]
    fn plain_text_is_a_warning_where_it_leaves_the_machine() {
        let settings = |host: &str| Settings::parse(&format!("postgres://user@{host}/x")).expect("a URL");
        assert!(tls(false, &settings("db.example.com")).is("warning", &["sslmode=verify-full"]));
        for host in ["localhost", "127.0.0.1", "%2Ftmp"] {
            assert!(tls(false, &settings(host)).is("ok", &["stays on this machine"]), "{host}");
        }
        let at = |name: &str, address: &str| {
            Settings::parse(&format!("host={name} hostaddr={address} user=user dbname=x")).expect("a URL")
        };
        assert!(tls(false, &at("db.example.com", "127.0.0.1")).is("ok", &[]), "the address says where it is");
        assert!(tls(false, &at("localhost", "192.0.2.1")).is("warning", &[]));
        assert!(tls(true, &settings("db.example.com")).is("ok", &["encrypted"]));
    }

    #[test]
    fn clocks_may_differ_by_as_much_as_the_answer_takes() {
        assert!(clock(103.0, 100.0, 105.0).is("ok", &["5000.0 ms"]));
        assert!(clock(106.5, 100.0, 105.0).is("ok", &[]));
        assert!(clock(108.0, 100.0, 105.0).is("warning", &["3.0 s ahead of", "NTP"]));
        assert!(clock(90.0, 100.0, 105.0).is("warning", &["10.0 s behind"]));
    }

    #[test]
    fn the_queue_is_judged_by_how_full_it_is() {
        assert!(queue(0.001, &[], true).is("ok", &["0.1 %"]));
        assert!(queue(0.0, &["pid 17".to_owned()], false).is("ok", &["may listen: pid 17", "pg_read_all_stats"]));
        assert!(queue(0.1, &[], true).is("warning", &["10.0 %", "pg_terminate_backend"]));
        assert!(
            queue(0.6, &["pid 17".to_owned()], true).is("error", &["no transaction that notifies commits", "pid 17"])
        );
    }

    #[test]
    fn a_setting_is_changed_where_it_was_made() {
        let of = |source: &str| timeout("lock_timeout".into(), 50, source.into(), ("app", "chat"));
        assert!(of("user").is("warning", &["ALTER ROLE \"app\" SET lock_timeout = '3s'"]));
        assert!(of("database").is("warning", &["ALTER ROLE \"app\" SET"]));
        assert!(of("database user").is("warning", &["ALTER ROLE \"app\" IN DATABASE \"chat\" SET"]));
        assert!(of("client").is("warning", &["`options`", "PGOPTIONS"]));
        assert!(timeout("statement_timeout".into(), 0, "default".into(), ("app", "chat")).is("ok", &["none"]));
    }

    #[test]
    fn connections_must_be_left_for_two_nodes() {
        assert!(connections(100, 90, "max_connections").is("ok", &["90 of 100"]));
        assert!(connections(100, 91, "max_connections").is("warning", &["max_connections", "up to 5"]));
    }
}
