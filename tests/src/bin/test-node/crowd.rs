//! The requests that clients of the churn suite send to their server; `host.mjs` does the same.

use std::{future::Future, time::Duration};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use socketio_pg_core::protocol::value::Arguments;
use socketio_pg_kit::partner::arguments::{self, arguments_from_json};
use socketioxide::{
    adapter::Adapter,
    extract::{AckSender, Data, SocketRef},
};

/// An event that a client asks its server to emit.
#[derive(Deserialize)]
struct Saying {
    rooms: Vec<String>,
    event: String,
    args: Json,
    /// When the server drops the future: 0 polls it once.
    #[serde(rename = "giveUpMs")]
    give_up_ms: Option<u64>,
    timeout: Option<u64>,
}

/// A middleware: a client that has been accepted may send at once, perhaps before the connect
/// handler runs.
pub(crate) fn serve<A: Adapter>(socket: &SocketRef<A>) {
    socket.on("test:join", async |socket: SocketRef<A>, Data(rooms): Data<Vec<String>>, done: AckSender<A>| {
        socket.join(rooms);
        acknowledge(done, &Json::Null);
    });
    socket.on("test:leave", async |socket: SocketRef<A>, Data(rooms): Data<Vec<String>>, done: AckSender<A>| {
        socket.leave(rooms);
        acknowledge(done, &Json::Null);
    });
    socket.on("test:say", async |socket: SocketRef<A>, Data(saying): Data<Saying>, done: AckSender<A>| {
        let arguments = arguments_from_json(Some(&saying.args));
        let sent = socket.broadcast().to(saying.rooms).emit(&saying.event, &arguments);
        let outcome = match unless_given_up(sent, saying.give_up_ms).await {
            Some(Ok(())) => "sent".to_owned(),
            Some(Err(error)) => format!("refused: {error}"),
            None => "given up".to_owned(),
        };
        acknowledge(done, &json!(outcome));
    });
    socket.on("test:ask", async |socket: SocketRef<A>, Data(saying): Data<Saying>, done: AckSender<A>| {
        let arguments = arguments_from_json(Some(&saying.args));
        let timeout = Duration::from_millis(saying.timeout.unwrap_or(5_000));
        let operators = socket.broadcast().to(saying.rooms).timeout(timeout);
        let asking = async {
            let mut acks = match operators.emit_with_ack::<_, Arguments>(&saying.event, &arguments).await {
                Ok(acks) => Box::pin(acks),
                Err(error) => return json!({ "refused": error.to_string() }),
            };
            let (mut responses, mut error) = (Vec::new(), Json::Null);
            while let Some((_, ack)) = acks.next().await {
                match ack {
                    Ok(Arguments(values)) => responses.push(values.first().map_or(Json::Null, arguments::to_json)),
                    Err(other) => error = json!(other.to_string()),
                }
            }
            json!({ "responses": responses, "error": error })
        };
        let outcome = unless_given_up(asking, saying.give_up_ms).await;
        acknowledge(done, &outcome.unwrap_or_else(|| json!({ "isGivenUp": true })));
    });
}

/// The result of a future, unless it is dropped before.
async fn unless_given_up<F: Future>(future: F, after_ms: Option<u64>) -> Option<F::Output> {
    match after_ms {
        Some(ms) => tokio::time::timeout(Duration::from_millis(ms), future).await.ok(),
        None => Some(future.await),
    }
}

fn acknowledge<A: Adapter>(done: AckSender<A>, answer: &Json) {
    // The client may have left.
    let _ = done.send(answer);
}
