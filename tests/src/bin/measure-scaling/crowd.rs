//! A process with one server and as many sockets as clients connect to it, each in a room of its
//! own; and the handle with which this program starts it.
//!
//! The process writes its port as a line, then its resident memory in bytes for each line that it
//! reads, until there are no more.

use std::{fs, process::Stdio, time::Duration};

use axum::Router;
use clap::ValueEnum;
use futures_util::future::try_join_all;
use socketio_pg_core::record_handshake;
use socketio_pg_tokio_postgres::{Cluster, PostgresAdapter};
use socketioxide::{
    SocketIo, SocketIoBuilder,
    adapter::{Adapter, Emitter},
    extract::SocketRef,
    handler::ConnectHandler,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{Failure, nodes::without_heartbeats, polling::Connection};

/// What the server is made of.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// socketioxide with its own adapter.
    Alone,
    /// With this project's.
    Adapter,
    /// The same, and `record_handshake`.
    Recording,
}

/// The room of a socket.
pub(crate) fn room(socket: &str) -> String {
    format!("room-{socket}")
}

/// Runs the server until the input ends.
pub(crate) async fn serve(kind: Kind, url: &str) -> Result<(), Failure> {
    let cluster = match kind {
        Kind::Alone => None,
        Kind::Adapter | Kind::Recording => Some(Cluster::connect(url, without_heartbeats()).await?),
    };
    let app = match &cluster {
        None => {
            let (layer, io) = builder().build_layer();
            io.ns("/", join);
            Router::new().layer(layer)
        }
        Some(cluster) => {
            let (layer, io) = builder().with_adapter::<PostgresAdapter<Emitter>>(cluster.clone()).build_layer();
            cluster.attach(&io);
            match kind {
                Kind::Recording => io.ns("/", join.with(record_handshake)).await?,
                Kind::Alone | Kind::Adapter => io.ns("/", join).await?,
            }
            Router::new().layer(layer)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        println!("{}", resident(&fs::read_to_string("/proc/self/status")?));
    }
    if let Some(cluster) = cluster {
        cluster.close().await;
    }
    Ok(())
}

/// Clients that answer no ping stay.
fn builder() -> SocketIoBuilder {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    SocketIo::builder().ping_interval(DAY).ping_timeout(DAY)
}

async fn join<A: Adapter>(socket: SocketRef<A>) {
    socket.join(room(socket.id.as_str()));
}

/// The bytes of a process that are in memory, by its `status`.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Such a process. It ends when this is dropped.
pub(crate) struct Crowd {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    port: u16,
    /// The ids of its sockets.
    pub(crate) sockets: Vec<String>,
}

impl Crowd {
    pub(crate) async fn start(kind: Kind, url: &str) -> Result<Self, Failure> {
        let name = kind.to_possible_value().ok_or("every kind has a name")?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--crowd", name.get_name(), "--url", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).ok_or("both were asked for")?;
        let mut output = BufReader::new(output).lines();
        let port = output.next_line().await?.ok_or("the node with many sockets has ended")?.parse()?;
        Ok(Self { process, input, output, port, sockets: Vec::new() })
    }

    /// Connects clients, and returns once all of their sockets are in their rooms.
    pub(crate) async fn fill(&mut self, count: usize) -> Result<(), Failure> {
        const CONNECTIONS: usize = 4;
        let share = |index: usize| count / CONNECTIONS + usize::from(index < count % CONNECTIONS);
        let connecting = (0..CONNECTIONS).map(async |index| {
            let mut connection = self.connect().await?;
            let mut sockets = Vec::new();
            for _ in 0..share(index) {
                sockets.push(connection.open_socket().await?);
            }
            Ok::<_, Failure>(sockets)
        });
        self.sockets = try_join_all(connecting).await?.concat();
        Ok(())
    }

    /// A connection for clients of this server.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.port).await
    }

    /// The bytes of the process that are in memory.
    pub(crate) async fn resident(&mut self) -> Result<f64, Failure> {
        self.input.write_all(b"\n").await?;
        Ok(self.output.next_line().await?.ok_or("the node with many sockets has ended")?.parse()?)
    }

    /// Lets the process leave the cluster.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        drop(self.input);
        self.process.wait().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::resident;

    #[test]
    fn resident_memory_is_read() {
        assert_eq!([resident("Name:\tx\nVmRSS:\t    12 kB\nThreads:\t1\n"), resident("")], [12 * 1024, 0]);
    }
}
