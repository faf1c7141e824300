//! What clients and servers answer to an emit, as typed streams.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, stream::BoxStream};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use socketio_pg_protocol::{
    Payload, Value,
    cluster::{Outcome, Progress},
};

use crate::{
    error::Error,
    node::namespace::{LocalAck, Request, Response},
};

/// The acknowledgements of the selected sockets, in the order of arrival.
///
/// When clients did not acknowledge or nodes did not respond in time, the last item is
/// [`Error::NotAcknowledged`]; an acknowledgement that is not an `R` is an [`Error::Data`] in its
/// place. An empty acknowledgement reads as null.
#[must_use = "the acknowledgements come only when they are awaited"]
pub struct Acknowledgements<R> {
    local: Option<BoxStream<'static, LocalAck>>,
    remote: Remote,
    /// How many clients did not acknowledge, and how many nodes did not say how many clients they
    /// have.
    missing: u64,
    answer: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Acknowledgements<R> {
    pub(super) fn new(local: Option<BoxStream<'static, LocalAck>>, remote: Option<Request>) -> Self {
        Self { local, remote: Remote(remote), missing: 0, answer: PhantomData }
    }

    /// Waits for all acknowledgements. The result contains what came in time, also when some did
    /// not. Of several errors it is the first.
    pub async fn all(self) -> (Vec<R>, Result<(), Error>) {
        all(self).await
    }
}

impl<R: DeserializeOwned> Stream for Acknowledgements<R> {
    type Item = Result<R, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(local) = &mut self.local {
            match local.as_mut().poll_next(context) {
                Poll::Ready(Some(Some(packet))) => return Poll::Ready(Some(read(packet))),
                Poll::Ready(Some(None)) => self.missing += 1,
                Poll::Ready(None) => self.local = None,
                Poll::Pending => break,
            }
        }
        match ready!(self.remote.poll_next(context)) {
            Some(Ok(Part::Packet(packet))) => return Poll::Ready(Some(read(packet))),
            Some(Ok(Part::End(outcome))) => {
                let missing = outcome.missing_acks.saturating_add(outcome.missing_nodes.len() as u64);
                self.missing = self.missing.saturating_add(missing);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {}
        }
        if self.local.is_some() {
            return Poll::Pending;
        }
        match std::mem::take(&mut self.missing) {
            0 => Poll::Ready(None),
            missing => Poll::Ready(Some(Err(Error::NotAcknowledged { missing }))),
        }
    }
}

/// The responses of the other servers to a server-side emit.
///
/// A stream of responses in the order of arrival. When servers did not respond in time, the last
/// item is [`Error::Timeout`]; a response that is not an `R` is an [`Error::Data`] in its place.
#[must_use = "the responses come only when they are awaited"]
pub struct Responses<R> {
    remote: Remote,
    answer: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Responses<R> {
    pub(super) fn new(request: Request) -> Self {
        Self { remote: Remote(Some(request)), answer: PhantomData }
    }

    /// Waits for all responses. The result contains those that came in time, also when some servers
    /// did not respond, and the error says which. Of several errors it is the first.
    pub async fn all(self) -> (Vec<R>, Result<(), Error>) {
        all(self).await
    }
}

impl<R: DeserializeOwned> Stream for Responses<R> {
    type Item = Result<R, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.remote.poll_next(context)) {
            Some(Ok(Part::Packet(packet))) => Some(read(packet)),
            Some(Ok(Part::End(outcome))) if outcome.is_complete() => None,
            Some(Ok(Part::End(outcome))) => Some(Err(Error::Timeout { missing: outcome.missing_nodes })),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}

/// A request to other nodes, until it has ended.
struct Remote(Option<Request>);

/// What comes for a request.
enum Part {
    /// A response or an acknowledgement.
    Packet(Option<Payload>),
    /// No more comes.
    End(Outcome),
}

impl Remote {
    /// The next part; `None` after the end and after an error.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Part, Error>>> {
        while let Some(request) = &mut self.0 {
            let part = match ready!(request.poll_next(context)) {
                Some(Response::Progress { progress: Progress::Response(packet) | Progress::Ack(packet), .. }) => {
                    return Poll::Ready(Some(Ok(Part::Packet(packet))));
                }
                // Clients that are counted, and what is for another kind of request.
                Some(Response::Progress { .. }) => continue,
                Some(Response::Completed(outcome)) => Some(Ok(Part::End(outcome))),
                Some(Response::TooMany { limit }) => Some(Err(Error::TooManyResponses { limit })),
                None => None,
            };
            self.0 = None;
            return Poll::Ready(part);
        }
        Poll::Ready(None)
    }
}

/// An empty answer is null, as JavaScript's undefined is in JSON.
fn read<R: DeserializeOwned>(packet: Option<Payload>) -> Result<R, Error> {
    packet.unwrap_or(Payload::Value(Value::Nil)).deserialize().map_err(Error::from)
}

async fn all<R>(mut stream: impl Stream<Item = Result<R, Error>> + Unpin) -> (Vec<R>, Result<(), Error>) {
    let mut answers = Vec::new();
    let mut outcome = Ok(());
    while let Some(answer) = stream.next().await {
        match answer {
            Ok(answer) => answers.push(answer),
            // The first one: that some did not respond would hide that one could not be read.
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    (answers, outcome)
}
