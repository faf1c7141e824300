//! The demo as users see it: in a real browser, and on Ctrl-C.
//!
//! The test that runs in the browser is `demo/browser/demo.test.mjs`.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::process::Stdio;

use serde_json::Value;
use socketio_pg_tests::{CHROMIUM, NODE, browser_scripts, database, install, python_server, require, time_limit};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

#[tokio::test]
async fn what_is_done_in_one_pane_is_seen_in_the_others() {
    if !require(&NODE) || !require(&CHROMIUM) {
        return;
    }
    let Some(database) = database() else { return };
    install(&browser_scripts()).unwrap();
    let (demo, kinds) = Demo::start(Some(&database.url())).await;
    let mut test = Command::new("node");
    test.arg("demo.test.mjs").arg(&demo.url).args(kinds).current_dir(browser_scripts());
    let test = test.output().await.unwrap();
    assert!(
        test.status.success(),
        "{}{}",
        String::from_utf8_lossy(&test.stdout),
        String::from_utf8_lossy(&test.stderr)
    );
}

#[tokio::test]
async fn ctrl_c_stops_every_server() {
    if !require(&NODE) || database().is_none() {
        return;
    }
    let (mut demo, kinds) = Demo::start(None).await;
    let ports = demo.ports().await;
    assert_eq!(ports.len(), kinds.len(), "{kinds:?}");
    for port in &ports {
        TcpStream::connect(("127.0.0.1", *port)).await.unwrap();
    }

    demo.interrupt().await;
    let status = timeout(time_limit(), demo.process.wait()).await.expect("the demo stops").unwrap();
    assert!(status.success(), "{status}");
    for port in &ports {
        TcpStream::connect(("127.0.0.1", *port)).await.unwrap_err();
    }
}

/// A running demo. Dropping it ends it.
struct Demo {
    process: Child,
    url: String,
}

impl Demo {
    /// Starts it with an existing server, or with one of its own. Returns the languages of its
    /// servers too: without Python, which is reported, there are three.
    async fn start(database_url: Option<&str>) -> (Self, Vec<&'static str>) {
        let mut kinds = vec!["rust", "rust", "node"];
        let has_python = tokio::task::spawn_blocking(|| python_server(env!("CARGO_TARGET_TMPDIR")).is_some());
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        if has_python.await.unwrap() {
            kinds.push("python");
        } else {
            command.arg("--no-python");
        }
        command.envs(database_url.map(|url| ("DATABASE_URL", url)));
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = output.next_line().await.unwrap().expect("the demo prints its address");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?} is not an address");
        (Self { process, url }, kinds)
    }

    /// The ports of the demo's servers, from `/servers.json`.
    async fn ports(&self) -> Vec<u16> {
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut connection = TcpStream::connect(host).await.unwrap();
        let request = format!("GET /servers.json HTTP/1.0\r\nHost: {host}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let list: Value = serde_json::from_str(body).unwrap();
        list["servers"].as_array().unwrap().iter().map(|server| server["port"].as_u64().unwrap() as u16).collect()
    }

    /// Sends the signal of Ctrl-C.
    async fn interrupt(&self) {
        let pid = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    }
}
