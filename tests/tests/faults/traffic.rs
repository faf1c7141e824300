//! Every node sends all the time; afterwards, what became of each message.

use crate::{
    fault::{Result, Seen, Struck},
    world::{FAR, NAMES, NEAR, NODE, World},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use socketio_pg_tests::{Error, barrier};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::task::{JoinHandle, JoinSet};

const EVENT: &str = "traffic";
/// The pause of a sender between two messages, of which it does not wait for the first.
const PAUSE: Duration = Duration::from_millis(50);
/// Every so many messages one is too large for a notification.
const LARGE: u64 = 4;
/// Clocks are read on both sides of a commit, in different processes.
const SLACK: f64 = 5.0;

/// Messages on their way.
pub(crate) struct Traffic {
    world: Arc<World>,
    ends: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// The next number of each sender.
    next: Arc<Mutex<[u64; 3]>>,
    senders: Vec<JoinHandle<()>>,
}

/// A message, and what its sender was told.
struct Sent {
    from: usize,
    number: u64,
    is_large: bool,
    started: f64,
    ended: f64,
    result: std::result::Result<(), Error>,
}

impl Traffic {
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let next = Arc::new(Mutex::new([0; 3]));
        let senders = [FAR, NEAR, NODE]
            .map(|from| tokio::spawn(send(world.clone(), from, ends.clone(), sent.clone(), next.clone())))
            .into();
        Self { world: world.clone(), ends, sent, next, senders }
    }

    /// Waits until what each node sends from now on arrives at each other one. Returns how long that took, since `healed`: among
    /// the Rust nodes, and with Node.
    pub(crate) async fn wait_until_heard(&self, healed: Instant) -> Result<[Duration; 2]> {
        let first = *lock(&self.next);
        let pairs = (0..3).flat_map(|from| (0..3).filter(move |to| *to != from).map(move |to| (from, to)));
        let heard = pairs.map(|(from, to)| async move {
            let is_it = |args: &[Value]| args[0] == from && args[1].as_u64() >= Some(first[from]);
            self.world.clients[to].wait_for_packet_with(EVENT, is_it).await.map_err(|error| {
                format!("{} does not hear {}: {}", NAMES[to], NAMES[from], short(&error.to_string()))
            })?;
            Ok::<_, crate::fault::Failure>((usize::from(from == NODE || to == NODE), healed.elapsed()))
        });
        let mut longest = [Duration::ZERO; 2];
        for (with_node, took) in try_join_all(heard).await? {
            longest[with_node] = longest[with_node].max(took);
        }
        Ok(longest)
    }

    /// Ends the traffic, and says what became of it. Fails when a message of a Rust node, or to one, has got lost in silence.
    pub(crate) async fn account(self, struck: &Struck, heard: [Duration; 2]) -> Result<Seen> {
        let world = &self.world;
        self.ends.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.await?;
        }
        world.wait_for_everybody().await?;
        let [far, near, node] = &world.nodes;
        let [far_client, near_client, _] = &world.clients;
        barrier(&[far, near, node], "/", &[far_client, near_client]).await?;

        let sent = std::mem::take(&mut *lock(&self.sent));
        let (mut lost, mut doubtful, mut reports) = (0, 0, Vec::new());
        for to in [FAR, NEAR] {
            let arrived = arrivals(world, to).await?;
            let gaps = world.gaps(to).await?;
            let (poisoned, dropped) = world.counts(to).await?;
            if struck.deaf[to] && gaps.is_empty() {
                return Err(format!("{} was deaf and tells of no gap", NAMES[to]).into());
            }
            let (mut unexplained, mut doubled) = (Vec::new(), Vec::new());
            for message in &sent {
                let times = arrived.get(&(message.from, message.number)).copied().unwrap_or(0);
                let in_gap =
                    |(since, until): &(f64, f64)| message.started <= until + SLACK && message.ended >= since - SLACK;
                match (&message.result, times) {
                    (_, 2..) => doubled.push(message),
                    (_, 0) if message.from == to => unexplained.push(message),
                    // Node keeps it to itself when it cannot publish, so its word does not count.
                    (Ok(()), 0) if message.from != NODE => {
                        lost += 1;
                        if !gaps.iter().any(in_gap) {
                            unexplained.push(message);
                        }
                    }
                    (Err(error), 1) if message.from != to => match outcome(error) {
                        Outcome::Unknown => doubtful += 1,
                        Outcome::Unsent => {
                            return Err(
                                format!("{} hears what was not published: {}", NAMES[to], describe(message)).into()
                            );
                        }
                    },
                    _ => {}
                }
            }
            let excused = usize::try_from(poisoned + dropped).unwrap_or(usize::MAX);
            let is_excused = |message: &&Sent| message.from != to && (message.is_large || dropped > 0);
            if unexplained.len() > excused || !unexplained.iter().all(is_excused) {
                let list: Vec<String> = unexplained.iter().map(|message| describe(message)).collect();
                return Err(format!(
                    "{} has not heard, and tells of gaps {gaps:?} and {excused} arrivals only: {}",
                    NAMES[to],
                    list.join("; ")
                )
                .into());
            }
            if let Some(message) = doubled.first() {
                return Err(
                    format!("{} has heard {} twice or more: {}", NAMES[to], doubled.len(), describe(message)).into()
                );
            }
            reports.extend(world.told(to).await?.into_iter().filter(|kind| kind != "Connected"));
        }
        let by_rust = || sent.iter().filter(|message| message.from != NODE);
        if let Some(message) = by_rust().find(|message| !matches!(message.result, Ok(()) | Err(Error::Refused { .. })))
        {
            return Err(format!("a sender was told nothing: {}", describe(message)).into());
        }
        let refused = by_rust().filter(|message| message.result.is_err()).count();
        reports.sort();
        reports.dedup();
        let node_lost = {
            let arrived = arrivals(world, NODE).await?;
            by_rust().filter(|it| it.result.is_ok() && !arrived.contains_key(&(it.from, it.number))).count()
        };
        let slowest = by_rust().map(|message| message.ended - message.started).fold(0.0, f64::max);
        Ok(Seen {
            heard_again: format!("{:.1} s (Node {:.1} s)", heard[0].as_secs_f64(), heard[1].as_secs_f64()),
            senders: format!(
                "{} sent, {refused} errors, the slowest answer after {:.1} s",
                by_rust().count(),
                slowest / 1e3
            ),
            receivers: format!("{lost} lost, all reported; {doubtful} heard after an error; Node lost {node_lost}"),
            reported: format!("{}; +{} MiB", reports.join(", "), world.growth()),
        })
    }
}

