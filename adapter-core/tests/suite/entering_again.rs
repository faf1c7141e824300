//! A client that was disconnected from a namespace, and enters it again at once.

use std::sync::Arc;

use serde::Deserialize;
use socketio_pg_core::testing::memory::MemoryDatabase;
use socketioxide::extract::{SocketRef, TryData};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use crate::clients::{Adapter, Client, LONG, Server};

#[derive(Deserialize)]
struct Auth {
    attempt: u64,
}

/// How socketioxide works: it tells the client first, and removes the socket when the handler has
/// ended. docs/differences.md says so. When this fails, socketioxide answers such a client, and the
/// row is to be deleted.
#[tokio::test]
async fn a_client_that_enters_again_while_its_disconnect_handler_runs_gets_no_answer() {
    let server = Server::start(&MemoryDatabase::default()).await;
    let (entered, mut attempts) = mpsc::unbounded_channel();
    let handlers_may_end = Arc::new(Semaphore::new(0));
    let may_end = handlers_may_end.clone();
    let on_connect = async move |socket: SocketRef<Adapter>, auth: TryData<Auth>| {
        entered.send(auth.0.unwrap().attempt).unwrap();
        socket.on_disconnect(async move || may_end.acquire().await.unwrap().forget());
    };
    server.io.ns("/again", on_connect).await.unwrap();
    let mut client = Client::open(server.address).await;
    client.send(r#"40/again,{"attempt":1}"#).await;
    client.wait_for(|packet| packet.starts_with("40/again,")).await;
    assert_eq!(attempts.recv().await, Some(1));

    server.cluster.of("/again").disconnect_sockets(false).await.unwrap();
    client.wait_for(|packet| packet.starts_with("41/again")).await;
    client.send(r#"40/again,{"attempt":2}"#).await;
    handlers_may_end.add_permits(1);
    let gone = async {
        while !server.io.of("/again").unwrap().sockets().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, gone).await.expect("the socket is removed when its handler ends");
    client.send(r#"40/again,{"attempt":3}"#).await;
    client.wait_for(|packet| packet.starts_with("40/again,")).await;
    assert_eq!(attempts.recv().await, Some(3), "the second attempt was answered");
}
