//! A client of a Rust node: what it may ask for, and how the node does it. `demo/README.md`
//! describes the events; `demo/node-server.mjs` does the same in JavaScript.

use std::future::ready;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use socketio_pg_tokio_postgres::{Cluster, ClusterSocket, SocketData};
use socketioxide::{
    BroadcastError, SocketIo,
    extract::{AckSender, Data, SocketRef, TryData},
};
use tokio::sync::mpsc;

use crate::rust_node::PgAdapter;

type Socket = SocketRef<PgAdapter>;

/// The node that a client is connected to.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) node: String,
    pub(crate) cluster: Cluster,
    pub(crate) io: SocketIo<PgAdapter>,
}

/// The `auth` of clients when they connect.
#[derive(Deserialize)]
pub(crate) struct Auth {
    name: String,
}

/// A socket, as other clients see it.
#[derive(Clone, Serialize)]
struct Person {
    id: String,
    #[serde(flatten)]
    card: Card,
}

/// What every node of the demo stores on its sockets, so that other nodes can read it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Card {
    node: String,
    name: String,
}

/// Greets a client, tells the others, and handles its events from now on.
pub(crate) async fn welcome(here: Here, socket: Socket, auth: TryData<Auth>) {
    let name = auth.0.map_or_else(|_| "Guest".to_owned(), |auth| auth.name);
    let card = Card { node: here.node.clone(), name };
    match SocketData::new(&card) {
        Ok(data) => drop(socket.extensions.insert(data)),
        Err(error) => eprintln!("{}: {error}", here.node),
    }
    let person = Person { id: socket.id.to_string(), card };
    // events that arrive before their handler is set are lost: greet the client after all are set
    listen(&here, &socket, &person);
    socket.emit("hello", &person).ok();
    report(&here, socket.broadcast().emit("joined", &person).await);
}

/// An event of a client. socketioxide runs each handler in a task of its own, several at a time. So
/// events are queued and handled one after the other; otherwise the points of a stroke could
/// overtake each other.
enum Wish {
    Chat(Chat),
    Draw(Draw),
    Clear,
    File(File),
    Private(Private),
    Join(String, AckSender<PgAdapter>),
    Leave(String, AckSender<PgAdapter>),
    /// The client has left.
    Goodbye,
}

#[derive(Serialize, Deserialize)]
struct Chat {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    at: f64,
}

#[derive(Serialize, Deserialize)]
struct Draw {
    stroke: String,
    color: String,
    width: f64,
    points: Vec<(u16, u16)>,
    at: f64,
}

#[derive(Serialize, Deserialize)]
struct File {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    bytes: Bytes,
    at: f64,
}

#[derive(Deserialize)]
struct Private {
    to: String,
    text: String,
    at: f64,
}

/// Something with its sender.
#[derive(Serialize)]
struct Sent<'a, T> {
    from: &'a Person,
    #[serde(flatten)]
    what: T,
}

fn listen(here: &Here, socket: &Socket, person: &Person) {
    let (wishes, mut queue) = mpsc::unbounded_channel();
    on(socket, "chat", &wishes, Wish::Chat);
    on(socket, "draw", &wishes, Wish::Draw);
    on(socket, "file", &wishes, Wish::File);
    on(socket, "private", &wishes, Wish::Private);
    on_acknowledged(socket, "join", &wishes, Wish::Join);
    on_acknowledged(socket, "leave", &wishes, Wish::Leave);
    let queued = wishes.clone();
    socket.on("clear", move || {
        queued.send(Wish::Clear).ok();
        ready(())
    });
    socket.on_disconnect(move || {
        wishes.send(Wish::Goodbye).ok();
        ready(())
    });
    // needs no order, and may take seconds while a dead node is waited for
    let asked = here.clone();
    socket.on("stats", async move |answer: AckSender<PgAdapter>| {
        answer.send(&stats(&asked.cluster).await).ok();
    });

    let (here, socket, person) = (here.clone(), socket.clone(), person.clone());
    tokio::spawn(async move {
        while let Some(wish) = queue.recv().await {
            let last = matches!(wish, Wish::Goodbye);
            report(&here, grant(wish, &here, &socket, &person).await);
            if last {
                break;
            }
        }
    });
}

fn on<T: DeserializeOwned + Send + Sync + 'static>(
    socket: &Socket,
    event: &'static str,
    wishes: &mpsc::UnboundedSender<Wish>,
    wish: fn(T) -> Wish,
) {
    let wishes = wishes.clone();
    socket.on(event, move |Data(data): Data<T>| {
        wishes.send(wish(data)).ok();
        ready(())
    });
}

fn on_acknowledged(
    socket: &Socket,
    event: &'static str,
    wishes: &mpsc::UnboundedSender<Wish>,
    wish: fn(String, AckSender<PgAdapter>) -> Wish,
) {
    let wishes = wishes.clone();
    socket.on(event, move |Data(room): Data<String>, done: AckSender<PgAdapter>| {
        wishes.send(wish(room, done)).ok();
        ready(())
    });
}

async fn grant(wish: Wish, here: &Here, socket: &Socket, from: &Person) -> Result<(), BroadcastError> {
    let io = &here.io;
    match wish {
        Wish::Chat(what) => match what.room.clone() {
            Some(room) => io.to(room).emit("chat", &Sent { from, what }).await,
            None => io.emit("chat", &Sent { from, what }).await,
        },
        Wish::Draw(what) => socket.broadcast().emit("draw", &Sent { from, what }).await,
        Wish::Clear => io.emit("clear", &json!({ "from": from })).await,
        Wish::File(what) => io.emit("file", &Sent { from, what }).await,
        Wish::Private(Private { to, text, at }) => {
            io.to(to).emit("private", &json!({ "from": from, "text": text, "at": at })).await
        }
        Wish::Join(room, done) => {
            socket.join(room);
            done.send(&()).ok();
            Ok(())
        }
        Wish::Leave(room, done) => {
            socket.leave(room);
            done.send(&()).ok();
            Ok(())
        }
        Wish::Goodbye => io.emit("left", from).await,
    }
}

/// The cluster as this node knows it, with Node.js's servers and sockets.
async fn stats(cluster: &Cluster) -> Value {
    let namespace = cluster.of("/");
    let servers = namespace.server_count();
    match namespace.fetch_sockets().await {
        Ok(sockets) => json!({ "servers": servers, "sockets": sockets.iter().map(describe).collect::<Vec<_>>() }),
        Err(error) => json!({ "servers": servers, "error": error.to_string() }),
    }
}

fn describe(socket: &ClusterSocket) -> Value {
    let id = socket.id.as_str();
    let Card { node, name } = socket.data.as_ref().and_then(|data| data.deserialize().ok()).unwrap_or_default();
    let rooms: Vec<&String> = socket.rooms.iter().filter(|room| *room != id).collect();
    json!({ "id": id, "node": node, "name": name, "rooms": rooms })
}

fn report(here: &Here, outcome: Result<(), BroadcastError>) {
    if let Err(error) = outcome {
        eprintln!("{}: {error}", here.node);
    }
}
