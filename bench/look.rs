//! What one look of the Admin UI at the sockets of a server costs: of a server with 1 000 and with
//! 10 000 sockets, while nothing happens, and while one socket in a hundred joins or leaves a room
//! every 250 ms. A benchmark of `socketio-pg-admin-ui`, because it takes that crate's dependencies and
//! the profile of the workspace.
//!
//! The server runs on one thread, on a database in memory. That thread does nothing else while the
//! task looks and compares, so that the time that the task's trace tells is CPU time. It is the least
//! of several looks, as other programs on the machine only add to it.
//!
//! ```text
//! cargo bench -p socketio-pg-admin-ui --bench look
//! ```

#![allow(clippy::unwrap_used, reason = "a panic ends the benchmark")]
#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use axum::Router;
use socketio_pg_admin_ui::{AdminOptions, instrument};
use socketio_pg_core::{
    Cluster, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::sleep,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

type Adapter = PostgresAdapter<Emitter, MemoryBackend>;

/// The default of the Admin UI. With many sockets the pauses are longer: a look may take a twentieth of
/// the time.
const REFRESH: Duration = Duration::from_millis(250);

/// How many looks are measured.
const LOOKS: usize = 10;

/// One socket in so many changes before each look, where something happens.
const CHANGES: usize = 100;

/// How long each look took, in microseconds.
static TOOK: Mutex<Vec<u128>> = Mutex::new(Vec::new());

/// The task has looked.
static LOOKED: Notify = Notify::const_new();

fn main() {
    let looks = tracing_subscriber::registry().with(CountLooks);
    tracing::subscriber::set_global_default(looks).unwrap();
    println!("| sockets | nothing happens | 1 in {CHANGES} joins or leaves a room |");
    println!("|---|---|---|");
    for sockets in [1000, 10_000] {
        let [idle, busy] = [false, true].map(|is_busy| least_milliseconds(sockets, is_busy));
        println!("| {sockets} | {idle:.2} ms | {busy:.2} ms |");
    }
}

struct CountLooks;

impl<S: Subscriber> Layer<S> for CountLooks {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "socketio_pg_admin_ui::watch" && *metadata.level() == Level::TRACE
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Took);
        LOOKED.notify_one();
    }
}

struct Took;

impl Visit for Took {
    fn record_u128(&mut self, _: &Field, microseconds: u128) {
        TOOK.lock().unwrap().push(microseconds);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

fn least_milliseconds(sockets: usize, is_busy: bool) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let io = serve(sockets, AdminOptions::default().no_auth().refresh(REFRESH)).await;
        let all = io.of("/").unwrap().sockets();
        assert_eq!(all.len(), sockets);
        // The first ones tell of all sockets.
        looks(3).await;
        TOOK.lock().unwrap().clear();
        tokio::select! {
            () = looks(LOOKS) => {}
            () = work(&all, is_busy) => {}
        }
        let least = TOOK.lock().unwrap().iter().min().copied().unwrap();
        least as f64 / 1000.0
    })
}

/// Waits for the end of so many looks.
async fn looks(count: usize) {
    for _ in 0..count {
        LOOKED.notified().await;
    }
}

/// Lets sockets join or leave a room before each look, or does nothing.
async fn work(sockets: &[SocketRef<Adapter>], is_busy: bool) {
    let mut is_in = false;
    loop {
        sleep(REFRESH).await;
        is_in = !is_in;
        for socket in sockets.iter().step_by(CHANGES).filter(|_| is_busy) {
            if is_in { socket.join("moved") } else { socket.leave("moved") }
        }
    }
}

/// A server with this many sockets, each of which is in two rooms.
async fn serve(sockets: usize, options: AdminOptions) -> SocketIo<Adapter> {
    let database = MemoryDatabase::default();
    let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
    // Clients do not answer when they are asked whether they are still there.
    let hour = Duration::from_secs(3600);
    let builder = SocketIo::builder().ping_interval(hour).ping_timeout(hour).with_adapter::<Adapter>(cluster.clone());
    let (layer, io) = builder.build_layer();
    let on_connect = async |socket: SocketRef<Adapter>| {
        let number = socket.id.as_str().bytes().map(usize::from).sum::<usize>() % 100;
        socket.join(["all".to_owned(), format!("room {number}")]);
    };
    io.ns("/", on_connect).await.unwrap();
    instrument(&io, &cluster, options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });
    connect(address, sockets).await;
    io
}

/// Connects clients that poll, and then never ask for anything.
async fn connect(address: SocketAddr, clients: usize) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let path = "/socket.io/?EIO=4&transport=polling";
    for _ in 0..clients {
        let opened = request(&mut connection, &format!("GET {path}"), "").await;
        let sid = opened.split(r#""sid":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        request(&mut connection, &format!("POST {path}&sid={sid}"), "40").await;
        let connected = request(&mut connection, &format!("GET {path}&sid={sid}"), "").await;
        assert!(connected.contains("40{"), "{connected}");
    }
}

/// One request of a connection that is kept; the body of its response.
async fn request(connection: &mut TcpStream, line: &str, body: &str) -> String {
    let text = format!("{line} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(text.as_bytes()).await.unwrap();
    let mut response = String::new();
    loop {
        let mut bytes = [0; 4096];
        let count = connection.read(&mut bytes).await.unwrap();
        assert!(count > 0, "it ended after {response}");
        response += std::str::from_utf8(&bytes[..count]).unwrap();
        if let Some((head, body)) = response.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return body.to_owned();
            }
        }
    }
}
