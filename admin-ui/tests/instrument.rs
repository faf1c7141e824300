//! Instrumenting a server, and what is left of it when the server or the cluster's handle closes: on
//! a database in memory.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use socketio_pg_admin_ui::{AdminError, AdminOptions, Mode, instrument};
use socketio_pg_core::{
    Cluster, Error, Options, PostgresAdapter,
    testing::memory::{MemoryBackend, MemoryDatabase},
};
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::time::sleep;

type Io = SocketIo<PostgresAdapter<Emitter, MemoryBackend>>;

const HASH: &str = "$2a$08$VSVrEQJFUiJRNDkvMLnFvehPJijkLSCdIlMW2AWBxD3y3X4aqJ4bu";

/// A server, and what tells whether it still exists.
async fn server(database: &MemoryDatabase) -> (Cluster<MemoryBackend>, Io, Weak<()>) {
    let cluster = Cluster::connect(database.backend(), Options::default()).await.unwrap();
    let exists = Arc::new(());
    let gone = Arc::downgrade(&exists);
    let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<_, _>>(cluster.clone()).build_layer();
    // The handler of a namespace is held by the server only.
    let on_connect = move || {
        let exists = exists.clone();
        async move { drop(exists) }
    };
    io.ns("/", on_connect).await.unwrap();
    (cluster, io, gone)
}

/// Waits until nothing holds the server. Time is paused, so this takes none.
async fn is_released(server: &Weak<()>) {
    for _ in 0..100 {
        if server.strong_count() == 0 {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("something holds the server");
}

#[tokio::test(start_paused = true)]
async fn options_that_cannot_work_are_refused_with_what_to_do() {
    let (cluster, io, _) = server(&MemoryDatabase::default()).await;
    let options = || AdminOptions::default().no_auth();
    let cases = [
        (AdminOptions::default(), "the options do not say who may be an admin: give `AdminOptions::basic_auth("),
        (AdminOptions::default().basic_auth("admin", "secret"), "the password is not a bcrypt hash ("),
        (AdminOptions::default().basic_auth("admin", &HASH[..59]), "the password is not a bcrypt hash ("),
        (options().namespace("admin"), "the option `namespace` cannot be \"admin\": give a name such as \"/admin\""),
        (options().namespace("/"), "the option `namespace` cannot be \"/\""),
        (options().refresh(Duration::ZERO), "the option `refresh` cannot be 0ns: set 10 ms or more"),
        (options().server_id(""), "the option `server_id` cannot be empty"),
    ];
    for (options, expected) in cases {
        let error = instrument(&io, &cluster, options).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("secret"), "the password is shown: {error}");
    }
    assert!(io.of("/admin").is_none(), "a server that was refused has no namespace for admins");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_instrumented_once() {
    let (cluster, io, _) = server(&MemoryDatabase::default()).await;
    instrument(&io, &cluster, AdminOptions::default().basic_auth("admin", HASH)).await.unwrap();
    let again = instrument(&io, &cluster, AdminOptions::default().no_auth()).await;
    assert!(matches!(again, Err(AdminError::NamespaceTaken(name)) if name == "/admin"));
    instrument(&io, &cluster, AdminOptions::default().no_auth().namespace("/other")).await.unwrap();
    assert_eq!(cluster.of("/other").server_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_holds_a_server_that_has_closed() {
    for mode in [Mode::Development, Mode::Production] {
        let database = MemoryDatabase::default();
        let (cluster, io, gone) = server(&database).await;
        instrument(&io, &cluster, AdminOptions::default().no_auth().mode(mode)).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        io.close().await;
        drop((cluster, io));
        is_released(&gone).await;

        let (cluster, io, gone) = server(&database).await;
        instrument(&io, &cluster, AdminOptions::default().no_auth().mode(mode)).await.unwrap();
        cluster.close().await;
        drop((cluster, io));
        is_released(&gone).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_cluster_is_closed_is_not_instrumented_and_not_held() {
    let (cluster, io, gone) = server(&MemoryDatabase::default()).await;
    cluster.close().await;
    let refused = instrument(&io, &cluster, AdminOptions::default().no_auth()).await;
    assert!(matches!(refused, Err(AdminError::Join(Error::Closed))));
    assert!(io.of("/admin").is_none());
    drop((cluster, io));
    is_released(&gone).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_wait_leaves_an_instrumented_server() {
    let (cluster, io, _) = server(&MemoryDatabase::default()).await;
    {
        let mut instrumenting = Box::pin(instrument(&io, &cluster, AdminOptions::default().no_auth()));
        assert!(futures_util::poll!(&mut instrumenting).is_pending());
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.of("/admin").server_count(), 1);
    // The numbers are published: one message joins, others are `server_stats`.
    let sent = cluster.counts().published;
    sleep(Duration::from_secs(10)).await;
    assert!(cluster.counts().published >= sent + 4, "{} after {sent}", cluster.counts().published);
}
