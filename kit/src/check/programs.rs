//! The programs of which the kit builds clusters: the candidate, Rust and Node.js.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::{
    harness::{Error, Node, NodeOptions, Parser, Program},
    judge::Conversation,
    scenarios::{Capability, Server, Stage},
};

/// A server of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Candidate,
    Rust,
    Node,
}

impl Seat {
    pub(super) fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'C' => Self::Candidate,
            'R' => Self::Rust,
            'N' => Self::Node,
            _ => return None,
        })
    }
}

/// How each program is started.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) candidate: String,
    /// This program with the arguments that make it a partner.
    pub(super) partner: (PathBuf, Vec<String>),
    /// The folder of the Node.js server with its packages.
    pub(super) node: Option<PathBuf>,
}

struct Started<'a> {
    programs: &'a Programs,
    seat: Seat,
    has_reply_channel: bool,
}

impl Program for Started<'_> {
    fn name(&self) -> String {
        match self.seat {
            Seat::Candidate => "your node",
            Seat::Rust => "the Rust server",
            Seat::Node => "the Node.js server",
        }
        .to_owned()
    }

    /// Patterns of dynamic namespaces are socketioxide's.
    fn takes_all_options(&self) -> bool {
        false
    }

    fn takes_url_from_environment(&self) -> bool {
        self.seat != Seat::Candidate
    }

    async fn command(&self) -> Result<Command, Error> {
        Ok(match self.seat {
            Seat::Candidate => shell(&self.programs.candidate),
            Seat::Rust => {
                let mut command = self.programs.partner("server");
                if self.has_reply_channel {
                    command.arg("--reply-channel");
                }
                command
            }
            Seat::Node => {
                let mut command = Command::new("node");
                command.arg(self.programs.node.clone().unwrap_or_default().join("server.mjs"));
                command
            }
        })
    }
}

impl Programs {
    pub(super) fn partner(&self, role: &str) -> Command {
        let mut command = Command::new(&self.partner.0);
        command.args(&self.partner.1).args(["--role", role]);
        command
    }
}

/// One program as a shell reads it, with variables before it; options follow it.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    // exec: a signal must reach the node, not the shell. env: variables may stand before the program.
    shell.args(["-c", &format!("exec env {command} \"$@\""), "check"]);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Three programs in a database.
pub(super) struct Partners {
    pub(super) programs: Programs,
    pub(super) seats: [Seat; 3],
    /// Whether the requests of Rust servers say where the responses go.
    pub(super) has_reply_channels: bool,
    pub(super) client: Arc<tokio_postgres::Client>,
    pub(super) conversation: Arc<Mutex<Conversation>>,
}

impl Partners {
    async fn start_one(&self, seat: Seat, options: &NodeOptions) -> Result<Server, Error> {
        let program = Started { programs: &self.programs, seat, has_reply_channel: self.has_reply_channels };
        let started = Node::start(&program, options).await;
        if seat == Seat::Candidate {
            return Ok(Server::new(Arc::new(started?), Parser::Common));
        }
        let node = started.map_err(|error| Error::Partner(Box::new(error)))?;
        let uids = node.ready("uids");
        let uids = uids.as_object().into_iter().flatten().filter_map(|(_, uid)| uid.as_str().map(str::to_owned));
        self.conversation.lock().trust(uids.chain([node.uid()]));
        Ok(Server::new(Arc::new(node), Parser::Common))
    }
}

impl Stage for Partners {
    fn start<'a>(&'a self, options: &'a NodeOptions) -> BoxFuture<'a, Result<[Server; 3], Error>> {
        let start = |index: usize| self.start_one(self.seats[index], options);
        Box::pin(async move {
            let (a, b, c) = tokio::try_join!(start(0), start(1), start(2))?;
            Ok([a, b, c])
        })
    }

    fn start_another<'a>(&'a self, index: usize, options: &'a NodeOptions) -> BoxFuture<'a, Result<Server, Error>> {
        Box::pin(self.start_one(self.seats[index], options))
    }

    fn lacks(&self, _: Capability) -> bool {
        true // scenarios about clients and emitters are not played
    }

    fn hears_more_than_node(&self) -> bool {
        !self.seats.contains(&Seat::Node)
    }

    fn notify<'a>(&'a self, channel: &'a str, payload: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        // It is not the candidate's.
        self.conversation.lock().ignore(payload);
        Box::pin(async move {
            let sent = self.client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload]).await;
            sent.map(drop).map_err(|error| Error::refused(text_of(&error)))
        })
    }

    fn execute<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let failed = |error: tokio_postgres::Error| Error::refused(text_of(&error));
            let messages = self.client.simple_query(sql).await.map_err(failed)?;
            Ok(messages.into_iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            }))
        })
    }
}

/// The text of PostgreSQL, which the error itself does not show.
pub(super) fn text_of(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}

const NODE_FILES: [(&str, &str); 8] = [
    ("server.mjs", include_str!("../../node/server.mjs")),
    ("host.mjs", include_str!("../../node/host.mjs")),
    ("options.mjs", include_str!("../../node/options.mjs")),
    ("postgres.mjs", include_str!("../../node/postgres.mjs")),
    ("primary.mjs", include_str!("../../node/primary.mjs")),
    ("wire.mjs", include_str!("../../node/wire.mjs")),
    ("package.json", include_str!("../../node/package.json")),
    ("package-lock.json", include_str!("../../node/package-lock.json")),
];

/// Writes the Node.js server into a folder and installs its packages, unless that was done.
pub(super) fn install_node(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    let done = folder.join("installed");
    let wanted = NODE_FILES.map(|(_, text)| text).concat();
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    for (name, text) in NODE_FILES {
        fs::write(folder.join(name), text)?;
    }
    let npm = ["ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
    let output = Command::new("npm").args(npm).current_dir(folder).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::write(done, wanted)
}
