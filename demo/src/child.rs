//! A server in another language: a process that tells when it is ready, and leaves the cluster when
//! its standard input ends.

use std::{io, path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{self, Command},
    time::timeout,
};

use crate::page::{Kind, ServerInfo};

/// How long the process may take to start, and to leave.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running process. It ends when this is dropped; [`stop`](Self::stop) lets it leave the cluster
/// first.
pub(crate) struct Child {
    process: process::Child,
    info: ServerInfo,
}

/// Why there is no server in another language.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The program is missing. The demo runs without it.
    #[error("there is no {program}: {remedy}")]
    NoProgram { program: &'static str, remedy: &'static str },
    /// Its packages are missing.
    #[error("the packages of the {name} cannot be installed ({cause}). `{option}` starts the demo without it")]
    Packages { name: String, cause: io::Error, option: &'static str },
    /// The process ended, or did not become ready in time.
    #[error("the {name} did not start ({cause}): what it said is above. `{option}` starts the demo without it")]
    NotReady { name: String, cause: String, option: &'static str },
}

/// The line in which the process says that it serves.
#[derive(Deserialize)]
struct Ready {
    port: u16,
    software: String,
}

impl Child {
    /// Runs a file of the demo's folder, and waits until it serves. `option` is that of the demo
    /// which leaves it out.
    pub(crate) async fn start(
        program: &Path,
        file: &str,
        (name, kind, option): (&str, Kind, &'static str),
        database_url: &str,
    ) -> Result<Self, StartError> {
        let not_ready = |cause: String| StartError::NotReady { name: name.to_owned(), cause, option };
        let mut process = Command::new(program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
            .args(["--name", name, "--database-url", database_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_ready(error.to_string()))?;
        let ready = timeout(PATIENCE, read_ready(&mut process))
            .await
            .map_err(|_| not_ready(format!("not ready after {PATIENCE:?}")))?
            .map_err(|error| not_ready(error.to_string()))?;
        let info = ServerInfo { name: name.to_owned(), kind, software: ready.software, port: ready.port };
        Ok(Self { process, info })
    }

    /// The server's entry in the page's list.
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

async fn read_ready(process: &mut process::Child) -> io::Result<Ready> {
    let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let line = BufReader::new(output).lines().next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
