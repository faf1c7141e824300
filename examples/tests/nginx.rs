//! The nginx example: its files agree, nginx accepts the configuration, and clients that poll reach
//! servers of both languages through it. Without nginx, the parts that need it are skipped.

mod program;

use std::{collections::BTreeSet, fs, net::TcpListener, path::PathBuf, process::Command};

use serde_json::json;
use socketio_pg_tests::{ClientHost, Connect, NODE, database, install, require};

use program::{Outcome, Program, respond};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("nginx")
}

fn read(file: &str) -> Outcome<String> {
    Ok(fs::read_to_string(folder().join(file))?)
}

/// Whether a command works. CI does not install these programs, so they may be missing there, too.
fn works(command: &str) -> bool {
    let mut words = command.split(' ');
    let runs =
        Command::new(words.next().unwrap_or_default()).args(words).output().is_ok_and(|output| output.status.success());
    if !runs {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not `eprintln`, which the harness shows for failed tests only.
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED {test}: `{command}` does not work\n"),
        );
    }
    runs
}

/// The servers in nginx.conf, with their ports.
fn upstreams(conf: &str) -> BTreeSet<&str> {
    conf.lines().filter_map(|line| line.trim().strip_prefix("server ")?.strip_suffix(';')).collect()
}

#[test]
fn the_files_agree_on_servers_and_ports() -> Outcome {
    let (compose, conf, run) = (read("compose.yaml")?, read("nginx.conf")?, read("run.sh")?);
    let upstreams = upstreams(&conf);
    assert_eq!(upstreams, BTreeSet::from(["node-1:3000", "node-2:3000", "rust-1:3000", "rust-2:3000"]));
    for server in &upstreams {
        let name = server.trim_end_matches(":3000");
        assert!(compose.contains(&format!("\n  {name}: *")), "compose.yaml has no service {name}");
        assert!(run.contains(&format!("\nstart {name} ")), "run.sh does not start {name}");
    }
    for file in ["rust.Dockerfile", "node.Dockerfile"] {
        assert!(read(file)?.contains("\"0.0.0.0:3000\"]"), "the server of {file} listens on another port");
        assert!(compose.contains(file), "compose.yaml does not build {file}");
    }
    assert!(conf.contains("listen 80;") && compose.contains("\"127.0.0.1:8080:80\""));
    assert!(read("README.md")?.contains("http://127.0.0.1:8080") && run.contains("${PORT:-8080}"));
    Ok(())
}

#[test]
fn docker_compose_accepts_the_file() -> Outcome {
    if !works("docker compose version") {
        return Ok(());
    }
    let file = folder().join("compose.yaml");
    let checked = Command::new("docker").args(["compose", "--file"]).arg(file).args(["config", "--quiet"]).output()?;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_poll_reach_servers_of_both_languages() -> Outcome {
    if !works("nginx -v") {
        return Ok(());
    }
    let Some(database) = require(&NODE).then(database).flatten() else { return Ok(()) };
    install(&folder().join("node"))?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let script = folder().join("run.sh");
    let environment = [
        ("DATABASE_URL", &*database.url()),
        ("PORT", &*port.to_string()),
        ("RUST_SERVER", env!("CARGO_BIN_EXE_graceful")),
    ];
    let mut script = Program::start(script.to_str().ok_or("its path is ASCII")?, &[], &environment)?;
    script.wait_for("connect clients to ").await?;
    let response = respond(port, "/socket.io/?EIO=4&transport=polling").await?;
    assert!(response.contains("Set-Cookie: sticky="), "{response}");
    let hosts = ClientHost::shared().await?;
    let mut clients = Vec::new();
    for number in 0..24 {
        // A browser sends back the cookie that it got.
        let cookie = json!({ "cookie": format!("sticky={number}") });
        let how = Connect::default().headers(cookie).transports(&["polling"]);
        clients.push(hosts.connect(port, &how).await?);
    }
    let lengths: BTreeSet<_> = clients.iter().map(|client| client.id().len()).collect();
    assert_eq!(lengths, BTreeSet::from([16, 20]), "not on servers of both languages: see `ClusterSocket::id`");

    clients[0].emit("message", json!(["hello"])).await?;
    for client in &clients {
        assert_eq!(client.wait_for_packet("message").await?, [json!("hello")]);
    }
    script.signal("TERM").await?;
    for client in &clients {
        client.wait_for_disconnect().await?;
    }
    script.ended().await?;
    Ok(())
}
