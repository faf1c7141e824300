//! The clients of a simulated server: they record what they get, and acknowledge.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{BoxStream, Fuse, FuturesUnordered},
};
use parking_lot::Mutex;
use socketioxide::AckError;
use socketioxide_core::{
    Sid, Str, Uid, Value,
    adapter::{AckStreamItem, BroadcastIter, RemoteSocketData, SocketEmitter, errors::SocketError},
    packet::{Packet, PacketData},
    parser::Parse,
};
use socketioxide_parser_common::CommonParser;
use tokio::time::Instant;

/// What one receiver got: the time, the sender, and the number of the message at its sender.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) got: Vec<(Instant, usize, u64)>,
    /// When it was disconnected by the server.
    pub(crate) gone: Option<Instant>,
}

/// The clients of one server. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    by_sid: Arc<Mutex<BTreeMap<Sid, Received>>>,
    server: Uid,
}

/// The sender of requests: their ends are checked in `operations`.
pub(crate) const REQUESTS: usize = usize::MAX;

/// The sender of a packet without a mark, which is a defect.
pub(crate) const UNREADABLE: usize = usize::MAX - 1;

/// The mark by which a message is found in a notification or an attachment.
pub(crate) fn mark(sender: usize, number: u64) -> String {
    format!("@{sender}.{number}@")
}

pub(crate) fn read_mark(text: &str) -> Option<(usize, u64)> {
    let (sender, number) = text.split('@').nth(1)?.split_once('.')?;
    Some((sender.parse().ok()?, number.parse().ok()?))
}

impl Clients {
    pub(crate) fn new(server: Uid, sids: impl IntoIterator<Item = Sid>) -> Self {
        let by_sid = sids.into_iter().map(|sid| (sid, Received::default())).collect();
        Self { by_sid: Arc::new(Mutex::new(by_sid)), server }
    }

    pub(crate) fn received(&self, sid: Sid) -> Received {
        self.by_sid.lock().get(&sid).cloned().unwrap_or_default()
    }

    fn get(&self, sid: Sid, packet: &str) -> Result<(), SocketError> {
        match self.by_sid.lock().get_mut(&sid) {
            Some(client) if client.gone.is_none() => {
                let (sender, number) = read_mark(packet).unwrap_or((UNREADABLE, 0));
                client.got.push((Instant::now(), sender, number));
                Ok(())
            }
            _ => Err(SocketError::Closed),
        }
    }

    fn is_there(&self, sid: Sid) -> bool {
        self.by_sid.lock().get(&sid).is_some_and(|client| client.gone.is_none())
    }
}

impl SocketEmitter for Clients {
    type AckError = AckError;
    type AckStream = Fuse<BoxStream<'static, AckStreamItem<AckError>>>;

    fn get_all_sids(&self, filter: impl Fn(&Sid) -> bool) -> Vec<Sid> {
        let clients = self.by_sid.lock();
        clients.iter().filter(|(sid, client)| client.gone.is_none() && filter(sid)).map(|(sid, _)| *sid).collect()
    }

    fn get_remote_sockets(&self, sids: BroadcastIter<'_>) -> Vec<RemoteSocketData> {
        let there = sids.filter(|sid| self.is_there(*sid));
        there.map(|id| RemoteSocketData { id, server_id: self.server, ns: self.path().clone() }).collect()
    }

    fn send_many(&self, sids: BroadcastIter<'_>, data: Value) -> Result<(), Vec<SocketError>> {
        let text = data.as_str().map(|text| text.as_str()).unwrap_or_default();
        let errors: Vec<_> = sids.filter_map(|sid| self.get(sid, text).err()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn send_many_volatile(&self, sids: BroadcastIter<'_>, data: Value) {
        let _ = self.send_many(sids, data);
    }

    /// Each client acknowledges after a time that follows from its id and the message; some never
    /// acknowledge.
    fn send_many_with_ack(
        &self,
        sids: BroadcastIter<'_>,
        packet: Packet,
        timeout: Option<Duration>,
    ) -> (Self::AckStream, u32) {
        let (PacketData::Event(data, _) | PacketData::BinaryEvent(data, _)) = &packet.inner else {
            return (futures_util::stream::empty().boxed().fuse(), 0);
        };
        let text = data.as_str().map(|text| text.as_str()).unwrap_or_default();
        let (_, number) = read_mark(text).unwrap_or_default();
        let timeout = timeout.unwrap_or(self.ack_timeout());
        let mut sids: Vec<Sid> = sids.collect();
        sids.sort_unstable();
        let acks: FuturesUnordered<_> = sids
            .into_iter()
            .filter(|sid| self.get(*sid, text).is_ok())
            .map(|sid| async move {
                let draw = sid.as_str().bytes().fold(number, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)) % 100;
                if draw < 5 {
                    tokio::time::sleep(timeout).await;
                    return (sid, Err(AckError::Timeout));
                }
                tokio::time::sleep(Duration::from_millis(draw)).await;
                (sid, Ok(Value::Str("[7]".into(), None)))
            })
            .collect();
        let count = u32::try_from(acks.len()).unwrap_or(u32::MAX);
        (acks.boxed().fuse(), count)
    }

    fn disconnect_many(&self, sids: Vec<Sid>) -> Result<(), Vec<SocketError>> {
        let mut clients = self.by_sid.lock();
        for sid in sids {
            if let Some(client) = clients.get_mut(&sid) {
                client.gone.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    fn path(&self) -> &Str {
        static PATH: std::sync::LazyLock<Str> = std::sync::LazyLock::new(|| Str::from("/"));
        &PATH
    }

    fn parser(&self) -> impl Parse {
        CommonParser
    }

    fn server_id(&self) -> Uid {
        self.server
    }

    fn ack_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}
