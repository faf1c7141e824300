//! The role `clients`: any number of Socket.IO clients, driven by JSON lines.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    commands::{self, Answer, Command, Fields, say},
    connection::{Came, Connection},
    packet::Packet,
};

#[derive(Default)]
struct Host {
    clients: Mutex<Vec<Arc<Client>>>,
}

struct Client {
    nsp: String,
    state: Mutex<State>,
    outgoing: mpsc::UnboundedSender<Packet>,
}

#[derive(Default)]
struct State {
    received: Vec<Value>,
    replies: HashMap<String, Reply>,
    ended: Option<String>,
}

/// How a client acknowledges an event: by default at once, without arguments.
#[derive(Clone, Default)]
struct Reply {
    with: Vec<Value>,
    never: bool,
    after: Option<Duration>,
}

pub(super) async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let host = Arc::new(Host::default());
    say(&json!({ "ready": true }));
    commands::serve(|command| carry_out(host.clone(), command)).await?;
    Ok(())
}

async fn carry_out(host: Arc<Host>, Command { op, fields, .. }: Command) -> Answer {
    if op == "connect" {
        return host.connect(&fields).await;
    }
    let client = || {
        let index = fields.get("client").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| host.clients.lock().get(index).cloned()).ok_or("there is no such client")
    };
    match op.as_str() {
        "reply" => {
            let with = fields.get("with").and_then(Value::as_array).cloned().unwrap_or_default();
            let after = fields.get("afterMs").and_then(Value::as_u64).map(Duration::from_millis);
            let reply = Reply { with, never: fields.flag("never"), after };
            client()?.state.lock().replies.insert(fields.required("event")?.to_owned(), reply);
        }
        "received" => return Ok(client()?.state.lock().received.clone().into()),
        "ended" => return Ok(json!(client()?.state.lock().ended)),
        "disconnect" => {
            let client = client()?;
            let packet = Packet { kind: 1, nsp: client.nsp.clone(), id: None, data: Value::Null };
            client.outgoing.send(packet).map_err(|_| "it is not connected")?;
        }
        "close" => {}
        unknown => return Err(format!("unknown op: {unknown}")),
    }
    Ok(Value::Null)
}

impl Host {
    async fn connect(&self, fields: &Fields) -> Answer {
        let port = fields.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or("`port` is missing")?;
        let connection = Connection::open(port, fields.nsp(), fields.get("auth").cloned()).await?;
        let (outgoing, packets) = mpsc::unbounded_channel();
        let client = Arc::new(Client { nsp: fields.nsp().to_owned(), state: Mutex::default(), outgoing });
        let index = {
            let mut clients = self.clients.lock();
            clients.push(client.clone());
            clients.len() - 1
        };
        let answer = json!({ "client": index, "socket": connection.id });
        tokio::spawn(client.run(index, connection, packets));
        Ok(answer)
    }
}

impl Client {
    async fn run(
        self: Arc<Self>,
        index: usize,
        mut connection: Connection,
        mut packets: mpsc::UnboundedReceiver<Packet>,
    ) {
        let reason = loop {
            let packet = tokio::select! {
                came = connection.next() => match came {
                    Came::Packet(packet) if packet.kind == 2 => {
                        self.receive(index, packet);
                        continue;
                    }
                    Came::Packet(_) => continue,
                    Came::Disconnected => break "io server disconnect",
                    Came::Closed => break "transport close",
                },
                packet = packets.recv() => match packet {
                    Some(packet) => packet,
                    None => break "io client disconnect",
                },
            };
            let sent = connection.send(&packet).await;
            if packet.kind == 1 {
                break "io client disconnect";
            }
            if sent.is_err() {
                break "transport error";
            }
        };
        self.state.lock().ended = Some(reason.to_owned());
        say(&json!({ "event": "disconnect", "client": index, "reason": reason }));
    }

    fn receive(&self, index: usize, packet: Packet) {
        let Value::Array(mut args) = packet.data else { return };
        if args.is_empty() {
            return;
        }
        let name = args.remove(0);
        let reply = {
            let mut state = self.state.lock();
            state.received.push(json!({ "event": name, "args": args }));
            // Within the lock, so that lines are in the order of the events.
            say(&json!({ "event": "packet", "client": index, "name": name, "args": args }));
            name.as_str().and_then(|name| state.replies.get(name).cloned()).unwrap_or_default()
        };
        if packet.id.is_none() || reply.never {
            return;
        }
        let answer = Packet { kind: 3, nsp: self.nsp.clone(), id: packet.id, data: reply.with.into() };
        match reply.after {
            // The client may have left.
            None => drop(self.outgoing.send(answer)),
            Some(after) => {
                let outgoing = self.outgoing.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = outgoing.send(answer);
                });
            }
        }
    }
}
