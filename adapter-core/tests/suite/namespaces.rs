//! Namespaces that are created, deleted and replaced, with real clients.

use std::time::Duration;

use socketio_pg_core::{
    Emitter, Error,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
    handler::ConnectHandler,
};
use tokio::time::timeout;

use crate::clients::{Adapter, Client, LONG, Server};
use crate::nodes::{Node, Spy};

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_a_slash_gets_one_as_in_node_js() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    node.io.ns("/chat", async || {}).await.unwrap();
    let mut spy = Spy::on(&database, "socket.io#/chat").await;
    assert!(node.cluster.of("chat").uid().is_some());
    assert_eq!(node.cluster.of("").uid(), node.cluster.of("/").uid());
    let emitter: Emitter<MemoryBackend> = Emitter::new();
    emitter.of("chat").emit("e", &1, &database.backend()).await.unwrap();
    let message = spy.next_of(3).await;
    assert_eq!((&message["nsp"], &message["data"]["packet"]["nsp"]), (&"/chat".into(), &"/chat".into()));
}

#[tokio::test]
async fn clients_that_enter_a_fresh_namespace_at_once_all_hear_even_while_nothing_can_be_listened_to() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    one.io.dyn_ns("/room/{id}", async || {}).unwrap();
    let other = Server::start(&database).await;
    other.io.ns("/room/1", async || {}).await.unwrap();
    database.hold_listens(true);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::open(one.address).await);
    }
    let entering = clients.iter().map(|client| client.enter("/room/1"));
    timeout(LONG, futures_util::future::join_all(entering)).await.unwrap();
    for client in &mut clients {
        client.wait_for(|packet| packet.starts_with("40/room/1,")).await;
    }
    one.io.of("/room/1").unwrap().emit("local", &()).await.unwrap();
    for client in &mut clients {
        client.wait_for(|packet| packet == r#"42/room/1,["local",null]"# || packet == r#"42/room/1,["local"]"#).await;
    }
    database.hold_listens(false);
    // It hears the other's reply to its announcement.
    until("they meet", || one.cluster.of("/room/1").server_count() == 2).await;
    other.io.of("/room/1").unwrap().emit("e", &1).await.unwrap();
    for client in &mut clients {
        assert_eq!(client.events("/room/1", 1).await, [r#"["e",1]"#]);
    }
    assert_eq!(other.cluster.of("/room/1").fetch_sockets().await.unwrap().len(), 8);
}

#[tokio::test]
async fn clients_of_a_namespace_that_is_replaced_are_made_to_connect_again() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    let other = Server::start(&database).await;
    for io in [&one.io, &other.io] {
        io.ns("/x", async || {}).await.unwrap();
    }
    until("they meet", || other.cluster.of("/x").server_count() == 2).await;
    let mut client = Client::connect(one.address, "/x").await;
    let first = one.cluster.of("/x").uid().unwrap();
    one.io.ns("/x", async || {}).await.unwrap();
    let second = one.cluster.of("/x").uid().unwrap();
    assert_ne!(first, second);
    // A CONNECT whose payload is not an object: a client closes the connection then and opens
    // another. A client that ignores it is disconnected from the namespace, and is told.
    client.wait_for(|packet| packet == r#"40/x,"this namespace was replaced""#).await;
    client.wait_for(|packet| packet == "41/x,").await;
    until("the first uid leaves", || other.cluster.of("/x").nodes() == [second.clone()]).await;
    let mut again = Client::connect(one.address, "/x").await;
    other.io.of("/x").unwrap().emit("e", &1).await.unwrap();
    assert_eq!(again.events("/x", 1).await, [r#"["e",1]"#]);
    assert_eq!(other.cluster.of("/x").fetch_sockets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_server_of_the_same_handle_is_refused_with_the_remedy() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    let (_, second) = SocketIo::builder().with_adapter::<Adapter>(one.cluster.clone()).build_layer();
    let refused = second.ns("/", async || {}).await.unwrap_err();
    assert!(matches!(refused, Error::AnotherServer), "{refused:?}");
    assert!(refused.to_string().contains("Cluster::connect"), "{refused}");
    // The first is unchanged.
    let mut client = Client::connect(one.address, "/").await;
    let other = Server::start(&database).await;
    until("they meet", || other.cluster.of("/").server_count() == 2).await;
    other.io.emit("e", &1).await.unwrap();
    assert_eq!(client.events("/", 1).await, [r#"["e",1]"#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_namespace_that_is_deleted_while_its_successor_joins_is_listened_to() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    let other = Server::start(&database).await;
    other.io.ns("/x", async || {}).await.unwrap();
    for round in 0..2000_u32 {
        one.io.ns("/x", async || {}).await.unwrap();
        let deleting = one.io.clone();
        let deleting = std::thread::spawn(move || deleting.delete_ns("/x"));
        let joined = one.io.ns("/x", async || {}).await;
        deleting.join().unwrap();
        // The one that came last holds; a later one must be heard in any case.
        let _ = joined;
        if round.is_multiple_of(50) {
            one.io.ns("/x", async || {}).await.unwrap();
            let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
            one.cluster.of("/x").on_server_side("e", move |number: u32| {
                let _ = heard.send(number);
                std::future::ready(())
            });
            other.cluster.of("/x").server_side_emit("e", &round).await.unwrap();
            let number =
                timeout(LONG, hears.recv()).await.unwrap_or_else(|_| panic!("round {round}: receives nothing"));
            assert_eq!(number, Some(round));
            one.cluster.of("/x").off_server_side("e");
        }
        one.io.delete_ns("/x");
    }
}

#[tokio::test]
async fn an_attached_server_stays_attached_when_its_last_namespace_is_deleted() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    one.cluster.attach(&one.io);
    let with_data = async |socket: SocketRef<Adapter>| {
        let data = socketio_pg_core::SocketData::new(&serde_json::json!({"user": "ada"})).unwrap();
        socket.extensions.insert(data);
    };
    one.io.delete_ns("/");
    one.io.ns("/again", with_data).await.unwrap();
    let _client = Client::connect(one.address, "/again").await;
    let other = Server::start(&database).await;
    other.io.ns("/again", async || {}).await.unwrap();
    until("they meet", || other.cluster.of("/again").server_count() == 2).await;
    let sockets = other.cluster.of("/again").fetch_sockets().await.unwrap();
    let data: serde_json::Value = sockets[0].data.clone().unwrap().deserialize().unwrap();
    assert_eq!(data, serde_json::json!({"user": "ada"}));
    assert!(!sockets[0].handshake.url.is_empty(), "{:?}", sockets[0].handshake);
}

/// socketioxide looks for a namespace and creates one in two steps, so that some of these clients
/// get one that is replaced at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_enter_a_fresh_namespace_on_several_threads_are_heard_or_made_to_connect_again() {
    let database = MemoryDatabase::default();
    let one = Server::start(&database).await;
    let serve = async |socket: SocketRef<Adapter>| {
        socket.on("ask", async |ack: AckSender<Adapter>| ack.send(&"heard").unwrap());
        Ok::<_, std::convert::Infallible>(())
    };
    one.io.dyn_ns("/room/{id}", (async || {}).with(serve)).unwrap();
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::open(one.address).await);
    }
    let mut sent_away = 0;
    for round in 0..500 {
        let namespace = format!("/room/{round}");
        let entering = clients.iter().map(|client| client.enter(&namespace));
        futures_util::future::join_all(entering).await;
        let asking = clients.iter_mut().map(async |client| {
            let connected = format!("40{namespace},{{");
            let heard = format!(r#"43{namespace},1["heard"]"#);
            let replaced = format!(r#"40{namespace},"this namespace was replaced""#);
            let first = client.next(|packet| packet.starts_with(&connected) || packet == replaced).await;
            let is_in = first.is_some_and(|first| first != replaced)
                && client.try_send(&format!(r#"42{namespace},1["ask"]"#)).await
                && client.next(|packet| packet == heard || packet == replaced).await.is_some_and(|last| last == heard);
            if !is_in {
                *client = Client::open(one.address).await;
            }
            is_in
        });
        let are_in = futures_util::future::join_all(asking).await;
        sent_away += are_in.into_iter().filter(|is_in| !is_in).count();
        one.io.delete_ns(&namespace);
    }
    println!("{sent_away} of {} were made to connect again", 500 * clients.len());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_message_could_carry_is_refused() {
    let database = MemoryDatabase::default();
    let node = Node::start(&database).await;
    let longest = format!("/{}", "n".repeat(998));
    node.io.ns(longest, async || {}).await.unwrap();
    let error = node.io.ns(format!("/{}", "n".repeat(999)), async || {}).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidNamespace { namespace, .. } if namespace.len() == 100), "{error:?}");
    assert!(error.to_string().contains("more than 999 bytes"), "{error}");
}
