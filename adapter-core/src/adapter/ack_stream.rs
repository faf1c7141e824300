//! Acknowledgements of local and remote clients, as one stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{FusedStream, Stream};
use futures_util::{StreamExt, stream::SelectAll};
use serde::de::{IntoDeserializer, value::Error as ValueError};
use socketio_pg_protocol::cluster::Progress;
use socketioxide_core::{
    Sid,
    adapter::{AckStreamItem, SocketEmitter},
};

use crate::{
    node::namespace::{Request, Response},
    socketio::packet::{self, Parser},
};

/// The acknowledgements of a broadcast.
///
/// Yields `(id, value)` for every client that acknowledges, and an error for every client that does
/// not in time. Other nodes do not say which of their clients acknowledged: the id is [`Sid::ZERO`]
/// then, unless the broadcast was for one remote socket. A node that does not respond at all yields
/// one time-out.
#[must_use = "the acknowledgements come only when they are awaited"]
pub struct AckStream<E: SocketEmitter> {
    local: SelectAll<Pin<Box<E::AckStream>>>,
    remote: Option<Remote>,
    /// Time-outs that are still to be yielded.
    timeouts: u64,
    /// The id under which remote acknowledgements are yielded.
    remote_sid: Sid,
}

/// At most this many time-outs are yielded one by one.
const MAX_TIMEOUTS: u64 = 100_000;

struct Remote {
    request: Request,
    parser: Parser,
}

impl<E: SocketEmitter> AckStream<E> {
    /// Asks local clients only.
    pub(crate) fn local(streams: impl IntoIterator<Item = E::AckStream>) -> Self {
        let local = streams.into_iter().map(Box::pin).collect();
        Self { local, remote: None, timeouts: 0, remote_sid: Sid::ZERO }
    }

    /// Asks clients of other nodes too.
    pub(crate) fn with_remote(mut self, request: Request, parser: Parser, target: Option<Sid>) -> Self {
        self.remote = Some(Remote { request, parser });
        self.remote_sid = target.unwrap_or(Sid::ZERO);
        self
    }

    fn poll_remote(&mut self, context: &mut Context<'_>) -> Poll<Option<AckStreamItem<E::AckError>>> {
        loop {
            if self.timeouts > 0 {
                self.timeouts -= 1;
                match timeout_error::<E::AckError>() {
                    Some(error) => return Poll::Ready(Some((self.remote_sid, Err(error)))),
                    None => continue,
                }
            }
            let Some(Remote { request, parser }) = &mut self.remote else { return Poll::Ready(None) };
            match request.poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.remote = None,
                Poll::Ready(Some(Response::Completed(outcome))) => {
                    // A node may claim any number of clients.
                    self.timeouts =
                        outcome.missing_acks.saturating_add(outcome.missing_nodes.len() as u64).min(MAX_TIMEOUTS);
                    self.remote = None;
                }
                Poll::Ready(Some(Response::TooMany { limit })) => {
                    tracing::warn!(limit, "more acknowledgements came than Options::max_responses allows");
                    self.timeouts = 1;
                    self.remote = None;
                }
                Poll::Ready(Some(Response::Progress { progress: Progress::Ack(value), .. })) => {
                    match packet::ack_from_payload(value.as_ref(), *parser) {
                        Ok(value) => return Poll::Ready(Some((self.remote_sid, Ok(value)))),
                        Err(error) => tracing::warn!(%error, "an acknowledgement cannot be read"),
                    }
                }
                Poll::Ready(Some(Response::Progress { .. })) => {}
            }
        }
    }
}

impl<E: SocketEmitter> Stream for AckStream<E> {
    type Item = AckStreamItem<E::AckError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let local_is_done = match self.local.poll_next_unpin(context) {
            Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
            Poll::Ready(None) => true,
            Poll::Pending => false,
        };
        match self.poll_remote(context) {
            Poll::Ready(None) if !local_is_done => Poll::Pending,
            other => other,
        }
    }
}

impl<E: SocketEmitter> FusedStream for AckStream<E> {
    fn is_terminated(&self) -> bool {
        self.local.is_empty() && self.remote.is_none() && self.timeouts == 0
    }
}

/// The server's own time-out error. Its type is known here only as something that can be
/// deserialized.
fn timeout_error<T: serde::de::DeserializeOwned>() -> Option<T> {
    let variant: serde::de::value::StrDeserializer<'_, ValueError> = "Timeout".into_deserializer();
    T::deserialize(variant).ok()
}

#[cfg(test)]
mod tests {
    use socketioxide::AckError;

    #[test]
    fn the_servers_time_out_error_can_be_made() {
        assert!(matches!(super::timeout_error::<AckError>(), Some(AckError::Timeout)));
    }
}
