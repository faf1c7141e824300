//! The Node.js node: a process that runs `demo/node-server.mjs`.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use socketio_pg_tests::install;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::page::{Kind, ServerInfo};

/// How long the process may take to start, and to leave.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running Node.js node. It ends when this is dropped; [`stop`](Self::stop) lets it leave the
/// cluster first.
pub(crate) struct NodeServer {
    process: Child,
    info: ServerInfo,
}

/// Why there is no Node.js node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The program `node` is missing.
    #[error("`node` cannot be run: {0}")]
    NoNode(#[source] io::Error),
    /// The npm packages are missing.
    #[error(
        "the Node node's packages cannot be installed (`npm ci` in tests/node: {0}). `--no-node` starts the demo without it"
    )]
    Packages(#[source] io::Error),
    /// The process ended, or did not become ready in time.
    #[error("the Node.js node did not start ({0}): what it said is above. `--no-node` starts the demo without it")]
    NotReady(String),
}

/// The line in which the process says that it serves.
#[derive(Deserialize)]
struct Ready {
    port: u16,
    software: String,
}

impl NodeServer {
    /// Starts a node and waits until it serves. Installs its packages on first use.
    pub(crate) async fn start(name: &str, database_url: &str) -> Result<Self, StartError> {
        Command::new("node").arg("--version").output().await.map_err(StartError::NoNode)?;
        let demo = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = packages();
        if !packages.join("node_modules").is_dir() {
            eprintln!("  (installing the Node node's packages: once, a few seconds)");
        }
        install(&packages).map_err(StartError::Packages)?;
        let mut process = Command::new("node")
            .arg(demo.join("node-server.mjs"))
            .args(["--name", name, "--database-url", database_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(StartError::NoNode)?;
        let ready = timeout(PATIENCE, read_ready(&mut process))
            .await
            .map_err(|_| StartError::NotReady(format!("not ready after {PATIENCE:?}")))?
            .map_err(|error| StartError::NotReady(error.to_string()))?;
        let info = ServerInfo { name: name.to_owned(), kind: Kind::Node, software: ready.software, port: ready.port };
        Ok(Self { process, info })
    }

    /// The port on which it listens.
    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Lets it leave the cluster, and waits until the process has ended.
    pub(crate) async fn stop(mut self) {
        // it leaves when its standard input ends
        drop(self.process.stdin.take());
        if timeout(PATIENCE, self.process.wait()).await.is_err() {
            eprintln!("{} did not end by itself", self.info.name);
        }
    }
}

/// Where the npm packages are: those of the test nodes.
pub(crate) fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/node")
}

async fn read_ready(process: &mut Child) -> io::Result<Ready> {
    let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let line = BufReader::new(output).lines().next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
