//! Real Socket.IO clients, all of them in one process.

use std::{process::Command, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Error, Parser, barrier, process::Process};

/// A process that hosts any number of clients. It ends when the last of them and this handle are
/// dropped.
pub struct ClientHost {
    process: Arc<Process>,
}

/// One connection to one namespace.
pub struct Client {
    process: Arc<Process>,
    index: u64,
    id: String,
}

/// How a client connects. By default: to the namespace `/`, by WebSocket, with the common parser.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    fields: serde_json::Map<String, Value>,
}

/// An event that a client got, acknowledgement callbacks left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The event's name.
    pub event: String,
    /// The event's arguments.
    pub args: Vec<Value>,
}

impl ClientHost {
    /// Starts the process. `patience` is the time limit of each wait for its clients.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_command(command: &mut Command, patience: Duration) -> Result<Self, Error> {
        Ok(Self { process: Arc::new(Process::start("client host", command, patience, None).await?) })
    }

    /// Connects a new client to the server on that port, over a connection of its own.
    ///
    /// # Errors
    /// [`Error::Refused`] with the client's text when it cannot connect.
    pub async fn connect(&self, port: u16, how: &Connect) -> Result<Client, Error> {
        let mut fields = how.fields.clone();
        fields.insert("port".to_owned(), port.into());
        self.connect_with(fields).await
    }

    /// Connects a new client over the connection of another, as a browser does for a second
    /// namespace.
    ///
    /// # Errors
    /// [`Error::Refused`] with the client's text when it cannot connect.
    pub async fn connect_over(&self, other: &Client, how: &Connect) -> Result<Client, Error> {
        let mut fields = how.fields.clone();
        fields.insert("over".to_owned(), other.index.into());
        self.connect_with(fields).await
    }

    async fn connect_with(&self, fields: serde_json::Map<String, Value>) -> Result<Client, Error> {
        let answer = self.process.call("connect", fields.into()).await?;
        Ok(Client::of(self.process.clone(), &answer))
    }

    /// Makes the process carry out an op, and returns its answer: for ops that [`Client`] does not
    /// offer.
    ///
    /// # Errors
    /// [`Error::Refused`] with the host's own text; another error when there is no answer.
    pub async fn call(&self, op: &str, fields: Value) -> Result<Value, Error> {
        self.process.call(op, fields).await
    }
}

impl Connect {
    /// To a namespace.
    pub fn to(nsp: &str) -> Self {
        Self::default().with("nsp", json!(nsp))
    }

    /// With an `auth` object, which may contain binary.
    pub fn auth(self, auth: Value) -> Self {
        self.with("auth", auth)
    }

    /// With query parameters: an object of strings.
    pub fn query(self, query: Value) -> Self {
        self.with("query", query)
    }

    /// With additional HTTP headers: an object of strings.
    pub fn headers(self, headers: Value) -> Self {
        self.with("headers", headers)
    }

    /// By these transports, in this order: `websocket`, `polling`.
    pub fn transports(self, transports: &[&str]) -> Self {
        self.with("transports", json!(transports))
    }

