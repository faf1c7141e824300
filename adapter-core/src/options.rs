//! The options of a node.

use std::time::Duration;

use socketio_pg_protocol::{
    ReplyChannel,
    budget::{Budget, DEFAULT_THRESHOLD, MAX_PAYLOAD},
    channel, cluster,
    message::liveness::{HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT},
    notification::{CLEANUP_INTERVAL, DEFAULT_TABLE},
};

use crate::{
    backend::{CatchUp, Outbox, outbox, table::TableName},
    env,
    error::ConnectError,
};

/// The options of a node. Defaults are those of Node.js's adapter, where it has the option.
///
/// All nodes of a cluster must agree on [`channel_prefix`](Self::channel_prefix) and
/// [`table`](Self::table), and nodes with a [catch-up log](Self::catch_up) on that.
/// `Cluster::connect` checks the options: [`ConnectError::Option`] says what cannot work.
///
/// ```
/// # use socketio_pg_core::Options;
/// use std::time::Duration;
///
/// let options = Options::default()
///     .channel_prefix("chat")
///     .heartbeat_interval(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) node_name: Option<String>,
    pub(crate) channel_prefix: String,
    pub(crate) table: String,
    pub(crate) create_table: bool,
    pub(crate) payload_threshold: usize,
    pub(crate) inline_binary: bool,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) cleanup_interval: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) check_interval: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) leave_timeout: Duration,
    pub(crate) publish_queue: usize,
    pub(crate) max_inbox_bytes: usize,
    pub(crate) max_attachment_bytes: usize,
    pub(crate) max_requests: usize,
    pub(crate) max_responses: usize,
    pub(crate) max_nodes: usize,
    pub(crate) max_remote_sockets: usize,
    pub(crate) reply_channel: bool,
    pub(crate) watch_sessions: bool,
    pub(crate) catch_up: Option<CatchUp>,
    pub(crate) outbox: Option<Outbox>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_name: None,
            channel_prefix: channel::DEFAULT_PREFIX.to_owned(),
            table: DEFAULT_TABLE.to_owned(),
            create_table: true,
            payload_threshold: DEFAULT_THRESHOLD,
            inline_binary: false,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            heartbeat_timeout: HEARTBEAT_TIMEOUT,
            cleanup_interval: CLEANUP_INTERVAL,
            request_timeout: cluster::REQUEST_TIMEOUT,
            connect_timeout: Duration::from_secs(10),
            check_interval: Duration::from_secs(5),
            query_timeout: Duration::from_secs(10),
            leave_timeout: Duration::from_secs(8),
            publish_queue: 10_000,
            max_inbox_bytes: 256 * 1024 * 1024,
            max_attachment_bytes: 64 * 1024 * 1024,
            max_requests: 10_000,
            max_responses: 100_000,
            max_nodes: cluster::Config::default().max_nodes,
            max_remote_sockets: 100_000,
            reply_channel: true,
            watch_sessions: false,
            catch_up: None,
            outbox: None,
        }
    }
}

impl Options {
    /// The name of this node in logs and in [`Health`](crate::Health), where its uids mean nothing
    /// to a reader: by default the name of the machine and the process id, `machine:4711`. It is
    /// not sent to other nodes.
    ///
    /// PostgreSQL shows it in `pg_stat_activity`, as the `application_name` of the node's sessions:
    /// `socketio-pg machine:4711`, cut to 63 bytes, with `?` for what is not ASCII. A name in the
    /// connection settings comes first, and sessions behind a pooler and those of a borrowed pool
    /// do not have the node's name.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// The name that was given, or the default.
    pub(crate) fn name_of_node(&self) -> String {
        self.node_name.clone().unwrap_or_else(env::node_name)
    }

    /// The prefix of the channels, `socket.io` by default (Node.js: `channelPrefix`).
    #[doc(alias = "channelPrefix")]
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// The attachments table, `socket_io_attachments` by default (Node.js: `tableName`). May be
    /// qualified with a schema: `app.attachments`.
    #[doc(alias = "tableName")]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Whether a missing attachments table is created when connecting. Default: true. Set it to
    /// false when migrations create the table: the backend crate exports the SQL as text, and says
    /// there why the table is unlogged.
    pub fn create_table(mut self, create: bool) -> Self {
        self.create_table = create;
        self
    }

