//! What README shows, used as a new user does: its lines are copied into projects outside of the
//! workspace. These are built, started, stopped and misconfigured in the usual ways, and their
//! output is compared.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::json;
use socketio_pg_tests::{Authority, ClientHost, Connect, DEADLINE, Kind, NODE, Node, NodeOptions, database, require};
use socketio_pg_throwaway::{Database, Server};
use tokio::time::sleep;

/// The backend crates, as README's lines name them.
const BACKENDS: [&str; 2] = ["tokio-postgres", "diesel"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README's first block of this kind.
fn block(kind: &str) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("README has no {kind}"));
    rest.split("```").next().unwrap().to_owned()
}

/// The programs, built once: one for each backend.
fn programs() -> &'static [PathBuf; 2] {
    static PROGRAMS: OnceLock<[PathBuf; 2]> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = workspace().join("target/newcomer");
        for backend in BACKENDS {
            let project = folder.join(backend);
            fs::create_dir_all(project.join("src")).unwrap();
            let of_backend = |text: String| {
                text.replace("socketio-pg-tokio-postgres", &format!("socketio-pg-{backend}"))
                    .replace("socketio_pg_tokio_postgres", &format!("socketio_pg_{}", backend.replace('-', "_")))
            };
            let manifest = format!(
                "[package]\nname = \"newcomer-{backend}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{}",
                of_backend(block("toml"))
            );
            write(&project.join("Cargo.toml"), &manifest);
            let code = of_backend(block("rust,no_run"));
            // Only the port differs, because several run at once.
            let port = r#"std::env::var("ADDRESS")?"#;
            assert!(code.contains(r#""127.0.0.1:3000""#), "README's server has another address");
            write(&project.join("src/main.rs"), &code.replace(r#""127.0.0.1:3000""#, port));
        }
        let crates = ["protocol", "core", "connection", "tokio-postgres", "diesel"].map(|name| {
            let folder = match name {
                "core" | "tokio-postgres" | "diesel" => format!("adapter-{name}"),
                _ => name.to_owned(),
            };
            format!("socketio-pg-{name} = {{ path = {:?} }}\n", workspace().join(folder))
        });
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {BACKENDS:?}\n\n[profile.dev]\ndebug = false\n\n[patch.crates-io]\n{}",
            crates.concat()
        );
        write(&folder.join("Cargo.toml"), &manifest);
        // The versions that all other tests use.
        fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let target = folder.join("target");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--quiet"])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .unwrap();
        assert!(built.status.success(), "README's lines do not compile:\n{}", String::from_utf8_lossy(&built.stderr));
        BACKENDS.map(|backend| target.join("debug").join(format!("newcomer-{backend}")))
    })
}

/// Does not write a file that is the same already, so that cargo does not build again.
fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        fs::write(file, text).unwrap();
    }
}

/// Runs a program that ends by itself, and returns its output.
fn run(program: &Path, url: Option<&str>) -> Output {
    let mut command = Command::new(program);
    command.env("ADDRESS", "127.0.0.1:0").env_remove("DATABASE_URL");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + DEADLINE;
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
        ("postgres://app:s3cret@127.0.0.1:1/chat", &["cannot be reached", "is it running at this address"]),
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
    let unknown = url.replace(database.name(), "nobody");
    assert_refused(Some(&unknown), &["refused the login"]);
    assert_refused(Some(&format!("{url}?sslmode=require")), &["does not support TLS", "`ssl = on`"]);

    database.execute(&socketio_pg_tokio_postgres::schema_sql("socket_io_attachments").unwrap()).unwrap();
    assert_refused(Some(&url), &["may not use the table", "GRANT SELECT, INSERT, DELETE"]);
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

/// A running server from README.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    async fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .env("ADDRESS", format!("127.0.0.1:{port}"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self { child, port };
        let deadline = Instant::now() + DEADLINE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
            sleep(Duration::from_millis(20)).await;
        }
        running
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended, and returns how long that took and its log.
    async fn ended(&mut self) -> (Duration, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(begun.elapsed() < DEADLINE, "it does not end"),
            }
            sleep(Duration::from_millis(10)).await;
        };
        let took = begun.elapsed();
        let mut logged = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        assert!(status.success(), "{status}: {logged}");
        (took, logged)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_leaves_and_no_request_of_node_fails() -> Result<(), Box<dyn std::error::Error>> {
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    let clients = ClientHost::shared().await?;
    for (program, signal) in programs().iter().zip(["TERM", "INT"]) {
        let node = Node::start(&Kind::NodeServer, &NodeOptions::new(database.url())).await?;
        let mut server = Running::start(program, &[("DATABASE_URL", &database.url())]).await;
        node.wait_for_server_count("/", 2).await?;
        let polling = clients.connect(server.port, &Connect::default().transports(&["polling"])).await?;
        let websocket = clients.connect(server.port, &Connect::default().transports(&["websocket"])).await?;
        let sockets = node.call("fetchSockets", json!({ "nsp": "/" })).await?;
        assert_eq!(sockets.as_array().map(Vec::len), Some(2), "{sockets}");

        server.signal(signal);
        let mut fetched = Vec::new();
        let fetching = async {
            // Fails if Node.js waits for the server that leaves.
            for _ in 0..20 {
                fetched.push(node.call("fetchSockets", json!({ "nsp": "/" })).await);
                sleep(Duration::from_millis(100)).await;
            }
        };
        let ((took, logged), ()) = tokio::join!(server.ended(), fetching);
        println!("it left within {took:?}");
        assert!(logged.contains("leaving the cluster"), "{logged}");
        // It did not use up its time limit.
        assert!(!logged.contains("still open"), "after {took:?}: {logged}");
        for sockets in fetched {
            sockets?;
        }
        for client in [polling, websocket] {
            client.wait_for_disconnect().await?;
        }
        node.wait_for_server_count("/", 1).await?;
        node.close().await?;
    }
    Ok(())
}
