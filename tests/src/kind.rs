//! The kinds of test nodes, and how each is started.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Program, install::node_command};

/// The kind of a test node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A Node.js server on the official adapter.
    NodeServer,
    /// A Node.js primary with workers that host a server each. It is one process, and commands take
    /// `worker` (the first is 0).
    NodeCluster {
        /// The number of workers.
        workers: usize,
    },
    /// The official emitter.
    NodeEmitter,
    /// A Rust server.
    RustServer {
        /// The binary `test-node`: `env!("CARGO_BIN_EXE_test-node")` in an integration test.
        program: PathBuf,
        /// The backend's name: `tokio-postgres`, `diesel`.
        backend: String,
    },
    /// The Rust emitter.
    RustEmitter {
        /// The binary `test-node`.
        program: PathBuf,
        /// The backend's name.
        backend: String,
    },
    /// The functions of this project in PostgreSQL.
    SqlFunctions {
        /// The binary `test-node`.
        program: PathBuf,
    },
    /// A process without sockets that publishes the outbox.
    OutboxPublisher {
        /// The binary `test-node`.
        program: PathBuf,
        /// The backend's name.
        backend: String,
    },
    /// The node in Python, which was written from the specification alone. It has no clients, but
    /// [virtual sockets](crate::Node::add_socket). See [`python_node`](crate::python_node).
    Python {
        /// The interpreter of an environment with the packages of `tests/python/requirements.txt`.
        interpreter: PathBuf,
    },
    /// A server of python-socketio on this project's package in `python/`. See
    /// [`python_server`](crate::python_server).
    PythonServer {
        /// The interpreter of an environment with the packages of `python/requirements.txt`.
        interpreter: PathBuf,
    },
}

impl Program for Kind {
    async fn command(&self) -> Result<Command, Error> {
        Ok(match self {
            Self::NodeServer => node_command("server.mjs").await?,
            Self::NodeCluster { workers } => {
                let mut command = node_command("server.mjs").await?;
                command.arg(format!("--cluster-workers={workers}"));
                command
            }
            Self::NodeEmitter => node_command("emitter.mjs").await?,
            Self::RustServer { program, backend } => {
                let mut command = Command::new(program);
                command.args(["--backend", backend]);
                command
            }
            Self::RustEmitter { program, backend } => {
                let mut command = Command::new(program);
                command.args(["--role", "emitter", "--backend", backend]);
                command
            }
            Self::SqlFunctions { program } => {
                let mut command = Command::new(program);
                command.args(["--role", "sql-functions", "--backend", "tokio-postgres"]);
                command
            }
            Self::OutboxPublisher { program, backend } => {
                let mut command = Command::new(program);
                command.args(["--role", "outbox-publisher", "--backend", backend]);
                command
            }
            Self::Python { interpreter } => {
                let mut command = Command::new(interpreter);
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join("node.py"));
                command
            }
            Self::PythonServer { interpreter } => {
                let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
                let mut command = Command::new(interpreter);
                command.arg(tests.join("python-server").join("server.py"));
                // The package as it is in the repository.
                command.env("PYTHONPATH", tests.with_file_name("python").join("src"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        })
    }

    fn takes_all_options(&self) -> bool {
        matches!(
            self,
            Self::RustServer { .. }
                | Self::RustEmitter { .. }
                | Self::SqlFunctions { .. }
                | Self::OutboxPublisher { .. }
        )
    }

    fn name(&self) -> String {
        let name = match self {
            Self::NodeServer => "Node server",
            Self::NodeCluster { .. } => "Node cluster",
            Self::NodeEmitter => "Node emitter",
            Self::RustServer { .. } => "Rust server",
            Self::RustEmitter { .. } => "Rust emitter",
            Self::SqlFunctions { .. } => "SQL functions",
            Self::OutboxPublisher { .. } => "publisher of the outbox",
            Self::Python { .. } => "Python node",
            Self::PythonServer { .. } => "Python server",
        };
        name.to_owned()
    }
}
