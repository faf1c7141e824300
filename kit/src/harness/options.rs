//! The command line of a test node, the same for all languages.

use std::time::Duration;

use super::time_limit;

/// How a server node or an emitter is set up. An option that is not set has the node's own default,
/// which is the same for all languages, except for [`pool_size`](Self::pool_size).
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
    outbox: bool,
    watch_sessions: bool,
    inline_binary: bool,
    namespaces: Vec<String>,
    dynamic_namespaces: Vec<DynamicNamespace>,
    parser: Option<Parser>,
    pool_size: usize,
    borrowed_pool: Option<usize>,
    unprotected: bool,
    admin_ui: Option<serde_json::Value>,
    pub(crate) patience: Duration,
}

#[derive(Clone, Debug)]
struct DynamicNamespace {
    node: String,
    rust: String,
}

/// The parser of a server and its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// Socket.IO's own parser: text, with binary beside it.
    Common,
    /// MessagePack.
    MsgPack,
}

impl NodeOptions {
    /// The database, with the default for everything else.
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
            outbox: false,
            watch_sessions: false,
            inline_binary: false,
            namespaces: Vec::new(),
            dynamic_namespaces: Vec::new(),
            parser: None,
            pool_size: 2,
            borrowed_pool: None,
            unprotected: false,
            admin_ui: None,
            patience: time_limit(),
        }
    }

    /// The same options with another URL, for another database or another address of it.
    pub fn at(mut self, database_url: impl Into<String>) -> Self {
        self.database_url = database_url.into();
        self
    }

    /// The URL of the database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The time limit of each wait for the node; [`time_limit`] by default.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Listens through another URL than the one for publishing.
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen_url = Some(url.into());
        self
    }

    /// The prefix of the channels; `socket.io` by default.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = Some(prefix.into());
        self
    }

    /// What the names of channels begin with.
    pub(crate) fn prefix(&self) -> &str {
        self.channel_prefix.as_deref().unwrap_or("socket.io")
    }

    /// The name of the attachments table.
    pub(crate) fn table_name(&self) -> &str {
        self.table.as_deref().unwrap_or("socket_io_attachments")
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

    /// How long a node is silent before it sends a heartbeat; 5 s by default.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// How long a node may be silent before the others count it as dead; 10 s by default.
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

    /// How long PostgreSQL may take for a statement of a Rust server; 10 s by default.
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = Some(timeout);
        self
    }

    /// How many bytes may wait in the inbox of a Rust server; 256 MiB by default.
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = Some(bytes);
        self
    }

    /// Makes a Rust server keep the catch-up log, and catch up with what is not older than this.
    pub fn catch_up(mut self, retention: Duration) -> Self {
        self.catch_up = Some(retention);
        self
    }

    /// Makes a Rust server send no heartbeats while all others see its session.
    #[must_use]
    pub fn watch_sessions(mut self, enabled: bool) -> Self {
        self.watch_sessions = enabled;
        self
    }

    /// Declares to a server in Rust or in Python that the cluster has none on Node.js. Programs on
    /// Node.js do not know the option.
    #[must_use]
    pub fn inline_binary(mut self, inline: bool) -> Self {
        self.inline_binary = inline;
        self
    }

    /// Makes a Rust server publish the outbox, and a Rust emitter and the SQL functions write into
    /// it.
    pub fn outbox(mut self) -> Self {
        self.outbox = true;
        self
    }

    /// Adds a namespace. Without any, there is `/`.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespaces.push(name.into());
        self
    }

    /// Adds a pattern of dynamic namespaces, each of which is created when the first client
    /// connects to it: a regular expression for Node.js, socketioxide's own pattern for Rust.
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
    /// adapter's own default is 10. With more than one connection for publishing, Node.js's
    /// messages overtake each other. A Node.js server needs one connection more for each time that
    /// it loses its listening connection, because it never gives a lost one back to its pool.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// Makes a Rust server publish through the application's own pool, with this many connections.
    /// The ops `exhaustPool` and `releasePool` take all connections of that pool, and give them
    /// back.
    pub fn borrowed_pool(mut self, connections: usize) -> Self {
        self.borrowed_pool = Some(connections);
        self
    }

    /// Sets a Node.js server up as its adapter's README does: it crashes when it loses its
    /// listening connection.
    pub fn unprotected(mut self) -> Self {
        self.unprotected = true;
        self
    }

    /// Adds the Admin UI, with the options of Node.js's `instrument`.
    pub fn admin_ui(mut self, options: serde_json::Value) -> Self {
        self.admin_ui = Some(options);
        self
    }

    pub(crate) fn arguments(&self, takes_all: bool) -> Vec<String> {
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let single = [
            ("--listen-url", self.listen_url.clone()),
            ("--channel-prefix", self.channel_prefix.clone()),
            ("--table", self.table.clone()),
            ("--payload-threshold", self.payload_threshold.map(|bytes| bytes.to_string())),
            ("--heartbeat-interval-ms", self.heartbeat_interval.map(milliseconds)),
            ("--heartbeat-timeout-ms", self.heartbeat_timeout.map(milliseconds)),
            ("--cleanup-interval-ms", self.cleanup_interval.map(milliseconds)),
            ("--check-interval-ms", self.check_interval.filter(|_| takes_all).map(milliseconds)),
            ("--query-timeout-ms", self.query_timeout.filter(|_| takes_all).map(milliseconds)),
            ("--catch-up-ms", self.catch_up.filter(|_| takes_all).map(milliseconds)),
            ("--max-inbox-bytes", self.max_inbox_bytes.filter(|_| takes_all).map(|bytes| bytes.to_string())),
            ("--borrowed-pool", self.borrowed_pool.filter(|_| takes_all).map(|connections| connections.to_string())),
            ("--admin-ui", self.admin_ui.as_ref().map(ToString::to_string)),
            ("--parser", self.parser.map(|parser| parser.name().to_owned())),
            ("--pool-size", Some(self.pool_size.to_string())),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let namespaces = self.namespaces.iter().map(|name| ("--namespace", name.clone()));
        let dynamic = self.dynamic_namespaces.iter().map(|pattern| {
            ("--dynamic-namespace", if takes_all { pattern.rust.clone() } else { pattern.node.clone() })
        });

        // In one argument, so that a value may begin with a dash.
        let mut arguments: Vec<_> =
            single.chain(namespaces).chain(dynamic).map(|(name, value)| format!("{name}={value}")).collect();
        if self.watch_sessions && takes_all {
            arguments.push("--watch-sessions".to_owned());
        }
        if self.inline_binary {
            arguments.push("--inline-binary".to_owned());
        }
        if self.outbox && takes_all {
            arguments.push("--outbox".to_owned());
        }
        if self.unprotected && !takes_all {
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
