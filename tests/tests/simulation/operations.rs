//! What the senders of a simulated cluster do, and the results that they get.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use parking_lot::Mutex;
use socketio_pg_core::{Emitter, Error};
use socketioxide_core::{
    adapter::{BroadcastFlags, BroadcastOptions, CoreAdapter, Room},
    packet::Packet,
    parser::Parse,
};
use socketioxide_parser_common::CommonParser;
use tokio::time::Instant;

use crate::{
    backend::NodeBackend,
    clients::{REQUESTS, mark},
    node::{Client, Running},
};

/// The selected sockets: those in any of `rooms` (all, when there are none) and in none of
/// `except`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) rooms: Vec<String>,
    pub(crate) except: Vec<String>,
}

impl Target {
    pub(crate) fn matches(&self, client: &Client) -> bool {
        let is_in = |room: &String| client.rooms.contains(room) || client.sid.as_str() == room;
        (self.rooms.is_empty() || self.rooms.iter().any(is_in)) && !self.except.iter().any(is_in)
    }
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An event to sockets, sent in one of several ways.
    Event(Target, Way),
    /// An event to the sockets that are in the sender's own room at that time.
    ToOwnRoom,
    /// Sockets join the sender's own room.
    Join(Target),
    /// Sockets leave the sender's own room.
    Leave(Target),
    /// An event to the other servers.
    ToServers,
    /// Sockets are disconnected.
    Disconnect(Target),
}

/// The operators that send an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Operators,
    Adapter,
    WithAck,
}

/// A message, with its number at its sender.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) sender: usize,
    pub(crate) number: u64,
    pub(crate) what: What,
    pub(crate) began: Instant,
    pub(crate) ended: Option<Instant>,
    /// Whether the sender was told that it was published.
    pub(crate) is_published: bool,
    /// Whether it is in the catch-up log, once it is published.
    pub(crate) is_logged: bool,
}

/// All messages, in the order of each sender.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<Sent>>>);

impl Log {
    pub(crate) fn begin(&self, sender: usize, number: u64, what: What, is_logged: bool) -> usize {
        let mut log = self.0.lock();
        log.push(Sent { sender, number, what, began: Instant::now(), ended: None, is_published: false, is_logged });
        log.len() - 1
    }

    pub(crate) fn end(&self, entry: usize, is_published: bool) {
        let entry = &mut self.0.lock()[entry];
        entry.ended = Some(Instant::now());
        entry.is_published = is_published;
    }
}

/// The size of an event's data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight {
    Small,
    Large,
    Huge,
    Binary,
}

impl Weight {
    /// More than fits into the inbox beside other messages: 300 bytes in most clusters.
    fn padding(self) -> String {
        match self {
            Self::Small | Self::Binary => String::new(),
            Self::Large => "x".repeat(300),
            Self::Huge => "x".repeat(9_000),
        }
    }
}

pub(crate) fn own_room(sender: usize) -> String {
    format!("own{sender}")
}

/// Carries out `what` on a server; returns whether it was published.
pub(crate) async fn carry_out(running: &Running, sender: usize, number: u64, what: &What, weight: Weight) -> bool {
    let mark = mark(sender, number);
    let main = running.cluster.of("/");
    let select = |target: &Target| {
        let selected = target.rooms.iter().fold(main.clone(), |selected, room| selected.to(room.as_str()));
        target.except.iter().fold(selected, |selected, room| selected.except(room.as_str()))
    };
    let own = own_room(sender);
    let result: Result<(), Error> = match what {
        What::Event(target, Way::Operators) => match weight {
            Weight::Binary => select(target).emit("m", &(mark, bytes::Bytes::from_static(b"\x00\xff"))).await,
            _ => select(target).emit("m", &(mark, weight.padding())).await,
        },
        What::Event(target, Way::Adapter) => {
            let (packet, options) = packet(target, &mark, weight);
            return running.adapter.broadcast(packet, options).await.is_ok();
        }
        What::Event(target, Way::WithAck) => {
            let asked = select(target).emit_with_ack::<_, u64>("m", &(mark, weight.padding())).await;
            let is_published = asked.is_ok();
            if let Ok(mut acks) = asked {
                // Responses are awaited elsewhere; here only the order of sending counts.
                tokio::spawn(async move { while acks.next().await.is_some() {} });
            }
            return is_published;
        }
        What::ToOwnRoom => main.clone().to(own).emit("m", &(mark, weight.padding())).await,
        What::Join(target) => select(target).sockets_join([own]).await,
        What::Leave(target) => select(target).sockets_leave([own]).await,
        What::ToServers => main.server_side_emit("order", &(sender, number, weight.padding())).await,
        What::Disconnect(target) => select(target).disconnect_sockets(false).await,
    };
    result.is_ok()
}

