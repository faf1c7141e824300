//! What an application expects of any adapter of socketioxide, with socketioxide's own operators:
//! three servers, real clients, both backends, both parsers. This project's adapters must do what
//! socketioxide's adapters for other brokers do.
//!
//! Every socket is in `red` and `green`, and in a room with the name of its id, as in applications
//! that come from Node.js.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use socketio_pg_core::{Cluster, ConnectError, Options, PostgresAdapter, backend::Backend};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{Client, ClientHost, Connect, NODE, Parser, database, require, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{
    ParserConfig, SocketIo,
    adapter::Emitter,
    extract::SocketRef,
    socket::{RemoteSocket, Sid},
};

type Adapter<B> = PostgresAdapter<Emitter, B>;
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How many clients each server has.
const CLIENTS: usize = 2;

struct Server<B: Backend> {
    io: SocketIo<Adapter<B>>,
    cluster: Cluster<B>,
    port: u16,
}

impl<B: Backend> Server<B> {
    async fn start(url: String, parser: Parser) -> Result<Self>
    where
        String: TryInto<B>,
        <String as TryInto<B>>::Error: Into<ConnectError>,
    {
        let cluster = Cluster::<B>::connect(url, Options::default()).await?;
        let builder = SocketIo::builder();
        let builder = match parser {
            Parser::Common => builder.with_parser(ParserConfig::common()),
            Parser::MsgPack => builder.with_parser(ParserConfig::msgpack()),
        };
        let (layer, io) = builder.with_adapter::<Adapter<B>>(cluster.clone()).build_layer();
        cluster.attach(&io);
        let on_connect = async |socket: SocketRef<Adapter<B>>| {
            socket.join(["red", "green"]);
            socket.join(socket.id);
            // Reports that it is in its rooms.
            let _ = socket.emit("ready", &());
        };
        io.ns("/", on_connect).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
        Ok(Self { io, cluster, port })
    }

    /// The rooms of all sockets.
    async fn rooms(&self) -> Result<Vec<String>> {
        Ok(sorted(self.io.rooms().await?))
    }

    /// One socket, on any server.
    async fn remote(&self, client: &Client) -> Result<RemoteSocket<Adapter<B>>> {
        let sid: Sid = client.id().parse()?;
        let mut found = self.io.to(sid).fetch_sockets().await?;
        assert_eq!(found.len(), 1, "{sid} is one socket");
        Ok(found.remove(0))
    }
}

struct ThreeServers<B: Backend> {
    servers: Vec<Server<B>>,
    clients: Vec<Client>,
    // Dropped last: the servers are connected to it.
    _database: Database,
}

impl<B: Backend> ThreeServers<B> {
    /// `None` when a tool is missing on the machine, which is then reported.
    async fn start(parser: Parser) -> Result<Option<Self>>
    where
        String: TryInto<B>,
        <String as TryInto<B>>::Error: Into<ConnectError>,
    {
        if !require(&NODE) {
            return Ok(None);
        }
        let Some(database) = database() else { return Ok(None) };
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            servers.push(Server::<B>::start(database.url().to_string(), parser).await?);
        }
        let known = async {
            while servers.iter().any(|server| server.cluster.of("/").server_count() < 3) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(time_limit(), known).await?;
        let host = ClientHost::shared().await?;
        for server in servers.iter().flat_map(|server| [server; CLIENTS]) {
            let client = host.connect(server.port, &Connect::default().parser(parser)).await?;
            client.wait_for_packet("ready").await?;
            client.reply("ask", json!([format!("answer of {}", client.id())])).await?;
            clients.push(client);
        }
        Ok(Some(Self { servers, clients, _database: database }))
    }

    fn ids(&self) -> Vec<String> {
        sorted(self.clients.iter().map(Client::id))
    }

    /// Every client gets the event, and gets it once.
    async fn every_client_gets(&self, event: &str, text: &str) -> Result {
        for client in &self.clients {
            assert_eq!(client.wait_for_packet(event).await?, [json!(text)], "{event}");
        }
        Ok(())
    }

    async fn all(self) -> Result {
        self.events_reach_every_client().await?;
        self.acknowledgements_come_from_every_client().await?;
        self.every_socket_is_found().await?;
        self.rooms_are_those_that_sockets_joined().await?;
        self.sockets_join_and_leave_wherever_they_are().await?;
        self.one_socket_is_reached_from_everywhere().await?;
        self.one_socket_joins_and_leaves_wherever_it_is().await?;
        self.one_socket_is_disconnected_wherever_it_is().await?;
        self.all_are_disconnected_at_once().await
    }

    async fn events_reach_every_client(&self) -> Result {
        for (number, server) in self.servers.iter().enumerate() {
            let text = format!("from {number}");
            server.io.emit("news", &text).await?;
            self.every_client_gets("news", &text).await?;
            server.io.volatile().emit("fleeting news", &text).await?;
            self.every_client_gets("fleeting news", &text).await?;
        }
        for client in &self.clients {
            let packets = client.received().await?;
            assert_eq!(packets.iter().filter(|packet| packet.event.contains("news")).count(), 2 * self.servers.len());
        }
        Ok(())
    }

