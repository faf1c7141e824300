//! What happens to attachments, which are in an unlogged table, when the server crashes and when a
//! standby takes over.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use socketio_pg_core::backend::{
    Backend, CatchUp, Content, FetchLimits, Listener, Outgoing, Position, Prepare, Row, table::DEFAULT_LOG,
};
use socketio_pg_throwaway::{Database, Server, StopMode};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use tokio_postgres::NoTls;

const TABLE: &str = "socket_io_attachments";
const DEADLINE: Duration = Duration::from_secs(120);

fn backend(url: &str) -> TokioPostgresBackend {
    TokioPostgresBackend::new(url.parse().unwrap(), NoTls)
}

/// Publishes an attachment and returns its id.
async fn publish(backend: &TokioPostgresBackend) -> i64 {
    let mut listener = backend.connect_listener().await.unwrap();
    listener.listen(&["c".to_owned()]).await.unwrap();
    let content = Content::Attachment { body: b"body".to_vec(), before_id: String::new(), after_id: String::new() };
    let outgoing = Outgoing { channel: "c".to_owned(), content, is_logged: true };
    let log = CatchUp::last(Duration::from_secs(120));
    let start = Instant::now();
    // The first connection of the pool may lead to the server that crashed.
    while let Err(error) = backend.publish(TABLE, Some(&log), std::slice::from_ref(&outgoing)).await {
        assert!(start.elapsed() < DEADLINE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let incoming = tokio::time::timeout(DEADLINE, listener.next()).await.unwrap().unwrap();
    incoming.payload.parse().unwrap()
}

async fn prepared(url: &str) -> TokioPostgresBackend {
    let backend = backend(url);
    backend.prepare(TABLE, true).await.unwrap();
    backend.prepare_log(DEFAULT_LOG, true).await.unwrap();
    backend
}

async fn mark(backend: &TokioPostgresBackend) -> Position {
    backend.mark(DEFAULT_LOG, "marks", "mark").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_of_an_attachment_comes_twice_after_a_crash() {
    let server = Server::builder().start().unwrap();
    let database = server.create_database().unwrap();
    let node = prepared(&database.url()).await;
    let mut before = 0;
    for _ in 0..10 {
        before = publish(&node).await;
    }
    let place = mark(&node).await;
    server.stop(StopMode::Kill).unwrap();
    server.restart().unwrap();
    let after = publish(&backend(&database.url())).await;
    assert!(after > before, "{after} after {before}");
    // Attachments that were announced before are gone, and no other has their ids.
    let node = backend(&database.url());
    let rows = node.fetch(TABLE, &[before, after], FetchLimits::NONE).await.unwrap();
    assert_eq!(rows, [Row::Gone, Row::Body(b"body".to_vec())]);
    assert_ne!(mark(&node).await.crashes, place.crashes);
}

/// A standby of a server, which ends with the test.
struct Standby {
    process: Child,
    directory: PathBuf,
    url: String,
}

/// A command that runs as the account of the server, because PostgreSQL refuses to run its programs
/// as another.
fn command(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null());
    let owner = data.metadata().unwrap();
    if Path::new("/proc/self").metadata().unwrap().uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

impl Standby {
    /// `None`, with a message, where `pg_basebackup` is missing.
    fn start(server: &Server, database: &Database) -> Option<Self> {
        let data = server.directory().unwrap().join("data");
        let postgres = PathBuf::from(std::fs::read_to_string(data.join("postmaster.opts")).unwrap().split(' ').next()?);
        let programs = postgres.parent()?;
        let copy = programs.join("pg_basebackup");
        if !copy.exists() {
            assert!(std::env::var_os("CI").is_none(), "{} is missing: install PostgreSQL's client", copy.display());
            eprintln!("SKIPPED: {} is missing: install PostgreSQL's client programs", copy.display());
            return None;
        }
        // A standby may connect for replication.
        let mut access = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        access.push_str("\nhost replication all 127.0.0.1/32 trust\n");
        std::fs::write(data.join("pg_hba.conf"), access).unwrap();
        database.execute("SELECT pg_reload_conf()").unwrap();
        let directory = server.directory().unwrap().join("standby");
        let url = server.url();
        let copied =
            command(&copy, &data).args(["-c", "fast", "-R", "-X", "stream", "-d", &url, "-D"]).arg(&directory).output();
        let copied = copied.unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = command(&postgres, &data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap", "-c", "max_connections=300", "-D"])
            .arg(&directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("postgres://postgres@127.0.0.1:{port}/{}", database.name());
        Some(Self { process, directory, url })
    }

    /// Waits until the query returns this as its first value.
    async fn wait_for(&self, question: &str, answer: &str) {
        let start = Instant::now();
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url, NoTls).await {
                let connection = tokio::spawn(connection);
                let row = client.query_one(question, &[]).await;
                connection.abort();
                if row.is_ok_and(|row| row.get::<_, String>(0) == answer) {
                    return;
                }
            }
            assert!(start.elapsed() < DEADLINE, "{question} is not {answer} on {}", self.directory.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_at_once_writes_attachments_with_new_ids() {
    let server = Server::builder().setting("wal_level", "replica").start().unwrap();
    let database = server.create_database().unwrap();
    // The table is created while the standby follows, and no restartpoint comes before it takes
    // over.
    let Some(standby) = Standby::start(&server, &database) else { return };
    standby.wait_for("SELECT pg_is_in_recovery()::text", "true").await;
    let node = prepared(&database.url()).await;
    let before = publish(&node).await;
    let place = mark(&node).await;
    let written = database.execute("SELECT pg_current_wal_lsn()").unwrap().unwrap();
    standby.wait_for(&format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::text"), "true").await;
    server.stop(StopMode::Immediate).unwrap();
    standby.wait_for("SELECT pg_promote()::text", "true").await;
    standby.wait_for("SELECT pg_is_in_recovery()::text", "false").await;
    let node = backend(&standby.url);
    node.prepare(TABLE, false).await.unwrap();
    let after = publish(&node).await;
    assert!(after > before, "{after} after {before}");
    let rows = node.fetch(TABLE, &[before, after], FetchLimits::NONE).await.unwrap();
    assert_eq!(rows, [Row::Gone, Row::Body(b"body".to_vec())]);
    // The log says that its history is another one.
    assert_ne!(mark(&node).await.history, place.history);
}
