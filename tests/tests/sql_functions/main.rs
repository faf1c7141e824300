//! The functions in PostgreSQL that emit: what they send is what the Rust emitter sends, and what
//! goes wrong is told. That servers hear them is in the conformance suite.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod installing;
mod messages;
mod outbox;
mod page;
mod search_path;

use std::sync::Arc;

use socketio_pg_core::protocol::{Body, Message, Notification, Payload, Value};
use socketio_pg_tests::{database, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::{Options, SqlFunctions, log_schema_sql, outbox_schema_sql, schema_sql};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{AsyncMessage, Client, NoTls, error::SqlState};

/// A database with the functions, and what is notified there.
struct Functions {
    database: Arc<Database>,
    client: Client,
    notified: mpsc::UnboundedReceiver<(String, String)>,
}

impl Functions {
    /// `None` where there is no PostgreSQL to test with.
    async fn install() -> Option<Self> {
        Self::install_with(&Options::default(), &["socket.io#/"]).await
    }

    async fn install_with(options: &Options, channels: &[&str]) -> Option<Self> {
        let database = Arc::new(database()?);
        let client = connect(&database.url()).await;
        client.batch_execute(&schema_sql("socket_io_attachments").unwrap()).await.unwrap();
        client.batch_execute(&log_schema_sql("socket_io_log").unwrap()).await.unwrap();
        client.batch_execute(&outbox_schema_sql("socket_io_outbox").unwrap()).await.unwrap();
        client.batch_execute(&SqlFunctions::new(options).unwrap().install_sql()).await.unwrap();

        let (listener, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        let (notify, notified) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = std::pin::pin!(futures_util::stream::poll_fn(move |cx| connection.poll_message(cx)));
            while let Some(Ok(message)) = futures_util::StreamExt::next(&mut messages).await {
                if let AsyncMessage::Notification(it) = message {
                    let _ = notify.send((it.channel().to_owned(), it.payload().to_owned()));
                }
            }
        });
        for channel in channels {
            let channel = channel.replace('"', "\"\"");
            listener.batch_execute(&format!("LISTEN \"{channel}\"")).await.unwrap();
        }
        // It ends with the database.
        std::mem::forget(listener);
        Some(Self { database, client, notified })
    }

    /// The next message, from its attachment where it is one.
    async fn next(&mut self) -> Message {
        let (_, payload) = timeout(time_limit(), self.notified.recv()).await.expect("something is notified").unwrap();
        match Notification::decode(&payload).unwrap_or_else(|error| panic!("{error}: {payload}")) {
            Notification::Inline(message) => message,
            Notification::Attachment(header) => {
                let statement = "SELECT payload FROM socket_io_attachments WHERE id = $1";
                let row = self.client.query_one(statement, &[&header.attachment_id]).await.unwrap();
                let message = Message::from_msgpack(row.get(0)).unwrap();
                assert_eq!(
                    (&header.uid, header.kind, &header.nsp),
                    (&message.uid, Some(message.body.kind()), &message.nsp)
                );
                message
            }
        }
    }

    /// What is emitted by a statement.
    async fn emitted(&mut self, statement: &str) -> Message {
        self.client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{error:?}: {statement}"));
        self.next().await
    }

    /// The error of a statement, with its hint.
    async fn error(&self, statement: &str) -> (SqlState, String) {
        let error = self.client.batch_execute(statement).await.expect_err(statement);
        let error = error.as_db_error().unwrap();
        (error.code().clone(), format!("{}. {}", error.message(), error.hint().unwrap_or_default()))
    }

    /// Fails if anything was notified until now.
    async fn nothing_was_notified(&mut self) {
        self.client.batch_execute("SELECT pg_notify('socket.io#/', 'mark')").await.unwrap();
        let (_, payload) = timeout(time_limit(), self.notified.recv()).await.unwrap().unwrap();
        assert_eq!(payload, "mark");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The event's name and arguments, with the numbers of JavaScript.
fn event(message: &Message) -> String {
    let data = match &message.body {
        Body::Broadcast(data) => &data.packet.data,
        Body::ServerSideEmit(data) => &data.packet,
        other => panic!("{other:?}"),
    };
    match data {
        Payload::Json(text) => Value::from_json(text.get()).unwrap().to_json(),
        Payload::Value(value) => Value::from_json(&value.to_json()).unwrap().to_json(),
    }
}

fn rooms(message: &Message) -> Vec<&str> {
    let Body::Broadcast(data) = &message.body else { panic!("{message:?}") };
    data.opts.rooms.iter().filter_map(|room| room.as_str()).collect()
}
