//! What can be written on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use socketio_pg_core::{CatchUp, Options, Outbox, backend::table::TableName, protocol::channel};

const AFTER_HELP: &str = "\
Exit codes: 0 all went well; 1 it failed; 2 the command line is wrong; 3 an answer is incomplete, or \
`doctor` has warnings only.

The command is not a server of the cluster: no server counts it or waits for it.";

/// Looks into a Socket.IO cluster on PostgreSQL, and acts on it.
#[derive(Debug, Parser)]
#[command(name = "socketio-pg", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which cluster.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The database: postgres://user:password@host:5432/database?sslmode=require
    #[arg(long, short = 'd', env = "DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// What the names of channels begin with
    #[arg(long, default_value = "socket.io", global = true, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) prefix: String,
    /// The attachments table
    #[arg(long, default_value = "socket_io_attachments", global = true, value_name = "TABLE", value_parser = table)]
    pub(crate) table: String,
    /// The table of the catch-up log, where the cluster has one
    #[arg(long, global = true, value_name = "TABLE", num_args = 0..=1, require_equals = true,
          default_missing_value = "socket_io_log", value_parser = table)]
    pub(crate) log: Option<String>,
    /// How far back the log goes, as the servers have it
    #[arg(long, global = true, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) retention: Duration,
    /// The table of the outbox, where the cluster has one: what is emitted is written there
    #[arg(long, global = true, value_name = "TABLE", num_args = 0..=1, require_equals = true,
          default_missing_value = "socket_io_outbox", value_parser = table)]
    pub(crate) outbox: Option<String>,
    /// Write a line of JSON for each result
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Target {
    pub(crate) fn catch_up(&self) -> Option<CatchUp> {
        self.log.as_ref().map(|log| CatchUp::last(self.retention).table(log))
    }

    /// The same as the options of a node.
    pub(crate) fn options(&self) -> Options {
        let mut options =
            Options::default().channel_prefix(&self.prefix).table(&self.table).create_table(false).node_name("cli");
        if let Some(log) = self.catch_up() {
            options = options.catch_up(log);
        }
        if let Some(outbox) = &self.outbox {
            options = options.outbox(Outbox::default().table(outbox));
        }
        options
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who is in the cluster: name, language, uid, sockets, and when each server was last heard
    #[command(after_help = "Example: socketio-pg nodes --watch")]
    Nodes(Nodes),
    /// The sockets of a namespace, or of rooms in it
    #[command(after_help = "Example: socketio-pg sockets --room orders --namespace /admin")]
    Sockets(Sockets),
    /// What flows through the cluster, a line for each message
    #[command(after_help = "Examples: socketio-pg watch --type broadcast --event order\n          \
                            socketio-pg watch --top")]
    Watch(Watch),
    /// Emit an event to clients
    #[command(after_help = "Example: socketio-pg emit order '{\"id\": 17}' @picture.png --room orders --ack")]
    Emit(Emit),
    /// Let sockets join rooms
    #[command(after_help = "Example: socketio-pg join vip --room orders")]
    Join(Rooms),
    /// Let sockets leave rooms
    #[command(after_help = "Example: socketio-pg leave vip --room orders")]
    Leave(Rooms),
    /// Disconnect sockets
    #[command(after_help = "Example: socketio-pg disconnect --room idle --close")]
    Disconnect(Disconnect),
    /// Emit an event to the servers
    #[command(after_help = "Example: socketio-pg server-side-emit reload '\"settings\"' --ack")]
    ServerSideEmit(ServerSideEmit),
    /// Everything that can be wrong with the database and the cluster, each with its remedy
    #[command(after_help = "Example: socketio-pg doctor --database-url postgres://app@db.internal/chat")]
    Doctor(Doctor),
    /// Write the JSON Schemas and the AsyncAPI document of the protocol
    #[command(after_help = "Examples: socketio-pg schema --output schemas\n          \
                            socketio-pg schema writer.json")]
    Schema(Schema),
    /// Write the SQL of tables and functions
    #[command(after_help = "Example: socketio-pg sql functions | psql -v ON_ERROR_STOP=1 \"$DATABASE_URL\"")]
    Sql(Sql),
    /// Whether a node, in any language, does what the protocol says
    #[command(after_help = "Examples: socketio-pg check --command \"python my_node.py\"\n          \
                            socketio-pg check --wire-only transcript.jsonl")]
    Check(Check),
    /// Write completions for a shell
    #[command(after_help = "Example: socketio-pg completions bash > /etc/bash_completion.d/socketio-pg")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page
    #[command(after_help = "Example: socketio-pg man > /usr/local/share/man/man1/socketio-pg.1")]
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// A namespace; can be repeated. Without it: `/`, and all that Rust servers tell of
    #[arg(long, short, value_name = "NAMESPACE", value_parser = namespace)]
    pub(crate) namespace: Vec<String>,
    /// Keep the list current until it is interrupted
    #[arg(long, short)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) survey: SurveyArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Sockets {
    #[command(flatten)]
    pub(crate) namespace: OneNamespace,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Only how many there are on each server
    #[arg(long)]
    pub(crate) count: bool,
    #[command(flatten)]
    pub(crate) survey: SurveyArguments,
    /// How long to wait for each server
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// One namespace, where a command acts in only one.
#[derive(Debug, Args)]
pub(crate) struct OneNamespace {
    /// The namespace
    #[arg(
        id = "namespace",
        long = "namespace",
        short = 'n',
        default_value = "/",
        value_name = "NAMESPACE",
        value_parser = namespace
    )]
    pub(crate) name: String,
}

