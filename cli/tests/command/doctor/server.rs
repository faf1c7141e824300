//! What `doctor` says of the URL, the server and the role.

use std::time::Duration;

use socketio_pg_core::Options;
use socketio_pg_tests::{
    Authority, database,
    pooler::{Mode, PGBOUNCER, Pooler},
    require,
};
use socketio_pg_throwaway::{Database, Server};
use tokio_postgres::NoTls;

use super::{Findings, role, server_of_its_own, start};

#[tokio::test(flavor = "multi_thread")]
async fn urls_and_logins_have_the_texts_of_connect() {
    let Some(database) = database() else { return };
    let url = database.url();
    Findings::of("", &[], 1).await.have("url", "error", &["give --database-url, or set DATABASE_URL"]);
    Findings::of("mysql://x", &[], 1).await.have("url", "error", &["postgres://user:password@host"]);
    Findings::of(&format!("{url}?sslmod=require"), &[], 1).await.have("url", "error", &["sslmod"]);
    let closed = "postgres://postgres@127.0.0.1:1/x";
    Findings::of(closed, &[], 1).await.have("connect", "error", &["cannot be reached", "is it running"]);
    let unknown = format!("{url}_other");
    Findings::of(&unknown, &[], 1).await.have("connect", "error", &["does not exist"]);
    let encrypted = format!("{url}?sslmode=require");
    Findings::of(&encrypted, &[], 1).await.have("connect", "error", &["does not support TLS", "sslmode=disable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_settings_are_looked_at() {
    let Some(database) = database() else { return };
    let node = start(&database.url(), Options::default()).await;
    let url = role(&database, "hasty", "CONNECTION LIMIT 8 IN ROLE postgres");
    database
        .execute("ALTER ROLE hasty SET statement_timeout = 2000; ALTER ROLE hasty SET idle_session_timeout = 20000")
        .unwrap();
    database.execute("ALTER ROLE hasty SET lock_timeout = 500").unwrap();
    let findings = Findings::of(&url, &[], 3).await;
    findings.have(
        "timeouts",
        "warning",
        &["statement_timeout is 2000 ms", "ALTER ROLE \"hasty\" SET statement_timeout"],
    );
    findings.have("timeouts", "warning", &["idle_session_timeout is 20000 ms"]);
    findings.have("timeouts", "warning", &["lock_timeout is 500 ms"]);
    findings.have("connections", "warning", &["CONNECTION LIMIT"]);
    database.execute("ALTER ROLE hasty SET default_transaction_read_only = on").unwrap();
    let findings = Findings::of(&url, &[], 1).await;
    findings.have("read-only", "error", &["ALTER ROLE \"hasty\" SET default_transaction_read_only = off"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_does_not_fit_is_told() {
    let Some(database) = database() else { return };
    let name = format!("{}_latin", database.name());
    database.execute(&format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")).unwrap();
    let findings = Findings::of(&database.url().replace(database.name(), &name), &[], 1).await;
    findings.have("encoding", "error", &["LATIN1", "ENCODING 'UTF8'"]);
    database.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_told() {
    let Some(server) = server_of_its_own(|builder| builder).filter(|_| require(&PGBOUNCER)) else { return };
    let database = server.create_database().unwrap();
    let node = start(&database.url(), Options::default()).await;
    let url = role(&database, "pooled", "IN ROLE postgres");
    let pooler = Pooler::start(Mode::Transaction, server.port().unwrap(), &url).await.unwrap();
    let findings = Findings::of(pooler.url(), &[], 1).await;
    findings.have("listen", "error", &["a transaction pooler such as PgBouncer", "--database-url"]);
    // It leaves nothing behind in sessions that others use next.
    let (client, connection) = tokio_postgres::connect(pooler.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let left = "SELECT current_setting('statement_timeout') || current_setting('lock_timeout') ||
                (SELECT count(*) FROM pg_listening_channels())";
    let row = client.query_typed(left, &[]).await.unwrap().remove(0);
    assert_eq!(row.get::<_, String>(0), "000");
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_open_for_long_is_named() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default()).await;
    Findings::of(&url, &[], 0).await.have("queue", "ok", &[" % full"]);
    let client = open_transaction(&url, "SELECT 1").await;
    let findings = Findings::of(&url, &["--old-transaction", "0.01"], 0).await;
    findings.have("queue", "ok", &["forgotten, idle in transaction", "may listen"]);
    drop(client);
    node.cluster.close().await;
}

/// A session that has begun something, and forgot it.
async fn open_transaction(url: &str, statements: &str) -> tokio_postgres::Client {
    let url = format!("{url}?application_name=forgotten");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; {statements}")).await.unwrap();
    client
}

/// Has PostgreSQL say in this database what no server here says by itself. A function is renamed and
/// not changed, as PostgreSQL calls its own functions by number.
fn replace_function(database: &Database, function: &str, arguments: &str, returns: &str, says: &str) {
    let statement = format!(
        "ALTER FUNCTION pg_catalog.{function}({arguments}) RENAME TO true_{function};
         SET allow_system_table_mods = on;
         CREATE FUNCTION pg_catalog.{function}({arguments}) RETURNS {returns} LANGUAGE sql AS $$ SELECT {says} $$"
    );
    database.execute(&statement).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_postgresql_are_told_apart() {
    let Some(server) = server_of_its_own(|builder| builder) else { return };
    for (number, level, words) in [
        (130_022, "error", ["PostgreSQL 13 is not supported", "use 15 or newer"]),
        (140_019, "warning", ["PostgreSQL 14 gets no more releases", "upgrade"]),
        (180_001, "ok", ["PostgreSQL 18", "wakes every session"]),
        (190_000, "ok", ["PostgreSQL 19", "sessions that listen to it"]),
    ] {
        let database = server.create_database().unwrap();
        let node = start(&database.url(), Options::default()).await;
        let says = format!("CASE $1 WHEN 'server_version_num' THEN '{number}' ELSE true_current_setting($1) END");
        replace_function(&database, "current_setting", "text", "text", &says);
        let code = match level {
            "error" => 1,
            "warning" => 3,
            _ => 0,
        };
        Findings::of(&database.url(), &[], code).await.have("version", level, &words);
        node.cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_is_told() {
    let Some(server) = server_of_its_own(|builder| builder) else { return };
    for (ahead, words) in [(3600, ["36", "s ahead of this machine's"]), (-3600, ["36", "s behind this machine's"])] {
        let database = server.create_database().unwrap();
        let node = start(&database.url(), Options::default()).await;
        Findings::of(&database.url(), &[], 0).await.have("clock", "ok", &["the clocks agree"]);
        let says = format!("true_clock_timestamp() + interval '{ahead} s'");
        replace_function(&database, "clock_timestamp", "", "timestamptz", &says);
        let findings = Findings::of(&database.url(), &[], 3).await;
        findings.have("clock", "warning", &words);
        findings.have("clock", "warning", &["NTP"]);
        node.cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_queue_that_fills_is_told_with_who_holds_it() {
    let Some(server) = server_of_its_own(|builder| builder) else { return };
    let database = server.create_database().unwrap();
    let url = database.url();
    let node = start(&url, Options::default()).await;
    // It listens, and reads nothing until its transaction ends: nobody can empty the queue.
    let holder = open_transaction(&url, "LISTEN other; COMMIT; BEGIN; SELECT 1").await;
    // A twentieth of 8 GB.
    database
        .execute("SELECT count(pg_notify('other', repeat('x', 7900) || n)) FROM generate_series(1, 54000) AS n")
        .unwrap();
    let findings = Findings::of(&url, &["--old-transaction", "0.01"], 3).await;
    findings.have("queue", "warning", &["5.", "% full", "forgotten, idle in transaction", "pg_terminate_backend(pid)"]);
    let rightless = role(&database, "rightless", "");
    Findings::of(&rightless, &[], 1).await.have(
        "queue",
        "warning",
        &["hidden from this one", "GRANT pg_read_all_stats"],
    );
    // To fill the queue further would take minutes, so the function says ten times as much.
    replace_function(&database, "pg_notification_queue_usage", "", "float8", "10 * true_pg_notification_queue_usage()");
    let findings = Findings::of(&url, &["--old-transaction", "0.01"], 1).await;
    findings.have("queue", "error", &["When it is full, no transaction that notifies commits", "forgotten"]);
    drop(holder);
    loop {
        // Whoever notifies next empties it.
        database.execute("SELECT pg_notify('other', '')").unwrap();
        if database.execute("SELECT pg_notification_queue_usage() < 0.05").unwrap().as_deref() == Some("t") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Findings::of(&url, &[], 0).await.have("queue", "ok", &["% full"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_encrypted_is_told_where_it_may_leave_the_machine() {
    let Some(server) = server_of_its_own(|builder| builder) else { return };
    let database = server.create_database().unwrap();
    let node = start(&database.url(), Options::default()).await;
    Findings::of(&database.url(), &[], 0).await.have("tls", "ok", &["not encrypted", "stays on this machine"]);
    // An address that is not said to be of this machine, though it leads to it.
    let elsewhere = database.url().replace("127.0.0.1", "0.0.0.0");
    Findings::of(&elsewhere, &[], 3).await.have("tls", "warning", &["not encrypted", "sslmode=verify-full"]);
    // A name is not what is connected to where there is an address.
    let misnamed = format!("{}?hostaddr=0.0.0.0", database.url().replace("127.0.0.1", "localhost"));
    Findings::of(&misnamed, &[], 3).await.have("tls", "warning", &["not encrypted"]);
    let named = format!("{}?hostaddr=127.0.0.1", database.url().replace("127.0.0.1", "db.example.com"));
    Findings::of(&named, &[], 0).await.have("tls", "ok", &["stays on this machine"]);
    node.cluster.close().await;
    let (certificate, key) = Authority::new().sign("localhost", |_| {});
    server.use_certificate(&certificate, &key).unwrap();
    let encrypted = format!("{elsewhere}?sslmode=require");
    Findings::of(&encrypted, &[], 3).await.have("tls", "ok", &["the connection is encrypted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_told() {
    let Ok((primary, standby)) = Server::builder().start_with_standby() else {
        // It is reported in the same way as for all tests.
        let _ = server_of_its_own(|builder| builder);
        return;
    };
    let database = primary.create_database().unwrap();
    let node = start(&database.url(), Options::default()).await;
    let copy = standby.existing_database(database.name());
    let is_there = "SELECT 1 FROM pg_class WHERE relname = 'socket_io_attachments'";
    while !copy.execute(is_there).is_ok_and(|row| row.is_some()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let findings = Findings::of(&copy.url(), &[], 1).await;
    findings.have("read-only", "error", &["it is a standby", "give the address of the primary"]);
    findings.have("listen", "error", &["takes no writes"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_nearly_used_up_are_told() {
    let Some(server) = server_of_its_own(|builder| builder.setting("max_connections", "20")) else { return };
    let database = server.create_database().unwrap();
    let node = start(&database.url(), Options::default()).await;
    let mut used = Vec::new();
    for _ in 0..7 {
        used.push(open_transaction(&database.url(), "SELECT 1").await);
    }
    let findings = Findings::of(&database.url(), &[], 3).await;
    findings.have("connections", "warning", &["of 17 connections are in use (max_connections)", "raise it"]);
    drop(used);
    let single = role(&database, "single", "CONNECTION LIMIT 1 IN ROLE postgres");
    let findings = Findings::of(&single, &[], 1).await;
    findings.have("connections", "warning", &["1 of 1 connections are in use (the role's CONNECTION LIMIT)"]);
    findings.have("tables", "error", &["too many connections for role"]);
    findings.have("listen", "error", &["too many connections for role"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_is_changed_where_it_was_set() {
    let Some(database) = database() else { return };
    let node = start(&database.url(), Options::default()).await;
    let name = format!("{}_limited", database.name());
    let url = role(&database, &name, "IN ROLE postgres");
    Findings::of(&url, &[], 0).await.have("timeouts", "ok", &["lock_timeout: none"]);
    let lock_timeout = |set: &str| database.execute(&format!("ALTER {set} lock_timeout = 100")).unwrap();
    let of_database = format!("DATABASE {}", database.name());
    lock_timeout(&format!("{of_database} SET"));
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("timeouts", "warning", &[&format!("ALTER ROLE \"{name}\" SET lock_timeout = '3s'")]);
    lock_timeout(&format!("ROLE {name} IN {of_database} SET"));
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("timeouts", "warning", &[&format!("ALTER ROLE \"{name}\" IN DATABASE \"{}\" SET", database.name())]);
    let of_url = format!("{url}?options=-c%20lock_timeout%3D200");
    Findings::of(&of_url, &[], 3).await.have("timeouts", "warning", &["lock_timeout is 200 ms", "in the database URL"]);
    let enough = format!("{url}?options=-c%20lock_timeout%3D2000");
    Findings::of(&enough, &[], 0).await.have("timeouts", "ok", &["lock_timeout: 2000 ms"]);
    node.cluster.close().await;
    database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_the_catalogue_is_told_what_failed() {
    let Some(server) = server_of_its_own(|builder| builder) else { return };
    let database = server.create_database().unwrap();
    let node = start(&database.url(), Options::default()).await;
    database.execute("GRANT ALL ON socket_io_attachments, socket_io_attachments_id_seq TO PUBLIC").unwrap();
    let url = role(&database, "blind", "");
    Findings::of(&url, &[], 0).await.are_all_ok();
    database.execute("REVOKE SELECT ON pg_proc FROM PUBLIC").unwrap();
    Findings::of(&url, &[], 1).await.have("functions", "error", &["permission denied for table pg_proc"]);
    database.execute("REVOKE SELECT ON pg_stat_database FROM PUBLIC").unwrap();
    Findings::of(&url, &[], 1).await.have("server", "error", &["permission denied for view pg_stat_database"]);
    node.cluster.close().await;
}