/// The same, from a process without sockets.
pub(crate) async fn carry_out_from_outside(
    emitter: &Emitter<NodeBackend>,
    connection: &NodeBackend,
    sender: usize,
    number: u64,
    what: &What,
    weight: Weight,
) -> bool {
    let mark = mark(sender, number);
    let select = |target: &Target| {
        let selected = target.rooms.iter().fold(emitter.clone(), |selected, room| selected.to(room.as_str()));
        target.except.iter().fold(selected, |selected, room| selected.except(room.as_str()))
    };
    let own = own_room(sender);
    let result = match what {
        What::Event(target, _) => select(target).emit("m", &(mark, weight.padding()), connection).await,
        What::ToOwnRoom => emitter.clone().to(own).emit("m", &(mark, weight.padding()), connection).await,
        What::Join(target) => select(target).sockets_join([own], connection).await,
        What::Leave(target) => select(target).sockets_leave([own], connection).await,
        What::ToServers => emitter.server_side_emit("order", &(sender, number, weight.padding()), connection).await,
        What::Disconnect(target) => select(target).disconnect_sockets(false, connection).await,
    };
    result.is_ok()
}

fn packet(target: &Target, mark: &str, weight: Weight) -> (Packet, BroadcastOptions) {
    let data = match weight {
        Weight::Binary => CommonParser.encode_value(&(mark, bytes::Bytes::from_static(b"\x00\xff")), Some("m")),
        _ => CommonParser.encode_value(&(mark, weight.padding()), Some("m")),
    };
    let mut options = BroadcastOptions::default();
    options.add_flag(BroadcastFlags::Broadcast);
    options.rooms = target.rooms.iter().cloned().map(Room::from).collect();
    options.except = target.except.iter().cloned().map(Room::from).collect();
    (Packet::event("/", data.expect("it is made of text and bytes")), options)
}

/// How long a request may take in all: its time-out, and the delays of the database.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A request; returns what is wrong with its end.
pub(crate) async fn ask(running: Arc<Running>, kind: u32, number: u64) -> Option<String> {
    let main = running.cluster.of("/");
    let asked = async {
        match kind % 3 {
            0 => {
                let sockets = main.fetch_sockets().await.unwrap_or_default();
                let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id.as_str()).collect();
                ids.sort_unstable();
                let all = ids.len();
                ids.dedup();
                (ids.len() < all).then(|| "a socket was fetched twice".to_owned())
            }
            1 => {
                let Ok(asking) = main.server_side_emit_with_ack::<_, u64>("question", &number).await else {
                    return None;
                };
                let (answers, _) = asking.all().await;
                answers.iter().any(|answer| *answer != number).then(|| format!("answers to {number}: {answers:?}"))
            }
            _ => {
                let Ok(asking) = main.emit_with_ack::<_, u64>("q", &mark(REQUESTS, number)).await else {
                    return None;
                };
                let (answers, _) = asking.all().await;
                answers.iter().any(|answer| *answer != 7).then(|| format!("acknowledged with {answers:?}"))
            }
        }
    };
    match tokio::time::timeout(REQUEST_LIMIT, asked).await {
        Ok(wrong) => wrong,
        Err(_) => Some(format!("request {number} of kind {} did not end", kind % 3)),
    }
}
