//! PostgreSQL alone: the most that any adapter which uses NOTIFY can do.
//!
//! A storm goes out in statements of 64 notifications, each awaited before the next; otherwise one
//! statement is one notification. The payload is the event's JSON text alone; binary follows on a
//! line of its own, in Base64, as a notification is text.

use std::{collections::HashMap, future::poll_fn, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use socketioxide_core::Value;
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use super::{Node, Setup, tally::Tally};
use crate::{
    clock,
    event::{Header, Load},
};

/// The connections of a sender and a listener.
pub(crate) struct Raw {
    client: Client,
    notify: Statement,
    notify_many: Statement,
    channels: Vec<String>,
    /// Held because its session ends with it.
    _listener: Option<Client>,
}

impl Raw {
    pub(crate) async fn connect(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<Self, String> {
        let channels: Vec<_> = (0..tallies.len()).map(|namespace| format!("bench#{namespace}")).collect();
        // Without sockets it need not listen.
        let listener = if setup.sockets > 0 {
            Some(listen(&setup.url, channels.iter().cloned().zip(tallies.iter().cloned()).collect()).await?)
        } else {
            None
        };
        let (client, connection) = tokio_postgres::connect(&setup.url, NoTls).await.map_err(text)?;
        tokio::spawn(connection);
        let notify = client.prepare("SELECT pg_notify($1, $2)").await.map_err(text)?;
        let notify_many =
            "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS t (channel, payload)";
        let notify_many = client.prepare(notify_many).await.map_err(text)?;
        Ok(Self { client, notify, notify_many, channels, _listener: listener })
    }
}

impl Node for Raw {
    async fn emit(&self, namespace: usize, run: u64, sequence: u64, load: Load) -> Result<(), String> {
        let payload = payload(run, sequence, load)?;
        self.client.execute(&self.notify, &[&self.channels[namespace], &payload]).await.map_err(text)?;
        Ok(())
    }

    const BATCH: Option<usize> = Some(64);

    async fn emit_batch(&self, run: u64, events: &[(usize, u64)], load: Load) -> Result<(), String> {
        let channels: Vec<_> = events.iter().map(|(namespace, _)| self.channels[*namespace].as_str()).collect();
        let payloads: Vec<_> =
            events.iter().map(|(_, sequence)| payload(run, *sequence, load)).collect::<Result<_, _>>()?;
        self.client.execute(&self.notify_many, &[&channels, &payloads]).await.map_err(text)?;
        Ok(())
    }

    /// Raw connections do not form a cluster.
    async fn nodes(&self, _namespace: usize) -> Result<usize, String> {
        Ok(usize::MAX)
    }

    async fn fetch_sockets(&self) -> Result<usize, String> {
        Err("notifications have no answers".to_owned())
    }

    async fn broadcast_with_ack(&self) -> Result<usize, String> {
        Err("notifications have no answers".to_owned())
    }
}

async fn listen(url: &str, tallies: HashMap<String, Arc<Tally>>) -> Result<Client, String> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.map_err(text)?;
    let listen: String = tallies.keys().map(|channel| format!("LISTEN \"{channel}\";")).collect();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message
                && let Some(tally) = tallies.get(notification.channel())
            {
                take(tally, notification.payload());
            }
        }
    });
    client.batch_execute(&listen).await.map_err(text)?;
    Ok(client)
}

fn take(tally: &Tally, payload: &str) {
    let (text, binary) = payload.split_once('\n').unwrap_or((payload, ""));
    match STANDARD.decode(binary) {
        Ok(binary) if !binary.is_empty() => tally.take_event(text, &[&Bytes::from(binary)]),
        // What cannot be read has no attachment, which is noticed.
        _ => tally.take_event(text, &[]),
    }
}

fn payload(run: u64, sequence: u64, load: Load) -> Result<String, String> {
    match load.encode(Header { run, sequence, stamp: clock::now() })? {
        Value::Str(text, None) => Ok(text.to_string()),
        Value::Str(text, Some(attachments)) => {
            let binary = attachments.iter().map(|attachment| STANDARD.encode(attachment));
            Ok(std::iter::once(text.to_string()).chain(binary).collect::<Vec<_>>().join("\n"))
        }
        Value::Bytes(_) => Err("a notification is text".to_owned()),
    }
}

fn text(error: tokio_postgres::Error) -> String {
    error.to_string()
}