/// How servers are found.
#[derive(Debug, Args)]
pub(crate) struct SurveyArguments {
    /// How long servers may take to say that they are there
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) wait: Duration,
}

/// Which sockets.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// A room, or the id of a socket; can be repeated. Without it: all sockets
    #[arg(long, short, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) room: Vec<String>,
    /// Leave out the sockets of a room; can be repeated
    #[arg(long, short, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) except: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A namespace; can be repeated. Without it: `/`, and all that Rust servers tell of
    #[arg(long, short, value_name = "NAMESPACE", value_parser = namespace)]
    pub(crate) namespace: Vec<String>,
    /// Only messages of this type, by name (broadcast, sockets-join, …) or number; can be repeated
    #[arg(long = "type", short = 't', value_name = "TYPE", value_parser = kind)]
    pub(crate) kinds: Vec<u64>,
    /// Only messages that select this room, or a socket's id; can be repeated
    #[arg(long, short, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) room: Vec<String>,
    /// Only events of this name; can be repeated
    #[arg(long, short, value_name = "EVENT", allow_hyphen_values = true)]
    pub(crate) event: Vec<String>,
    /// Only messages of this sender: a uid, or the name of a server; can be repeated
    #[arg(long, short, value_name = "SENDER", allow_hyphen_values = true)]
    pub(crate) sender: Vec<String>,
    /// Heartbeats too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Whole messages: without it, a line is cut at the width of the terminal
    #[arg(long, short)]
    pub(crate) full: bool,
    /// End after this many messages
    #[arg(long, value_name = "MESSAGES")]
    pub(crate) limit: Option<u64>,
    /// Messages and bytes for each sender, event and namespace, like `top`
    #[arg(long)]
    pub(crate) top: bool,
    /// How often `--top` writes
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Emit {
    /// The event's name
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) arguments: EventArguments,
    #[command(flatten)]
    pub(crate) namespace: OneNamespace,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Clients that are not ready may miss it
    #[arg(long)]
    pub(crate) volatile: bool,
    /// Servers do not compress it on its way to clients
    #[arg(long)]
    pub(crate) no_compress: bool,
    /// Wait for the clients' acknowledgements and write them
    #[arg(long, conflicts_with = "volatile")]
    pub(crate) ack: bool,
    #[command(flatten)]
    pub(crate) survey: SurveyArguments,
    /// How long clients may take to acknowledge
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// The arguments of an event.
#[derive(Debug, Args)]
pub(crate) struct EventArguments {
    /// Its arguments, each as JSON, or as `@file` for the bytes of a file (`@-`: of the input)
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rooms {
    /// The rooms to join or leave
    #[arg(required = true, value_name = "ROOM")]
    pub(crate) rooms: Vec<String>,
    #[command(flatten)]
    pub(crate) namespace: OneNamespace,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    #[command(flatten)]
    pub(crate) namespace: OneNamespace,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// All sockets of the namespace; needed where no room is given
    #[arg(long, conflicts_with = "room", required_unless_present = "room")]
    pub(crate) everyone: bool,
    /// Close the connections, not only their part in this namespace
    #[arg(long)]
    pub(crate) close: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServerSideEmit {
    /// The event's name
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) arguments: EventArguments,
    #[command(flatten)]
    pub(crate) namespace: OneNamespace,
    /// Wait for the servers' responses and write them
    #[arg(long)]
    pub(crate) ack: bool,
    #[command(flatten)]
    pub(crate) survey: SurveyArguments,
    /// How long servers may take to respond
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A namespace whose servers are asked; can be repeated. Without it: `/`, and all that Rust servers
    /// tell of
    #[arg(long, short, value_name = "NAMESPACE", value_parser = namespace)]
    pub(crate) namespace: Vec<String>,
    /// The schema of the SQL functions
    #[arg(long, default_value = "socketio", value_name = "SCHEMA")]
    pub(crate) schema: String,
    /// Transactions that are open for longer are named
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) old_transaction: Duration,
    /// Only warnings and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The program that starts the node, as a shell reads it, with variables before it; options follow it
    #[arg(long, short, value_name = "COMMAND", required_unless_present_any = ["wire_only", "recordings"])]
    pub(crate) command: Option<String>,
    /// Judge a transcript instead: JSON lines with channel, payload and attachment_hex; `-` is the input
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub(crate) wire_only: Option<PathBuf>,
    /// Write recorded traffic of Node.js and refused messages into a folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["command", "wire_only"])]
    pub(crate) recordings: Option<PathBuf>,
    /// Check no level above this one
    #[arg(long, value_enum, default_value = "complete")]
    pub(crate) level: CheckLevel,
    /// Play only scenarios with this in their names; can be repeated
    #[arg(long, value_name = "WORD")]
    pub(crate) scenario: Vec<String>,
    /// A cluster of three, C for your node, R for Rust, N for Node.js, the first one acts; can be repeated
    #[arg(long, value_name = "LETTERS")]
    pub(crate) cluster: Vec<String>,
    /// No clusters with Node.js
    #[arg(long)]
    pub(crate) no_node: bool,
    /// How long to wait for anything
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) patience: Duration,
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CheckLevel {
    /// Its sockets get what others send
    Hears,
    /// It is a member, and sends to the sockets of others
    Speaks,
    /// It responds to requests
    Answers,
    /// It sends requests itself
    Complete,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// One document, such as reader.json; without it, and without --output, their names
    #[arg(conflicts_with = "output")]
    pub(crate) document: Option<String>,
    /// Write all documents into this folder
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// What to write
    pub(crate) what: SqlText,
    /// The schema of the SQL functions
    #[arg(long, default_value = "socketio", value_name = "SCHEMA")]
    pub(crate) schema: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SqlText {
    /// The attachments table
    Table,
    /// The table of the catch-up log
    Log,
    /// The table of the outbox
    Outbox,
    /// Functions that emit
    Functions,
    /// What removes the functions
    RemoveFunctions,
}

/// The types of messages by name, as `watch --type` takes them.
pub(crate) const KINDS: [&str; 13] = [
    "initial-heartbeat",
    "heartbeat",
    "broadcast",
    "sockets-join",
    "sockets-leave",
    "disconnect-sockets",
    "fetch-sockets",
    "fetch-sockets-response",
    "server-side-emit",
    "server-side-emit-response",
    "broadcast-client-count",
    "broadcast-ack",
    "adapter-close",
];

fn kind(text: &str) -> Result<u64, String> {
    let number = KINDS.iter().position(|name| *name == text).map(|index| index as u64 + 1);
    let number = number.or_else(|| text.parse().ok());
    number.ok_or_else(|| format!("no type of message: give a number or one of {}", KINDS.join(", ")))
}

fn prefix(text: &str) -> Result<String, String> {
    // The main namespace has the shortest channel.
    let longest = channel::MAX_BYTES - "#/".len();
    if text.len() > longest {
        return Err(format!("it has {} bytes, and the name of a channel has room for {longest} of them", text.len()));
    }
    Ok(text.to_owned())
}

/// As Socket.IO does it, a namespace begins with a slash.
fn namespace(text: &str) -> Result<String, String> {
    let name = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    channel::problem(&name).map_or(Ok(name), |reason| Err(reason.to_owned()))
}

fn table(text: &str) -> Result<String, String> {
    TableName::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let within = seconds.filter(|time| (Duration::from_millis(10)..=Duration::from_secs(86_400)).contains(time));
    within.ok_or_else(|| "give seconds, from 0.01 to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("socketio-pg {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn types_are_the_protocols() {
        let documents = socketio_pg_core::protocol::schema::documents();
        let paths: Vec<_> = documents.iter().map(|document| document.path.as_str()).collect();
        let of_messages = KINDS.map(|kind| format!("writer-{kind}.json"));
        let first = paths.iter().position(|path| *path == of_messages[0]).expect("there is a document of each type");
        assert_eq!(paths[first..first + KINDS.len()], of_messages);
        for (name, number) in KINDS.iter().zip(1..) {
            assert_eq!(super::kind(name), Ok(number));
        }
        assert!(super::kind("broadcasts").is_err());
    }

    #[test]
    fn names_and_numbers_may_begin_with_a_hyphen() {
        let parsed = Arguments::parse_from(["socketio-pg", "emit", "e", "-5", "--room", "-Dx", "--except", "--ack"]);
        let Command::Emit(emit) = parsed.command else { panic!("it is emit") };
        assert_eq!(emit.arguments.arguments, ["-5"]);
        assert_eq!((emit.selection.room, emit.selection.except), (vec!["-Dx".to_owned()], vec!["--ack".to_owned()]));
        let parsed = Arguments::parse_from(["socketio-pg", "join", "--room", "-Dx", "--", "-vip"]);
        let Command::Join(join) = parsed.command else { panic!("it is join") };
        assert_eq!((join.rooms, join.selection.room), (vec!["-vip".to_owned()], vec!["-Dx".to_owned()]));
    }

    #[test]
    fn a_prefix_leaves_room_for_a_namespace() {
        let longest = "p".repeat(61);
        assert_eq!(prefix(&longest).as_ref(), Ok(&longest));
        let problem = prefix(&"é".repeat(31)).unwrap_err();
        assert!(problem.contains("62 bytes") && problem.contains("61"), "{problem}");
    }

    #[test]
    fn times_have_limits() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "-1", "0", "NaN", "inf", "1e300", "1s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
