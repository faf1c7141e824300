//! Namespaces in two real databases, on both backends.

#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use socketio_pg_core::{
    Cluster, Error, Event, Options, PostgresAdapter,
    backend::{Backend, BackendError, Listener},
};
use socketio_pg_diesel::DieselBackend;
use socketio_pg_tests::{database, time_limit};
use socketio_pg_throwaway::Database;
use socketio_pg_tokio_postgres::TokioPostgresBackend;
use socketioxide::{SocketIo, adapter::Emitter};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// `/a` is in the first database, `/b` in the second.
const NAMESPACES: [&str; 2] = ["/a", "/b"];

fn rule(namespace: &str) -> usize {
    usize::from(namespace == "/b")
}

struct Node<B: Backend> {
    cluster: Cluster<B>,
    _io: SocketIo<PostgresAdapter<Emitter, B>>,
}

impl<B: Backend + TryFrom<String, Error = BackendError>> Node<B> {
    async fn start(databases: &[Database; 2]) -> Self {
        // The interval is short, so that the test need not wait long.
        let options = Options::default()
            .heartbeat_interval(Duration::from_millis(200))
            .heartbeat_timeout(Duration::from_secs(10))
            .check_interval(Duration::from_secs(1));
        let urls = databases.each_ref().map(Database::url);
        let cluster = Cluster::<B>::connect_split(urls, rule, options).await.unwrap();
        let (_, io) = SocketIo::builder().with_adapter::<PostgresAdapter<Emitter, B>>(cluster.clone()).build_layer();
        for namespace in NAMESPACES {
            io.ns(namespace, async || {}).await.unwrap();
        }
        Self { cluster, _io: io }
    }

    fn server_counts(&self) -> [usize; 2] {
        NAMESPACES.map(|namespace| self.cluster.of(namespace).server_count())
    }

    async fn wait_for_server_counts(&self, counts: [usize; 2]) {
        let waiting = async {
            while self.server_counts() != counts {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(time_limit(), waiting).await.unwrap_or_else(|_| panic!("{:?}, not {counts:?}", self.server_counts()));
    }

    async fn wait_until_listening(&self, wanted: [bool; 2]) {
        let is_listening =
            || self.cluster.health_by_database().iter().map(|health| health.link.is_listening).collect::<Vec<_>>();
        let waiting = async {
            while is_listening() != wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(time_limit(), waiting).await.unwrap_or_else(|_| panic!("{:?}, not {wanted:?}", is_listening()));
    }

    fn collect(&self, namespace: &str) -> mpsc::UnboundedReceiver<u64> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.cluster.of(namespace).on_server_side("e", move |number: u64| {
            let _ = sender.send(number);
            std::future::ready(())
        });
        receiver
    }
}

/// Closes a database to new sessions and ends its sessions, or opens it again.
fn set_open(database: &Database, other: &Database, is_open: bool) {
    let name = database.name();
    other.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {is_open}")).unwrap();
    if !is_open {
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        other.execute(&end).unwrap();
    }
}

async fn a_database_that_fails_stops_only_its_own_namespaces<B>()
where
    B: Backend + TryFrom<String, Error = BackendError>,
{
    let (Some(first), Some(second)) = (database(), database()) else { return };
    let databases = [first, second];
    let nodes = [Node::<B>::start(&databases).await, Node::<B>::start(&databases).await];
    for node in &nodes {
        node.wait_for_server_counts([2, 2]).await;
    }
    let [one, other] = &nodes;
    let mut events = other.cluster.events();
    let (mut a, mut b) = (other.collect("/a"), other.collect("/b"));

    // Each namespace is in the database that the rule names.
    for (index, namespace) in NAMESPACES.into_iter().enumerate() {
        let channel = format!("socket.io#{namespace}");
        let backend = B::try_from(databases[index].url()).unwrap();
        let mut listener = backend.connect_listener().await.unwrap();
        listener.listen(std::slice::from_ref(&channel)).await.unwrap();
        one.cluster.of(namespace).server_side_emit("e", &0_u64).await.unwrap();
        let mut heard = String::new();
        while !heard.contains(r#""packet":["e",0]"#) {
            heard = timeout(time_limit(), listener.next()).await.unwrap().unwrap().payload;
        }
    }
    assert_eq!((a.recv().await, b.recv().await), (Some(0), Some(0)));

    set_open(&databases[1], &databases[0], false);
    for node in &nodes {
        node.wait_until_listening([true, false]).await;
    }
    for number in 1..100 {
        one.cluster.of("/a").server_side_emit("e", &number).await.unwrap();
        assert_eq!(timeout(time_limit(), a.recv()).await.unwrap(), Some(number));
    }
    let failed = one.cluster.of("/b").server_side_emit("e", &1_u64).await.unwrap_err();
    assert!(matches!(failed, Error::Publish(_)), "{failed}");
    assert_eq!(one.server_counts(), [2, 2], "who hears nobody takes nobody for dead");

    set_open(&databases[1], &databases[0], true);
    for node in &nodes {
        node.wait_until_listening([true, true]).await;
    }
    one.cluster.of("/b").server_side_emit("e", &2_u64).await.unwrap();
    assert_eq!(timeout(time_limit(), b.recv()).await.unwrap(), Some(2));

    let mut told = Vec::new();
    while !matches!(told.last(), Some((_, Event::Gap { .. }))) {
        told.push(timeout(time_limit(), events.next_with_database()).await.unwrap().unwrap());
    }
    assert!(told.iter().all(|(database, _)| *database == 1), "{told:?}");
    for node in &nodes {
        node.cluster.close().await;
    }
}

#[tokio::test]
async fn a_database_that_fails_stops_only_its_own_namespaces_on_tokio_postgres() {
    a_database_that_fails_stops_only_its_own_namespaces::<TokioPostgresBackend>().await;
}

#[tokio::test]
async fn a_database_that_fails_stops_only_its_own_namespaces_on_diesel() {
    a_database_that_fails_stops_only_its_own_namespaces::<DieselBackend>().await;
}