    /// From how many bytes of JSON on a message is stored as an attachment, 8000 by default
    /// (Node.js: `payloadThreshold`). PostgreSQL takes at most 7999, so more has no effect.
    #[doc(alias = "payloadThreshold")]
    pub fn payload_threshold(mut self, bytes: usize) -> Self {
        self.payload_threshold = bytes;
        self
    }

    /// Declares that no server of the cluster is on Node.js: then messages with up to about 5900
    /// bytes of binary travel inside of notifications, in Base64, as those without binary do.
    /// Default: false, as Node.js reads binary from the attachments table only.
    ///
    /// It saves PostgreSQL a row for each such message. Give it to all servers of the cluster, and to
    /// the emitters that are to do the same. Servers tell each other that they have it. While one is
    /// in a namespace that has not, on Node.js or another, and for two
    /// [`heartbeat_timeout`](Self::heartbeat_timeout)s after it has left, binary goes there through
    /// the attachments table as ever, and
    /// [`Event::NodeNeedsAttachments`](crate::Event::NodeNeedsAttachments) says which one. So it does
    /// for a [`heartbeat_interval`](Self::heartbeat_interval) after this server has joined, while it
    /// cannot listen, and where the name of the namespace's channel is longer than PostgreSQL takes.
    ///
    /// What was queued before a server on Node.js was heard does not reach its clients, and nothing
    /// with binary that an emitter sends with this option does. Take the option from servers and
    /// emitters, and let the outbox run empty, before one joins.
    pub fn inline_binary(mut self, inline: bool) -> Self {
        self.inline_binary = inline;
        self
    }

