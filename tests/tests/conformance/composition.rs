//! The three servers of a cluster, and how they are started.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use socketio_pg_kit::scenarios::{Capability, Server};
use socketio_pg_tests::{Error, Kind, Node, NodeOptions, Parser, python_node, python_server};

use crate::capability;

/// The backends of Rust servers under test. Workers and parsers, which do not depend on the
/// backend, are tested on the first.
const BACKENDS: &[&str] = &["tokio-postgres", "diesel"];

/// The delay of a byte to a far database, in each direction: a round trip takes 5 ms.
pub(crate) const FAR: Duration = Duration::from_micros(2500);

/// Three servers: the one that acts, and two others.
#[derive(Clone, Debug)]
pub(crate) struct Composition {
    pub(crate) name: String,
    pub(crate) seats: [Seat; 3],
    /// Whether the database is [`FAR`] from all of them.
    pub(crate) is_far: bool,
    /// Whether its servers send binary in notifications, as none of them is on Node.js.
    pub(crate) is_packed: bool,
    /// Whether its servers in Rust see in PostgreSQL that each other lives.
    pub(crate) is_watching: bool,
}

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Node.js on the official adapter.
    Node {
        parser: Parser,
    },
    /// A worker of a Node.js cluster; all workers of a composition have the same primary.
    Worker,
    Rust {
        backend: &'static str,
        parser: Parser,
    },
    /// The node that was written from the specification alone.
    Python,
    /// A server of python-socketio on this project's package.
    PythonServer,
}

impl Composition {
    /// All compositions, Node.js alone first, with both parsers.
    pub(crate) fn all() -> Vec<Self> {
        let node = Seat::Node { parser: Parser::Common };
        let mut all = vec![Self::of([node; 3]), Self::of([Seat::Node { parser: Parser::MsgPack }; 3])];
        for &backend in BACKENDS {
            let rust = Seat::Rust { backend, parser: Parser::Common };
            let mixed = [[rust, rust, rust], [rust, node, node], [node, rust, rust], [node, rust, node]];
            all.extend(mixed.map(Self::of));
            all.push(Self::of([rust, node, rust]).far());
        }
        let [rust, msgpack] =
            [Parser::Common, Parser::MsgPack].map(|parser| Seat::Rust { backend: BACKENDS[0], parser });
        let worker = Seat::Worker;
        let special = [[rust, worker, worker], [worker, rust, worker], [msgpack, node, msgpack], [node, msgpack, rust]];
        all.extend(special.map(Self::of));
        for pair in BACKENDS.windows(2) {
            let [one, other] = [0, 1].map(|index| Seat::Rust { backend: pair[index], parser: Parser::Common });
            all.push(Self::of([one, other, node]));
        }
        for (index, &backend) in BACKENDS.iter().enumerate() {
            let rust = Seat::Rust { backend, parser: Parser::Common };
            let mut seats = [Seat::Python, node, rust];
            seats.rotate_right(index);
            all.push(Self::of(seats));
        }
        all.extend(Self::with_python_servers(node));
        all.push(Self::without_node().packed());
        all.extend(Self::that_watch(node));
        all
    }

    /// Alone, and beside each of the others. Not with the MessagePack parser: python-socketio's says in
    /// a way that a server disconnects a client which JavaScript's does not understand.
    fn with_python_servers(node: Seat) -> Vec<Self> {
        let mut all = vec![Self::of([Seat::PythonServer; 3])];
        for (index, &backend) in BACKENDS.iter().enumerate() {
            let mut seats = [Seat::PythonServer, node, Seat::Rust { backend, parser: Parser::Common }];
            seats.rotate_right(index);
            all.push(Self::of(seats));
        }
        all
    }

    /// One server of each kind that takes binary in notifications.
    fn without_node() -> Self {
        let [one, other] = [0, 1].map(|index| Seat::Rust { backend: BACKENDS[index], parser: Parser::Common });
        Self::of([one, other, Seat::PythonServer])
    }

    /// Servers that send no heartbeats, and the same beside one that needs them.
    fn that_watch(node: Seat) -> [Self; 2] {
        let [one, other] = [0, 1].map(|index| Seat::Rust { backend: BACKENDS[index], parser: Parser::Common });
        [[one, other, one], [other, node, one]].map(|seats| Self::of(seats).watching())
    }

    /// Whether its servers are single ones, whose clients have the common parser.
    pub(crate) fn is_plain(&self) -> bool {
        self.seats.iter().all(|&seat| seat != Seat::Worker && seat.parser() == Parser::Common)
    }

    /// Whether it runs only if it is named: what these servers do to each other, they do beside
    /// others too.
    pub(crate) fn is_by_name_only(&self) -> bool {
        self.seats == [Seat::PythonServer; 3]
    }

    /// Whether it is in the table of Python.
    pub(crate) fn has_python(&self) -> bool {
        self.seats.iter().any(|seat| matches!(seat, Seat::Python | Seat::PythonServer))
    }

    /// Whether the machine has what its servers need.
    pub(crate) fn can_run(&self) -> bool {
        let is_there = |seat: &Seat| match seat {
            Seat::Python => python().is_some(),
            Seat::PythonServer => python_socketio().is_some(),
            _ => true,
        };
        self.seats.iter().all(is_there)
    }

