//! What must hold, whatever happened.
//!
//! | promise | how it is looked at |
//! |---|---|
//! | order | the numbers of one sender only grow, at every receiver; so nothing comes twice either |
//! | no loss | what a sender was told to be published is at every receiver that listened, by what its gaps say |
//! | nothing strange | no receiver has what was not meant for it |
//!
//! Senders that wait because the queue out is full may be overtaken by one that comes just when there is room again. So the
//! queues of the simulation never fill.
//!
//! A log that closes gaps would make the second one simpler: see [`may_be_missed`].

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    backend::MAX_DELAY,
    clients::Received,
    node::{Client, Node},
    operations::{Sent, Way, What},
    world::Report,
};

/// How long a message may wait in the node until it is handled: attachments before it are fetched first, which
/// takes as long as the database is away.
const HANDLING: Duration = Duration::from_secs(20);

/// Looks at everything that was received.
pub(crate) fn check(nodes: &[Node], log: &[Sent], report: &mut Report) {
    let mut by_sender: BTreeMap<usize, Vec<&Sent>> = BTreeMap::new();
    for sent in log {
        by_sender.entry(sent.sender).or_default().push(sent);
    }
    for node in nodes {
        for client in &node.sockets {
            let received = node.received(client.sid);
            Receiver { node, client: Some(client), received }.check(&by_sender, report);
        }
        let received = node.server_side.lock().clone();
        Receiver { node, client: None, received }.check(&by_sender, report);
    }
}

/// A client, or the server itself.
struct Receiver<'a> {
    node: &'a Node,
    client: Option<&'a Client>,
    received: Received,
}

impl Receiver<'_> {
    fn check(&self, by_sender: &BTreeMap<usize, Vec<&Sent>>, report: &mut Report) {
        let mut got: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (_, sender, number) in &self.received.got {
            got.entry(*sender).or_default().push(*number);
        }
        // What requests send is looked at where they end.
        got.remove(&usize::MAX);
        for (sender, numbers) in &got {
            if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
                report.broken.push(format!("{}: {} of sender {sender} came before {}", self.name(), pair[0], pair[1]));
            }
            if !by_sender.contains_key(sender) {
                report.broken.push(format!("{}: sender {sender} sent nothing", self.name()));
            }
        }
        for (sender, sent) in by_sender {
            self.check_sender(sent, got.get(sender).map_or(&[], Vec::as_slice), report);
        }
    }

    fn check_sender(&self, log: &[&Sent], got: &[u64], report: &mut Report) {
        // Whether the receiver is in the sender's own room, as far as that can be known.
        let mut is_in_own = Some(false);
        for sent in log {
            let is_certain = !self.may_miss(sent);
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
            match (is_expected, is_there) {
                (Some(false), true) => report.broken.push(format!("{}: got what it should not: {sent:?}", self.name())),
                (Some(true), true) => report.expected += 1,
                (Some(true), false) if is_certain => report.broken.push(format!(
                    "{}: did not get {sent:?}; joined {:?}, ended {:?}, {:?}",
                    self.name(),
                    self.node.joined,
                    self.node.ended,
                    self.node.told.lock()
                )),
                (Some(true), false) => report.excused += 1,
                _ => {}
            }
        }
    }

    fn may_miss(&self, sent: &Sent) -> bool {
        let Some(ended) = sent.ended else { return true };
        if self.received.gone.is_some_and(|gone| gone <= ended + HANDLING) && !matches!(sent.what, What::Disconnect(_))
        {
            return true;
        }
        may_be_missed(self.node, sent, ended)
    }

    fn name(&self) -> String {
        match self.client {
            Some(client) => format!("socket {} of node {}", client.sid, self.node.index),
            None => format!("node {}", self.node.index),
        }
    }
}

/// Whether the node need not have got what was sent. The one place to change for nodes that read what they missed from a
/// log: between those, a gap is no excuse.
fn may_be_missed(node: &Node, sent: &Sent, ended: Instant) -> bool {
    if sent.sender == node.index {
        // Its own sockets get it all the same when it is not published, but for what asks for acknowledgements.
        let is_refused = !sent.is_published && matches!(sent.what, What::Event(_, Way::WithAck));
        return is_refused || node.ended.is_some_and(|end| end <= ended);
    }
    let arrived = ended + MAX_DELAY;
    !sent.is_published
        || sent.began < node.joined
        || node.ended.is_some_and(|end| end <= ended + HANDLING)
        || node.told.lock().gaps.iter().any(|(since, until)| *since <= arrived && sent.began <= *until)
}
