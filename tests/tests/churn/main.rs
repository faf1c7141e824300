//! Churn: dozens of real clients connect at the same moment, choose hostile names, emit and leave,
//! while servers stop and start.
//!
//! Servers on both backends and on Node.js, each at a different distance to the database.
//! `CHURN_SEED` repeats a plan, but not the timing of threads and network. `CHURN_ROUNDS=10` or
//! `CHURN_MINUTES=60` runs longer, with three times as many clients. `CHURN_WITHOUT=Nul,Crush`
//! leaves hazards out.
//!
//! Each client must get every event that is meant for it, once and in the order of its sender, or
//! the loss is reported. All servers agree on the clients once all is quiet. Nothing is left of
//! clients that have left.

mod agreement;
mod cluster;
mod crowd;
mod delivery;
mod hazards;
mod names;
mod round;
mod sent_away;

use std::{
    io::Write as _,
    str::FromStr,
    time::{Duration, Instant},
};

use socketio_pg_tests::{NODE, database, require};

use cluster::Cluster;
use round::Round;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// The number of rounds of a short run.
const ROUNDS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_every_event_while_clients_and_servers_come_and_go() {
    if !require(&NODE) || database().is_none() {
        return;
    }
    let seed = set("CHURN_SEED").unwrap_or_else(rand::random::<u32>);
    if let Err(error) = churn(u64::from(seed)).await {
        panic!("{error}");
    }
}

async fn churn(seed: u64) -> Result {
    let (rounds, minutes) = (set::<u64>("CHURN_ROUNDS"), set::<f64>("CHURN_MINUTES"));
    let hazards = hazards::chosen()?;
    let is_long = rounds.is_some() || minutes.is_some();
    let ends = Instant::now() + Duration::from_secs_f64(minutes.unwrap_or_default() * 60.0);
    let rounds = if minutes.is_some() { u64::MAX } else { rounds.unwrap_or(ROUNDS) };
    let repeat = |seed: u64| format!("CHURN_SEED={seed} CHURN_ROUNDS=1");
    say(&format!("churning with CHURN_SEED={seed}"));
    let cluster = Cluster::start().await?;
    for number in 0..rounds {
        if minutes.is_some() && Instant::now() > ends {
            break;
        }
        let seed = seed + number;
        let started = Instant::now();
        let (namespaces, crush) = if is_long { (8, 8) } else { (3, 5) };
        let round = Round { seed, hazards: hazards.clone(), namespaces, crush };
        let wrong = round.run(&cluster).await.map_err(|error| format!("{}: {error}", repeat(seed)))?;
        say(&format!("round {number} ({}): {:.1} s", repeat(seed), started.elapsed().as_secs_f64()));
        if !wrong.is_empty() {
            let shown = wrong.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n");
            return Err(format!("{} went wrong with {}:\n{shown}", wrong.len(), repeat(seed)).into());
        }
    }
    cluster.close().await
}

fn set<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
