//! PostgreSQL alone: the most that any adapter which uses NOTIFY can do.
//!
//! A storm goes out in statements of 64 notifications, each awaited before the next; otherwise one
//! statement is one notification. The payload is the event's JSON text alone; binary follows on a
//! line of its own, in Base64, as a notification is text.
//!
//! A request is one notification to all nodes, and each of them responds with one notification on the
//! channel of the node that asks.

use std::{collections::HashMap, future::poll_fn, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use socketioxide_core::Value;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use super::{Node, Setup, tally::Tally};
use crate::{
    clock,
    event::{Header, Load},
};

/// Where requests go.
const REQUESTS: &str = "bench?";

/// The connections of a sender and a listener.
pub(crate) struct Raw {
    publisher: Arc<Publisher>,
    notify_many: Statement,
    channels: Vec<String>,
    /// The channel for responses to this node.
    own: String,
    /// How many responses a request has.
    others: usize,
    sockets: usize,
    responses: Mutex<Responses>,
    /// Held because its session ends with it.
    _listener: Option<Client>,
}

/// What comes back: one request at a time waits for it.
struct Responses {
    /// The number of the request, and how many sockets the node has.
    arrived: mpsc::UnboundedReceiver<(u64, usize)>,
    last: u64,
}

/// The connection that publishes.
struct Publisher {
    client: Client,
    notify: Statement,
}

impl Publisher {
    async fn notify(&self, channel: &str, payload: &str) -> Result<(), String> {
        self.client.execute(&self.notify, &[&channel, &payload]).await.map(drop).map_err(text)
    }
}

/// What a listening session does with notifications.
struct Hearing {
    tallies: HashMap<String, Arc<Tally>>,
    own: String,
    sockets: usize,
    publisher: Arc<Publisher>,
    responses: mpsc::UnboundedSender<(u64, usize)>,
}

impl Raw {
    pub(crate) async fn connect(setup: &Setup, tallies: &[Arc<Tally>]) -> Result<Self, String> {
        let channels: Vec<_> = (0..tallies.len()).map(|namespace| format!("bench#{namespace}")).collect();
        let (client, connection) = tokio_postgres::connect(&setup.url, NoTls).await.map_err(text)?;
        tokio::spawn(connection);
        let notify = client.prepare("SELECT pg_notify($1, $2)").await.map_err(text)?;
        let notify_many =
            "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS t (channel, payload)";
        let notify_many = client.prepare(notify_many).await.map_err(text)?;
        let publisher = Arc::new(Publisher { client, notify });
        let own = format!("bench!{}", std::process::id());
        let (responses, arrived) = mpsc::unbounded_channel();
        // Without sockets it need not listen.
        let listener = if setup.sockets > 0 {
            let tallies = channels.iter().cloned().zip(tallies.iter().cloned()).collect();
            let hearing =
                Hearing { tallies, own: own.clone(), sockets: setup.sockets, publisher: publisher.clone(), responses };
            Some(listen(&setup.url, hearing).await?)
        } else {
            None
        };
        Ok(Self {
            publisher,
            notify_many,
            channels,
            own,
            others: setup.nodes - 1,
            sockets: setup.sockets,
            responses: Mutex::new(Responses { arrived, last: 0 }),
            _listener: listener,
        })
    }

    /// Asks all other nodes, and returns how many sockets there are.
    async fn ask(&self, event: &str) -> Result<usize, String> {
        let mut responses = self.responses.lock().await;
        responses.last += 1;
        let number = responses.last;
        self.publisher.notify(REQUESTS, &format!("{} {number} {event}", self.own)).await?;
        let mut sockets = self.sockets;
        for _ in 0..self.others {
            match responses.arrived.recv().await {
                Some((of, count)) if of == number => sockets += count,
                other => return Err(format!("a response to another request: {other:?}")),
            }
        }
        Ok(sockets)
    }
}

impl Node for Raw {
    async fn emit(&self, namespace: usize, run: u64, sequence: u64, load: Load) -> Result<(), String> {
        let payload = payload(run, sequence, load)?;
        self.publisher.notify(&self.channels[namespace], &payload).await
    }

    const BATCH: Option<usize> = Some(64);

    async fn emit_batch(&self, run: u64, events: &[(usize, u64)], load: Load) -> Result<(), String> {
        let channels: Vec<_> = events.iter().map(|(namespace, _)| self.channels[*namespace].as_str()).collect();
        let payloads: Vec<_> =
            events.iter().map(|(_, sequence)| payload(run, *sequence, load)).collect::<Result<_, _>>()?;
        self.publisher.client.execute(&self.notify_many, &[&channels, &payloads]).await.map_err(text)?;
        Ok(())
    }

    /// Raw connections do not form a cluster.
    async fn nodes(&self, _namespace: usize) -> Result<usize, String> {
        Ok(usize::MAX)
    }

    async fn fetch_sockets(&self) -> Result<usize, String> {
        self.ask("").await
    }

    async fn broadcast_with_ack(&self) -> Result<usize, String> {
        self.ask(&payload(0, 0, Load::Small)?).await
    }
}

async fn listen(url: &str, hearing: Hearing) -> Result<Client, String> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.map_err(text)?;
    let channels = hearing.tallies.keys().map(String::as_str).chain([REQUESTS, &hearing.own]);
    let listen: String = channels.map(|channel| format!("LISTEN \"{channel}\";")).collect();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                hearing.hear(notification.channel(), notification.payload());
            }
        }
    });
    client.batch_execute(&listen).await.map_err(text)?;
    Ok(client)
}

impl Hearing {
    fn hear(&self, channel: &str, payload: &str) {
        let mut words = payload.splitn(3, ' ');
        if let Some(tally) = self.tallies.get(channel) {
            take(tally, payload);
        } else if channel == REQUESTS {
            if let (Some(asker), Some(number)) = (words.next(), words.next())
                && asker != self.own
            {
                let (publisher, asker) = (self.publisher.clone(), asker.to_owned());
                let response = format!("{number} {}", self.sockets);
                tokio::spawn(async move {
                    if let Err(error) = publisher.notify(&asker, &response).await {
                        eprintln!("a response was not sent: {error}");
                    }
                });
            }
        } else if let [Some(Ok(number)), Some(Ok(sockets))] =
            [words.next(), words.next()].map(|word| word.map(str::parse::<u64>))
        {
            let _ = self.responses.send((number, usize::try_from(sockets).unwrap_or(usize::MAX)));
        }
    }
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