    async fn acknowledgements_come_from_every_client(&self) -> Result {
        let expected = sorted(self.ids().iter().map(|id| format!("answer of {id}")));
        for server in &self.servers {
            let answers = server.io.emit_with_ack::<_, String>("ask", "?").await?;
            let answers: Vec<_> = answers.map(|(_, answer)| answer.unwrap()).collect().await;
            assert_eq!(sorted(answers), expected);
        }
        Ok(())
    }

    async fn every_socket_is_found(&self) -> Result {
        for server in &self.servers {
            let found = server.io.fetch_sockets().await?;
            assert!(found.iter().all(|socket| &*socket.data().ns == "/"));
            assert_eq!(sorted(found.iter().map(|socket| socket.data().id)), self.ids());
        }
        Ok(())
    }

    async fn rooms_are_those_that_sockets_joined(&self) -> Result {
        let expected = sorted(self.ids().into_iter().chain(["red", "green"].map(str::to_owned)));
        for server in &self.servers {
            assert_eq!(server.rooms().await?, expected);
            for client in &self.clients {
                let rooms = server.remote(client).await?.rooms().await?;
                assert_eq!(sorted(rooms), sorted(["red", "green", client.id()]));
            }
        }
        Ok(())
    }

    async fn sockets_join_and_leave_wherever_they_are(&self) -> Result {
        let before = self.servers[0].rooms().await?;
        for server in &self.servers {
            server.io.to("red").join("blue").await?;
            assert_eq!(server.rooms().await?, sorted(before.iter().map(String::as_str).chain(["blue"])));
            server.io.to("blue").emit("to blue", "text").await?;
            self.every_client_gets("to blue", "text").await?;
            server.io.clone().leave("blue").await?;
            assert_eq!(server.rooms().await?, before);
        }
        Ok(())
    }

    async fn one_socket_is_reached_from_everywhere(&self) -> Result {
        for server in &self.servers {
            for client in &self.clients {
                let remote = server.remote(client).await?;
                remote.emit("for you", client.id()).await?;
                assert_eq!(client.wait_for_packet("for you").await?, [json!(client.id())]);
                let answer: String = remote.emit_with_ack("ask", "you").await?.await?;
                assert_eq!(answer, format!("answer of {}", client.id()));
            }
        }
        for client in &self.clients {
            let packets = client.received().await?;
            assert_eq!(packets.iter().filter(|packet| packet.event == "for you").count(), self.servers.len());
        }
        Ok(())
    }

    async fn one_socket_joins_and_leaves_wherever_it_is(&self) -> Result {
        for (number, server) in self.servers.iter().enumerate() {
            for client in &self.clients {
                let remote = server.remote(client).await?;
                let room = format!("room {number}");
                remote.join(room.clone()).await?;
                assert_eq!(sorted(remote.rooms().await?), sorted(["red", "green", client.id(), &room]));
                let members = server.io.to(room.clone()).fetch_sockets().await?;
                assert_eq!(sorted(members.iter().map(|socket| socket.data().id)), [client.id()]);
                remote.leave(room.clone()).await?;
                remote.leave("green").await?;
                assert_eq!(sorted(remote.rooms().await?), sorted(["red", client.id()]));
                remote.join("green").await?;
                for other in &self.servers {
                    let kept = other.io.local().to(room.clone()).rooms().await?;
                    assert!(kept.is_empty(), "only the server of a socket has it in its rooms: {kept:?}");
                }
            }
        }
        Ok(())
    }

    async fn one_socket_is_disconnected_wherever_it_is(&self) -> Result {
        // The last client of each server, by another server.
        for (number, server) in self.servers.iter().enumerate() {
            let client = &self.clients[(number * CLIENTS + 2 * CLIENTS - 1) % self.clients.len()];
            server.remote(client).await?.disconnect().await?;
            assert_eq!(client.wait_for_disconnect().await?, "io server disconnect");
        }
        Ok(())
    }

    async fn all_are_disconnected_at_once(&self) -> Result {
        self.servers[0].io.disconnect().await?;
        for client in self.clients.iter().step_by(CLIENTS) {
            assert_eq!(client.wait_for_disconnect().await?, "io server disconnect");
        }
        for server in &self.servers {
            let empty = async {
                while !server.io.fetch_sockets().await.unwrap().is_empty() || !server.rooms().await.unwrap().is_empty()
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(time_limit(), empty).await?;
            server.cluster.close().await;
        }
        Ok(())
    }
}

fn sorted<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut all: Vec<_> = all.into_iter().map(|it| it.to_string()).collect();
    all.sort();
    all
}

async fn play<B: Backend>(parser: Parser) -> Result
where
    String: TryInto<B>,
    <String as TryInto<B>>::Error: Into<ConnectError>,
{
    match ThreeServers::<B>::start(parser).await? {
        Some(servers) => servers.all().await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn an_application_on_tokio_postgres_works_as_on_any_adapter() -> Result {
    play::<TokioPostgresBackend>(Parser::Common).await
}

#[tokio::test]
async fn an_application_on_tokio_postgres_with_messagepack_works_as_on_any_adapter() -> Result {
    play::<TokioPostgresBackend>(Parser::MsgPack).await
}

#[tokio::test]
async fn an_application_on_diesel_works_as_on_any_adapter() -> Result {
    play::<DieselBackend>(Parser::Common).await
}

#[tokio::test]
async fn an_application_on_diesel_with_messagepack_works_as_on_any_adapter() -> Result {
    play::<DieselBackend>(Parser::MsgPack).await
}
