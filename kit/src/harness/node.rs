//! One test node: a server or an emitter.

use std::{process::Command, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Client, Error, NodeOptions,
    process::{Process, all},
};

/// A program that is a test node.
pub trait Program: Sync {
    /// Its name in error messages.
    fn name(&self) -> String;

    /// Whether it takes the options that only the nodes of this project have.
    fn takes_all_options(&self) -> bool {
        false
    }

    /// Whether it takes the database's URL from `DATABASE_URL`, and not from an option, which every
    /// user of the machine can read.
    fn takes_url_from_environment(&self) -> bool {
        false
    }

    /// The command that starts it, without options.
    fn command(&self) -> impl Future<Output = Result<Command, Error>> + Send;
}

/// A running server or emitter. Dropping it kills the process, as [`kill`](Self::kill) does.
pub struct Node {
    process: Arc<Process>,
}

impl Node {
    /// Starts a node and waits until it says that it is ready: it listens, and has announced
    /// itself.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time.
    pub async fn start(program: &impl Program, options: &NodeOptions) -> Result<Self, Error> {
        let mut command = program.command().await?;
        if !program.takes_url_from_environment() {
            command.arg(format!("--database-url={}", options.database_url()));
        }
        command.args(options.arguments(program.takes_all_options()));
        command.env("DATABASE_URL", options.database_url());
        let process =
            Process::start(&program.name(), &mut command, options.patience, Some(options.database_url())).await?;
        Ok(Self { process: Arc::new(process) })
    }

    /// Makes the node carry out an op, and returns its answer. `fields` is an object, or null for
    /// none.
    ///
    /// # Errors
    /// [`Error::Refused`] with the node's own text; another error when there is no answer.
    pub async fn call(&self, op: &str, fields: Value) -> Result<Value, Error> {
        self.process.call(op, fields).await
    }

    /// A field of its first line; null when it is not there.
    pub fn ready(&self, field: &str) -> Value {
        self.process.ready(field)
    }

    /// The port of a server; for a cluster, the port of its first worker. 0 for an emitter,
    /// and for a server whose sockets are [virtual](Self::add_socket).
    pub fn port(&self) -> u16 {
        port(&self.process.ready("port"))
    }

    /// The ports of a cluster's workers.
    pub fn worker_ports(&self) -> Vec<u16> {
        self.process.ready("ports").as_array().map(|ports| ports.iter().map(port).collect()).unwrap_or_default()
    }

    /// The id of a server in the namespace `/`; for a cluster, the id of its first worker.
    pub fn uid(&self) -> String {
        self.process.ready("uid").as_str().unwrap_or_default().to_owned()
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Adds a virtual socket to a node that has no clients. It records what a client would get, and
    /// acknowledges as commands say. `how` is a [`Connect`](super::Connect), or an object that may
    /// have `nsp`, `rooms`, `data`, `auth`, `query` and `headers`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the node does not have the namespace, or no virtual sockets.
    pub async fn add_socket(&self, how: impl Into<Value>) -> Result<Client, Error> {
        let answer = self.call("addSocket", how.into()).await?;
        Ok(Client::of(self.process.clone(), &answer))
    }

    /// All events that the node has reported so far without being asked, e.g.
    /// `{"event": "connected", "nsp": "/", "socket": "…"}`.
    pub fn events(&self) -> Vec<Value> {
        self.process.events()
    }

    /// Waits for an event that `matches`, which may have come already. Each event is returned by
    /// one wait only. `awaited` describes it in the error.
    ///
    /// # Errors
    /// When it does not come in time; the text lists what came instead.
    pub async fn wait_for_event(&self, awaited: &str, matches: impl FnMut(&Value) -> bool) -> Result<Value, Error> {
        self.process.wait_for_event(awaited, None, matches).await
    }

    /// Waits for an event that another server emitted to the servers, and returns its arguments.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn wait_for_server_side(&self, nsp: &str, name: &str) -> Result<Value, Error> {
        let is_it = |event: &Value| event["event"] == "serverSide" && event["nsp"] == nsp && event["name"] == name;
        let mut event = self.wait_for_event(&format!("serverSide event {name:?} in {nsp}"), is_it).await?;
        Ok(event["args"].take())
    }

    /// Waits until the node counts that many servers in a namespace, itself included.
    ///
    /// # Errors
    /// When it does not until the deadline.
    pub async fn wait_for_server_count(&self, nsp: &str, count: usize) -> Result<(), Error> {
        self.count_until(json!({ "nsp": nsp }), count).await
    }

    /// As [`wait_for_server_count`](Self::wait_for_server_count), for one worker of a cluster.
    ///
    /// # Errors
    /// When it does not until the deadline.
    pub async fn wait_for_worker_server_count(&self, worker: usize, nsp: &str, count: usize) -> Result<(), Error> {
        self.count_until(json!({ "nsp": nsp, "worker": worker }), count).await
    }

    async fn count_until(&self, fields: Value, count: usize) -> Result<(), Error> {
        let deadline = Instant::now() + self.process.patience();
        loop {
            let counted = self.call("serverCount", fields.clone()).await?;
            if counted == count {
                return Ok(());
            }
            if Instant::now() > deadline {
                let awaited = format!("server count of {count} (it counts {counted})");
                return Err(self.process.not_seen(&awaited, all));
            }
            // The node does not report its count, so it is asked again and again. The pause only
            // saves processor time.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes the node leave the cluster, and waits until its process has ended.
    ///
    /// # Errors
    /// When it does not, or exits with a failure.
    pub async fn close(&self) -> Result<(), Error> {
        self.call("close", Value::Null).await?;
        self.process.wait_for_success().await
    }

    /// Closes the node's stdin instead, which also makes it leave the cluster.
    ///
    /// # Errors
    /// When it does not, or exits with a failure.
    pub async fn hang_up(&self) -> Result<(), Error> {
        self.process.close_stdin();
        self.process.wait_for_success().await
    }

    /// Waits until the process has ended by itself, and returns what it last wrote to stderr.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait_for_crash(&self) -> Result<String, Error> {
        self.process.wait_for_end().await?;
        Ok(self.process.stderr())
    }

    /// Asks the process to end (SIGTERM): it leaves the cluster, and this waits until it is gone.
    ///
    /// # Errors
    /// When it does not, or exits with a failure.
    pub async fn terminate(&self) -> Result<(), Error> {
        let signalled = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        signalled.map_err(|source| Error::Io { node: self.process.name().to_owned(), source })?;
        self.process.wait_for_success().await
    }

    /// Kills the process without a close message (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.kill().await
    }
}

fn port(value: &Value) -> u16 {
    value.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}
