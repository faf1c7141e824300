//! Counting sockets, and listing their ids, in the whole cluster.

use std::time::{Duration, Instant};

use axum::Router;
use serde_json::{Value, json};
use socketio_pg_core::{
    Cluster, Error, Options,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter, extract::SocketRef};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    clients::{Adapter, Client, Server},
    nodes::{Node, Spy},
};

const CHANNEL: &str = "socket.io#/";

/// A Rust node that knows some nodes of other kinds, whose answers the test writes.
struct AmongStrangers {
    database: MemoryDatabase,
    node: Node,
    requests: Spy,
}

impl AmongStrangers {
    async fn new(strangers: &[&str]) -> Self {
        let database = MemoryDatabase::default();
        let mut node = Node::start(&database).await;
        for stranger in strangers {
            database.notify(CHANNEL, &json!({ "type": 2, "uid": stranger, "nsp": "/" }).to_string());
            node.wait_for_peer().await;
        }
        let requests = Spy::on(&database, CHANNEL).await;
        Self { database, node, requests }
    }

    /// The id of the next request, and what it asks for.
    async fn asked(&mut self) -> (Value, Value) {
        let data = self.requests.next_of(7).await["data"].clone();
        (data["requestId"].clone(), data["only"].clone())
    }

    /// A stranger answers; `with` is added to its data.
    fn answer(&self, stranger: &str, request: &Value, with: &Value) {
        let mut data = json!({ "requestId": request, "sockets": [] });
        for (key, value) in with.as_object().unwrap() {
            data[key] = value.clone();
        }
        let answer = json!({ "type": 8, "data": data, "uid": stranger, "nsp": "/" });
        // serde_json writes what a stranger may not have as a number.
        let text = answer.to_string().replace(r#""huge""#, "1e300").replace(r#""2^64""#, "18446744073709551616");
        self.database.notify(CHANNEL, &text);
    }

    /// What `socket_count` gives when the strangers answer with this.
    async fn count(&mut self, answers: &[(&str, Value)]) -> Result<u64, Error> {
        let namespace = self.node.cluster.of("/");
        let counting = tokio::spawn(async move { namespace.socket_count().await });
        let (request, only) = self.asked().await;
        assert_eq!(only, "count");
        for (stranger, answer) in answers {
            self.answer(stranger, &request, answer);
        }
        counting.await.unwrap()
    }
}

fn described(id: &str) -> Value {
    json!({ "id": id, "handshake": {}, "rooms": [id], "data": {} })
}

#[tokio::test(start_paused = true)]
async fn full_and_brief_answers_are_counted() {
    let mut cluster = AmongStrangers::new(&["node.js", "rust"]).await;
    let answers =
        [("node.js", json!({ "sockets": [described("a"), described("b")] })), ("rust", json!({ "count": 12_500 }))];
    assert_eq!(cluster.count(&answers).await.unwrap(), 12_502);

    let namespace = cluster.node.cluster.of("/").to("room").except("other");
    let listing = tokio::spawn(async move { namespace.socket_ids().await });
    let (request, only) = cluster.asked().await;
    assert_eq!(only, "ids");
    cluster.answer("node.js", &request, &answers[0].1);
    cluster.answer("rust", &request, &json!({ "ids": ["c"] }));
    let ids = listing.await.unwrap().unwrap();
    assert_eq!(ids.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_a_node_answers_is_counted_or_the_node_is_missing() {
    let long = "x".repeat(1_000_000);
    for (answer, expected) in [
        (json!({}), Some(0)),
        (json!({ "count": 3.0 }), Some(3)),
        (json!({ "count": (1_u64 << 53) - 1 }), Some((1 << 53) - 1)),
        (json!({ "count": null, "ids": null, "sockets": [described("b")] }), Some(1)),
        (json!({ "count": null }), Some(0)),
        (json!({ "count": 1, "ids": null }), Some(1)),
        (json!({ "count": 1_u64 << 53 }), None),
        (json!({ "count": u64::MAX }), None),
        (json!({ "count": 2, "ids": ["a"], "sockets": [described("b")] }), Some(1)),
        (json!({ "count": 0, "ids": [], "sockets": [described("b")] }), Some(1)),
        (json!({ "ids": ["a", "b", "c"] }), Some(3)),
        (json!({ "count": -1 }), None),
        (json!({ "count": 0.5 }), None),
        (json!({ "count": "huge" }), None),
        (json!({ "count": "2^64" }), None),
        (json!({ "count": "7" }), None),
        (json!({ "count": [1] }), None),
        (json!({ "ids": [long] }), None),
        (json!({ "ids": [7] }), None),
        (json!({ "ids": "abc" }), None),
        (json!({ "count": 1, "sockets": null }), None),
    ] {
        let mut cluster = AmongStrangers::new(&["stranger"]).await;
        let counted = cluster.count(&[("stranger", answer.clone())]).await;
        let shown = answer.to_string().chars().take(100).collect::<String>();
        match expected {
            Some(count) => assert_eq!(counted.unwrap(), count, "{shown}"),
            None => {
                let Err(Error::Timeout { missing }) = counted else { panic!("{shown}: {counted:?}") };
                assert_eq!(missing, ["stranger".into()], "{shown}");
                assert_eq!(cluster.node.cluster.counts().rejected, 1, "{shown}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn large_numbers_are_added_up() {
    let mut cluster = AmongStrangers::new(&["one", "other"]).await;
    let answers = [("one", json!({ "count": (1_u64 << 53) - 1 })), ("other", json!({ "count": 1 }))];
    assert_eq!(cluster.count(&answers).await.unwrap(), 1 << 53);
}

#[tokio::test(start_paused = true)]
async fn a_node_counts_once() {
    let mut cluster = AmongStrangers::new(&["one", "other"]).await;
    let answers = [("one", json!({ "count": 3 })), ("one", json!({ "count": 3 })), ("other", json!({ "count": 4 }))];
    assert_eq!(cluster.count(&answers).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_is_missing_is_named_and_what_came_is_there() {
    let mut cluster = AmongStrangers::new(&["alive", "dead"]).await;
    let answer = [("alive", json!({ "count": 3 }))];
    let Err(Error::Timeout { missing }) = cluster.count(&answer).await else { panic!("a node is missing") };
    assert_eq!(missing, ["dead".into()]);

    let namespace = cluster.node.cluster.of("/").timeout(Duration::from_secs(1));
    let counting = tokio::spawn({
        let namespace = namespace.clone();
        async move { namespace.socket_count_in_time().await }
    });
    let (request, _) = cluster.asked().await;
    cluster.answer("alive", &request, &answer[0].1);
    let counted = counting.await.unwrap().unwrap();
    assert_eq!((counted.found, counted.is_complete(), counted.missing()), (3, false, &["dead".into()][..]));
    let Err(Error::Timeout { missing }) = counted.complete() else { panic!("it is not complete") };
    assert_eq!(missing, ["dead".into()]);

    let listing = tokio::spawn({
        let namespace = namespace.clone();
        async move { namespace.socket_ids_in_time().await }
    });
    let (request, _) = cluster.asked().await;
    cluster.answer("alive", &request, &json!({ "ids": ["a"] }));
    // It does not say which ones.
    cluster.answer("dead", &request, &json!({ "count": 1 }));
    let listed = listing.await.unwrap().unwrap();
    assert_eq!((&listed.found[..], listed.missing()), (&["a".into()][..], &["dead".into()][..]));

    let fetching = tokio::spawn(async move { namespace.fetch_sockets_in_time().await });
    let (request, only) = cluster.asked().await;
    assert_eq!(only, Value::Null);
    cluster.answer("alive", &request, &json!({ "sockets": [described("a")] }));
    let fetched = fetching.await.unwrap().unwrap();
    assert_eq!((fetched.found.len(), fetched.missing()), (1, &["dead".into()][..]));
    assert_eq!(fetched.found[0].id.as_str(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_meanwhile_is_not_missing() {
    let mut cluster = AmongStrangers::new(&["stays", "leaves"]).await;
    let namespace = cluster.node.cluster.of("/");
    let counting = tokio::spawn(async move { namespace.socket_count().await });
    let (request, _) = cluster.asked().await;
    cluster.answer("stays", &request, &json!({ "count": 3 }));
    cluster.database.notify(CHANNEL, &json!({ "type": 13, "uid": "leaves", "nsp": "/" }).to_string());
    let asked = tokio::time::Instant::now();
    assert_eq!(counting.await.unwrap().unwrap(), 3);
    assert!(asked.elapsed() < Duration::from_secs(1), "it did not wait until the time was over");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_given_up_leaves_nothing() {
    let mut cluster = AmongStrangers::new(&["stranger"]).await;
    let namespace = cluster.node.cluster.of("/");
    let counting = tokio::spawn(async move { namespace.socket_count().await });
    let (request, _) = cluster.asked().await;
    assert_eq!(cluster.node.cluster.health().namespaces[0].requests, 1);
    counting.abort();
    assert!(counting.await.unwrap_err().is_cancelled());
    assert_eq!(cluster.node.cluster.health().namespaces[0].requests, 0);
    cluster.answer("stranger", &request, &json!({ "count": 3 }));
    assert_eq!(cluster.count(&[("stranger", json!({ "count": 4 }))]).await.unwrap(), 4, "the next question is its own");
}

#[tokio::test(start_paused = true)]
async fn more_ids_than_a_request_takes_are_refused() {
    let database = MemoryDatabase::default();
    let mut node = Node::with_options(&database, Options::default().max_responses(2)).await;
    database.notify(CHANNEL, r#"{"type":2,"uid":"stranger","nsp":"/"}"#);
    node.wait_for_peer().await;
    let requests = Spy::on(&database, CHANNEL).await;
    let mut cluster = AmongStrangers { database, node, requests };
    let namespace = cluster.node.cluster.of("/");
    let listing = tokio::spawn(async move { namespace.socket_ids().await });
    let (request, _) = cluster.asked().await;
    cluster.answer("stranger", &request, &json!({ "ids": ["a", "b", "c"] }));
    let listed = listing.await.unwrap();
    assert!(matches!(listed, Err(Error::TooManyResponses { limit: 2 })), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_answers_briefly_only_to_what_it_knows() {
    let cluster = AmongStrangers::new(&["stranger"]).await;
    let mut answers = Spy::on(&cluster.database, CHANNEL).await;
    let full = json!({ "requestId": "r", "sockets": [] });
    for (only, expected) in [
        (json!("count"), json!({ "requestId": "r", "sockets": [], "count": 0 })),
        (json!("ids"), json!({ "requestId": "r", "sockets": [], "ids": [] })),
        (json!("rooms"), full.clone()),
        (json!(["count"]), full.clone()),
        (json!(null), full.clone()),
        (json!(7), full),
    ] {
        let data = json!({ "opts": { "rooms": [], "except": [] }, "requestId": "r", "only": only });
        let request = json!({ "type": 7, "data": data, "uid": "stranger", "nsp": "/" });
        cluster.database.notify(CHANNEL, &request.to_string());
        assert_eq!(answers.next_of(8).await["data"], expected, "{only}");
    }
}

/// In `fetch_sockets`, too, a socket is gone before its disconnect handler has ended.
#[tokio::test]
async fn a_socket_whose_disconnect_handler_runs_is_not_counted() {
    let database = MemoryDatabase::default();
    let [one, other] = [Server::start(&database).await, Server::start(&database).await];
    other.cluster.attach(&other.io);
    let (entered, mut entering) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Arc::new(tokio::sync::Mutex::new(Some(released)));
    let on_connect = async move |socket: SocketRef<Adapter>| {
        socket.on_disconnect(async move || {
            let _ = entered.send(());
            if let Some(released) = released.lock().await.take() {
                let _ = released.await;
            }
        });
    };
    for server in [&one, &other] {
        server.io.ns("/slow", on_connect.clone()).await.unwrap();
    }
    let namespace = one.cluster.of("/slow");
    while namespace.server_count() < 2 {
        tokio::task::yield_now().await;
    }
    let client = Client::connect(other.address, "/slow").await;
    assert_eq!((namespace.socket_count().await.unwrap(), namespace.socket_ids().await.unwrap().len()), (1, 1));
    client.send("41/slow,").await;
    entering.recv().await.unwrap();
    for asking in [&namespace, &other.cluster.of("/slow"), &other.cluster.of("/slow").local()] {
        assert_eq!(asking.fetch_sockets().await.unwrap().len(), 0);
        assert_eq!((asking.socket_count().await.unwrap(), asking.socket_ids().await.unwrap().len()), (0, 0));
    }
    release.send(()).unwrap();
}

/// A server whose clients are in the room `crowd`.
async fn crowd(database: &MemoryDatabase, clients: usize) -> (Cluster<MemoryBackend>, SocketIo<Adapter>, TcpStream) {
    let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
    let builder = SocketIo::builder().ping_timeout(Duration::from_secs(100_000));
    let (layer, io) =
        builder.with_adapter::<socketio_pg_core::PostgresAdapter<Emitter, _>>(cluster.clone()).build_layer();
    cluster.attach(&io);
    io.ns("/", async |socket: SocketRef<Adapter>| socket.join("crowd")).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });
    let mut connection = TcpStream::connect(address).await.unwrap();
    for _ in 0..clients {
        let opened = http(&mut connection, "GET /socket.io/?EIO=4&transport=polling", "").await;
        let sid = opened.split_once(r#""sid":""#).unwrap().1.split_once('"').unwrap().0.to_owned();
        http(&mut connection, &format!("POST /socket.io/?EIO=4&transport=polling&sid={sid}"), "40").await;
    }
    // The response may come before the handler has run.
    let crowd = cluster.of("/").local().to("crowd");
    while crowd.socket_count().await.unwrap() < clients as u64 {
        tokio::task::yield_now().await;
    }
    (cluster, io, connection)
}

/// One request on a connection that stays open; returns the body of the response.
async fn http(connection: &mut TcpStream, line: &str, body: &str) -> String {
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = connection.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the server closed the connection: {answer}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        let length = head
            .to_lowercase()
            .split_once("content-length: ")
            .map(|(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        if body.len() >= length.unwrap() {
            return body.to_owned();
        }
    }
}

/// `CROWD=100000 cargo test --release …` counts as many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_room_of_many_nodes_is_counted_in_kilobytes() {
    const NODES: usize = 8;
    let size: usize = std::env::var("CROWD").map_or(NODES * 40, |size| size.parse().unwrap());
    let database = MemoryDatabase::default();
    let mut servers = Vec::new();
    for _ in 0..NODES {
        servers.push(crowd(&database, size / NODES).await);
    }
    let crowd = servers[0].0.of("/").to("crowd");
    while servers.iter().any(|(cluster, ..)| cluster.of("/").server_count() < NODES) {
        tokio::task::yield_now().await;
    }
    let mut costs = Vec::new();
    for kind in ["count", "ids", "sockets"] {
        let (bytes, started) = (database.published_bytes(), Instant::now());
        let found = match kind {
            "count" => crowd.socket_count().await.unwrap(),
            "ids" => crowd.socket_ids().await.unwrap().len() as u64,
            _ if size > 10_000 => continue,
            _ => crowd.fetch_sockets().await.unwrap().len() as u64,
        };
        assert_eq!(found, size as u64, "{kind}");
        let cost = database.published_bytes() - bytes;
        println!("{kind} of {size} sockets on {NODES} nodes: {cost} bytes in {:?}", started.elapsed());
        costs.push(cost);
    }
    // Heartbeats may fall into it.
    assert!(costs[0] < 4096, "{costs:?}");
    assert!(costs[1] < 30 * size as u64 + 4096, "{costs:?}");
    assert_eq!(servers[0].0.of("/").except("crowd").socket_count().await.unwrap(), 0);
    assert_eq!(servers[0].0.of("/").local().socket_count().await.unwrap(), (size / NODES) as u64);
}
