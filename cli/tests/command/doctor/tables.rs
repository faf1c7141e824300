//! What it says of the tables, of what is in them, and of the functions.

use std::{sync::Arc, time::Duration};

use socketio_pg_core::{CatchUp, Options, Outbox, testing::contract::search_path::plant};
use socketio_pg_tests::database;

use super::{Findings, role, start};
use crate::{lock::Lock, program::run};

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_rights_have_the_texts_of_connect() {
    let Some(database) = database() else { return };
    let url = database.url();
    let findings = Findings::of(&url, &["--log", "--outbox"], 1).await;
    findings.have(
        "tables",
        "error",
        &["the attachments table `socket_io_attachments` is missing", "socketio-pg sql table"],
    );
    findings.have("tables", "error", &["`socket_io_log`", "socketio-pg sql log --log=socket_io_log"]);
    findings.have("tables", "error", &["`socket_io_outbox`", "socketio-pg sql outbox"]);
    let node = start(&url, Options::default()).await;
    let poor = role(&database, "poor", "");
    let findings = Findings::of(&poor, &[], 1).await;
    findings.have("tables", "error", &["may not use the table", "GRANT SELECT, INSERT, DELETE"]);
    database.execute("GRANT SELECT, INSERT, DELETE ON socket_io_attachments TO poor").unwrap();
    Findings::of(&poor, &[], 1).await.have("tables", "error", &["GRANT USAGE ON SEQUENCE"]);
    database.execute("GRANT USAGE ON SEQUENCE socket_io_attachments_id_seq TO poor").unwrap();
    let findings = Findings::of(&poor, &[], 0).await;
    findings.are_all_ok();
    // The sessions of the node, which has another role, are counted.
    let connections = findings.0.iter().find(|finding| finding["check"] == "connections").unwrap();
    let used: u64 = connections["says"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(used >= 3, "{connections}");
    database.execute("DROP INDEX socket_io_attachments_created_at_idx").ok();
    database.execute("ALTER TABLE socket_io_attachments DROP COLUMN payload").unwrap();
    Findings::of(&url, &[], 1).await.have("tables", "error", &["it has no column", "ADD COLUMN", "payload"]);
    node.cluster.close().await;
}

/// A role that may create in a schema of the search path cannot make the role that runs `doctor` run its code.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_planted_in_the_search_path_is_not_run() {
    let Some(database) = database() else { return };
    let url = database.url();
    let options = Options::default().catch_up(CatchUp::last(Duration::from_secs(60))).outbox(Outbox::default());
    let node = start(&url, options).await;
    database.execute(&plant("public")).unwrap();
    let findings = Findings::of(&url, &["--log", "--outbox"], 0).await;
    findings.are_all_ok();
    // What asks who locks a table, too.
    let _lock = Lock::on(&url, "socket_io_attachments").await;
    Findings::of(&url, &[], 1).await.have("tables", "error", &["ACCESS EXCLUSIVE", "pg_terminate_backend"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_tables_is_looked_at() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default()).await;
    // As no server deletes it: they look every 30 s.
    database
        .execute("INSERT INTO socket_io_attachments (payload, created_at) VALUES ('', now() - interval '1 hour')")
        .unwrap();
    Findings::of(&url, &[], 3).await.have("cleaning up", "warning", &["old", "DELETE"]);
    database.execute("DELETE FROM socket_io_attachments").unwrap();
    database
        .execute(
            "ALTER TABLE socket_io_attachments SET (autovacuum_enabled = off);
             INSERT INTO socket_io_attachments (payload) SELECT '' FROM generate_series(1, 120000)",
        )
        .unwrap();
    database.execute("DELETE FROM socket_io_attachments").unwrap();
    database.execute("SELECT pg_stat_clear_snapshot()").unwrap();
    // PostgreSQL counts a moment later.
    loop {
        let dead =
            database.execute("SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'socket_io_attachments'");
        if dead.unwrap().is_some_and(|dead| dead.parse::<i64>().unwrap() >= 120_000) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Findings::of(&url, &[], 3).await.have("vacuum", "warning", &["dead rows", "VACUUM", "autovacuum"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_and_the_functions_are_looked_at() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default().outbox(Outbox::default())).await;
    Findings::of(&url, &["--outbox"], 0).await.have("outbox", "ok", &["no row"]);
    Findings::of(&url, &[], 0).await.have("outbox", "ok", &["with --outbox it is looked into"]);
    node.cluster.close().await;
    let emitted = run(&url, &["emit", "order", "--outbox"]).await;
    emitted.with(0);
    database.execute("UPDATE socket_io_outbox SET created_at = now() - interval '1 minute'").unwrap();
    let findings = Findings::of(&url, &["--outbox"], 1).await;
    findings.have("outbox", "error", &["has been waiting for 6", "Options::outbox"]);
    findings.have("servers", "warning", &["no server of the cluster answered"]);
    let functions = run(&url, &["sql", "functions"]).await.with(0).stdout;
    database.execute(&functions).unwrap();
    Findings::of(&url, &[], 3).await.have("functions", "ok", &["are current"]);
    // As a dump without rights and comments brings them back.
    let emit = database.execute("SELECT pg_get_functiondef('socketio.emit'::regproc)").unwrap().unwrap();
    let without = format!("DROP FUNCTION socketio.emit; {emit}; COMMENT ON FUNCTION socketio.version() IS NULL");
    database.execute(&without).unwrap();
    let findings = Findings::of(&url, &[], 1).await;
    findings.have(
        "functions",
        "error",
        &["every role may call SQL functions that emit: 1", "socketio-pg sql functions"],
    );
    findings.have("functions", "warning", &["lack their comments", "socketio-pg sql functions"]);
    database.execute(&functions).unwrap();
    let findings = Findings::of(&url, &[], 3).await;
    let of_functions: Vec<_> = findings.0.iter().filter(|finding| finding["check"] == "functions").collect();
    assert!(of_functions.len() == 1 && of_functions[0]["level"] == "ok", "{of_functions:#?}");
    let version = database.execute("SELECT pg_get_functiondef('socketio.version()'::regprocedure)").unwrap().unwrap();
    let current = database.execute("SELECT socketio.version()").unwrap().unwrap();
    database.execute(&version.replace(&current, "1")).unwrap();
    Findings::of(&url, &[], 3).await.have("functions", "warning", &["have version 1", "socketio-pg sql functions"]);
    database.execute(&version.replace(&current, "99")).unwrap();
    Findings::of(&url, &[], 3).await.have("functions", "warning", &["have version 99", "upgrade this command"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_a_crash_resets_is_told() {
    let Some(database) = database() else { return };
    let url = database.url();
    // Only then there are sequences without a log.
    let version = database.execute("SELECT current_setting('server_version_num')").unwrap().unwrap();
    if version.parse::<i32>().unwrap() < 150_000 {
        return;
    }
    let node = start(&url, Options::default()).await;
    database.execute("ALTER SEQUENCE socket_io_attachments_id_seq SET UNLOGGED").unwrap();
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("tables", "warning", &["ALTER SEQUENCE public.socket_io_attachments_id_seq SET LOGGED"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_others_planted_is_not_called() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default()).await;
    database
        .execute(
            "CREATE TABLE called (); CREATE SCHEMA socketio;
             CREATE FUNCTION socketio.version() RETURNS int LANGUAGE sql AS 'INSERT INTO public.called DEFAULT VALUES; SELECT 1'",
        )
        .unwrap();
    Findings::of(&url, &[], 3).await.have("functions", "warning", &["have version"]);
    assert_eq!(database.execute("SELECT count(*) FROM called").unwrap().as_deref(), Some("0"));
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_told_with_who_locks_it() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = start(&url, Options::default().outbox(Outbox::default())).await;
    for table in ["socket_io_attachments", "socket_io_outbox"] {
        let lock = Lock::on(&url, table).await;
        let findings = Findings::of(&url, &["--outbox"], 1).await;
        let who = format!("pid {} (migration, idle in transaction, in a transaction of", lock.pid());
        findings.have("tables", "error", &[table, "ACCESS EXCLUSIVE", &who]);
        findings.have("tables", "error", &[&format!("pg_terminate_backend({})", lock.pid())]);
        let of_tables = findings.0.iter().filter(|finding| finding["check"] == "tables" && finding["level"] == "error");
        assert_eq!(of_tables.count(), 1, "it is told once: {:#?}", findings.0);
    }
    // Whoever waits for the lock keeps others from reading, too.
    let reader = Lock::with(&url, "SELECT * FROM socket_io_attachments").await;
    let database = Arc::new(database);
    let waiting = tokio::task::spawn_blocking({
        let database = database.clone();
        move || database.execute("LOCK TABLE socket_io_attachments; SELECT 1")
    });
    let waits = "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE NOT granted AND datname = current_database()";
    while database.execute(waits).unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let findings = Findings::of(&url, &[], 1).await;
    findings.have("tables", "error", &["waits for an ACCESS EXCLUSIVE lock behind", &format!("pid {}", reader.pid())]);
    drop(reader);
    waiting.await.unwrap().unwrap();
    Findings::of(&url, &["--outbox"], 0).await.are_all_ok();
    node.cluster.close().await;
}
