//! The promises that every run must keep.
//!
//! | promise | how it is checked |
//! |---|---|
//! | order | at every receiver the numbers of one sender only grow, so nothing comes twice |
//! | no loss | a receiver gets every published message, except in a gap that it reported |
//! | right receivers | a receiver has only messages that are meant for it |
//!
//! [`Receiver::excuse`] has the reasons for which a message may be missing: the receiver was not
//! there, the sender got an error, or the receiver reported a gap.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    backend::MAX_DELAY,
    clients::{REQUESTS, Received},
    conditions::{Conditions, FaultLevel},
    node::{Client, Gap, Node},
    operations::{Sent, Way, What},
    report::Report,
};

/// Checks everything that was received.
pub(crate) fn check(nodes: &[Node], log: &[Sent], conditions: &Conditions, report: &mut Report) {
    let mut by_sender: BTreeMap<usize, Vec<&Sent>> = BTreeMap::new();
    for sent in log {
        by_sender.entry(sent.sender).or_default().push(sent);
    }
    let handling = conditions.handling();
    for node in nodes {
        let gaps = node.told.lock().gaps.clone();
        if conditions.fault_level == FaultLevel::None && !gaps.is_empty() {
            report.broken.push(format!("node {}: nothing goes wrong, and it tells of {gaps:?}", node.index));
        }
        let (gaps, rejected) = (gaps.as_slice(), node.rejected());
        for client in &node.sockets {
            let received = node.received(client.sid);
            Receiver { node, client: Some(client), received, gaps, rejected, handling }.check(&by_sender, report);
        }
        let received = node.server_side.lock().clone();
        Receiver { node, client: None, received, gaps, rejected, handling }.check(&by_sender, report);
    }
}

/// A client, or the server itself.
struct Receiver<'a> {
    node: &'a Node,
    client: Option<&'a Client>,
    received: Received,
    gaps: &'a [Gap],
    /// How many messages the node could not use.
    rejected: u64,
    /// How long a message may wait in the node until it is handled.
    handling: Duration,
}

/// Why a receiver need not get a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Excuse {
    /// The receiver was not there.
    Absent,
    /// The sender was told that the message is perhaps not published.
    Refused,
    /// The receiver reported that it was disconnected.
    InGap,
}

