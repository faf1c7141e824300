//! Measures what grows with the nodes, with the listeners, and with applications that notify in
//! their own transactions. Prints tables for `docs/scaling.md`.
//!
//! ```text
//! cargo run --release -p socketio-pg-tests --bin measure-scaling -- \
//!     [fetch] [listeners] [heartbeats] [commits]
//! ```

#![allow(clippy::print_stdout, reason = "it prints its result")]

mod counting;

use std::time::{Duration, Instant};

use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    backend::{Backend, Content, Listener, Outgoing},
};
use socketio_pg_throwaway::{Database, Server};
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio_postgres::NoTls;

use counting::{Counting, Delivered};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Driver = Counting<TokioPostgresBackend>;
type Node = (Cluster<Driver>, SocketIo<PostgresAdapter<Emitter, Driver>>);

const TABLE: &str = "socket_io_attachments";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if is_wanted("fetch") {
        fetch().await?;
    }
    if is_wanted("listeners") {
        listeners().await?;
    }
    if is_wanted("heartbeats") {
        heartbeats().await?;
    }
    if is_wanted("commits") {
        commits().await?;
    }
    Ok(())
}

/// Starts this many nodes, which know each other in every namespace.
async fn nodes(
    database: &Database,
    count: usize,
    namespaces: &[String],
    options: &Options,
    delivered: &Delivered,
) -> Result<Vec<Node>, Failure> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let backend = Counting::new(TokioPostgresBackend::try_from(database.url())?, delivered.clone());
        let cluster = Cluster::<Driver>::connect(backend, options.clone()).await?;
        let (_, io) =
            SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, Driver>>(cluster.clone()).build_layer();
        for namespace in namespaces {
            io.ns(namespace.clone(), async || {}).await?;
        }
        nodes.push((cluster, io));
    }
    let knows_all = |(cluster, _): &Node| namespaces.iter().all(|name| cluster.of(name).server_count() == count);
    while !nodes.iter().all(knows_all) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(nodes)
}

async fn close(nodes: Vec<Node>) {
    for (cluster, _) in nodes {
        cluster.close().await;
    }
}

/// One node asks all others for their sockets, again and again: with responses to all nodes, and
/// with a reply channel.
async fn fetch() -> Result<(), Failure> {
    const TIMES: usize = 100;
    let server = Server::shared()?;
    println!("| nodes | answers to | p50 | p95 | notifications delivered | bytes delivered |");
    println!("|---|---|---|---|---|---|");
    for count in [2, 4, 8, 16, 32] {
        for has_reply_channel in [false, true] {
            let database = server.create_database()?;
            let delivered = Delivered::default();
            // Heartbeats must not fall into the measured time.
            let options = Options::default()
                .heartbeat_interval(Duration::from_secs(600))
                .heartbeat_timeout(Duration::from_secs(1200))
                .reply_channel(has_reply_channel);
            let nodes = nodes(&database, count, &["/".to_owned()], &options, &delivered).await?;
            let namespace = nodes[0].0.of("/");
            for _ in 0..10 {
                namespace.fetch_sockets().await?;
            }
            delivered.settled().await;
            let before = delivered.so_far();
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let start = Instant::now();
                namespace.fetch_sockets().await?;
                times.push(start.elapsed());
            }
            delivered.settled().await;
            let after = delivered.so_far();
            let each = |index: usize| (after[index] - before[index]) / TIMES as u64;
            let to = if has_reply_channel { "the requester" } else { "all" };
            let [p50, p95] = [0.50, 0.95].map(|part| percentile(&mut times, part));
            println!("| {count} | {to} | {} | {} | {} | {} |", shown(p50), shown(p95), each(0), each(1));
            close(nodes).await;
        }
    }
    println!();
    Ok(())
}

