//! Traffic: every node of a cluster sends all the time. Afterwards each message is checked.
//!
//! A message arrived, or its sender got an error, or its receiver reported a loss. Anything else is
//! a loss without a report.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use futures_util::{future::try_join_all, poll};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Client, Error, Gap, Node, barrier, binary};

const EVENT: &str = "traffic";
/// The pause of a sender between two messages. It does not wait for the first one.
const PAUSE: Duration = Duration::from_millis(50);
/// The tolerance for times on both sides of a commit, which are read in different processes.
const SLACK: f64 = 5.0;

/// A node that sends, and a client of it that records what arrives there.
#[derive(Clone)]
pub struct Member {
    /// The name in error messages.
    pub name: String,
    /// The server.
    pub node: Arc<Node>,
    /// A client of the server.
    pub client: Arc<Client>,
    /// What the server reports.
    pub speaks: Speaks,
}

/// What a node reports about messages that it sends and misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Node.js reports neither failed publications nor missed messages, so its results are not
    /// checked.
    Node,
    /// It reports both.
    Rust,
    /// It reports both, and catches up with what other nodes with the log sent.
    RustWithLog,
}

/// Messages that are being sent.
pub struct Traffic {
    members: Arc<[Member]>,
    ends: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// The next number of each sender.
    next: Arc<[AtomicU64]>,
    senders: Vec<JoinHandle<()>>,
}

/// A message, and the result that its sender got.
pub struct Sent {
    /// The member that sent it.
    pub from: usize,
    /// Its number among the messages of its sender.
    pub number: u64,
    /// Whether it is an attachment.
    pub is_large: bool,
    /// Start, in milliseconds of Unix time.
    pub started: f64,
    /// End, in milliseconds of Unix time.
    pub ended: f64,
    /// The result that the sender got.
    pub result: Result<(), Error>,
}

/// What a Rust node reports about messages that it missed.
#[derive(Default)]
pub struct Told {
    /// When it was disconnected.
    pub gaps: Vec<Gap>,
    /// How many messages it could not use.
    pub rejected: u64,
    /// How many messages it dropped because of a limit.
    pub dropped: u64,
}

/// What became of the messages at one receiver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// Messages that arrived.
    pub arrived: usize,
    /// Messages that are missing, which the receiver has reported.
    pub lost: usize,
    /// Messages that arrived although the sender got an error that leaves this open.
    pub doubtful: usize,
}

impl Traffic {
    /// Starts the traffic of all members. Their messages are numbered from `first`.
    pub fn start(members: Vec<Member>, first: u64) -> Self {
        let members: Arc<[Member]> = members.into();
        let ends = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let next: Arc<[AtomicU64]> = members.iter().map(|_| AtomicU64::new(first)).collect();
        let senders = (0..members.len())
            .map(|from| tokio::spawn(send(members.clone(), from, ends.clone(), sent.clone(), next.clone())))
            .collect();
        Self { members, ends, sent, next, senders }
    }

