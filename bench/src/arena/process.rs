//! A node as a separate process.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, Child, ChildStdin, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::{Shape, usage::Usage};
use crate::{
    contender::Contender,
    wire::{Answer, Command},
};

/// How long a reply may take beyond the time that a command asks for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node. It ends when this is dropped.
pub(crate) struct NodeProcess {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    who: String,
}

impl NodeProcess {
    /// Starts a node: this program again, or the script for Node.js's.
    pub(crate) fn spawn(
        contender: Contender,
        script: Option<&Path>,
        url: &str,
        shape: Shape,
        sockets: usize,
    ) -> Result<Self, String> {
        let mut command = match (contender, script) {
            (Contender::Node, Some(script)) => {
                let mut command = process::Command::new("node");
                command.arg(script);
                command
            }
            (Contender::Node, None) => return Err("Node is not there".to_owned()),
            _ => {
                let mut command = process::Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
                command.args(["node", "--contender", &contender.id(), "--nodes", &shape.nodes.to_string()]);
                command
            }
        };
        command.args(["--url", url, "--namespaces", &shape.namespaces.to_string(), "--sockets", &sockets.to_string()]);
        // As servers run in production.
        command.env("NODE_ENV", "production").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let commands = child.stdin.take();
        let output = child.stdout.take().ok_or("a node has no output")?;
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let who = format!("a node of {}", contender.label());
        Ok(Self { child, commands, answers, who })
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<(), String> {
        self.answer(Duration::ZERO)
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, String> {
        self.send(command)?;
        self.answer(duration(command))
    }

    /// Sends a command; [`answer`](Self::answer) waits for its reply later.
    pub(crate) fn send(&mut self, command: &Command) -> Result<(), String> {
        let line = serde_json::to_string(command).map_err(|error| error.to_string())?;
        let commands = self.commands.as_mut().expect("the input of a node is open as long as it lives");
        writeln!(commands, "{line}").map_err(|error| format!("{} is gone: {error}", self.who))
    }

    /// The reply to the oldest command that has none. A command that works for a time replies no
    /// sooner.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self, works_for: Duration) -> Result<T, String> {
        let line = self.answers.recv_timeout(PATIENCE + works_for);
        let line = line.map_err(|_| format!("{} does not answer, or is gone", self.who))?;
        match serde_json::from_str(&line) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Error(error)) => Err(format!("{}: {error}", self.who)),
            Err(error) => Err(format!("{} answers {line:.200}: {error}", self.who)),
        }
    }

    /// Sends a command to all nodes, then waits for all replies.
    pub(crate) fn ask_all<T: DeserializeOwned>(nodes: &mut [Self], command: &Command) -> Result<Vec<T>, String> {
        nodes.iter_mut().try_for_each(|node| node.send(command))?;
        nodes.iter_mut().map(|node| node.answer(duration(command))).collect()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

/// Waits until all nodes know each other.
pub(super) fn join(nodes: &mut [NodeProcess]) -> Result<(), String> {
    NodeProcess::ask_all::<()>(nodes, &Command::Join { nodes: nodes.len() }).map(drop)
}

fn duration(command: &Command) -> Duration {
    match command {
        Command::Emit { millis, .. }
        | Command::FetchSockets { millis, .. }
        | Command::BroadcastWithAck { millis, .. } => Duration::from_millis(*millis),
        _ => Duration::ZERO,
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.commands.take();
        // Some adapters keep their process running for a while, but it is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
