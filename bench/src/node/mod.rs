//! A node: the process that sends or receives.

mod adapter;
mod pace;
mod raw;
mod sockets;
mod tally;

use std::{
    future::Future,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    contender::Contender,
    event::Load,
    wire::{Answer, Answered, Command, Received},
};
use tally::Tally;

/// How long a node may take to know the others.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is checked. The time of an arrival is noted when it arrives.
const LOOK: Duration = Duration::from_millis(2);

/// How a node is started.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Setup {
    /// The contender that it runs.
    #[arg(long)]
    pub(crate) contender: Contender,
    /// The URL of the server where the nodes meet.
    #[arg(long)]
    pub(crate) url: String,
    /// How many namespaces it has.
    #[arg(long)]
    pub(crate) namespaces: usize,
    /// How many sockets are connected to it in each namespace.
    #[arg(long)]
    pub(crate) sockets: usize,
    /// How many nodes the cluster has, for a contender that cannot count them.
    #[arg(long)]
    pub(crate) nodes: usize,
}

/// What a contender must be able to do.
pub(crate) trait Node: Send + Sync + 'static {
    /// Sends an event to all sockets of the cluster; done when it is published.
    fn emit(
        &self,
        namespace: usize,
        run: u64,
        sequence: u64,
        load: Load,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// How many nodes it knows in a namespace, itself included.
    fn nodes(&self, namespace: usize) -> impl Future<Output = Result<usize, String>> + Send;

    /// Asks for all sockets; returns how many there are.
    fn fetch_sockets(&self) -> impl Future<Output = Result<usize, String>> + Send;

    /// Sends an event that is acknowledged; returns how many sockets acknowledged.
    fn broadcast_with_ack(&self) -> impl Future<Output = Result<usize, String>> + Send;

    /// The events to publish with one statement, for a contender that does not batch by itself.
    const BATCH: Option<usize> = None;

    /// Sends events, each a namespace and a number, to all sockets at once; done when they are
    /// published.
    fn emit_batch(
        &self,
        run: u64,
        events: &[(usize, u64)],
        load: Load,
    ) -> impl Future<Output = Result<(), String>> + Send {
        let _ = (run, events, load);
        async { Err("this contender has no batches".to_owned()) }
    }
}

/// The path of a namespace.
pub(crate) fn path(namespace: usize) -> String {
    if namespace == 0 { "/".to_owned() } else { format!("/namespace-{namespace}") }
}

/// Runs a node until its stdin ends.
pub(crate) fn run(setup: &Setup) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let setup = setup.clone();
    // In a task of the runtime, as socketioxide's handlers are: the thread that blocks on the
    // runtime is not one of its threads, and each switch between them wakes a thread.
    let node = runtime.spawn(async move {
        let setup = &setup;
        let tallies: Vec<_> = (0..setup.namespaces).map(|_| Arc::new(Tally::default())).collect();
        match setup.contender {
            Contender::TokioPostgres => serve(adapter::tokio_postgres(setup, &tallies).await?, tallies).await,
            Contender::Logged => serve(adapter::logged(setup, &tallies).await?, tallies).await,
            Contender::Diesel => serve(adapter::diesel(setup, &tallies).await?, tallies).await,
            Contender::TokioPostgresInline => {
                serve(adapter::tokio_postgres_inline(setup, &tallies).await?, tallies).await
            }
            Contender::DieselInline => serve(adapter::diesel_inline(setup, &tallies).await?, tallies).await,
            Contender::TokioPostgresWatching => {
                serve(adapter::tokio_postgres_watching(setup, &tallies).await?, tallies).await
            }
            Contender::DieselWatching => serve(adapter::diesel_watching(setup, &tallies).await?, tallies).await,
            Contender::PeerTokioPostgres => serve(adapter::peer_tokio_postgres(setup, &tallies).await?, tallies).await,
            Contender::PeerSqlx => serve(adapter::peer_sqlx(setup, &tallies).await?, tallies).await,
            Contender::Redis => serve(adapter::redis(setup, &tallies).await?, tallies).await,
            Contender::Raw => serve(raw::Raw::connect(setup, &tallies).await?, tallies).await,
            Contender::Node => Err("Node's nodes are run by Node".to_owned()),
        }
    });
    runtime.block_on(node).map_err(|error| error.to_string())?
}

async fn serve(node: impl Node, tallies: Vec<Arc<Tally>>) -> Result<(), String> {
    answer(&Answer::Ok(()))?;
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = commands.next_line().await.map_err(|error| error.to_string())? {
        let command = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        match command {
            Command::Join { nodes } => answer(&result(join(&node, nodes, tallies.len()).await))?,
            Command::Expect { run, load, keep_latencies } => {
                tallies.iter().for_each(|tally| tally.expect(run, load, keep_latencies));
                answer(&Answer::Ok(()))?;
            }
            Command::Emit { run, load, pace, millis } => {
                let duration = Duration::from_millis(millis);
                answer(&Answer::Ok(pace::emit(&node, tallies.len(), run, load, pace, duration).await))?;
            }
            Command::Settle { expected, quiet_millis } => {
                let quiet = Duration::from_millis(quiet_millis);
                answer(&Answer::Ok(settle(&tallies, &expected, quiet).await))?;
            }
            Command::FetchSockets { millis, expected } => {
                answer(&Answer::Ok(ask(millis, expected, || node.fetch_sockets()).await))?;
            }
            // The peers' sessions are not accessible.
            Command::ReportStatistics => answer(&Answer::Ok(()))?,
            Command::BroadcastWithAck { millis, expected } => {
                answer(&Answer::Ok(ask(millis, expected, || node.broadcast_with_ack()).await))?;
            }
        }
    }
    Ok(())
}

fn answer<T: Serialize>(answer: &Answer<T>) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, answer).map_err(|error| error.to_string())?;
    stdout.write_all(b"\n").and_then(|()| stdout.flush()).map_err(|error| error.to_string())
}

fn result<T>(result: Result<T, String>) -> Answer<T> {
    match result {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(error),
    }
}

async fn join(node: &impl Node, nodes: usize, namespaces: usize) -> Result<(), String> {
    let deadline = Instant::now() + JOIN_DEADLINE;
    for namespace in 0..namespaces {
        loop {
            let known = node.nodes(namespace).await?;
            if known >= nodes {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("knows of {known} nodes in {}, not of {nodes}", path(namespace)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

async fn settle(tallies: &[Arc<Tally>], expected: &[u64], quiet: Duration) -> Received {
    let mut last = 0;
    let mut since = Instant::now();
    while tallies.iter().zip(expected).any(|(tally, &expected)| tally.delivered() < expected) {
        let arrival = tallies.iter().map(|tally| tally.last()).max().unwrap_or(0);
        if arrival > last {
            (last, since) = (arrival, Instant::now());
        } else if since.elapsed() > quiet {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    tallies.iter().map(|tally| tally.received()).fold(Received::default(), Received::and)
}

/// Makes one request after the other, and notes how long each complete one took.
async fn ask<F: Future<Output = Result<usize, String>>>(
    millis: u64,
    expected: usize,
    question: impl Fn() -> F,
) -> Answered {
    let end = Instant::now() + Duration::from_millis(millis);
    let mut answered = Answered { durations: Vec::new(), failed: 0 };
    while Instant::now() < end {
        let start = Instant::now();
        match question().await {
            Ok(count) if count == expected => {
                answered.durations.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            _ => answered.failed += 1,
        }
    }
    answered
}