    /// Waits until what each node sends from now on arrives at each other node. Returns how long
    /// that took, since `healed`: among the Rust nodes, and with Node.js.
    ///
    /// # Errors
    /// The members that do not hear each other in time.
    pub async fn wait_until_heard(&self, healed: Instant) -> Result<[Duration; 2], String> {
        let first: Vec<u64> = self.next.iter().map(|next| next.load(Ordering::Relaxed)).collect();
        let count = self.members.len();
        let pairs = (0..count).flat_map(|from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)));
        let first = &first;
        let heard = pairs.map(|(from, to)| async move {
            let is_it = |args: &[Value]| args[0] == from && args[1].as_u64() >= Some(first[from]);
            let [sender, receiver] = [from, to].map(|index| &self.members[index]);
            receiver
                .client
                .wait_for_packet_with(EVENT, is_it)
                .await
                .map_err(|error| format!("{} does not hear {}: {}", receiver.name, sender.name, short(&error)))?;
            let with_node = sender.speaks == Speaks::Node || receiver.speaks == Speaks::Node;
            Ok::<_, String>((usize::from(with_node), healed.elapsed()))
        });
        let mut longest = [Duration::ZERO; 2];
        for (with_node, took) in try_join_all(heard).await? {
            longest[with_node] = longest[with_node].max(took);
        }
        Ok(longest)
    }

    /// Ends the traffic. Returns what was sent, once each client of a Rust node has every message
    /// that it will get.
    ///
    /// # Errors
    /// When the nodes do not count each other, or the last messages do not arrive.
    pub async fn end(self) -> Result<Vec<Sent>, Error> {
        self.ends.store(true, Ordering::Relaxed);
        for sender in self.senders {
            // The task ends by itself. If it panicked, the panic was printed.
            let _ = sender.await;
        }
        wait_for_all_members(&self.members).await?;
        let nodes: Vec<&Node> = self.members.iter().map(|member| &*member.node).collect();
        let rust = self.members.iter().filter(|member| member.speaks != Speaks::Node);
        let clients: Vec<&Client> = rust.map(|member| &*member.client).collect();
        // When the machine pauses for a second, the link looks broken and the markers are lost.
        // Then they are sent again.
        let mut attempts = 1;
        while let Err(error) = barrier(&nodes, "/", &clients).await {
            if attempts == 3 {
                return Err(error);
            }
            attempts += 1;
        }
        Ok(std::mem::take(&mut *lock(&self.sent)))
    }
}

/// Waits until every node counts all of them.
///
/// # Errors
/// When one does not in time.
pub async fn wait_for_all_members(members: &[Member]) -> Result<(), Error> {
    for member in members {
        member.node.wait_for_server_count("/", members.len()).await?;
    }
    Ok(())
}

impl Member {
    /// What came to the member's client, in order: sender and number.
    ///
    /// # Errors
    /// When the client does not answer.
    pub async fn arrivals(&self) -> Result<Vec<(usize, u64)>, Error> {
        let packets = self.client.received().await?;
        let of_traffic = packets.iter().filter(|packet| packet.event == EVENT);
        let told = of_traffic.filter_map(|packet| Some((packet.args[0].as_u64()?, packet.args[1].as_u64()?)));
        Ok(told.filter_map(|(from, number)| Some((usize::try_from(from).ok()?, number))).collect())
    }
}

/// Checks the messages at one receiver, a Rust node.
///
/// # Errors
/// Text that says which messages are missing without a report, came twice, are out of order, or
/// came although they must not.
pub fn judge(
    members: &[Member],
    to: usize,
    sent: &[Sent],
    arrived: &[(usize, u64)],
    told: &Told,
) -> Result<Verdict, String> {
    let name = &members[to].name;
    let mut verdict = Verdict::default();
    let mut times: HashMap<(usize, u64), usize> = HashMap::new();
    for message in arrived {
        *times.entry(*message).or_default() += 1;
    }
    let (mut unexplained, mut doubled) = (Vec::new(), Vec::new());
    for message in sent {
        let speaks = members[message.from].speaks;
        let is_logged = speaks == Speaks::RustWithLog && members[to].speaks == Speaks::RustWithLog;
        let covers = |gap: &Gap| {
            let meets = message.started <= gap.until + SLACK && message.ended >= gap.since - SLACK;
            meets && !(is_logged && gap.is_recovered)
        };
        let times = times.get(&(message.from, message.number)).copied().unwrap_or_default();
        verdict.arrived += usize::from(times > 0);
        match (&message.result, times) {
            (_, 2..) => doubled.push(message),
            (_, 0) if message.from == to => unexplained.push(message),
            (Ok(()), 0) if speaks != Speaks::Node => {
                verdict.lost += 1;
                if !told.gaps.iter().any(covers) {
                    unexplained.push(message);
                }
            }
            (Err(error), 1) if message.from != to => {
                if error.to_string().contains("the message was not published") {
                    return Err(format!("{name} hears what was not published: {}", describe(members, message)));
                }
                verdict.doubtful += 1;
            }
            _ => {}
        }
    }
    let excused = usize::try_from(told.rejected + told.dropped).unwrap_or(usize::MAX);
    let is_excused = |message: &&Sent| message.from != to && (message.is_large || told.dropped > 0);
    if unexplained.len() > excused || !unexplained.iter().all(is_excused) {
        let list: Vec<String> = unexplained.iter().take(20).map(|message| describe(members, message)).collect();
        return Err(format!(
            "{name} has not heard {} messages, and tells of gaps {:?} and {excused} arrivals only: {}",
            unexplained.len(),
            told.gaps,
            list.join("; ")
        ));
    }
    if let Some(message) = doubled.first() {
        return Err(format!("{name} has heard {} twice or more: {}", doubled.len(), describe(members, message)));
    }
    in_order(members, to, sent, arrived)?;
    Ok(verdict)
}

