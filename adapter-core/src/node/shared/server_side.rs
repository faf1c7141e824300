//! Events from other servers: their handlers run, and the first response is published.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use serde::Deserialize;
use serde_json::value::RawValue;
use socketio_pg_protocol::{
    Body, Payload, RequestId, Value,
    message::{ServerSideEmit, ServerSideEmitResponse},
    node_info,
};
use tracing::Instrument;

use super::Node;
use crate::{
    backend::Backend,
    error::Error,
    node::{
        handlers::{Handler, Reply},
        namespace::Namespace,
        requester::Requester,
    },
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
    let handlers = match event.as_str() {
        node_info::EVENT => vec![node.info_handler(namespace)],
        event => node.handlers().get(namespace.name(), event),
    };
    if handlers.is_empty() {
        tracing::debug!(event, "no handler for an event of another server");
        return;
    }
    let Some(place) = node.place_for_handlers() else { return };
    let sender = requester.sender().map(tracing::field::display);
    let span = tracing::debug_span!("server_side_event", namespace = namespace.name(), event, sender);
    // Called here, so that all handlers begin in the order of the events. One that panics does not
    // keep the others from handling the event.
    let begin = |handler: &Handler| {
        let begun = catch_unwind(AssertUnwindSafe(|| handler(&event, &packet)));
        begun.ok().map(|work| AssertUnwindSafe(work).catch_unwind())
    };
    let begun: Vec<_> = span.in_scope(|| handlers.iter().map(begin).collect());
    if begun.iter().any(Option::is_none) {
        span.in_scope(|| panicked(namespace));
    }
    let replies: FuturesUnordered<_> = begun.into_iter().flatten().collect();
    let (node, namespace, requester) = (node.clone(), namespace.clone(), requester.clone());
    let work = async move {
        let _place = place;
        respond_once(&node, &namespace, &requester, request_id, replies).await;
    };
    tokio::spawn(work.instrument(span));
}

/// Waits for all handlers, and publishes the first response if the sender wants one.
async fn respond_once<B: Backend>(
    node: &Node<B>,
    namespace: &Namespace,
    requester: &Requester,
    mut wanted: Option<RequestId>,
    mut replies: impl Stream<Item = std::thread::Result<Reply>> + Unpin,
) {
    while let Some(reply) = replies.next().await {
        let Ok(reply) = reply else {
            panicked(namespace);
            continue;
        };
        let packet = match reply {
            Ok(Some(packet)) => packet,
            Ok(None) => continue,
            Err(error @ Error::Encode(_)) => {
                node.not_answered(namespace, requester, error);
                continue;
            }
            Err(error) => {
                let (channel, sender) = (namespace.channel(), requester.sender());
                node.events().rejected(channel, sender, InvalidMessage::InvalidArguments, error);
                continue;
            }
        };
        let Some(request_id) = wanted.take() else { continue };
        let body = Body::ServerSideEmitResponse(ServerSideEmitResponse { request_id, packet });
        if let Err(error) = node.answer(namespace, body, requester).await {
            node.not_answered(namespace, requester, error);
        }
    }
}

fn panicked(namespace: &Namespace) {
    tracing::error!(namespace = namespace.name(), "a handler of an event of another server panicked");
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
