//! Runs the command.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use socketio_pg_tests::time_limit;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// What it wrote, and how it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The lines of JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socketio-pg"));
    command.args(arguments).env("DATABASE_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it until it ends.
pub(crate) async fn run(url: &str, arguments: &[&str]) -> Ended {
    let running = command(url, arguments).output();
    let Output { status, stdout, stderr } = timeout(time_limit(), running).await.expect("it ends").unwrap();
    Ended {
        code: status.code().expect("it was not killed"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// It runs until this is dropped.
pub(crate) struct Running {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        let mut child = command(url, arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    /// The next line of JSON, if it comes in this time.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Option<Value> {
        let line = timeout(time, self.lines.next_line()).await.ok()?.unwrap()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")))
    }

    /// The next line of JSON that `matches`.
    pub(crate) async fn wait_for(&mut self, awaited: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let mut before = Vec::new();
        let waiting = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                if matches(&value) {
                    return value;
                }
                before.push(line);
            }
            panic!("it ended before {awaited} came");
        };
        let found = timeout(time_limit(), waiting).await;
        found.unwrap_or_else(|_| panic!("{awaited} did not come, but: {}", before.join("\n")))
    }
}
