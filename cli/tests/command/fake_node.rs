//! A node that tells about itself whatever a test wants.

use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{AsyncMessage, NoTls};

/// Its uid.
pub(crate) const UID: &str = "00000000000000ff";

/// Answers each question about itself in these namespaces with what `info` returns. Abort the task to
/// end it.
pub(crate) async fn fake_node(
    url: &str,
    namespaces: &[&str],
    mut info: impl FnMut() -> Value + Send + 'static,
) -> JoinHandle<()> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let (sender, mut questions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(serde_json::from_str::<Value>(notification.payload()).unwrap_or_default());
            }
        }
    });
    for namespace in namespaces {
        client.batch_execute(&format!("LISTEN \"socket.io#{namespace}\"")).await.unwrap();
    }
    tokio::spawn(async move {
        while let Some(message) = questions.recv().await {
            if message["data"]["packet"][0] == "socketio-pg:node" {
                let data = json!({ "requestId": message["data"]["requestId"], "packet": info() });
                let answer = json!({ "type": 10, "uid": UID, "nsp": message["nsp"], "data": data }).to_string();
                let channel = format!("socket.io#{}", message["nsp"].as_str().unwrap());
                client.execute("SELECT pg_notify($1, $2)", &[&channel, &answer]).await.unwrap();
            }
        }
    })
}