    /// How long the node may publish nothing before it sends a heartbeat, 5 s by default (Node.js:
    /// `heartbeatInterval`).
    #[doc(alias = "heartbeatInterval")]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// How long after its last message another node is taken for dead, 10 s by default (Node.js:
    /// `heartbeatTimeout`), while this node hears what others publish.
    #[doc(alias = "heartbeatTimeout")]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// How often attachments are swept, and how old they must be, 30 s by default (Node.js:
    /// `cleanupInterval`). Every node deletes old attachments of all nodes.
    ///
    /// A sweep is skipped while there is nothing to delete: when the node neither wrote an
    /// attachment nor received the header of one in the last two intervals. After its first
    /// interval, and then every 20 intervals (10 minutes by default), it sweeps in any case.
    #[doc(alias = "cleanupInterval")]
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval;
        self
    }

    /// How long `fetch_sockets`, server-side emits and broadcasts with acknowledgements wait, 5 s by
    /// default, as in Node.js. [`ClusterNamespace::timeout`](crate::ClusterNamespace::timeout) says
    /// it for one request. socketioxide's own operators wait for acknowledgements as long as
    /// `ack_timeout` of its builder says.
    #[doc(alias = "requestsTimeout")]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long connecting may take in all, 10 s by default. Where the settings of the connection
    /// lead to several hosts, the time that they give to the other hosts is added.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often a keep-alive query is sent on the listening connection, and how long its result
    /// may take, 5 s by default. A connection that fails is replaced, so a dead link is found
    /// within twice this time. While messages come it is sent in each fourth interval only.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// How long PostgreSQL may take to publish a batch, to return attachments, or to sweep them, 10
    /// s by default. A statement that takes longer is cancelled, its connection is closed, and its
    /// caller gets an error.
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// How long [`Cluster::serve`](crate::Cluster::serve) may take to end once it is told to, 8 s
    /// by default: then it returns although requests are still open. Docker kills a container after
    /// 10 s.
    pub fn leave_timeout(mut self, timeout: Duration) -> Self {
        self.leave_timeout = timeout;
        self
    }

    /// How many responses to other nodes may wait to be published before the handling of messages
    /// waits for them, 10 000 by default; from half as many messages of any kind on, metrics call
    /// the queue long. A task that emits waits for the commit in any case; the limit does not hold
    /// back what the application sends.
    pub fn publish_queue(mut self, messages: usize) -> Self {
        self.publish_queue = messages;
        self
    }

    /// How many bytes of memory the notifications that wait to be handled may take, 256 MiB by
    /// default, and as many again the attachments that were fetched before they are handled, and
    /// what arrives while the node reads the catch-up log. Notifications that arrive beyond it are
    /// dropped, counted and reported; attachments stay in their table until there is room.
    pub fn max_inbox_bytes(mut self, bytes: usize) -> Self {
        self.max_inbox_bytes = bytes;
        self
    }

    /// How large an attachment of another node may be, 64 MiB by default. A larger one is not
    /// fetched, but counted and reported as
    /// [`InvalidMessage::TooLarge`](crate::InvalidMessage::TooLarge). When read, it takes several
    /// times as much memory.
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.max_attachment_bytes = bytes;
        self
    }

    /// How many requests of this node may wait for responses at a time, 10 000 by default; more
    /// fail with [`Error::TooManyRequests`](crate::Error::TooManyRequests). The same limit holds
    /// for what other nodes ask of this one: for events whose acknowledgements are waited for, and
    /// apart from these for server-side events whose handlers run. Beyond it they are dropped, counted and reported; an
    /// event is still delivered, but its acknowledgements are not passed on.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// How many responses one request takes, 100 000 by default: acknowledgements, servers, or
    /// sockets in `fetch_sockets` and `socket_ids`. For `socket_count` it limits the servers, not
    /// the sockets. With more the request fails with
    /// [`Error::TooManyResponses`](crate::Error::TooManyResponses). Without a limit, one node could
    /// respond for ever.
    pub fn max_responses(mut self, answers: usize) -> Self {
        self.max_responses = answers;
        self
    }

    /// How many other nodes are remembered in each namespace, 1000 by default: any new sender counts
    /// as a node. The messages of more nodes are handled, but these nodes are not counted or waited
    /// for; that is counted and reported as [`Dropped::Nodes`](crate::Dropped::Nodes).
    pub fn max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// How many sockets of other nodes are remembered by `fetch_sockets`, 100 000 by default:
    /// socketioxide's ids have 16 characters and Node.js's 20, so each foreign socket gets an alias
    /// here.
    pub fn max_remote_sockets(mut self, sockets: usize) -> Self {
        self.max_remote_sockets = sockets;
        self
    }

    /// Whether other Rust nodes respond to this one on a channel of its own, so that only this node
    /// receives the responses. Default: true.
    ///
    /// Node.js servers do not know such channels, and respond on the channel of the namespace. Set
    /// it to false to have all traffic of the cluster on the channels of its namespaces, for a tool
    /// that watches it there. A prefix of more than 46 bytes, or with `#/` in it, leaves no room
    /// for such a channel: then the node does not use one.
    pub fn reply_channel(mut self, enabled: bool) -> Self {
        self.reply_channel = enabled;
        self
    }

    /// Whether the node sends no heartbeats while all other nodes of a namespace can see in
    /// PostgreSQL that it lives. Default: false. Set it on all nodes: one that does not look gets
    /// heartbeats from all others.
    ///
    /// The node asks for the sessions of all nodes twice in a
    /// [`heartbeat_interval`](Self::heartbeat_interval), in place of keep-alive queries. This writes
    /// nothing: a cluster at rest costs no transaction number and no WAL. The question itself is what
    /// the others see, so that a process that hangs is noticed in the same time as without
    /// heartbeats. They begin again as soon as there is a server on Node.js, or another that does
    /// not look; for some 15 s after a node came, and 25 s after one left; when the node cannot see
    /// the sessions of the others, as under a role that may not;
    /// or when `track_activities` is off. [`NamespaceHealth::is_silent`](crate::NamespaceHealth)
    /// tells which is so.
    ///
    /// Notifications that come while such a question is under way wait for its answer, mostly about a
    /// millisecond. Leave it off where each statement is logged (`log_statement = all`), or where
    /// `pg_stat_activity` is expensive: for each question PostgreSQL takes memory of
    /// `max_connections` times `track_activity_query_size`.
    pub fn watch_sessions(mut self, enabled: bool) -> Self {
        self.watch_sessions = enabled;
        self
    }

    /// A reply channel of this process alone.
    pub(crate) fn new_reply_channel(&self) -> Option<ReplyChannel> {
        if !self.reply_channel {
            return None;
        }
        ReplyChannel::new(&self.channel_prefix, crate::env::random_u64())
    }

    /// Keeps a log of what is published, from which a node that was disconnected reads what it
    /// missed: messages of the servers and emitters of this project are then neither lost nor
    /// delivered twice when the listening connection breaks. Off by default.
    ///
    /// What a node publishes is also written into a table, in the statement that notifies, and
    /// deleted when it is older than the log goes back. All servers and emitters of this project in
    /// a cluster must have the same log; servers on Node.js need not know of it. They receive
    /// everything as before, and what they send is not in the log.
    ///
    /// [`Event::Gap`](crate::Event::Gap) says after each break what was recovered, and what was
    /// not. Late messages are delivered before live ones, in the order of their sender. They may be
    /// as late as the log goes back, and reach sockets that connected meanwhile.
    ///
    /// It needs PostgreSQL 13 or later.
    pub fn catch_up(mut self, log: CatchUp) -> Self {
        self.catch_up = Some(log);
        self
    }

    /// Publishes what emitters write into a table, the outbox. Off by default.
    ///
    /// A transaction that notifies waits, when it commits, for PostgreSQL's one lock on the
    /// notification queue: of many small transactions that emit, only a few commit at a time. With
    /// this option an [`Emitter`](crate::Emitter), and the functions of
    /// [`SqlFunctions`](crate::SqlFunctions), write a row instead, and one server publishes the rows
    /// some milliseconds after their commit: each of them once, and those of a sender in the order of
    /// their commits. They wait while no server runs. When a server dies, another goes on within a
    /// few seconds.
    ///
    /// Give the option to at least one server written in Rust, better to all, and to the emitters
    /// that are to use it. What servers emit themselves does not go through it.
    /// [`Event::OutboxBehind`](crate::Event::OutboxBehind) and [`Health`](crate::Health) say when
    /// rows wait.
    ///
    /// It needs PostgreSQL 13 or later, and a role that may read and delete rows of the table.
    pub fn outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// What fits into a notification. `packs_binary` says whether binary may be among it.
    pub(crate) fn budget(&self, packs_binary: bool) -> Budget {
        Budget::new(self.payload_threshold).pack_binary(packs_binary)
    }

    pub(crate) fn cluster_config(&self) -> cluster::Config {
        cluster::Config::default()
            .heartbeat_interval(self.heartbeat_interval)
            .heartbeat_timeout(self.heartbeat_timeout)
            .max_nodes(self.max_nodes)
            .watches(self.watch_sessions)
            .packs_binary(self.inline_binary)
    }

    pub(crate) fn validate(&self) -> Result<(), ConnectError> {
        let invalid = |option: &'static str, problem: String| Err(ConnectError::Option { option, problem });
        // The main namespace has the shortest channel.
        let longest = channel::MAX_BYTES - "#/".len();
        if self.channel_prefix.len() > longest {
            let problem = format!(
                "it has {} bytes and leaves no room for a namespace in the {} bytes of a PostgreSQL channel: \
                 give one of at most {longest} bytes",
                self.channel_prefix.len(),
                channel::MAX_BYTES
            );
            return invalid("channel_prefix", problem);
        }
        if self.channel_prefix.contains('\0') {
            return invalid("channel_prefix", "it contains a NUL character, which no PostgreSQL name can".to_owned());
        }
        if let Err(error) = TableName::parse(&self.table) {
            return invalid("table", error.to_string());
        }
        if let Some(log) = &self.catch_up {
            validate_log(log, &self.table)?;
        }
        if let Some(outbox) = &self.outbox {
            validate_outbox(outbox, self)?;
        }
        if self.heartbeat_timeout <= self.heartbeat_interval {
            let problem = format!(
                "{:?} is not longer than heartbeat_interval ({:?}), so every silent node would be taken for dead",
                self.heartbeat_timeout, self.heartbeat_interval
            );
            return invalid("heartbeat_timeout", problem);
        }
        for (option, duration) in [
            ("heartbeat_interval", self.heartbeat_interval),
            ("cleanup_interval", self.cleanup_interval),
            ("check_interval", self.check_interval),
            ("query_timeout", self.query_timeout),
            ("leave_timeout", self.leave_timeout),
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
        ] {
            if duration.is_zero() {
                return invalid(option, "it must be longer than zero".to_owned());
            }
        }
        for (option, size, least) in [
            ("publish_queue", self.publish_queue, 1),
            ("max_inbox_bytes", self.max_inbox_bytes, MAX_PAYLOAD),
            ("max_attachment_bytes", self.max_attachment_bytes, MAX_PAYLOAD),
            ("max_requests", self.max_requests, 1),
            ("max_responses", self.max_responses, 1),
            ("max_nodes", self.max_nodes, 1),
            ("max_remote_sockets", self.max_remote_sockets, 1),
        ] {
            if size < least {
                return invalid(option, format!("it is {size}: give at least {least}"));
            }
        }
        Ok(())
    }
}

