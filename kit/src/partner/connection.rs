//! A client's connection to a server: Socket.IO over WebSocket, in one namespace.

use std::{collections::VecDeque, io};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::packet::{Packet, Partial};

/// A connection that has entered a namespace.
pub(super) struct Connection {
    socket: WebSocketStream<TcpStream>,
    partial: Option<Partial>,
    /// The parts of a packet that is being written.
    outgoing: VecDeque<Message>,
    /// The id of its socket.
    pub(super) id: String,
    nsp: String,
}

/// What came from the server.
pub(super) enum Came {
    /// An event, or an acknowledgement.
    Packet(Packet),
    /// The server has taken the client out of the namespace.
    Disconnected,
    /// The connection has ended.
    Closed,
}

impl Connection {
    /// Connects, and enters the namespace.
    pub(super) async fn open(port: u16, nsp: &str, auth: Option<Value>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot connect: {error}");
        let request = format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket");
        let request = request.into_client_request().map_err(|error| failed(&error))?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (socket, _) = opened.map_err(|error| failed(&error))?;
        let nsp = nsp.to_owned();
        let mut connection = Self { socket, partial: None, outgoing: VecDeque::new(), id: String::new(), nsp };
        connection.enter(auth).await?;
        Ok(connection)
    }

    async fn enter(&mut self, auth: Option<Value>) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot connect: {error}");
        let packet = Packet { kind: 0, nsp: self.nsp.clone(), id: None, data: auth.unwrap_or_default() };
        self.send(&packet).await.map_err(failed)?;
        loop {
            match self.next_packet().await.map_err(failed)? {
                Some(Packet { kind: 0, data, .. }) => {
                    data["sid"].as_str().unwrap_or_default().clone_into(&mut self.id);
                    return Ok(());
                }
                Some(Packet { kind: 4, data, .. }) => {
                    return Err(format!("cannot connect: {}", data["message"].as_str().unwrap_or_default()));
                }
                Some(_) => {}
                None => return Err("cannot connect: the connection has ended".to_owned()),
            }
        }
    }

    /// The next thing that matters to the client. Cancel-safe.
    pub(super) async fn next(&mut self) -> Came {
        loop {
            match self.next_packet().await {
                Ok(Some(Packet { kind: 1, .. })) => return Came::Disconnected,
                Ok(Some(packet)) if matches!(packet.kind, 2 | 3) => return Came::Packet(packet),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Came::Closed,
            }
        }
    }

    /// `None` when the connection has ended.
    async fn next_packet(&mut self) -> io::Result<Option<Packet>> {
        loop {
            // A pong that was not sent, because the last call was cancelled.
            self.flush().await?;
            let message = match self.socket.next().await {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(message) => message.map_err(io::Error::other)?,
            };
            let partial = match message {
                Message::Text(text) => match text.as_bytes().first() {
                    Some(b'1') => return Ok(None),
                    Some(b'2') => {
                        self.outgoing.push_back(Message::text("3"));
                        continue;
                    }
                    Some(b'4') => Partial::read(&text[1..]),
                    _ => None,
                },
                Message::Binary(part) => self.partial.take().map(|mut partial| {
                    partial.add(part.to_vec());
                    partial
                }),
                _ => None,
            };
            match partial.map(Partial::complete) {
                Some(Ok(packet)) if packet.nsp == self.nsp => return Ok(Some(packet)),
                Some(Err(partial)) => self.partial = Some(*partial),
                _ => {}
            }
        }
    }

    pub(super) async fn send(&mut self, packet: &Packet) -> io::Result<()> {
        let (text, parts) = packet.written();
        self.outgoing.push_back(Message::text(format!("4{text}")));
        self.outgoing.extend(parts.into_iter().map(Message::binary));
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(message) = self.outgoing.pop_front() {
            self.socket.feed(message).await.map_err(io::Error::other)?;
        }
        self.socket.flush().await.map_err(io::Error::other)
    }
}
