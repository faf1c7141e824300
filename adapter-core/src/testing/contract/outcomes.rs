//! Tests of what a failed publication reports: whether it may still have arrived.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::*;
use crate::backend::Backend;

pub async fn without_a_connection_nothing_was_sent<F: Fixture>(fixture: &F) {
    let backend = prepared(fixture).await;
    let mut listener = listening(&backend, &["c"]).await;
    // Nothing listens on port 1. A pool may also fail when it is created.
    if let Ok(unreachable) = fixture.backend("postgres://postgres@127.0.0.1:1/postgres").await {
        for outgoing in kinds("lost") {
            let error = soon(unreachable.publish(TABLE, None, &[outgoing])).await.unwrap_err();
            assert!(error.is_unsent() && !error.is_unconfirmed(), "{error}");
        }
    }
    assert_next_is_heard(&backend, &mut listener).await;
}

pub async fn a_publication_that_is_cut_off_before_the_server_gets_it_may_have_arrived_and_has_not<F: Fixture>(
    fixture: &F,
) {
    let direct = prepared(fixture).await;
    let mut listener = listening(&direct, &["c"]).await;
    let proxy = Proxy::before(&fixture.url());
    for outgoing in kinds("lost") {
        let backend = fixture.backend(proxy.url()).await.unwrap();
        backend.publish("socket_io_attachments", None, &[with_channel(&outgoing, "other")]).await.unwrap();
        // A pool may check the connection before it lends it.
        proxy.hold_from("lost", Direction::ToServer);
        let batch = [outgoing];
        let publishing = backend.publish(TABLE, None, &batch);
        let (published, ()) = tokio::join!(soon(publishing), async {
            eventually("it is on its way", || proxy.has_held()).await;
            proxy.cut();
        });
        let error = published.unwrap_err();
        assert!(error.is_unconfirmed(), "{error}");
    }
    assert_next_is_heard(&direct, &mut listener).await;
}

pub async fn a_publication_that_is_cut_off_between_commit_and_answer_may_have_arrived<F: Fixture>(fixture: &F) {
    let direct = prepared(fixture).await;
    let mut listener = listening(&direct, &["c"]).await;
    let proxy = Proxy::before(&fixture.url());
    for outgoing in kinds("arrives") {
        let backend = fixture.backend(proxy.url()).await.unwrap();
        backend.publish(TABLE, None, &[with_channel(&outgoing, "other")]).await.unwrap();
        proxy.hold_from("arrives", Direction::FromServer);
        let batch = [outgoing];
        let publishing = backend.publish(TABLE, None, &batch);
        let (published, ()) = tokio::join!(soon(publishing), async {
            // Then it is committed.
            assert!(hear(&mut listener, 1).await[0].starts_with("arrives"));
            proxy.cut();
        });
        let error = published.unwrap_err();
        assert!(error.is_unconfirmed(), "{error}");
    }
}

pub async fn a_publication_that_the_server_gives_up_has_not_arrived<F: Fixture>(fixture: &F) {
    let direct = prepared(fixture).await;
    let mut listener = listening(&direct, &["c"]).await;
    let database = fixture.sql("SELECT current_database()").unwrap();
    let table = crate::backend::table::TableName::parse(TABLE).unwrap();
    for setting in ["statement_timeout", "lock_timeout"] {
        let locks = format!("SET {setting} = 0; LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)");
        let locking = fixture.backend(&fixture.url()).await.unwrap();
        fixture.sql(&format!("ALTER DATABASE {database} SET {setting} = '500ms'"));
        let backend = fixture.backend(&fixture.url()).await.unwrap();
        let batch = [attachment("c", "lost", "x")];
        let is_locked =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let publishing = async {
            eventually("the table is locked", || fixture.sql(is_locked).as_deref() == Some("1")).await;
            soon(backend.publish(TABLE, None, &batch)).await
        };
        let published = tokio::select! {
            locked = locking.create(&table, &locks) => panic!("the table was not locked for long: {locked:?}"),
            published = publishing => published,
        };
        let error = published.unwrap_err();
        assert!(error.kind() == ErrorKind::Timeout && !error.is_unconfirmed(), "{setting}: {error}");
        fixture.sql(&format!("ALTER DATABASE {database} RESET ALL"));
        let ends = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event = 'PgSleep'";
        fixture.sql(ends);
    }
    assert_next_is_heard(&direct, &mut listener).await;
}