async fn send(
    world: Arc<World>,
    from: usize,
    ends: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    next: Arc<Mutex<[u64; 3]>>,
) {
    let mut answers = JoinSet::new();
    while !ends.load(Ordering::Relaxed) {
        let number = {
            let mut next = lock(&next);
            next[from] += 1;
            next[from] - 1
        };
        let is_large = number % LARGE == LARGE - 1;
        let filler = if is_large { "x".repeat(9000) } else { String::new() };
        let (world, sent) = (world.clone(), sent.clone());
        answers.spawn(async move {
            let started = unix_time();
            let command = json!({ "event": EVENT, "args": [from, number, filler] });
            let result = world.nodes[from].call("emit", command).await.map(drop);
            lock(&sent).push(Sent { from, number, is_large, started, ended: unix_time(), result });
        });
        tokio::time::sleep(PAUSE).await;
    }
    answers.join_all().await;
}

/// How often each message came to the client of a node.
async fn arrivals(world: &World, to: usize) -> Result<HashMap<(usize, u64), usize>> {
    let mut arrived = HashMap::new();
    for packet in world.clients[to].received().await?.iter().filter(|packet| packet.event == EVENT) {
        if let (Some(from), Some(number)) = (packet.args[0].as_u64(), packet.args[1].as_u64()) {
            *arrived.entry((usize::try_from(from)?, number)).or_default() += 1;
        }
    }
    Ok(arrived)
}

enum Outcome {
    Unsent,
    Unknown,
}

/// What an error of a Rust node says of the message.
fn outcome(error: &Error) -> Outcome {
    let text = error.to_string();
    if text.contains("the message was not published") { Outcome::Unsent } else { Outcome::Unknown }
}

fn describe(message: &Sent) -> String {
    let kind = if message.is_large { "large" } else { "small" };
    let told = match &message.result {
        Ok(()) => "taken".to_owned(),
        Err(error) => short(&error.to_string()),
    };
    format!(
        "{kind} {} of {} ({:.0}-{:.0}, {told})",
        message.number, NAMES[message.from], message.started, message.ended
    )
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

fn unix_time() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
