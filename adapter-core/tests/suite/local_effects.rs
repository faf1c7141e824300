//! The effect of a message on the sender's own clients belongs to the message, not to the task that
//! sent it.

use std::time::Duration;

use socketio_pg_core::{Error, Options, testing::memory::MemoryDatabase};
use tokio::time::timeout;

use crate::clients::{Client, LONG, Server};
use crate::nodes::Node;

/// Two servers that know each other, and a client of each.
async fn servers(database: &MemoryDatabase) -> [(Server, Client); 2] {
    let (one, other) = (Server::start(database).await, Server::start(database).await);
    let met = async {
        while one.cluster.of("/").server_count() < 2 || other.cluster.of("/").server_count() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, met).await.unwrap();
    let clients = (Client::connect(one.address, "/").await, Client::connect(other.address, "/").await);
    [(one, clients.0), (other, clients.1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_given_up_after_their_first_poll_reach_local_clients_as_they_reach_others() {
    let database = MemoryDatabase::default();
    let [(one, mut local), (_other, mut remote)] = servers(&database).await;
    for number in 0..100 {
        let all = one.io.of("/").unwrap();
        let mut emitting = Box::pin(all.emit("e", &number));
        let _ = futures_util::poll!(&mut emitting);
    }
    one.cluster.of("/").emit("end", &()).await.unwrap();
    let received = remote.events("/", 101).await;
    assert_eq!(received[..2], [r#"["e",0]"#, r#"["e",1]"#]);
    assert_eq!(local.events("/", 101).await, received);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_clients_get_what_is_sent_at_once_in_the_order_of_all_others() {
    let database = MemoryDatabase::default();
    let [(one, mut local), (_other, mut remote)] = servers(&database).await;
    const SENDERS: usize = 8;
    const EACH: usize = 250;
    let sending = (0..SENDERS).map(|sender| {
        let (io, cluster) = (one.io.clone(), one.cluster.clone());
        tokio::spawn(async move {
            for number in 0..EACH {
                if number.is_multiple_of(7) {
                    let acks = cluster.of("/").timeout(Duration::from_millis(1));
                    let _ = acks.emit_with_ack::<_, ()>("e", &(sender, number)).await.unwrap();
                } else {
                    io.of("/").unwrap().emit("e", &(sender, number)).await.unwrap();
                }
            }
        })
    });
    for sending in sending.collect::<Vec<_>>() {
        sending.await.unwrap();
    }
    // With the number of its acknowledgement, an event reads `7["e",…]`.
    let without_id = |event: String| event[event.find('[').unwrap()..].to_owned();
    let receive = async |client: &mut Client| -> Vec<_> {
        client.events("/", SENDERS * EACH).await.into_iter().map(without_id).collect()
    };
    let (local, remote) = (receive(&mut local).await, receive(&mut remote).await);
    let differs = local.iter().zip(&remote).position(|(local, remote)| local != remote);
    assert_eq!(differs, None, "the first that differs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn joins_and_leaves_that_are_given_up_hold_for_local_clients_too() {
    let database = MemoryDatabase::default();
    let [(one, mut local), (_other, mut remote)] = servers(&database).await;
    database.hold_publications(true);
    let mut joining = Box::pin(one.io.of("/").unwrap().join("room"));
    assert!(futures_util::poll!(&mut joining).is_pending());
    drop(joining);
    let all = one.cluster.of("/");
    let mut joining = Box::pin(all.sockets_join(["other room"]));
    assert!(futures_util::poll!(&mut joining).is_pending());
    drop(joining);
    let mut leaving = Box::pin(one.io.of("/").unwrap().leave("room"));
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drop(leaving);
    database.hold_publications(false);
    one.io.to("room").emit("left", &1).await.unwrap();
    one.io.to("other room").emit("joined", &2).await.unwrap();
    for client in [&mut local, &mut remote] {
        assert_eq!(client.events("/", 1).await, [r#"["joined",2]"#]);
    }
    let all = one.io.of("/").unwrap();
    let mut disconnecting = Box::pin(all.disconnect());
    let _ = futures_util::poll!(&mut disconnecting);
    drop(disconnecting);
    for client in [&mut local, &mut remote] {
        client.wait_for(|packet| packet == "41").await;
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_published_reaches_local_clients_with_and_without_acknowledgement() {
    let database = MemoryDatabase::default();
    let [(one, mut local), _other] = servers(&database).await;
    database.refuse_attachments(true);
    let large = "x".repeat(10_000);
    one.io.of("/").unwrap().emit("plain", &large).await.unwrap_err();
    assert!(one.io.of("/").unwrap().emit_with_ack::<_, ()>("server", &large).await.is_err());
    let asked = one.cluster.of("/").emit_with_ack::<_, ()>("handle", &large).await;
    assert!(matches!(asked, Err(Error::Publish(_))));
    let received: Vec<_> = local.events("/", 3).await;
    for (received, event) in received.iter().zip(["plain", "server", "handle"]) {
        assert!(received.contains(&format!(r#"["{event}","xx"#)), "{}", &received[..20]);
    }
}

/// The table hangs, and what needs it is given up: that does not overtake what was sent before.
#[tokio::test]
async fn what_is_given_up_with_the_table_takes_effect_in_its_turn() {
    let database = MemoryDatabase::default();
    let limit = Duration::from_secs(3);
    let server = Server::with_options(&database, Options::default().query_timeout(limit)).await;
    let mut client = Client::connect(server.address, "/").await;
    server.cluster.of("/").emit("before", &()).await.unwrap();
    let large = "x".repeat(9000);
    let all = server.cluster.of("/");
    database.hold_publications(true);
    let first = all.emit("0", &large);
    let mut first = Box::pin(first);
    assert!(futures_util::poll!(&mut first).is_pending());
    // Until the batch with the first is under way.
    while server.cluster.health().publisher.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(limit / 2).await;
    let (small, second) = (all.emit("1", &()), all.emit("2", &large));
    let (mut small, mut second) = (Box::pin(small), Box::pin(second));
    assert!(futures_util::poll!(&mut small).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    first.await.unwrap_err();
    database.hold_publications(false);
    small.await.unwrap();
    second.await.unwrap_err();
    let received = client.events("/", 4).await;
    let names: Vec<_> = received.iter().map(|event| &event[2..3]).collect();
    assert_eq!(names, ["b", "0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn every_emit_ends_when_its_node_is_closed_while_publishing_stalls() {
    let database = MemoryDatabase::default();
    // Longer than leaving may take.
    let node = Node::with_options(&database, Options::default().query_timeout(Duration::from_secs(1000))).await;
    // Then no message is in flight, and the next one is published by its sender's own task.
    node.cluster.of("/").emit("before", &()).await.unwrap();
    database.hold_publications(true);
    let emits: Vec<_> = (0..4)
        .map(|number| {
            let cluster = node.cluster.clone();
            tokio::spawn(async move { cluster.of("/").emit("e", &number).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = tokio::time::Instant::now();
    node.cluster.close().await;
    for (number, emit) in emits.into_iter().enumerate() {
        let outcome = timeout(Duration::from_secs(60), emit).await.unwrap_or_else(|_| panic!("emit {number} hangs"));
        let outcome = outcome.unwrap();
        // The first was in flight: it may have been committed.
        let is_told = match &outcome {
            Err(Error::Unconfirmed(_)) => number == 0,
            Err(Error::Closed) => number > 0,
            _ => false,
        };
        assert!(is_told, "{number}: {outcome:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}