    /// Whether one of its servers lacks a capability.
    pub(crate) fn lacks(&self, capability: Capability) -> bool {
        self.seats.iter().any(|seat| seat.lacks().contains(&capability))
    }

    fn of(seats: [Seat; 3]) -> Self {
        let name = seats.map(Seat::symbol).join(" ");
        Self { name, seats, is_far: false, is_packed: false, is_watching: false }
    }

    fn named(self, addition: &str) -> Self {
        Self { name: format!("{} {addition}", self.name), ..self }
    }

    fn far(self) -> Self {
        Self { is_far: true, ..self.named("far") }
    }

    fn packed(self) -> Self {
        Self { is_packed: true, ..self.named("packed") }
    }

    fn watching(self) -> Self {
        Self { is_watching: true, ..self.named("watching") }
    }

    /// Starts the three servers, with namespaces that they all have. They need not know each other
    /// yet.
    pub(crate) async fn start(&self, options: &NodeOptions) -> Result<[Server; 3], Error> {
        let workers = self.seats.iter().filter(|&&seat| seat == Seat::Worker).count();
        let cluster = async {
            if workers == 0 {
                return Ok(None);
            }
            Node::start(&Kind::NodeCluster { workers }, options).await.map(Arc::new).map(Some)
        };
        let single = |index: usize| async move {
            match self.seats[index] {
                Seat::Worker => Ok(None),
                seat => seat.start(options).await.map(Some),
            }
        };
        let (cluster, a, b, c) = tokio::try_join!(cluster, single(0), single(1), single(2))?;
        let mut of_the_cluster = cluster.into_iter().flat_map(|primary| Server::workers(&primary));
        Ok([a, b, c].map(|server| {
            server.or_else(|| of_the_cluster.next()).expect("there are as many workers as seats for them")
        }))
    }
}

impl Seat {
    /// One server.
    pub(crate) async fn start(self, options: &NodeOptions) -> Result<Server, Error> {
        let kind = match self {
            Self::Node { .. } => Kind::NodeServer,
            Self::Worker => Kind::NodeCluster { workers: 1 },
            Self::Rust { backend, .. } => Kind::RustServer { program: program(), backend: backend.to_owned() },
            Self::Python => python().expect("`can_run` was asked").clone(),
            Self::PythonServer => python_socketio().expect("`can_run` was asked").clone(),
        };
        let node = Arc::new(Node::start(&kind, &options.clone().parser(self.parser())).await?);
        match self {
            Self::Worker => Ok(Server::workers(&node).remove(0)),
            _ => Ok(Server::new(node, self.parser())),
        }
    }

    /// Whether it runs on Node.js, as a server or as a worker.
    pub(crate) fn is_node(self) -> bool {
        matches!(self, Self::Node { .. } | Self::Worker)
    }

    pub(crate) fn is_rust(self) -> bool {
        matches!(self, Self::Rust { .. })
    }

    /// The parser of its clients.
    pub(crate) fn parser(self) -> Parser {
        match self {
            Self::Node { parser } | Self::Rust { parser, .. } => parser,
            Self::Worker | Self::Python | Self::PythonServer => Parser::Common,
        }
    }

    /// Its name at the head of the table.
    pub(crate) fn symbol(self) -> String {
        let parser = if self.parser() == Parser::MsgPack { "ᵐ" } else { "" };
        self.letter() + parser
    }

    /// Its symbol, without the parser.
    pub(crate) fn letter(self) -> String {
        match self {
            Self::Node { .. } => "N".to_owned(),
            Self::Worker => "W".to_owned(),
            Self::Python => "P".to_owned(),
            Self::PythonServer => "S".to_owned(),
            Self::Rust { backend, .. } if backend == BACKENDS[0] => "R".to_owned(),
            Self::Rust { backend, .. } => backend.get(..1).unwrap_or(backend).to_uppercase(),
        }
    }

    /// The meaning of its letter.
    pub(crate) fn about(self) -> String {
        match self {
            Self::Node { .. } => "Node".to_owned(),
            Self::Worker => "a worker of a Node cluster".to_owned(),
            Self::Rust { backend, .. } => format!("Rust on {backend}"),
            Self::Python => "the node in Python".to_owned(),
            Self::PythonServer => "a server of python-socketio".to_owned(),
        }
    }

    fn lacks(self) -> &'static [Capability] {
        match self {
            Self::Python => capability::VIRTUAL_SOCKETS_LACK,
            Self::PythonServer => capability::PYTHON_SOCKETIO_LACKS,
            _ => &[],
        }
    }
}

/// The node in Python; `None` when a tool is missing on the machine, which is then reported once.
fn python() -> Option<&'static Kind> {
    static PYTHON: LazyLock<Option<Kind>> = LazyLock::new(|| python_node(env!("CARGO_TARGET_TMPDIR")));
    PYTHON.as_ref()
}

/// The server in Python; `None` when a tool is missing on the machine, which is then reported once.
fn python_socketio() -> Option<&'static Kind> {
    static PYTHON: LazyLock<Option<Kind>> = LazyLock::new(|| python_server(env!("CARGO_TARGET_TMPDIR")));
    PYTHON.as_ref()
}

/// The test nodes in Rust.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_test-node"))
}

/// The backends, in the order of the columns.
pub(crate) fn backends() -> &'static [&'static str] {
    BACKENDS
}