/// The time to publish one notification and until it arrives, while other sessions listen on other
/// channels of the same database, or of another one.
async fn listeners() -> Result<(), Failure> {
    const TIMES: usize = 1000;
    let server = Server::shared()?;
    println!("| other listening sessions | of | publish p50 | publish p95 | heard p50 | heard p95 |");
    println!("|---|---|---|---|---|---|");
    for (count, is_same) in [(0, true), (8, true), (32, true), (128, true), (128, false)] {
        let (database, elsewhere) = (server.create_database()?, server.create_database()?);
        let others = TokioPostgresBackend::try_from(if is_same { database.url() } else { elsewhere.url() })?;
        let mut idle = Vec::new();
        for number in 0..count {
            let mut listener = others.connect_listener().await?;
            listener.listen(&[format!("other{number}")]).await?;
            idle.push(tokio::spawn(async move { listener.next().await }));
        }
        let backend = TokioPostgresBackend::try_from(database.url())?;
        let mut listener = backend.connect_listener().await?;
        listener.listen(&["measured".to_owned()]).await?;
        let (mut published, mut heard) = (Vec::new(), Vec::new());
        for number in 0..TIMES {
            let content = Content::Inline(format!("{number:0>150}"));
            let start = Instant::now();
            backend
                .publish(TABLE, None, &[Outgoing { channel: "measured".to_owned(), content, is_logged: false }])
                .await?;
            published.push(start.elapsed());
            listener.next().await?;
            heard.push(start.elapsed());
        }
        let of = if is_same { "this database" } else { "another one" };
        let [a, b] = [0.50, 0.95].map(|part| shown(percentile(&mut published, part)));
        let [c, d] = [0.50, 0.95].map(|part| shown(percentile(&mut heard, part)));
        println!("| {count} | {of} | {a} | {b} | {c} | {d} |");
        for task in idle {
            task.abort();
        }
    }
    println!();
    Ok(())
}

/// What idle nodes send, with several namespaces.
async fn heartbeats() -> Result<(), Failure> {
    const INTERVAL: Duration = Duration::from_millis(500);
    const INTERVALS: u32 = 20;
    let server = Server::shared()?;
    println!("| nodes | namespaces | transactions | notifications | deliveries | bytes delivered |");
    println!("|---|---|---|---|---|---|");
    for (count, namespaces) in [(2, 1), (8, 1), (16, 1), (8, 10)] {
        let database = server.create_database()?;
        let delivered = Delivered::default();
        let options = Options::default().heartbeat_interval(INTERVAL);
        let names: Vec<String> = (0..namespaces).map(|number| format!("/{number}")).collect();
        let nodes = nodes(&database, count, &names, &options, &delivered).await?;
        tokio::time::sleep(4 * INTERVAL).await;
        let (before, batches) = (delivered.so_far(), delivered.batches());
        tokio::time::sleep(INTERVALS * INTERVAL).await;
        let (after, batches) = (delivered.so_far(), delivered.batches() - batches);
        let each = |sum: u64| format!("{:.1}", sum as f64 / f64::from(INTERVALS));
        let [deliveries, bytes] = [0, 1].map(|index| after[index] - before[index]);
        // Each is delivered to all nodes, to its sender too.
        let notifications = each(deliveries / count as u64);
        println!(
            "| {count} | {namespaces} | {} | {notifications} | {} | {} |",
            each(batches),
            each(deliveries),
            each(bytes)
        );
        close(nodes).await;
    }
    println!("\nfor each heartbeat interval\n");
    Ok(())
}

/// How many transactions of the application commit in a second, with and without a notification.
/// With fsync on, unlike the servers of tests: the lock of notifying commits is expensive because
/// the log is flushed while it is held.
async fn commits() -> Result<(), Failure> {
    const TIME: Duration = Duration::from_secs(3);
    let server = Server::builder().setting("fsync", "on").setting("full_page_writes", "on").start()?;
    let database = server.create_database()?;
    database.execute("CREATE TABLE orders (id bigserial, item text)")?;
    let insert = "INSERT INTO orders (item) VALUES ('tea')";
    let notify = "SELECT pg_notify('socket.io#/', 'an event of some length')";
    let works = [
        ("insert", format!("BEGIN; {insert}; COMMIT")),
        ("insert and notify", format!("BEGIN; {insert}; {notify}; COMMIT")),
        (
            "insert and notify, `synchronous_commit = off`",
            format!("BEGIN; SET LOCAL synchronous_commit = off; {insert}; {notify}; COMMIT"),
        ),
    ];
    println!("| clients | {} |", works.each_ref().map(|(name, _)| *name).join(" | "));
    println!("|---|---|---|---|");
    for clients in [1, 8, 32] {
        let mut row = Vec::new();
        for (_, statements) in &works {
            let mut tasks = Vec::new();
            for _ in 0..clients {
                let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await?;
                tokio::spawn(connection);
                let statements = statements.clone();
                tasks.push(tokio::spawn(async move {
                    let start = Instant::now();
                    let mut count = 0_u32;
                    while start.elapsed() < TIME {
                        client.batch_execute(&statements).await?;
                        count += 1;
                    }
                    Ok::<_, tokio_postgres::Error>(f64::from(count) / start.elapsed().as_secs_f64())
                }));
            }
            let mut sum = 0.0;
            for task in tasks {
                sum += task.await??;
            }
            row.push(format!("{sum:.0}"));
        }
        println!("| {clients} | {} |", row.join(" | "));
    }
    println!("\ncommits in a second\n");
    Ok(())
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
