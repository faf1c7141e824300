//! Connected sockets without clients: what an adapter sends to them is counted instead of written
//! to a transport.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, Fuse, Iter},
};
use serde::{Deserialize, Serialize};
use socketioxide_core::{
    Sid, Str, Uid, Value,
    adapter::{AckStreamItem, BroadcastIter, RemoteSocketData, SocketEmitter, errors::SocketError},
    packet::Packet,
    parser::Parse,
};
use socketioxide_parser_common::CommonParser;

use super::tally::Tally;

/// The sockets of one namespace, in place of socketioxide's own.
pub(crate) struct Sockets {
    path: Str,
    server: Uid,
    ids: Vec<Sid>,
    tally: Arc<Tally>,
}

impl Sockets {
    pub(crate) fn new(path: Str, server: Uid, count: usize, tally: Arc<Tally>) -> Self {
        Self { path, server, ids: (0..count).map(|_| Sid::new()).collect(), tally }
    }
}

impl SocketEmitter for Sockets {
    type AckError = NoAck;
    type AckStream = Fuse<Iter<std::vec::IntoIter<AckStreamItem<NoAck>>>>;

    fn get_all_sids(&self, filter: impl Fn(&Sid) -> bool) -> Vec<Sid> {
        self.ids.iter().copied().filter(|id| filter(id)).collect()
    }

    fn get_remote_sockets(&self, sids: BroadcastIter<'_>) -> Vec<RemoteSocketData> {
        sids.map(|id| RemoteSocketData { id, server_id: self.server, ns: self.path.clone() }).collect()
    }

    fn send_many(&self, sids: BroadcastIter<'_>, data: Value) -> Result<(), Vec<SocketError>> {
        for _ in sids {
            self.tally.take(&data);
        }
        Ok(())
    }

    fn send_many_volatile(&self, sids: BroadcastIter<'_>, data: Value) {
        for _ in sids {
            self.tally.take(&data);
        }
    }

    /// Every socket acknowledges at once.
    fn send_many_with_ack(
        &self,
        sids: BroadcastIter<'_>,
        _packet: Packet,
        _timeout: Option<Duration>,
    ) -> (Self::AckStream, u32) {
        let answers: Vec<_> = sids.map(|id| (id, Ok(Value::Str("[\"taken\"]".into(), None)))).collect();
        let count = u32::try_from(answers.len()).unwrap_or(u32::MAX);
        (stream::iter(answers).fuse(), count)
    }

    fn disconnect_many(&self, _sids: Vec<Sid>) -> Result<(), Vec<SocketError>> {
        Ok(())
    }

    fn path(&self) -> &Str {
        &self.path
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

/// Why a socket of another node did not acknowledge.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoAck;

impl fmt::Display for NoAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a socket did not acknowledge")
    }
}

impl std::error::Error for NoAck {}
