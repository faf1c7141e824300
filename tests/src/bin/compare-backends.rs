//! Compares the backends: the same work through each, alternating in short rounds, on one database.
//! Prints a table.
//!
//! The result is the lower quartile of all rounds: other load of the machine can only add to the
//! time.
//!
//! ```text
//! cargo run --release -p socketio-pg-tests --bin compare-backends
//! ```

#![allow(clippy::print_stdout, reason = "it prints its result")]

use std::time::{Duration, Instant};

use socketio_pg_core::backend::{Backend, BackendError, Content, FetchLimits, Listener, Outgoing, Prepare};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_throwaway::Server;
use socketio_pg_tokio_postgres::TokioPostgresBackend;

const TABLE: &str = "socket_io_attachments";

/// Each round measures all backends, so that other load of the machine affects both.
const ROUNDS: usize = 200;

#[derive(Clone, Copy)]
enum Work {
    /// Publishes one at a time, and awaits each.
    Single,
    /// Publishes batches of this size, and awaits each.
    Batches(usize),
    /// Publishes one and waits until it arrives.
    OneWay,
    /// Publishes an attachment of 64 KiB, and fetches it.
    Attachment,
}

impl Work {
    const ALL: [Self; 5] = [Self::Single, Self::Batches(64), Self::Batches(512), Self::OneWay, Self::Attachment];

    fn title(self) -> String {
        match self {
            Self::Single => "one notification, awaited".to_owned(),
            Self::Batches(size) => format!("batch of {size} notifications, awaited"),
            Self::OneWay => "one notification, until it is heard".to_owned(),
            Self::Attachment => "attachment of 64 KiB, published and fetched".to_owned(),
        }
    }

    /// How often an operation is repeated in one round.
    fn times(self) -> u32 {
        match self {
            Self::Single | Self::OneWay => 50,
            Self::Batches(_) | Self::Attachment => 5,
        }
    }
}

struct Contender<B: Backend> {
    backend: B,
    channel: String,
    listener: B::Listener,
    sent: u64,
    times: Vec<Duration>,
}

impl<B: Backend> Contender<B> {
    async fn prepare(name: &str, backend: B) -> Result<Self, BackendError> {
        backend.prepare(TABLE, true).await?;
        let channel = name.to_owned();
        let mut listener = backend.connect_listener().await?;
        listener.listen(std::slice::from_ref(&channel)).await?;
        Ok(Self { backend, channel, listener, sent: 0, times: Vec::new() })
    }

    /// 150 bytes, different from all others.
    fn small(&mut self) -> Outgoing {
        self.sent += 1;
        Outgoing {
            channel: self.channel.clone(),
            content: Content::Inline(format!("{:0>150}", self.sent)),
            is_logged: false,
        }
    }

    /// The time of one operation, on average over a round.
    async fn round(&mut self, work: Work) -> Result<Duration, BackendError> {
        let mut spent = Duration::ZERO;
        for _ in 0..work.times() {
            spent += match work {
                Work::Single => self.publish(1, false).await?,
                Work::Batches(size) => self.publish(size, false).await?,
                Work::OneWay => self.publish(1, true).await?,
                Work::Attachment => self.attach().await?,
            };
        }
        Ok(spent / work.times())
    }

    async fn publish(&mut self, size: usize, is_hearing_timed: bool) -> Result<Duration, BackendError> {
        let batch: Vec<Outgoing> = (0..size).map(|_| self.small()).collect();
        let start = Instant::now();
        self.backend.publish(TABLE, None, &batch).await?;
        let published = start.elapsed();
        for _ in 0..size {
            self.listener.next().await?;
        }
        Ok(if is_hearing_timed { start.elapsed() } else { published })
    }

    async fn attach(&mut self) -> Result<Duration, BackendError> {
        let content =
            Content::Attachment { body: vec![7; 64 * 1024], before_id: String::new(), after_id: String::new() };
        let batch = [Outgoing { channel: self.channel.clone(), content, is_logged: false }];
        let start = Instant::now();
        self.backend.publish(TABLE, None, &batch).await?;
        let id = self.listener.next().await?.payload.parse().expect("nothing but the id was asked for");
        self.backend.fetch(TABLE, &[id], FetchLimits::NONE).await?;
        Ok(start.elapsed())
    }

    fn lower_quartile(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() / 4]
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Server::shared()?.create_database()?;
    let url = database.url();
    let mut one = Contender::prepare("tokio-postgres", TokioPostgresBackend::try_from(&url)?).await?;
    let mut other = Contender::prepare("diesel", DieselBackend::try_from(&url)?).await?;

    println!("| {ROUNDS} rounds | tokio-postgres | diesel-async | ratio |");
    println!("|---|---|---|---|");
    for work in Work::ALL {
        one.times.clear();
        other.times.clear();
        for round in 0..=ROUNDS {
            let (one_took, other_took) = if round % 2 == 0 {
                (one.round(work).await?, other.round(work).await?)
            } else {
                let other_took = other.round(work).await?;
                (one.round(work).await?, other_took)
            };
            // The first round warms up.
            if round > 0 {
                one.times.push(one_took);
                other.times.push(other_took);
            }
        }
        let (one_took, other_took) = (one.lower_quartile(), other.lower_quartile());
        let ratio = other_took.as_secs_f64() / one_took.as_secs_f64();
        println!("| {} | {} | {} | {ratio:.2} |", work.title(), in_microseconds(one_took), in_microseconds(other_took));
    }
    Ok(())
}

fn in_microseconds(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}