fn validate_log(log: &CatchUp, attachments: &str) -> Result<(), ConnectError> {
    let invalid = |problem: String| Err(ConnectError::Option { option: "catch_up", problem });
    let table = match TableName::parse(log.table_name()) {
        Ok(table) => table,
        Err(error) => return invalid(error.to_string()),
    };
    if TableName::parse(attachments).is_ok_and(|attachments| attachments == table) {
        return invalid(format!("{table} is the attachments table: give the log one of its own"));
    }
    if log.retention().is_zero() {
        return invalid("it must go back for longer than zero".to_owned());
    }
    Ok(())
}

fn validate_outbox(outbox: &Outbox, options: &Options) -> Result<(), ConnectError> {
    let invalid = |problem: String| Err(ConnectError::Option { option: "outbox", problem });
    let table = match TableName::parse(outbox.table_name()) {
        Ok(table) => table,
        Err(error) => return invalid(error.to_string()),
    };
    let others = [Some(options.table.as_str()), options.catch_up.as_ref().map(CatchUp::table_name)];
    if others.into_iter().flatten().any(|other| TableName::parse(other).is_ok_and(|other| other == table)) {
        return invalid(format!("{table} is another table of the cluster: give the outbox one of its own"));
    }
    const LONGEST: Duration = Duration::from_millis(500);
    if outbox.interval().is_zero() || outbox.interval() > LONGEST {
        return invalid(format!("poll_interval must be longer than zero, and at most {LONGEST:?}"));
    }
    let longest = outbox::MAX_PREFIX;
    if options.channel_prefix.len() > longest {
        return invalid(format!("with it, `channel_prefix` may have at most {longest} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_and_the_extremes_are_valid() {
        Options::default().validate().unwrap();
        Options::default()
            .channel_prefix("p".repeat(61))
            .table(r#""a.b"."c""#)
            .payload_threshold(0)
            .heartbeat_interval(Duration::from_nanos(1))
            .heartbeat_timeout(Duration::MAX)
            .cleanup_interval(Duration::MAX)
            .request_timeout(Duration::MAX)
            .connect_timeout(Duration::MAX)
            .check_interval(Duration::MAX)
            .query_timeout(Duration::MAX)
            .leave_timeout(Duration::MAX)
            .publish_queue(usize::MAX)
            .max_inbox_bytes(usize::MAX)
            .max_attachment_bytes(usize::MAX)
            .max_requests(usize::MAX)
            .max_responses(usize::MAX)
            .max_nodes(usize::MAX)
            .max_remote_sockets(usize::MAX)
            .validate()
            .unwrap();
    }

    #[test]
    fn what_cannot_work_is_named_with_a_remedy() {
        let valid = Options::default;
        let second = Duration::from_secs(1);
        for (options, option, remedy) in [
            (valid().channel_prefix("p".repeat(62)), "channel_prefix", "at most 61 bytes"),
            (valid().channel_prefix("é".repeat(31)), "channel_prefix", "it has 62 bytes"),
            (valid().channel_prefix("a\0b"), "channel_prefix", "NUL"),
            (valid().table(""), "table", "give `table` or `schema.table`"),
            (valid().table("a.b.c"), "table", "give `table` or `schema.table`"),
            (valid().table("a\0b"), "table", "give `table` or `schema.table`"),
            (valid().heartbeat_timeout(5 * second), "heartbeat_timeout", "not longer than heartbeat_interval"),
            (valid().heartbeat_interval(Duration::MAX), "heartbeat_timeout", "not longer than heartbeat_interval"),
            (valid().heartbeat_interval(Duration::ZERO), "heartbeat_interval", "longer than zero"),
            (valid().cleanup_interval(Duration::ZERO), "cleanup_interval", "longer than zero"),
            (valid().request_timeout(Duration::ZERO), "request_timeout", "longer than zero"),
            (valid().connect_timeout(Duration::ZERO), "connect_timeout", "longer than zero"),
            (valid().check_interval(Duration::ZERO), "check_interval", "longer than zero"),
            (valid().query_timeout(Duration::ZERO), "query_timeout", "longer than zero"),
            (valid().leave_timeout(Duration::ZERO), "leave_timeout", "longer than zero"),
            (valid().publish_queue(0), "publish_queue", "at least 1"),
            (valid().max_inbox_bytes(7998), "max_inbox_bytes", "at least 7999"),
            (valid().max_attachment_bytes(7998), "max_attachment_bytes", "at least 7999"),
            (valid().max_requests(0), "max_requests", "at least 1"),
            (valid().max_responses(0), "max_responses", "at least 1"),
            (valid().max_nodes(0), "max_nodes", "at least 1"),
            (valid().max_remote_sockets(0), "max_remote_sockets", "at least 1"),
        ] {
            let Err(ConnectError::Option { option: named, problem }) = options.validate() else {
                panic!("{option} is taken for valid");
            };
            assert_eq!(named, option, "{problem}");
            assert!(problem.contains(remedy), "{option}: {problem}");
        }
    }

    #[test]
    fn a_log_that_cannot_work_is_named_with_a_remedy() {
        let second = Duration::from_secs(1);
        validate_log(&CatchUp::last(Duration::MAX), "socket_io_attachments").unwrap();
        for (log, remedy) in [
            (CatchUp::last(Duration::ZERO), "longer than zero"),
            (CatchUp::last(second).table("a.b.c"), "give `table` or `schema.table`"),
            (CatchUp::last(second).table("SOCKET_IO_attachments"), "one of its own"),
        ] {
            let Err(ConnectError::Option { option: "catch_up", problem }) = validate_log(&log, "socket_io_attachments")
            else {
                panic!("{log:?} is taken for valid");
            };
            assert!(problem.contains(remedy), "{problem}");
        }
    }

    #[test]
    fn an_outbox_that_cannot_work_is_named_with_a_remedy() {
        let log = CatchUp::last(Duration::from_secs(1));
        Options::default().channel_prefix("p".repeat(56)).outbox(Outbox::default()).validate().unwrap();
        for (options, remedy) in [
            (Options::default().outbox(Outbox::default().table("a.b.c")), "give `table` or `schema.table`"),
            (Options::default().outbox(Outbox::default().table("Socket_IO_attachments")), "one of its own"),
            (Options::default().catch_up(log).outbox(Outbox::default().table("socket_io_log")), "one of its own"),
            (Options::default().outbox(Outbox::default().poll_interval(Duration::ZERO)), "longer than zero"),
            (Options::default().outbox(Outbox::default().poll_interval(Duration::MAX)), "at most 500ms"),
            (Options::default().channel_prefix("p".repeat(57)).outbox(Outbox::default()), "at most 56 bytes"),
        ] {
            let Err(ConnectError::Option { option: "outbox", problem }) = options.validate() else {
                panic!("{:?} is taken for valid", options.outbox);
            };
            assert!(problem.contains(remedy), "{problem}");
        }
    }
}
