//! A server with a client, and the outcome of each input.

use std::path::PathBuf;

use socketio_pg_core::InvalidMessage;
use socketio_pg_tests::{
    Client, ClientHost, Connect, Error, Kind, NODE, Node, NodeOptions, Packet, database, require, time_limit,
};
use socketio_pg_throwaway::Database;
use tokio::time::Instant;

use crate::{
    Result,
    case::{Case, DATA, Sent, message, packed},
    wire::Wire,
};

/// The event of the valid message that follows each bad one.
const NEXT: &str = "next";

pub(crate) fn rust_server() -> Kind {
    Kind::RustServer { program: PathBuf::from(env!("CARGO_BIN_EXE_test-node")), backend: "tokio-postgres".to_owned() }
}

/// A server and a client of it, with a database of their own.
pub(crate) struct Fixture {
    pub(crate) server: Node,
    pub(crate) client: Client,
    pub(crate) wire: Wire,
    /// How many valid messages were sent, and how many packets the client has reported.
    good: usize,
    seen: usize,
    pub(crate) database: Database,
}

impl Fixture {
    /// `None` when a tool is missing on the machine, which is then reported.
    pub(crate) async fn start(kind: &Kind, clients: &ClientHost) -> Result<Option<Self>> {
        let Some(database) = require(&NODE).then(database).flatten() else { return Ok(None) };
        let server = Node::start(kind, &NodeOptions::new(database.url())).await?;
        let client = clients.connect(server.port(), &Connect::default()).await?;
        let wire = Wire::connect(&database).await;
        Ok(Some(Self { server, client, wire, good: 0, seen: 0, database }))
    }

    /// Goes on with another client.
    pub(crate) async fn reconnect(&mut self, clients: &ClientHost) -> Result {
        self.client = clients.connect(self.server.port(), &Connect::default()).await?;
        self.seen = 0;
        Ok(())
    }

    pub(crate) async fn send(&self, case: &Case) {
        for sent in &case.sent {
            let payload = match sent {
                Sent::Payload(payload) => self.filled_in(case, payload).await,
                Sent::Attachment(bytes) => {
                    let id = self.wire.insert(bytes.as_deref()).await;
                    format!(r#"{{"uid":{:?},"type":3,"attachmentId":"{id}"}}"#, case.uid())
                }
            };
            self.wire.notify(&payload).await;
        }
    }

    async fn filled_in(&self, case: &Case, payload: &str) -> String {
        let mut payload = payload.to_owned();
        if payload.contains("$id") {
            let good = message(3, DATA).replace("$uid", &format!("{:?}", case.uid()));
            let id = self.wire.insert(Some(&packed(&good))).await;
            payload = payload.replace("$id", &id.to_string());
        }
        payload
            .replace("$own", &format!("{:?}", self.server.uid()))
            .replace("$client", &format!("{:?}", self.client.id()))
    }

    /// Sends a valid message as an attachment, which a server handles only after earlier messages.
    pub(crate) async fn send_good(&mut self) {
        self.good += 1;
        let good = message(3, &DATA.replace(r#""case""#, &format!(r#""{NEXT}",{}"#, self.good)));
        let id = self.wire.insert(Some(&packed(&good.replace("$uid", r#""good""#)))).await;
        self.wire.notify(&format!(r#"{{"uid":"good","type":3,"attachmentId":"{id}"}}"#)).await;
    }

    /// Sends a valid message, waits until the client has it, and returns what the client got before
    /// it.
    pub(crate) async fn until_good(&mut self) -> Result<Vec<Packet>> {
        self.send_good().await;
        self.client.wait_for_packet_with(NEXT, |args| args.first() == Some(&self.good.into())).await?;
        let mut got = self.client.received().await?.split_off(self.seen);
        self.seen += got.len();
        got.retain(|packet| packet.event != NEXT);
        Ok(got)
    }

    /// The adapter's counts of unusable and of dropped messages.
    pub(crate) async fn counts(&self) -> Result<(u64, u64)> {
        let counts = self.server.call("counts", serde_json::Value::Null).await?;
        Ok((counts["rejected"].as_u64().unwrap(), counts["dropped"].as_u64().unwrap()))
    }

    /// Returns the count of unusable messages once it has this value, or its last value before the
    /// deadline.
    pub(crate) async fn rejected(&self, at_least: u64) -> Result<u64> {
        let deadline = Instant::now() + time_limit();
        loop {
            let (rejected, _) = self.counts().await?;
            if rejected >= at_least || Instant::now() > deadline {
                return Ok(rejected);
            }
            pause().await;
        }
    }

    /// Returns the reports of unusable messages once there are this many, or those there are at the
    /// deadline.
    pub(crate) async fn reports(&self, at_least: usize) -> Result<Vec<String>> {
        let deadline = Instant::now() + time_limit();
        loop {
            let events = self.server.call("events", serde_json::Value::Null).await?;
            let events = events.as_array().unwrap().iter().filter_map(|event| event.as_str());
            let reports: Vec<_> = events.filter(|event| event.starts_with("Rejected")).map(str::to_owned).collect();
            if reports.len() >= at_least || Instant::now() > deadline {
                return Ok(reports);
            }
            pause().await;
        }
    }

    /// How many events the test node's reader of events missed, because it was too slow.
    pub(crate) async fn missed(&self) -> Result<usize> {
        let events = self.server.call("events", serde_json::Value::Null).await?;
        let events = events.as_array().unwrap().iter().filter_map(|event| event.as_str());
        let missed = events.filter_map(|event| event.strip_prefix("Missed { events: ")?.strip_suffix(" }"));
        Ok(missed.map(|events| events.parse::<usize>().unwrap()).sum())
    }

    /// Makes the server leave, and checks that it was healthy all the time.
    pub(crate) async fn end(self) -> Result {
        self.server.close().await?;
        let stderr = self.server.wait_for_crash().await?;
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ok(())
    }
}

/// The node does not report counts by itself, so it is asked again and again. The pause only saves
/// processor time.
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
}

/// Whether a report is of this kind and sender.
pub(crate) fn is_report(report: &str, kind: InvalidMessage, sender: Option<&str>) -> bool {
    report.contains(&format!("kind: {kind:?},")) && report.contains(&format!("sender: {sender:?},"))
}

/// How a client was lost.
pub(crate) enum Loss {
    /// It took a packet for invalid, or the server disconnected it.
    Disconnected,
    /// Its process, with all clients in it, has ended.
    Crashed,
}

/// Waits until the client is lost.
pub(crate) async fn loss(client: &Client) -> Result<Loss> {
    match client.wait_for_disconnect().await {
        Ok(_) => Ok(Loss::Disconnected),
        Err(Error::Ended { .. }) => Ok(Loss::Crashed),
        Err(error) => Err(error),
    }
}