/// Messages that are published in different ways.
fn kinds(label: &str) -> [Outgoing; 2] {
    [inline("c", label), attachment("c", label, "x")]
}

/// The same message for another channel. The statement stays the same, so an open session has it
/// prepared.
fn with_channel(outgoing: &Outgoing, channel: &str) -> Outgoing {
    Outgoing { channel: channel.to_owned(), content: outgoing.content.clone(), is_logged: false }
}

async fn assert_next_is_heard<B: Backend>(backend: &B, listener: &mut B::Listener) {
    soon(backend.publish(TABLE, None, &[inline("c", "next")])).await.unwrap();
    assert_eq!(hear(listener, 1).await, ["next"], "nothing came before it");
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
pub enum Direction {
    /// Statements, to the server.
    ToServer,
    /// Results, from the server.
    FromServer,
}

/// Stands before a server on loopback, delays what goes one way, and cuts connections.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    holds: [AtomicBool; 2],
    has_held: AtomicBool,
    /// When this text goes to the server, what goes in the direction is held back.
    awaited: Mutex<Option<(String, Direction)>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy for the server of a URL.
    pub fn before(url: &str) -> Self {
        let (role, rest) = url.split_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{role}@{}/{path}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let of_thread = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                let copies = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                of_thread.streams.lock().unwrap().extend(copies);
                let ends = || (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (to_server, from_server) = (of_thread.clone(), of_thread.clone());
                let (from, to) = ends();
                std::thread::spawn(move || to_server.pass(Direction::ToServer, from, to));
                let (to, from) = ends();
                std::thread::spawn(move || from_server.pass(Direction::FromServer, from, to));
            }
        });
        Self { url, state }
    }

    /// The URL of the server through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Holds back everything in one direction from now on.
    pub fn hold(&self, direction: Direction) {
        self.state.has_held.store(false, Ordering::SeqCst);
        self.state.holds[direction as usize].store(true, Ordering::SeqCst);
    }

    /// The same, from the moment at which this text goes to the server.
    pub fn hold_from(&self, text: &str, direction: Direction) {
        self.state.has_held.store(false, Ordering::SeqCst);
        *self.state.awaited.lock().unwrap() = Some((text.to_owned(), direction));
    }

    /// Whether something was held back.
    pub fn has_held(&self) -> bool {
        self.state.has_held.load(Ordering::SeqCst)
    }

    /// Ends all connections. What was held back is lost; new connections work.
    pub fn cut(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            // The connection may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        for holds in &self.state.holds {
            holds.store(false, Ordering::SeqCst);
        }
    }
}

impl State {
    fn look_for_awaited(&self, sent: &[u8]) {
        let mut awaited = self.awaited.lock().unwrap();
        let is_there = |text: &str| sent.windows(text.len()).any(|part| part == text.as_bytes());
        if let Some((_, direction)) = awaited.take_if(|(text, _)| is_there(text)) {
            self.holds[direction as usize].store(true, Ordering::SeqCst);
        }
    }

    fn pass(&self, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if matches!(direction, Direction::ToServer) {
                self.look_for_awaited(&buffer[..count]);
            }
            if self.holds[direction as usize].load(Ordering::SeqCst) {
                self.has_held.store(true, Ordering::SeqCst);
            } else if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // The other direction may have ended before.
        let _ = to.shutdown(Shutdown::Both);
    }
}
