//! The command line of a test node, the same for all languages.

use std::time::Duration;

/// How a server node or an emitter is set up. What is not said is the node's own default, which is
/// the same everywhere, except for [`pool_size`](Self::pool_size).
#[derive(Clone, Debug)]
pub struct NodeOptions {
    database_url: String,
    listen_url: Option<String>,
    channel_prefix: Option<String>,
    table: Option<String>,
    payload_threshold: Option<usize>,
    heartbeat_interval: Option<Duration>,
    heartbeat_timeout: Option<Duration>,
    cleanup_interval: Option<Duration>,
    check_interval: Option<Duration>,
    query_timeout: Option<Duration>,
    max_inbox_bytes: Option<usize>,
    catch_up: Option<Duration>,
    namespaces: Vec<String>,
    dynamic_namespaces: Vec<DynamicNamespace>,
    parser: Option<Parser>,
    pool_size: usize,
    borrowed_pool: Option<usize>,
    unprotected: bool,
}

#[derive(Clone, Debug)]
struct DynamicNamespace {
    node: String,
    rust: String,
}

/// The parser of a server and its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// Socket.IO's own: text, with binary beside it.
    Common,
    /// MessagePack.
    MsgPack,
}

/// Who reads the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Node,
    Rust,
}

impl NodeOptions {
    /// The database, and the default for everything else.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            listen_url: None,
            channel_prefix: None,
            table: None,
            payload_threshold: None,
            heartbeat_interval: None,
            heartbeat_timeout: None,
            cleanup_interval: None,
            check_interval: None,
            query_timeout: None,
            max_inbox_bytes: None,
            catch_up: None,
            namespaces: Vec::new(),
            dynamic_namespaces: Vec::new(),
            parser: None,
            pool_size: 2,
            borrowed_pool: None,
            unprotected: false,
        }
    }

    /// The same on another database, or on another way to it.
    pub fn at(mut self, database_url: impl Into<String>) -> Self {
        self.database_url = database_url.into();
        self
    }

    /// The URL of the database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Listens through another URL than it publishes through.
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen_url = Some(url.into());
        self
    }

    /// The prefix of the channels; `socket.io` by default.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = Some(prefix.into());
        self
    }

    /// The attachments table; `socket_io_attachments` by default.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Messages over this many bytes become attachments; 8000 by default.
    pub fn payload_threshold(mut self, bytes: usize) -> Self {
        self.payload_threshold = Some(bytes);
        self
    }

    /// How long a node is silent before it says that it lives; 5 s by default.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// How long a node may be silent before it is taken for dead; 10 s by default.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = Some(timeout);
        self
    }

    /// How often old attachments are deleted, and how old they then must be; 30 s by default.
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = Some(interval);
        self
    }

    /// How often a Rust server sends a keep-alive query on its listening connection; 5 s by
    /// default.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = Some(interval);
        self
    }

    /// How long PostgreSQL may take to do what a Rust server asks of it; 10 s by default.
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = Some(timeout);
        self
    }

    /// How much may wait to be handled by a Rust server; 256 MiB by default.
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = Some(bytes);
        self
    }

    /// Has a Rust server keep the catch-up log, and catch up with what is no older.
    pub fn catch_up(mut self, retention: Duration) -> Self {
        self.catch_up = Some(retention);
        self
    }

    /// Adds a namespace. Without any, there is `/`.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespaces.push(name.into());
        self
    }

    /// Adds a set of namespaces that come into being when a client connects to one: a regular
    /// expression for Node.js, socketioxide's own pattern for Rust.
    pub fn dynamic_namespace(mut self, node: impl Into<String>, rust: impl Into<String>) -> Self {
        self.dynamic_namespaces.push(DynamicNamespace { node: node.into(), rust: rust.into() });
        self
    }

    /// The parser; the common one by default.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = Some(parser);
        self
    }

    /// How many connections the node has, the listening one included; 2 by default, while the
    /// adapter's own is 10: with more than one that publishes, Node.js's messages overtake each
    /// other. A Node.js server needs one more for each time its listening connection is lost, since
    /// it never gives that one up.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// Has a Rust server publish through a pool of the application with this many connections. The
    /// ops `exhaustPool` and `releasePool` are the application that takes all of them, and gives
    /// them back.
    pub fn borrowed_pool(mut self, connections: usize) -> Self {
        self.borrowed_pool = Some(connections);
        self
    }

    /// Sets a Node.js server up just as its adapter's README does: it crashes when its listening
    /// connection is lost.
    pub fn unprotected(mut self) -> Self {
        self.unprotected = true;
        self
    }

    pub(crate) fn arguments(&self, language: Language) -> Vec<String> {
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let single = [
            ("--database-url", Some(self.database_url.clone())),
            ("--listen-url", self.listen_url.clone()),
            ("--channel-prefix", self.channel_prefix.clone()),
            ("--table", self.table.clone()),
            ("--payload-threshold", self.payload_threshold.map(|bytes| bytes.to_string())),
            ("--heartbeat-interval-ms", self.heartbeat_interval.map(milliseconds)),
            ("--heartbeat-timeout-ms", self.heartbeat_timeout.map(milliseconds)),
            ("--cleanup-interval-ms", self.cleanup_interval.map(milliseconds)),
            ("--check-interval-ms", self.check_interval.filter(|_| language == Language::Rust).map(milliseconds)),
            ("--query-timeout-ms", self.query_timeout.filter(|_| language == Language::Rust).map(milliseconds)),
            ("--catch-up-ms", self.catch_up.filter(|_| language == Language::Rust).map(milliseconds)),
            (
                "--max-inbox-bytes",
                self.max_inbox_bytes.filter(|_| language == Language::Rust).map(|bytes| bytes.to_string()),
            ),
            (
                "--borrowed-pool",
                self.borrowed_pool.filter(|_| language == Language::Rust).map(|connections| connections.to_string()),
            ),
            ("--parser", self.parser.map(|parser| parser.name().to_owned())),
            ("--pool-size", Some(self.pool_size.to_string())),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let namespaces = self.namespaces.iter().map(|name| ("--namespace", name.clone()));
        let dynamic = self.dynamic_namespaces.iter().map(|pattern| match language {
            Language::Node => ("--dynamic-namespace", pattern.node.clone()),
            Language::Rust => ("--dynamic-namespace", pattern.rust.clone()),
        });

        // In one word, so that a value may begin with a dash.
        let mut arguments: Vec<_> =
            single.chain(namespaces).chain(dynamic).map(|(name, value)| format!("{name}={value}")).collect();
        if self.unprotected && language == Language::Node {
            arguments.push("--unprotected".to_owned());
        }
        arguments
    }
}

impl Parser {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::MsgPack => "msgpack",
        }
    }
}
