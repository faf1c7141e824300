//! `doctor`, in every state that it knows.

use serde_json::{Value, json};
use socketio_pg_core::{Options, Outbox};
use socketio_pg_tests::{
    database,
    pooler::{Mode, PGBOUNCER, Pooler},
    require,
};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;

use crate::{
    fake_node::fake_node,
    program::run,
    servers::{RustServer, Servers},
};

/// What it found of one kind.
struct Findings(Vec<Value>);

impl Findings {
    async fn of(url: &str, arguments: &[&str], code: i32) -> Self {
        let arguments: Vec<_> = ["doctor", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        Self(run(url, &arguments).await.with(code).json())
    }

    /// Fails unless it has this finding, with these words in its text or its remedy.
    #[track_caller]
    fn have(&self, check: &str, level: &str, words: &[&str]) {
        let fits = |finding: &&Value| {
            let text =
                format!("{} {}", finding["says"].as_str().unwrap(), finding["remedy"].as_str().unwrap_or_default());
            finding["check"] == check && finding["level"] == level && words.iter().all(|word| text.contains(word))
        };
        assert!(self.0.iter().any(|finding| fits(&finding)), "no {level} of {check} with {words:?} in {:#?}", self.0);
    }

    /// Fails when something is wrong.
    #[track_caller]
    fn are_all_ok(&self) {
        assert!(self.0.iter().all(|finding| finding["level"] == "ok"), "{:#?}", self.0);
    }
}

async fn server(url: &str, options: Options) -> RustServer<TokioPostgresBackend> {
    RustServer::start(url, options).await
}

/// A role with a password, and the URL with it.
fn role(database: &Database, name: &str, attributes: &str) -> String {
    database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' {attributes}")).unwrap();
    database.url().replace("postgres@", &format!("{name}:secret@"))
}

fn server_of_its_own() -> Option<Server> {
    match Server::builder().start() {
        Ok(server) => Some(server),
        Err(error) => {
            // It is reported in the same way as for all tests.
            let _ = database();
            assert!(std::env::var_os("CI").is_none(), "{error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_cluster_has_nothing_wrong() {
    let Some(servers) = Servers::start().await else { return };
    let findings = Findings::of(&servers.url(), &[], 0).await;
    findings.are_all_ok();
    findings.have("servers", "ok", &["3 servers answered", "2 namespaces"]);
    findings.have("listeners", "ok", &["1 other session"]);
    findings.have("functions", "ok", &["no SQL functions"]);
    let table = run(&servers.url(), &["doctor", "--quiet"]).await.with(0);
    assert_eq!(table.stdout, "");
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_and_logins_have_the_texts_of_connect() {
    let Some(database) = database() else { return };
    let url = database.url();
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
    let node = server(&url, Options::default()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_settings_are_looked_at() {
    let Some(database) = database() else { return };
    let node = server(&database.url(), Options::default()).await;
    let url = role(&database, "hasty", "CONNECTION LIMIT 8 IN ROLE postgres");
    let version: i32 =
        database.execute("SELECT current_setting('server_version_num')").unwrap().unwrap().parse().unwrap();
    database
        .execute("ALTER ROLE hasty SET statement_timeout = 400; ALTER ROLE hasty SET idle_session_timeout = 3000")
        .unwrap();
    database.execute("ALTER ROLE hasty SET lock_timeout = 50").unwrap();
    let findings = Findings::of(&url, &[], 3).await;
    findings.have(
        "timeouts",
        "warning",
        &["statement_timeout is 400 ms", "ALTER ROLE \"hasty\" SET statement_timeout"],
    );
    findings.have("timeouts", "warning", &["idle_session_timeout is 3000 ms"]);
    findings.have("timeouts", "warning", &["lock_timeout is 50 ms"]);
    findings.have("connections", "warning", &["CONNECTION LIMIT"]);
    assert!(version >= 140_000);
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
    let Some(server_of_its_own) = server_of_its_own().filter(|_| require(&PGBOUNCER)) else { return };
    let database = server_of_its_own.create_database().unwrap();
    let node = server(&database.url(), Options::default()).await;
    let url = role(&database, "pooled", "IN ROLE postgres");
    let pooler = Pooler::start(Mode::Transaction, server_of_its_own.port().unwrap(), &url).await.unwrap();
    let findings = Findings::of(pooler.url(), &[], 1).await;
    findings.have("listen", "error", &["a transaction pooler such as PgBouncer", "--database-url"]);
    // It leaves nothing behind in sessions that others use next.
    let (client, connection) = tokio_postgres::connect(pooler.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let left = "SELECT current_setting('statement_timeout') || current_setting('lock_timeout') ||
                (SELECT count(*) FROM pg_listening_channels())";
    let row = client.query_typed(left, &[]).await.unwrap().remove(0);
    assert_eq!(row.get::<_, String>(0), "000");
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_tables_is_looked_at() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default()).await;
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Findings::of(&url, &[], 3).await.have("vacuum", "warning", &["dead rows", "VACUUM", "autovacuum"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_and_the_functions_are_looked_at() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default().outbox(Outbox::default())).await;
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
    let version = database.execute("SELECT pg_get_functiondef('socketio.version()'::regprocedure)").unwrap().unwrap();
    let current = database.execute("SELECT socketio.version()").unwrap().unwrap();
    database.execute(&version.replace(&current, "1")).unwrap();
    Findings::of(&url, &[], 3).await.have("functions", "warning", &["have version 1", "socketio-pg sql functions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_open_for_long_is_named() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default()).await;
    Findings::of(&url, &[], 0).await.have("queue", "ok", &["0.0 % full"]);
    let client = open_transaction(&url).await;
    let findings = Findings::of(&url, &["--old-transaction", "0.01"], 0).await;
    findings.have("queue", "ok", &["forgotten, idle in transaction", "may listen"]);
    drop(client);
    node.cluster.close().await;
}

/// A session that has begun something, and forgot it.
async fn open_transaction(url: &str) -> tokio_postgres::Client {
    let url = format!("{url}?application_name=forgotten");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT 1").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default().node_name("web-1")).await;
    let other = server(&url, Options::default().node_name("web-9").channel_prefix("elsewhere")).await;
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("sessions", "warning", &["did not answer: web-9", "--prefix"]);
    node.cluster.close().await;
    other.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_different_versions_are_told() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default()).await;
    // Another Rust server, of a later version.
    let other = fake_node(&url, &["/"], || json!({ "language": "Rust", "version": "9.9.9" })).await;
    Findings::of(&url, &[], 3).await.have("versions", "warning", &["9.9.9", env!("CARGO_PKG_VERSION")]);
    other.abort();
    node.cluster.close().await;
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
    let node = server(&url, Options::default()).await;
    database.execute("ALTER SEQUENCE socket_io_attachments_id_seq SET UNLOGGED").unwrap();
    let findings = Findings::of(&url, &[], 3).await;
    findings.have("tables", "warning", &["ALTER SEQUENCE public.socket_io_attachments_id_seq SET LOGGED"]);
    node.cluster.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_others_planted_is_not_called() {
    let Some(database) = database() else { return };
    let url = database.url();
    let node = server(&url, Options::default()).await;
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
