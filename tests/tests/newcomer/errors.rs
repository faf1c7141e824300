//! README's server with settings that cannot work: it says what is wrong, and what to do about it.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use socketio_pg_tests::{
    Authority,
    pooler::{Mode, PGBOUNCER, Pooler},
    require, time_limit,
};
use socketio_pg_throwaway::{Database, Server};

use crate::programs::{BACKENDS, Running, programs};

/// Runs a program that ends by itself, and returns its output.
fn run(program: &Path, url: Option<&str>) -> Output {
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").env_remove("DATABASE_URL");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + time_limit();
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// The last line that both programs print when they end with an error: the error that `main`
/// returned.
fn refusals(url: Option<&str>) -> [String; 2] {
    programs().each_ref().map(|program| {
        let output = run(program, url);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url:?}: {printed}");
        printed.lines().last().unwrap_or_default().to_owned()
    })
}

fn assert_refused(url: Option<&str>, phrases: &[&str]) {
    for (backend, printed) in BACKENDS.into_iter().zip(refusals(url)) {
        assert!(printed.starts_with("Error: "), "{backend} {url:?}: {printed}");
        for phrase in phrases {
            assert!(printed.contains(phrase), "{backend} {url:?}: not {phrase:?} in: {printed}");
        }
        // It shows neither the inside of a driver nor a password.
        for part in ["Error {", "Config(", "Kind", "NotPresent", "s3cret"] {
            assert!(!printed.contains(part), "{backend} {url:?}: {part:?} in: {printed}");
        }
    }
}

#[test]
fn what_is_wrong_with_the_url_is_printed_with_the_remedy() {
    assert_refused(None, &["DATABASE_URL", "postgres://user:password@"]);
    for (url, phrases) in [
        ("", &["it is empty", "postgres://user:password@host"][..]),
        ("mysql://app:s3cret@localhost/chat", &["`mysql`", "postgres://user:password@host"]),
        ("postgres://app:s3cret@x@localhost/chat", &["more than one `@`", "`%40`"]),
        ("postgres://app:s3cret@localhost/chat?pgbouncer=true", &["`pgbouncer`", "leave it out", "direct URL"]),
        ("postgres://app:s3cret@localhost/chat?sslmode=verify", &["`sslmode`", "`verify-full`"]),
        ("postgres://app:s3cret@localhost/chat?channel_binding=", &["`channel_binding`", "`prefer`"]),
        ("postgres://app:s3cret@localhost/chat?colour=red", &["`colour`", "Understood are"]),
        (
            "postgres://app:s3cret@127.0.0.1:1/chat",
            &["cannot be reached: 127.0.0.1:1: ", "is it running at this address"],
        ),
        (
            "postgres://app:s3cret@127.0.0.1:1,nohost.invalid/chat",
            &["none of the 2 hosts", "127.0.0.1:1: ", "refused", "nohost.invalid:5432: "],
        ),
        ("postgres:///chat", &["missing", "`PGHOST` is not read"]),
    ] {
        assert_refused(Some(url), phrases);
    }
}

/// A role of a database, with the password `s3cret`, and a URL for it.
fn role(database: &Database, name: &str) -> String {
    let name = format!("{}_{name}", database.name());
    database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 's3cret'")).unwrap();
    let (_, address) = database.url().split_once('@').map(|(user, at)| (user.to_owned(), at.to_owned())).unwrap();
    format!("postgres://{name}:s3cret@{address}")
}

#[test]
fn what_the_server_refuses_is_printed_with_the_remedy() {
    let server = Server::builder().start().unwrap();
    let database = server.create_database().unwrap();
    // Up to PostgreSQL 14 every role may create tables.
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").unwrap();
    let url = role(&database, "newcomer");
    assert_refused(
        Some(&url),
        &["`socket_io_attachments` is missing", "may not create it", "GRANT CREATE ON SCHEMA public TO"],
    );
    assert_refused(
        Some(&url.replace(":s3cret", ":wr%40ng")),
        &["refused the login", "check user, password and database"],
    );
    let unknown = format!("{url}x");
    assert_refused(Some(&unknown), &["refused the login", "check the name of the database"]);
    let (role, _) = url.trim_start_matches("postgres://").split_once(':').unwrap();
    database.execute(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database.name())).unwrap();
    assert_refused(Some(&url), &["permission denied for database", "GRANT CONNECT ON DATABASE"]);
    database.execute(&format!("GRANT CONNECT ON DATABASE {} TO {role}", database.name())).unwrap();
    assert_refused(Some(&format!("{url}?sslmode=require")), &["does not support TLS", "`ssl = on`"]);

    database.execute(&socketio_pg_tokio_postgres::schema_sql("socket_io_attachments").unwrap()).unwrap();
    assert_refused(Some(&url), &["may not use the table", "GRANT SELECT, INSERT, DELETE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_printed_with_the_remedy() {
    if !require(&PGBOUNCER) {
        return;
    }
    let server = Server::builder().start().unwrap();
    let database = server.create_database().unwrap();
    let port = server.port().expect("it is on loopback");
    database.execute("GRANT CREATE ON SCHEMA public TO PUBLIC").unwrap();
    let pooler = Pooler::start(Mode::Transaction, port, &role(&database, "pooled")).await.unwrap();
    // The next process gets sessions that the last one used, with the statements that it prepared:
    // if the pooler does not keep them apart, that is what it is told.
    for _ in 0..2 {
        let phrases =
            ["a transaction pooler such as PgBouncer", "a direct connection for listening", "`with_listen_url`"];
        assert_refused(Some(pooler.url()), &phrases);
    }
    // The database in which it should look is the pooler's own word.
    let unknown = format!("{}_other", pooler.url());
    assert_refused(Some(&unknown), &["check the name of the database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_against_those_that_the_machine_trusts() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost", |_| {});
    let server = Server::builder().start().unwrap();
    server.use_certificate(&certificate, &key).unwrap();
    let database = server.create_database().unwrap();
    let url = format!("{}?sslmode=verify-full", database.url().replace("127.0.0.1", "localhost"));
    assert_refused(Some(&url), &["an authority that is not trusted here", "`sslrootcert=/path/to/root.crt`"]);
    for program in programs() {
        let trusts = ("SSL_CERT_FILE", authority.root().to_str().unwrap());
        Running::start(program, &[("DATABASE_URL", &url), trusts]).await;
    }
}
