//! Direct access to the database: notifications and rows as no adapter would write them.

use serde_json::Value;
use socketio_pg_tests::time_limit;
use socketio_pg_throwaway::Database;
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{AsyncMessage, Client, NoTls, types::Type};

/// The channel of the main namespace.
pub(crate) const CHANNEL: &str = "socket.io#/";

/// One connection to the database of a test. Its messages arrive in the order of sending.
pub(crate) struct Wire {
    client: Client,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Wire {
    pub(crate) async fn connect(database: &Database) -> Self {
        let (client, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    // A test that does not listen does not read notifications.
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        Self { client, heard }
    }

    /// Sends a payload on the channel of the main namespace.
    pub(crate) async fn notify(&self, payload: &str) {
        self.notify_on(CHANNEL, payload).await;
    }

    pub(crate) async fn notify_on(&self, channel: &str, payload: &str) {
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&channel, Type::TEXT), (&payload, Type::TEXT)];
        self.client.query_typed("SELECT pg_notify($1, $2)", &parameters).await.unwrap();
    }

    /// Runs statements, such as one that sends thousands.
    pub(crate) async fn execute(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// Inserts an attachment; returns its id.
    pub(crate) async fn insert(&self, payload: Option<&[u8]>) -> i64 {
        let statement = "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id";
        self.client.query_typed(statement, &[(&payload, Type::BYTEA)]).await.unwrap()[0].get(0)
    }

    /// From now on records what the nodes send, and what this connection sends.
    pub(crate) async fn listen(&self) {
        self.client.batch_execute(&format!(r#"LISTEN "{CHANNEL}""#)).await.unwrap();
    }

    /// The next notification that is a message of this type.
    pub(crate) async fn hear(&mut self, kind: u64) -> Value {
        let next = async {
            loop {
                let payload = self.heard.recv().await.unwrap();
                match serde_json::from_str::<Value>(&payload) {
                    Ok(message) if message["type"] == kind => return message,
                    _ => {}
                }
            }
        };
        timeout(time_limit(), next).await.unwrap_or_else(|_| panic!("no message of type {kind}"))
    }
}