impl Receiver<'_> {
    fn check(&self, by_sender: &BTreeMap<usize, Vec<&Sent>>, report: &mut Report) {
        let mut got: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (_, sender, number) in &self.received.got {
            got.entry(*sender).or_default().push(*number);
        }
        got.remove(&REQUESTS);
        for (sender, numbers) in &got {
            if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
                report.broken.push(format!("{}: {} of sender {sender} came before {}", self.name(), pair[0], pair[1]));
            }
            if !by_sender.contains_key(sender) {
                report.broken.push(format!("{}: sender {sender} sent nothing", self.name()));
            }
        }
        let mut lost = Vec::new();
        for (sender, sent) in by_sender {
            lost.extend(self.check_sender(sent, got.get(sender).map_or(&[], Vec::as_slice), report));
        }
        // Each message that could not be used is counted.
        if lost.len() as u64 <= self.rejected {
            report.shares.rejected += lost.len() as u64;
            return;
        }
        let Node { joined, ended, told, .. } = self.node;
        for sent in lost.iter().take(3) {
            report.broken.push(format!(
                "{}: did not get {sent:?}; {} are lost and {} rejected; joined {joined:?}, ended {ended:?}, gone {:?}, {:?}",
                self.name(),
                lost.len(),
                self.rejected,
                self.received.gone,
                told.lock()
            ));
        }
    }

    /// Returns the messages that are missing without an excuse.
    fn check_sender<'s>(&self, log: &[&'s Sent], got: &[u64], report: &mut Report) -> Vec<&'s Sent> {
        let mut lost = Vec::new();
        // Whether the receiver is in the sender's own room, as far as that can be known.
        let mut is_in_own = Some(false);
        for sent in log {
            let excuse = self.excuse(sent);
            // Messages that change rooms may have been rejected.
            let is_certain = excuse.is_none() && (self.rejected == 0 || sent.sender == self.node.index);
            let is_expected = match (&sent.what, self.client) {
                (What::Event(target, _), Some(client)) => Some(target.matches(client)),
                (What::ToOwnRoom, Some(_)) => is_in_own,
                (What::ToServers, None) => Some(sent.sender != self.node.index),
                (What::Join(target), Some(client)) if target.matches(client) => {
                    is_in_own = if is_certain { Some(true) } else { is_in_own.filter(|is_in| *is_in) };
                    continue;
                }
                (What::Leave(target), Some(client)) if target.matches(client) => {
                    is_in_own = if is_certain { Some(false) } else { is_in_own.filter(|is_in| !is_in) };
                    continue;
                }
                (What::Disconnect(target), Some(client)) => {
                    if is_certain && target.matches(client) && self.received.gone.is_none() {
                        report.broken.push(format!("{}: still there after {sent:?}", self.name()));
                    }
                    continue;
                }
                _ => Some(false),
            };
            let is_there = got.binary_search(&sent.number).is_ok();
            let shares = &mut report.shares;
            match (is_expected, is_there, excuse) {
                (Some(false), true, _) => {
                    report.broken.push(format!("{}: got what it should not: {sent:?}", self.name()));
                }
                (Some(true), true, _) => {
                    shares.came += 1;
                    shares.caught_up += u64::from(
                        sent.ended.is_some_and(|ended| self.gaps_around(sent, ended).any(|gap| gap.is_complete)),
                    );
                }
                (Some(true), false, None) => lost.push(*sent),
                (Some(true), false, Some(Excuse::Refused)) => shares.refused += 1,
                (Some(true), false, Some(Excuse::InGap)) => shares.in_gap += 1,
                _ => {}
            }
        }
        lost
    }

    /// Why the receiver need not get this message; `None` if it must.
    fn excuse(&self, sent: &Sent) -> Option<Excuse> {
        let Some(ended) = sent.ended else { return Some(Excuse::Refused) };
        let is_own = sent.sender == self.node.index;
        // The latest time at which it has been handled: a node catches up late.
        let heard = self.gaps_around(sent, ended).map(|gap| gap.until).fold(ended, Instant::max);
        let handled = heard + self.handling;
        let is_disconnection = matches!(sent.what, What::Disconnect(_));
        if self.received.gone.is_some_and(|gone| gone <= handled) && !is_disconnection
            || !is_own && sent.began < self.node.joined
            || self.node.ended.is_some_and(|end| end <= if is_own { ended } else { handled })
        {
            return Some(Excuse::Absent);
        }
        if is_own {
            // Its own sockets get a message even if it is not published, unless it asks for
            // acknowledgements.
            let is_refused = !sent.is_published && matches!(sent.what, What::Event(_, Way::WithAck));
            return is_refused.then_some(Excuse::Refused);
        }
        if !sent.is_published {
            return Some(Excuse::Refused);
        }
        // A node gets what is in the log, if it reports that it read the log.
        let is_missed = self.gaps_around(sent, ended).any(|gap| !(gap.is_complete && sent.is_logged));
        is_missed.then_some(Excuse::InGap)
    }

    /// The gaps in which a message may have been on its way.
    fn gaps_around(&self, sent: &Sent, ended: Instant) -> impl Iterator<Item = &Gap> {
        let (began, arrived) = (sent.began, ended + MAX_DELAY);
        self.gaps.iter().filter(move |gap| gap.since <= arrived && began <= gap.until)
    }

    fn name(&self) -> String {
        match self.client {
            Some(client) => format!("socket {} of node {}", client.sid, self.node.index),
            None => format!("node {}", self.node.index),
        }
    }
}