/// Messages that were published for certain arrive in the order in which they were sent. A message
/// with an uncertain result may arrive later. Node.js nodes keep no order among each other, nor
/// does a Node.js node for its own clients.
fn in_order(members: &[Member], to: usize, sent: &[Sent], arrived: &[(usize, u64)]) -> Result<(), String> {
    let taken: HashSet<(usize, u64)> =
        sent.iter().filter(|message| message.result.is_ok()).map(|message| (message.from, message.number)).collect();
    let mut last: HashMap<usize, u64> = HashMap::new();
    for (from, number) in arrived.iter().copied().filter(|message| taken.contains(message)) {
        if from == to || members[from].speaks == Speaks::Node {
            continue;
        }
        let last = last.entry(from).or_insert(number);
        if number < *last {
            let [to, from] = [to, from].map(|index| &members[index].name);
            return Err(format!("{to} hears {number} of {from} after {last}"));
        }
        *last = number;
    }
    Ok(())
}

async fn send(
    members: Arc<[Member]>,
    from: usize,
    ends: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    next: Arc<[AtomicU64]>,
) {
    let mut answers = JoinSet::new();
    while !ends.load(Ordering::Relaxed) {
        let number = next[from].fetch_add(1, Ordering::Relaxed);
        let (filler, is_large) = filler(number);
        let (node, sent) = (members[from].node.clone(), sent.clone());
        let mut sending = Box::pin(async move {
            let started = unix_time();
            let command = json!({ "event": EVENT, "args": [from, number, filler] });
            let result = node.call("emit", command).await.map(drop);
            lock(&sent).push(Sent { from, number, is_large, started, ended: unix_time(), result });
        });
        // Started here and not in the task, so that later messages cannot overtake it on the way to
        // the node.
        if poll!(&mut sending).is_pending() {
            answers.spawn(sending);
        }
        // Finished tasks are removed, so that a long run does not keep them all.
        while answers.try_join_next().is_some() {}
        tokio::time::sleep(PAUSE).await;
    }
    answers.join_all().await;
}

/// What makes a message small, large or binary; and whether it is then an attachment.
fn filler(number: u64) -> (Value, bool) {
    match number % 64 {
        63 => (json!("x".repeat(100_000)), true),
        rest if rest % 4 == 3 => (json!("x".repeat(9000)), true),
        rest if rest % 8 == 5 => (binary(vec![7; 600]), true),
        _ => (json!(""), false),
    }
}

fn describe(members: &[Member], message: &Sent) -> String {
    let kind = if message.is_large { "large" } else { "small" };
    let told = match &message.result {
        Ok(()) => "taken".to_owned(),
        Err(error) => short(error),
    };
    let Sent { number, from, started, ended, .. } = message;
    format!("{kind} {number} of {} ({started:.0}-{ended:.0}, {told})", members[*from].name)
}

fn short(error: &Error) -> String {
    error.to_string().chars().take(300).collect()
}

fn unix_time() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
