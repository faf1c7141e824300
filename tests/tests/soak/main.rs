//! A cluster that runs for long, with one fault after the other, and a check of every message.
//!
//! `SOAK_MINUTES=60 cargo test --release -p socketio-pg-tests --test soak -- --ignored
//! --nocapture`. `SOAK_SEED=…` repeats the same faults in the same order,
//! `SOAK_FAULTS=Killed,Stalled` causes only these.
//!
//! Four Rust nodes, two on each backend, one of each two with the catch-up log, two behind a
//! network that fails, and a Node.js node. The Rust nodes run all the time, and their memory is
//! watched. In each round all nodes send, and send each other requests. A fault occurs and ends.
//! Then every message is checked, and every operation must work.

mod cluster;
mod faults;
mod tally;

use std::{
    collections::HashSet,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use socketio_pg_tests::{NODE, Traffic, database, everything_works, fault::Fault, require};

use cluster::Cluster;
use tally::Tally;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Failure>;

/// After this many rounds the Node.js node is started again, because it never gives up a listening
/// connection that it has lost.
const NODE_LIVES_FOR: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak of SOAK_MINUTES (10 by default): name it with --ignored --nocapture"]
async fn no_message_is_lost_without_a_report_for_long() {
    if !require(&NODE) || database().is_none() {
        return;
    }
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let seed = std::env::var("SOAK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random::<u64>);
    say(&format!("soaking for {minutes} min with SOAK_SEED={seed}"));
    let mut tally = Tally::new(Duration::from_secs_f64(minutes * 60.0));
    let ended = soak(seed, &mut tally).await;
    say(&tally.summary());
    if let Err(error) = ended {
        panic!("the soak with SOAK_SEED={seed} ended early: {error}");
    }
    let violations = tally.violations();
    assert!(violations.is_empty(), "with SOAK_SEED={seed}:\n{}", violations.join("\n"));
}

async fn soak(seed: u64, tally: &mut Tally) -> Result {
    let mut random = StdRng::seed_from_u64(seed);
    let faults = faults::chosen();
    let mut cluster = Cluster::start().await?;
    tally.sample(&cluster);
    let mut next = 0;
    // Messages whose result was uncertain: the server may publish them any time later.
    let mut open = HashSet::new();
    for number in 1.. {
        if tally.is_over() {
            break;
        }
        let fault = faults::draw(&faults, &mut random).ok_or("SOAK_FAULTS names no fault")?;
        let seconds = random.random_range(1..=4);
        let begun = Instant::now();
        if number % NODE_LIVES_FOR == 0 {
            cluster.renew_node().await?;
        }
        let failed = |error: Failure| format!("round {number}, {fault:?} for {seconds} s: {error}");
        let round = Round { fault, seconds, first: next };
        next = round.play(&cluster, &mut random, tally, &mut open).await.map_err(failed)?;
        tally.sample(&cluster);
        tally.round_ended(fault, begun.elapsed());
        if let Some(status) = tally.status() {
            say(&status);
        }
    }
    cluster.close().await
}

struct Round {
    fault: Fault,
    seconds: u64,
    /// The number of the first message of each node.
    first: u64,
}

impl Round {
    /// Returns the number of the next round's first message.
    async fn play(
        &self,
        cluster: &Cluster,
        random: &mut StdRng,
        tally: &mut Tally,
        open: &mut HashSet<(usize, u64)>,
    ) -> Result<u64> {
        // A new host with new clients for each round, so that what they have got does not fill the
        // memory.
        let (_host, members) = cluster.members().await?;
        let before = cluster.told(&members).await?;
        let traffic = Traffic::start(members.clone(), self.first);
        let ends = Arc::new(AtomicBool::new(false));
        let asking = members.iter().map(|member| tokio::spawn(cluster::ask(member.clone(), ends.clone())));
        let asking: Vec<_> = asking.collect();
        traffic.wait_until_heard(Instant::now()).await?;
        faults::cause(self.fault, cluster, Duration::from_secs(self.seconds), random).await?;
        traffic.wait_until_heard(Instant::now()).await?;
        // The length of a round without a fault.
        tokio::time::sleep(Duration::from_secs(4)).await;
        ends.store(true, Ordering::Relaxed);
        for asking in asking {
            tally.asked(&asking.await?);
        }
        let sent = traffic.end().await?;
        let what = format!("{:?} for {} s", self.fault, self.seconds);
        for (to, member) in members.iter().enumerate() {
            let arrived = member.arrivals().await?;
            tally.judged(&what, &members, to, &sent, &arrived, cluster.told_since(&members, to, &before).await?);
            let is_stray = |(from, number): &&(usize, u64)| {
                *from != to && *number < self.first && cluster.is_rust(*from) && !open.contains(&(*from, *number))
            };
            if cluster.is_rust(to) {
                tally.strays(&what, to, arrived.iter().filter(is_stray).count());
            }
        }
        open.extend(
            sent.iter().filter(|message| message.result.is_err()).map(|message| (message.from, message.number)),
        );
        let next = sent.iter().map(|message| message.number + 1).max().unwrap_or(self.first);
        everything_works(&members).await?;
        Ok(next)
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
