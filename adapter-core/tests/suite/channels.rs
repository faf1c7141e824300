//! Namespaces whose channels a database cannot have: they fail, but others do not.

use std::time::Duration;

use socketio_pg_core::{Error, Event, testing::memory::MemoryDatabase};

use crate::nodes::{Node, collect, pair};

/// Whether events of one node still reach the other.
async fn still_hears(one: &Node, received: &mut tokio::sync::mpsc::UnboundedReceiver<u64>, number: u64) {
    one.cluster.of("/").server_side_emit("e", &number).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(600), received.recv()).await;
    assert_eq!(heard.expect("the node hears"), Some(number));
}

/// The adapter's own error, which socketioxide wraps in a box.
fn reason<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a Error {
    let mut error = error;
    loop {
        match error.downcast_ref::<Error>() {
            Some(found) => return found,
            None => error = error.source().unwrap_or_else(|| panic!("{error:?} is of another kind")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_a_nul_fails_with_its_reason_and_costs_the_node_nothing() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    let error = other.io.ns("/room/x\0y", async || {}).await.unwrap_err();
    let refused = matches!(reason(&error), Error::InvalidNamespace { namespace, .. } if namespace == "/room/x\0y");
    assert!(refused, "{error:?}");
    assert!(other.cluster.health().namespaces.iter().all(|namespace| namespace.name == "/"));
    still_hears(&one, &mut received, 1).await;
    // It does not count as a broken connection, and is not kept for the next one.
    database.break_sessions();
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    still_hears(&one, &mut received, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_the_database_refuses_fails_alone_among_many() {
    let database = MemoryDatabase::default();
    database.refuse_channels_with("日");
    let [one, other] = pair(&database).await;
    let mut received = collect(&other);
    let names: Vec<String> =
        (0..50).map(|number| format!("/{}{number}", if number == 20 { "日" } else { "r" })).collect();
    let joining = names.iter().map(|name| other.io.ns(name.clone(), async || {}));
    let joined = futures_util::future::join_all(joining).await;
    for (name, joined) in names.iter().zip(joined) {
        match joined {
            Ok(()) => assert!(!name.contains('日'), "{name}"),
            Err(error) => {
                assert!(name.contains('日'), "{name}: {error}");
                assert!(matches!(reason(&error), Error::NotListening { .. }), "{error:?}");
            }
        }
    }
    let health = other.cluster.health();
    assert_eq!((health.namespaces.len(), health.counts.reconnects), (50, 0));
    still_hears(&one, &mut received, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_channel_that_came_while_the_link_was_down_does_not_keep_it_down() {
    let database = MemoryDatabase::default();
    database.refuse_channels_with("日");
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    database.refuse_sessions(true);
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    let joining = ["/good", "/日", "/better"].map(|name| {
        let io = other.io.clone();
        tokio::spawn(async move { io.ns(name, async || {}).await })
    });
    tokio::time::sleep(Duration::from_secs(20)).await;
    database.refuse_sessions(false);
    let mut joined = Vec::new();
    for joining in joining {
        joined.push(tokio::time::timeout(Duration::from_secs(600), joining).await.unwrap().unwrap().is_ok());
    }
    assert_eq!(joined, [true, false, true]);
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    still_hears(&one, &mut received, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_in_place_is_not_given_up_when_it_is_refused_later() {
    let database = MemoryDatabase::default();
    let [one, mut other] = pair(&database).await;
    let mut received = collect(&other);
    // The server refuses every channel, which says nothing about the name.
    database.refuse_channels_with("socket.io");
    database.break_sessions();
    other.wait_for(|event| matches!(event, Event::Disconnected { .. })).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!other.cluster.health().is_ready());
    database.refuse_channels_with("nothing has it");
    other.wait_for(|event| matches!(event, Event::Gap { .. })).await;
    still_hears(&one, &mut received, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_notifications_keeps_no_namespace_from_joining() {
    const STORM: u64 = 100_000;
    let database = MemoryDatabase::default();
    let [_one, other] = pair(&database).await;
    for _ in 0..STORM {
        database.notify("socket.io#/", r#"{"type":2,"uid":"of another node","nsp":"/"}"#);
    }
    other.io.ns("/new", async || {}).await.unwrap();
    let received = other.cluster.health().counts.received;
    assert!(received < STORM, "the namespace waited for all {received}");
}