    /// With this parser, which must be the server's.
    pub fn parser(self, parser: Parser) -> Self {
        self.with("parser", json!(parser.name()))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

impl From<&Connect> for Value {
    fn from(how: &Connect) -> Self {
        how.fields.clone().into()
    }
}

impl Client {
    /// The answer of a process to `connect`, or to `addSocket`.
    pub(crate) fn of(process: Arc<Process>, answer: &Value) -> Self {
        Self {
            process,
            index: answer["client"].as_u64().unwrap_or_default(),
            id: answer["socket"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The id of its socket on the server.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Emits an event to the server. `args` is an array.
    ///
    /// # Errors
    /// When the client is not connected.
    pub async fn emit(&self, event: &str, args: Value) -> Result<(), Error> {
        self.call("emit", json!({ "event": event, "args": args })).await.map(drop)
    }

    /// Emits an event to the server and waits for its acknowledgement. `Err` has the reason when
    /// none will come, because the connection has ended or the server does not answer. `args` is an
    /// array.
    ///
    /// # Errors
    /// When the client is not connected.
    pub async fn ask(&self, event: &str, args: Value) -> Result<Result<Vec<Value>, String>, Error> {
        let answer = self.call("ask", json!({ "event": event, "args": args })).await?;
        let answer = answer.as_array().cloned().unwrap_or_default();
        Ok(match answer.first().and_then(|first| first["$lost"].as_str()) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(answer),
        })
    }

    /// From now on, acknowledges that event with these arguments (an array). By default, a client
    /// acknowledges without arguments.
    ///
    /// # Errors
    /// When the process has ended.
    pub async fn reply(&self, event: &str, with: Value) -> Result<(), Error> {
        self.call("reply", json!({ "event": event, "with": with })).await.map(drop)
    }

    /// As [`reply`](Self::reply), but only after a while.
    ///
    /// # Errors
    /// When the process has ended.
    pub async fn reply_after(&self, event: &str, with: Value, after: Duration) -> Result<(), Error> {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.call("reply", json!({ "event": event, "with": with, "afterMs": after })).await.map(drop)
    }

    /// Never acknowledges that event from now on.
    ///
    /// # Errors
    /// When the process has ended.
    pub async fn never_reply(&self, event: &str) -> Result<(), Error> {
        self.call("reply", json!({ "event": event, "never": true })).await.map(drop)
    }

    /// Everything that the client has got so far, in order, [`barrier`](super::barrier())'s markers
    /// left out.
    ///
    /// # Errors
    /// When the process has ended.
    pub async fn received(&self) -> Result<Vec<Packet>, Error> {
        let received = self.call("received", json!({})).await?;
        let packets = received.as_array().into_iter().flatten().map(|packet| Packet {
            event: packet["event"].as_str().map_or_else(|| packet["event"].to_string(), str::to_owned),
            args: packet["args"].as_array().cloned().unwrap_or_default(),
        });
        Ok(packets.filter(|packet| packet.event != barrier::MARKER).collect())
    }

    /// Waits for an event, which may have come already, and returns its arguments. Each event is
    /// returned by one wait only, so two waits need two events.
    ///
    /// # Errors
    /// When it does not come in time; the text lists what came instead.
    pub async fn wait_for_packet(&self, event: &str) -> Result<Vec<Value>, Error> {
        self.wait_for_packet_with(event, |_| true).await
    }

    /// As [`wait_for_packet`](Self::wait_for_packet), for an event whose arguments match.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn wait_for_packet_with(
        &self,
        event: &str,
        mut matches: impl FnMut(&[Value]) -> bool,
    ) -> Result<Vec<Value>, Error> {
        let is_it = |line: &Value| {
            line["event"] == "packet"
                && line["name"] == event
                && matches(line["args"].as_array().map_or(&[], Vec::as_slice))
        };
        let marker = if event == barrier::MARKER { ", the kit's marker: binary, so in an attachment," } else { "" };
        let mut line = self.wait_for_event(&format!("packet {event:?}{marker}"), is_it).await?;
        Ok(line["args"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Waits until the client is disconnected and returns the client's reason, e.g.
    /// `io server disconnect`.
    ///
    /// When it stays connected until the deadline.
    /// When it is not in time.
    pub async fn wait_for_disconnect(&self) -> Result<String, Error> {
        let line = self.wait_for_event("disconnection", |line| line["event"] == "disconnect").await?;
        Ok(line["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Why the client is disconnected, in its own words; `None` while it is connected.
    ///
    /// # Errors
    /// When the process has ended.
    pub async fn ended(&self) -> Result<Option<String>, Error> {
        Ok(self.call("ended", json!({})).await?.as_str().map(str::to_owned))
    }

    /// Disconnects from the namespace.
    ///
    /// # Errors
    /// When the client is not connected.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.call("disconnect", json!({})).await.map(drop)
    }

    async fn wait_for_event(&self, awaited: &str, matches: impl FnMut(&Value) -> bool) -> Result<Value, Error> {
        let awaited = format!("{awaited} for client {} ({})", self.index, self.id);
        self.process.wait_for_event(&awaited, Some(self.index), matches).await
    }

    async fn call(&self, op: &str, mut fields: Value) -> Result<Value, Error> {
        fields["client"] = self.index.into();
        self.process.call(op, fields).await
    }
}
