//! Events from other servers: their handlers run, and the first response is published.

use std::sync::Arc;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use socketio_pg_protocol::{
    Body, Payload, Value,
    message::{ServerSideEmit, ServerSideEmitResponse},
};
use tracing::Instrument;

use super::Node;
use crate::{
    backend::Backend,
    error::Error,
    node::{namespace::Namespace, requester::Requester},
    observe::classes::InvalidMessage,
};

/// Calls the handlers of an event; publishes the first response when the sender wants one.
pub(super) fn dispatch<B: Backend>(
    node: &Arc<Node<B>>,
    namespace: &Arc<Namespace>,
    emit: ServerSideEmit,
    requester: &Requester,
) {
    let ServerSideEmit { request_id, packet } = emit;
    let event = match event_name(&packet) {
        Ok(event) => event,
        Err(error) => {
            return node.events().rejected(
                namespace.channel(),
                requester.sender(),
                InvalidMessage::InvalidEvent,
                error,
            );
        }
    };
    let handlers = node.handlers().get(namespace.name(), &event);
    if handlers.is_empty() {
        tracing::debug!(event, "no handler for an event of another server");
        return;
    }
    let Some(place) = node.place_for_work() else { return };
    let sender = requester.sender().map(tracing::field::display);
    let span = tracing::debug_span!("server_side_event", namespace = namespace.name(), event, sender);
    // Called here, so that all handlers begin in the order of the events.
    let mut answers: futures_util::stream::FuturesUnordered<_> =
        span.in_scope(|| handlers.iter().map(|handler| handler(&event, &packet)).collect());
    let (node, namespace, requester) = (node.clone(), namespace.clone(), requester.clone());
    let answering = async move {
        let _place = place;
        let mut wanted = request_id;
        while let Some(reply) = answers.next().await {
            let answer = match reply {
                Ok(Some(answer)) => answer,
                Ok(None) => continue,
                Err(error) => {
                    node.events().rejected(
                        namespace.channel(),
                        requester.sender(),
                        InvalidMessage::InvalidArguments,
                        error,
                    );
                    continue;
                }
            };
            let Some(request_id) = wanted.take() else { continue };
            let body = Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet: answer });
            if let Err(error) = node.answer(&namespace, body, &requester).await {
                tracing::debug!(%error, "a response to another server was not published");
            }
        }
    };
    tokio::spawn(answering.instrument(span));
}

/// The name of `[event, ...arguments]`. Numbers are names too, in Node.js.
fn event_name(packet: &Payload) -> Result<String, Error> {
    let first = match packet {
        Payload::Json(text) => {
            let all: Vec<&RawValue> = serde_json::from_str(text.get()).map_err(Error::data)?;
            all.first().map(|first| Value::from_json(first.get())).transpose()?
        }
        Payload::Value(value) => value.as_array().and_then(|all| all.first().cloned()),
    };
    match first {
        Some(Value::Str(name)) => Ok(name),
        Some(broken @ Value::BrokenStr(_)) => String::deserialize(broken).map_err(Error::data),
        Some(number @ (Value::Int(_) | Value::UInt(_) | Value::Float(_))) => Ok(number.to_json()),
        _ => Err(Error::data("no event: the first element is neither a string nor a number")),
    }
}
